"""Logs as lines of JSON, whatever is logged; text for people otherwise."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest

from nextbest.flows import cli
from nextbest.flows.telemetry.logs import JsonFormatter, say, set_up


@pytest.mark.parametrize("kind", ["json", "text"])
def test_logs_are_written_as_asked(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    set_up(kind)
    set_up(kind)  # twice is once
    logging.getLogger("nextbest.run").warning("%d rows", 3, extra={"partition": 2})
    (line,) = written.getvalue().splitlines()
    if kind == "text":
        assert line.endswith(" WARNING 3 rows")
    else:
        found = json.loads(line)
        assert found.pop("time").endswith("Z")
        assert found == {
            "level": "warning", "logger": "nextbest.run", "message": "3 rows", "partition": 2,
        }  # fmt: skip


def test_what_cannot_be_written_is_written_all_the_same() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "odd"

    def line(**values: Any) -> dict[str, Any]:
        text = JsonFormatter().format(logging.makeLogRecord(values))
        assert "\n" not in text
        return json.loads(text)  # type: ignore[no-any-return]  # JSON

    assert line(msg="a\nb", what=Odd())["what"] == "odd"
    assert "udcff" in line(msg="\udcff")["message"]
    assert len(line(msg="x" * 100_000)["message"]) < 10_000
    try:
        raise ValueError("no\nway")
    except ValueError:
        found = line(msg="it failed", exc_info=sys.exc_info())
    assert found["error"] == "ValueError: no\nway"
    assert "test_logs.py" in found["stack"]


def test_the_command_line_fails_in_the_way_of_the_logs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say("a\nb", environ={})
    assert capsys.readouterr().err == "nextbest: a\nb\n"
    monkeypatch.setenv("NEXTBEST_LOG_FORMAT", "json")
    monkeypatch.setattr(sys, "argv", ["nextbest", "run", "x.ndjson", "--catalog", "nobody:here"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    found = json.loads(capsys.readouterr().err)
    assert (ended.value.code, found["level"], found["logger"]) == (1, "error", "nextbest")
    assert "nobody" in found["message"]
    monkeypatch.setenv("NEXTBEST_LOG_FORMAT", "yaml")
    with pytest.raises(SystemExit):
        cli.main()
    assert "NEXTBEST_LOG_FORMAT='yaml'" in capsys.readouterr().err
