"""Several processes: the same results as one, through deaths and other numbers of them."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
import redis

from nextbest.features import SettingsError
from nextbest.flows import cli
from nextbest.flows.commands import children
from nextbest.flows.commands.inputs import Job, check_input
from nextbest.flows.commands.processes import check_processes
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.settings import Settings
from nextbest.flows.sources import publish_events
from tests.conftest import row_names
from tests.flows.test_decode import Event, make_log, ndjson
from tests.flows.test_learn import plain
from tests.ports import free_port

ROOT = Path(__file__).parent.parent.parent
SHARDS = 4
REFERENCES = ("--catalog", "tests.flows.test_decode:catalog")
DECISIONS = ("--decisions", "tests.flows.test_decode:point")


class Run:
    """`nextbest run` in a data directory of its own, with the store in it."""

    def __init__(
        self, home: Path, *arguments: str | Path, references: Sequence[str] = REFERENCES
    ) -> None:
        self.home = home
        self.references = references
        self.arguments = [str(a) for a in arguments]
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str, **environ: str) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nextbest.flows.cli", *self._argv(*options)[1:]],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=_environ(**environ),
        )  # fmt: skip
        return self.process

    def _argv(self, *options: str) -> list[str]:
        where = ("--data-dir", str(self.home))
        return ["nextbest", "run", *self.arguments, *self.references, *where, *options]

    def end(self, number: signal.Signals | None = None) -> tuple[int, str, str]:
        assert self.process is not None
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, " ".join(out.split()), err

    def run(self, *options: str) -> str:
        """Run to the end in this process, which has loaded its kernels already."""
        code, out, err = self.here(*options)
        assert (code, err) == (0, ""), err
        return out

    def here(self, *options: str) -> tuple[int, str, str]:
        said, failed = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, _environ(), clear=True),
            patch.object(sys, "argv", self._argv(*options)),
            contextlib.chdir(ROOT),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(failed),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
        return int(ended.value.code or 0), " ".join(said.getvalue().split()), failed.getvalue()

    def workers(self) -> list[int]:
        """The processes that the command has started."""
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = [int(pid) for pid in path.read_text().split()]
        return [pid for pid in children if b"member" in _command(pid)]

    def rows(self) -> dict[bytes, bytes]:
        with redis.Redis.from_url(ensure_server(self.home)) as store:
            names: Any = row_names(store, "nextbest:mart:customer:")
            values: Any = store.mget(names) if names else []
            found: Any = [n for n in store.scan_iter("*:model:*") if not n.endswith(b":published")]
            models: Any = {name: store.get(name) for name in found}
            return dict(zip(names, values, strict=True)) | models

    def archive(self, what: str) -> list[dict[str, Any]]:
        files = sorted((self.home / "archive" / what).rglob("*.parquet"))
        return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]

    def everything(self) -> tuple[Any, ...]:
        """What a run leaves behind, but for the order of the archive's files."""
        letters = self.home / "dead_letters" / "dead.ndjson"
        refused = (
            [json.loads(x) for x in letters.read_bytes().splitlines()] if letters.exists() else []
        )
        return (
            self.rows(),
            sorted(self.archive("events"), key=lambda row: (row["customer_id"], row["position"])),
            plain(self.archive("examples")),
            sorted((x["origin"].partition("@")[0], x["position"], x["reason"]) for x in refused),
        )


def _environ(**changes: str) -> dict[str, str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith("NEXTBEST_")}
    ours = {
        "NEXTBEST_SHARDS": str(SHARDS),
        "NEXTBEST_EPOCH_SECONDS": "0.1",
        "NEXTBEST_BATCH_ROWS": "25",
    }
    return kept | ours | changes


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(name: str, *arguments: str | Path) -> Run:
        runs.append(Run(tmp_path / name, *arguments))
        return runs[-1]

    yield make
    for run in runs:
        if run.process is not None and run.process.poll() is None:
            run.process.kill()
            run.process.communicate()
        stop_server(run.home)


