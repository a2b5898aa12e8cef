"""The engine's own command: one process and two, killed and asked to end, and what it refuses."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.test_cluster import (
    ROOT,
    Run,
    _environ,
    _is_held,
    make,
    publish_in_parts,
    wait_for,
)
from tests.flows.test_decode import make_log
from tests.ports import free_port

__all__ = ["make"]
Engine = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def engine() -> Iterator[Engine]:
    started: list[subprocess.Popen[str]] = []

    def start(home: Path, *options: str, **environ: str) -> subprocess.Popen[str]:
        given = {
            "NEXTBEST_CATALOG": "tests.flows.test_decode:catalog",
            "NEXTBEST_DATA_DIR": str(home),
            "NEXTBEST_STREAM": "log",
            "NEXTBEST_PARTITIONS": "2",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "bytewax.run", "nextbest.flows.worker:flow",
             *(options or ("-r", str(home / "recovery"), "-s", "1", "-b", "0"))],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=_environ(**(given | environ)),
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def test_the_engine_runs_it_and_goes_on(engine: Engine, make: Callable[..., Run]) -> None:
    log = make_log(31, 600)
    one, other = (make(name, "--stream", "log", "--partitions", "2") for name in ("one", "other"))
    publish_in_parts(one, log, 2)
    one.run("--drain")
    publish_in_parts(other, log[:200], 2)
    process = engine(other.home)
    wait_for(other.rows)
    process.kill()
    process.communicate()
    publish_in_parts(other, log[200:400], 2)
    process = engine(other.home)
    wait_for(lambda: _is_held(other.home / "worker.lock"))
    process.send_signal(signal.SIGINT)
    assert ended(process) == (0, "")
    publish_in_parts(other, log[400:], 2)
    addresses = f"127.0.0.1:{free_port()};127.0.0.1:{free_port()}"
    shared = ("-r", str(other.home / "recovery"), "-s", "1", "-b", "0", "-a", addresses, "-i")
    both = [engine(other.home, *shared, i, NEXTBEST_DRAIN="1") for i in ("0", "1")]
    assert [ended(process)[0] for process in both] == [0, 0]
    assert other.everything() == one.everything()


@pytest.mark.parametrize(
    ("environ", "options", "message"),
    [
        ({"NEXTBEST_CATALOG": ""}, (), "NEXTBEST_CATALOG is not set"),
        ({"NEXTBEST_STREAM": "", "NEXTBEST_PARTITIONS": ""}, (), "nothing to read"),
        ({}, ("-s", "1"), "-r None: give -r"),
        ({}, ("-r", "elsewhere", "-s", "1", "-b", "0"), "-r elsewhere: give -r"),
        ({"BYTEWAX_WORKERS_PER_PROCESS": "2"}, (), "-w: one process is one worker"),
        ({"BYTEWAX_DATAFLOW_API_ENABLED": "1"}, (), "NEXTBEST_ALLOW_PUBLIC_API=1"),
    ],
)
def test_what_it_refuses(
    tmp_path: Path, engine: Engine, environ: dict[str, str], options: tuple[str, ...], message: str
) -> None:
    code, err = ended(engine(tmp_path / "data", *options, **environ))
    assert code == 1
    assert err.startswith("nextbest: ")
    assert message in err
    assert err.count("\n") == 1


def test_our_own_commands_never_open_the_engines_web_server(make: Callable[..., Run]) -> None:
    port = free_port()
    api = {"BYTEWAX_DATAFLOW_API_ENABLED": "1", "BYTEWAX_DATAFLOW_API_PORT": str(port)}
    run = make("run", "--stream", "log", "--partitions", "2")
    publish_in_parts(run, make_log(32, 20), 2)
    run.start("--processes", "2", **api)
    wait_for(run.rows)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert run.end(signal.SIGTERM)[0] == 0
