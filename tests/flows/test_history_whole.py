"""History is not made of an archive that lacks events, unless that is asked for."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.flows.test_cli import START, Nextbest, event, home, ndjson, nextbest, one_line
from tests.flows.test_cli_audit import log_served

__all__ = ["home", "nextbest"]

RUN = ("run", "events.ndjson", "--catalog", "shop.py:catalog")
AT = str(START + 10**9)
BACKFILL = ("backfill", "--at", AT, "--features", "visits:events", "--out", "out.parquet")
LACKS = "the archive holds 20 of the 30 events taken in: "


def append(home: Path, first: int, last: int) -> None:
    with (home / "events.ndjson").open("a") as file:
        file.write(ndjson(*(event(n) for n in range(first, last))))


def counted(home: Path) -> list[int]:
    counts: list[int] = pq.read_table(home / "out.parquet")["visits__events"].to_pylist()
    return counts


@pytest.fixture
def two_runs(home: Path, nextbest: Nextbest) -> Path:
    """The archive's files after two runs that took in 10 and 20 events."""
    for first, last in ((0, 10), (10, 30)):
        append(home, first, last)
        assert nextbest(*RUN).code == 0
    assert nextbest(*BACKFILL).code == 0
    assert counted(home) == [30]
    (home / "out.parquet").unlink()
    return home / ".nextbest/archive/events/partition=0"


def test_without_the_old_files_it_is_refused_or_told(
    home: Path, nextbest: Nextbest, two_runs: Path
) -> None:
    first, *_ = sorted(two_runs.iterdir())
    first.rename(home / "old.parquet")
    before = sorted((home / ".nextbest/recovery").iterdir())
    message = one_line(nextbest(*BACKFILL))
    assert LACKS in message
    assert "give --incomplete" in message
    assert not (home / "out.parquet").exists()
    result = nextbest(*BACKFILL, "--incomplete")
    assert result.code == 0
    assert result.err.count("\n") == 1
    assert result.err.startswith(f"nextbest: {LACKS}")
    assert counted(home) == [20]
    assert sorted((home / ".nextbest/recovery").iterdir()) == before
    (home / "old.parquet").rename(first)
    assert nextbest(*BACKFILL).err == ""


def test_an_archive_that_was_off_for_a_time_is_no_history(
    home: Path, nextbest: Nextbest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first, last, archive in ((0, 10, "true"), (10, 20, "false"), (20, 30, "true")):
        monkeypatch.setenv("NEXTBEST_ARCHIVE", archive)
        append(home, first, last)
        assert nextbest(*RUN).code == 0
    monkeypatch.setenv("NEXTBEST_SHARDS", "8")  # which says nothing of the archive
    assert LACKS in one_line(nextbest(*BACKFILL))
    shutil.rmtree(home / ".nextbest/archive/events/partition=0")
    (home / ".nextbest/archive/events/partition=1").mkdir()
    assert "no archived events" in one_line(nextbest(*BACKFILL))


def test_an_archive_alone_is_taken_as_it_is(home: Path, nextbest: Nextbest, two_runs: Path) -> None:
    two_runs.parent.parent.rename(home / "kept")
    away = home / "elsewhere" / "archive"
    away.parent.mkdir()
    (home / "kept").rename(away)
    next((away / "events/partition=0").iterdir()).unlink()
    where = ("--catalog", "shop.py:catalog", "--data-dir", "elsewhere")
    assert nextbest(*BACKFILL, *where).err == ""


def test_an_audit_says_why_values_may_differ(
    home: Path, nextbest: Nextbest, two_runs: Path
) -> None:
    log_served(home, START + 90_000_000)
    assert nextbest("audit").err == ""
    sorted(two_runs.iterdir())[0].unlink()
    result = nextbest("audit")
    assert result.code == 1
    assert result.err.startswith(f"nextbest: {LACKS}")


def test_it_is_told_beside_a_run_and_does_not_disturb_it(
    home: Path, nextbest: Nextbest, two_runs: Path
) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "nextbest.flows.cli", *RUN, "--follow"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    append(home, 30, 35)

    def wait_for(files: int) -> None:
        end = time.monotonic() + 200
        while len(list(two_runs.glob("epoch-*.parquet"))) < files:
            assert time.monotonic() < end
            assert worker.poll() is None, worker.communicate()
            time.sleep(0.1)

    wait_for(3)
    assert nextbest(*BACKFILL).err == ""
    assert counted(home) == [35]
    first, *_ = sorted(two_runs.glob("epoch-*.parquet"))
    first.rename(home / "old.parquet")
    assert "events taken in" in one_line(nextbest(*BACKFILL))
    append(home, 35, 36)
    wait_for(3)
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=200)
    assert (worker.returncode, err) == (0, "")
    assert "6 accepted" in " ".join(out.split())