def wait_for(what: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def write(path: Path, log: Sequence[Event]) -> Path:
    lines = ndjson(log).splitlines(keepends=True)
    for at in (30, 500, 501):
        lines.insert(at, b'{"broken": %d}\n' % at)
    path.write_bytes(b"".join(lines))
    return path


def publish_in_parts(run: Run, log: Sequence[Event], partitions: int) -> None:
    """As a producer should: a customer's shard says the partition. Entries of up to 40 events."""
    with redis.Redis.from_url(ensure_server(run.home)) as client:
        for first in range(0, len(log), 40):
            publish_events(client, "log", ndjson(log[first : first + 40]), partitions, SHARDS)


def test_two_processes_leave_what_one_does_whoever_dies(
    tmp_path: Path, make: Callable[..., Run]
) -> None:
    path = write(tmp_path / "log.ndjson", make_log(24, 600))
    one = make("one", path)
    one.run(*DECISIONS)
    expected = one.everything()
    assert all(expected)
    two = make("two", path)
    out = two.run(*DECISIONS, "--processes", "2")
    assert "3 dead letters" in out
    assert "restarts" not in out
    assert two.everything() == expected

    slow = {"NEXTBEST_BATCH_ROWS": "2", "NEXTBEST_EPOCH_BYTES": str(1 << 20)}
    killed = make("killed", path)
    killed.start(*DECISIONS, "--processes", "2", **slow)
    wait_for(lambda: (killed.home / "state").exists())
    os.kill(killed.workers()[1], signal.SIGKILL)
    code, out, err = killed.end()
    assert (code, err) == (0, "")
    assert "restarting: worker" in out
    assert "killed by SIGKILL" in out
    assert "restarts 1;" in out
    assert killed.everything() == expected


def test_other_numbers_of_processes_go_on(make: Callable[..., Run]) -> None:
    log = make_log(25, 900)
    one, more = (make(name, "--stream", "log", "--partitions", "2") for name in ("one", "more"))
    publish_in_parts(one, log, 2)
    one.run("--drain")

    publish_in_parts(more, log[:280], 2)
    more.start("--supervise")
    wait_for(more.rows)
    killed = more.workers()
    os.kill(killed[0], signal.SIGKILL)
    wait_for(lambda: set(more.workers()) - set(killed))
    publish_in_parts(more, log[280:600], 2)
    workers = more.workers()
    more.end(signal.SIGKILL)  # the supervisor itself, which no worker outlives
    wait_for(lambda: not any(_command(pid) for pid in workers))

    more.start("--processes", "2")
    wait_for(lambda: _is_held(more.home / "worker-1.lock"))
    publish_in_parts(more, log[600:800], 2)
    os.kill(more.workers()[1], signal.SIGTERM)  # one that is asked to stop stops all
    code, out, _ = more.end()
    assert code == 0
    assert "stopped as asked" in out

    publish_in_parts(more, log[800:], 2)
    more.run("--drain")
    assert more.everything() == one.everything()


def test_asked_to_stop_all_end_with_a_last_snapshot(make: Callable[..., Run]) -> None:
    log = make_log(26, 300)
    run = make("run", "--stream", "log", "--partitions", "2")
    publish_in_parts(run, log, 2)
    process = run.start("--processes", "2", NEXTBEST_EPOCH_SECONDS="1000")
    wait_for(run.rows)
    code, _, err = run.here("--processes", "2")
    assert code == 1
    assert "another run is using this data directory" in err
    workers = run.workers()
    process.send_signal(signal.SIGTERM)
    code, out, err = run.end()  # long before the epoch does
    assert (code, err) == (0, "")
    assert "stopped as asked, after a last snapshot" in out
    assert not any(_command(pid) for pid in workers)
    assert "0 accepted" in run.run("--drain")


def _is_held(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_it_gives_up_after_many_failures(
    tmp_path: Path, make: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_MOST_FAILURES", 3)
    (tmp_path / "log.parquet").write_bytes(b"PAR1, not really")
    run = make("run", tmp_path / "log.parquet")
    code, out, err = run.here("--supervise")
    assert code == 1
    assert err.startswith("nextbest: gave up after 3 failures within 60 s; the last one: worker 0:")
    assert "log.parquet: not a readable Parquet file" in err
    assert err.count("\n") == 1
    assert out.count("restarting:") == 2


def test_what_cannot_work_is_not_tried_again(make: Callable[..., Run]) -> None:
    run = make("run", "--stream", "log", "--partitions", "2", "--drain")
    code, out, err = run.here("--processes", "2", *DECISIONS)
    assert code == 1
    assert err.startswith("nextbest: ")
    assert "decisions need a log of one partition" in err
    assert err.count("\n") == 1
    assert "restarting" not in out


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({}, "nothing to read"),
        ({"topic": "t", "stream": "s"}, "one kind of input, not both --stream and --kafka"),
        ({"kafka": "a:1"}, "--kafka needs a --topic"),
        ({"topic": "t"}, "--topic needs --kafka BROKERS or NEXTBEST_KAFKA_BROKERS"),
        ({"stream": "s", "follow": True}, "--follow goes with files"),
        ({"topic": "t", "kafka": "a:1", "partitions": 2}, "--partitions goes with --stream"),
        ({"stream": "s", "processes": 8}, "8 processes for 4 shards"),
        ({"stream": "s", "processes": 2, "addresses": "a:1,b:1"}, "not both"),
        ({"stream": "s", "addresses": "a:1,b", "process_id": 0}, "'b': expected host:port"),
        ({"stream": "s", "process_id": 1}, "--process-id needs --addresses"),
    ],
)
def test_options_that_do_not_go_together(job: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_options(Job(catalog="shop:catalog", **job), Settings(shards=4))


def check_options(job: Job, settings: Settings) -> None:
    check_input(job, settings)
    check_processes(job, settings)


def test_a_cluster_of_commands(make: Callable[..., Run]) -> None:
    """As on several machines: each process has a command of its own; a death restarts all."""
    log = make_log(27, 300)
    one, both = (make(name, "--stream", "log", "--partitions", "2") for name in ("one", "both"))
    for run in (one, both):
        publish_in_parts(run, log, 2)
    one.run("--drain")
    commands = [both, Run(both.home, *both.arguments)]
    options = ("--addresses", f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}", "--process-id")
    for number, run in enumerate(commands):
        run.start(*options, str(number))
    wait_for(lambda: both.rows().keys() == one.rows().keys())
    assert both.here()[0] == 1  # somebody else's
    killed = commands[0].workers()
    os.kill(killed[0], signal.SIGKILL)
    wait_for(lambda: set(commands[0].workers()) - set(killed))
    wait_for(lambda: _is_held(both.home / "worker-0.lock"))
    for run in commands:
        assert run.process is not None
        run.process.terminate()
    ends = [run.end() for run in commands]
    assert [(code, err) for code, _, err in ends] == [(0, ""), (0, "")]
    assert "restarts" in ends[1][1]
    both.run("--drain")  # they may have been stopped before they had read all of it again
    assert both.everything() == one.everything()
