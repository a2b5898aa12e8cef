"""Workers and services as users run them, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Where the processes run: catalogs may be named by their modules."""
_NEXTBEST = (sys.executable, "-m", "nextbest.flows.cli")


def drain(*words: str) -> None:
    """Run a worker until it has read all that there is."""
    command = [*_NEXTBEST, "run", "--drain", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


@contextlib.contextmanager
def worker(*words: str) -> Iterator[None]:
    """A worker that follows its log until the end of the block."""
    process = subprocess.Popen([*_NEXTBEST, "run", *words], stdout=subprocess.DEVNULL, cwd=ROOT)
    try:
        yield
        assert process.poll() is None, "the worker has ended"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextlib.contextmanager
def service(*words: str, environ: Mapping[str, str] | None = None) -> Iterator[int]:
    """The port of a service, until the end of the block."""
    command = [*_NEXTBEST, "serve", "--port", "0", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **(environ or {})}
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving "), "the service does not start"
            yield int(line.partition(",")[0].rpartition(":")[2])
        finally:
            process.terminate()
