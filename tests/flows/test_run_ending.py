"""What a run says at its end: of a store that cannot be asked any more, and of its places."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import redis

from nextbest.flows.commands import job
from nextbest.flows.embedded import ensure_server, stop_server
from tests.flows.test_cli import Nextbest, event, home, ndjson, nextbest

__all__ = ["home", "nextbest"]


def test_a_store_that_is_gone_at_the_end_is_not_counted(
    home: Path, nextbest: Nextbest, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = job.run_flow

    def run_flow(*given: Any) -> None:
        real(*given)
        stop_server(home / ".nextbest")

    monkeypatch.setattr(job, "run_flow", run_flow)
    (home / "a.ndjson").write_text(ndjson(event(1), event(2)))
    result = nextbest("run", "a.ndjson", "--catalog", "shop:catalog")
    assert (result.code, result.err) == (0, "")
    assert "2 accepted" in result.words
    assert "in the store" not in result.words
    assert "look up" in result.words


def test_a_user_who_may_not_count_ends_as_well(home: Path, nextbest: Nextbest) -> None:
    path = ensure_server(home / ".nextbest").removeprefix("unix://")
    with redis.Redis(unix_socket_path=path) as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-dbsize")
    (home / "a.ndjson").write_text(ndjson(event(1), event(2)))
    url = f"unix://app:pw@{path}"
    result = nextbest("run", "a.ndjson", "--catalog", "shop:catalog", "--redis-url", url)
    assert (result.code, result.err) == (0, "")
    assert "2 accepted" in result.words
    assert "in the store" not in result.words


def test_places_are_said_as_they_are_and_commands_can_be_pasted(
    home: Path, nextbest: Nextbest
) -> None:
    places = ("x/[red]", "a b/[bold]c")
    file, out = "[dim]e.ndjson", "[i]out.parquet"
    (home / file).write_text(ndjson(event(1), "{"))
    try:
        for data_dir in places:
            where = ("--data-dir", data_dir)
            result = nextbest("run", file, "--catalog", "shop.py:catalog", *where)
            assert (result.code, result.err) == (0, "")
            assert file in result.out.splitlines()[0]
            assert f"{data_dir}/dead_letters/dead.ndjson" in result.words
            pasted = result.words.rpartition("look up ")[2]
            assert shlex.split(pasted) == ["nextbest", "features", "get", "ID", *where]
            rebuilt = nextbest("rebuild", *where)
            assert shlex.split(rebuilt.words.rpartition("go on ")[2])[-2:] == [*where]
        done = nextbest("backfill", "--at", "2026-02-01", "--out", out, *where)
        assert done.words.startswith(f"{out}: 1 rows")
        assert "stream [red], the" in nextbest("publish", file, "--stream", "[red]", *where).words
    finally:
        for data_dir in places:
            stop_server(home / data_dir)
