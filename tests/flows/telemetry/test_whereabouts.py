"""Where processes note that they show metrics, and what is left of them."""

from __future__ import annotations

import io
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from nextbest.flows.commands import top as top_command
from nextbest.flows.commands.top import top
from nextbest.flows.commands.top_reading import scrape
from nextbest.flows.settings import Settings
from nextbest.flows.telemetry.showing import run_meter, showing_run
from nextbest.flows.telemetry.whereabouts import addresses, noted
from tests.flows.telemetry.scraping import free_ports

PROCESS = """
import sys
from pathlib import Path
from nextbest.flows.settings import Settings
from nextbest.flows.telemetry.exposition import shown
from nextbest.flows.telemetry.names import OUTAGE_ACTIVE
from nextbest.flows.telemetry.running import RunMeter
from nextbest.flows.telemetry.whereabouts import noted
settings, port = Settings(data_dir=Path(sys.argv[1])), int(sys.argv[2])
with shown("127.0.0.1", port, RunMeter()), noted(settings, port):
    print("there", flush=True)
    sys.stdin.read()
"""


@contextmanager
def process(data_dir: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(data_dir), str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as one:  # fmt: skip
        assert one.stdout is not None
        assert one.stdout.readline() == "there\n"
        yield one


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is slower than a look at it."""
    monkeypatch.setattr(top_command, "scrape", lambda urls, _: scrape(urls, 60.0))


def looked(data_dir: Path) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=80)
    settings = Settings(data_dir=data_dir)
    seen = top(settings, [], console, every=0.2, once=True, as_json=False)
    return seen, console.file.getvalue()  # type: ignore[attr-defined]  # an io.StringIO


class Log:
    def partitions(self) -> int:
        return 1

    def lags(self) -> dict[int, int]:
        return {}


def test_one_that_was_killed_is_away_until_its_place_is_taken(tmp_path: Path) -> None:
    with free_ports(2) as port:
        with process(tmp_path, port) as first, process(tmp_path, port + 1) as second:
            assert addresses(tmp_path) == [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]
            assert looked(tmp_path)[0]
            first.kill()
            first.wait()
            seen, text = looked(tmp_path)
            assert (seen, f"127.0.0.1:{port}: connection refused" in text) == (False, True)
            assert "1 of 2 processes" in text
            second.communicate("", timeout=200)
            assert addresses(tmp_path) == [f"127.0.0.1:{port}"]
        settings = Settings(data_dir=tmp_path, metrics_port=port)
        with showing_run(run_meter(settings), settings, "shop", Log()):
            assert looked(tmp_path)[0]
        assert addresses(tmp_path) == []


def test_one_that_listens_everywhere_is_found_on_its_machine(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::"):
        with noted(Settings(data_dir=tmp_path, metrics_host=host), 9464):
            assert [path.name for path in (tmp_path / "metrics").iterdir()] == [
                f"{socket.gethostname()}:9464"
            ]
            assert addresses(tmp_path) == ["localhost:9464"]
    with noted(Settings(data_dir=tmp_path, metrics_host="::1"), 9464):
        assert addresses(tmp_path) == ["[::1]:9464"]


def test_nothing_depends_on_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "metrics").write_text("a file")
    with caplog.at_level(logging.WARNING), noted(Settings(data_dir=tmp_path), 9464):
        assert "will not find this process" in caplog.text
    assert (tmp_path / "metrics").read_text() == "a file"
