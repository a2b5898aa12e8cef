"""A supervised run: what it is made of, what it says, and how it ends."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_MEMBER = b"nextbest.flows.commands.member"
_EXPECTED = (
    r"worker \d+: killed by SIGKILL",
    r"worker \d+: worker-\d+ is gone",
    r"worker \d+: another worker of the cluster is gone",
    r"worker \d+: .*: no answer: ",  # a store that is away when the worker begins
)
"""Reasons to begin anew that killing explains."""

_PATIENCE_SECONDS = 300.0 if os.environ.get("NEXTBEST_CHAOS") == "long" else 200.0


def wait_until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait for something that must happen, however slow the machine is."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"in vain: {what()}"
        time.sleep(0.02)


class Run:
    """A supervisor with its workers.

    Parameters
    ----------
    words
        Its command line.
    environment
        Its environment.
    said
        The file for what it says; files never fill as pipes do.
    """

    def __init__(self, words: Sequence[str], environment: dict[str, str], said: Path) -> None:
        self._said = said
        with said.open("wb") as out:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
            )

    def workers(self) -> list[int]:
        """The ids of the worker processes that live."""
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        children: list[int] = []
        with contextlib.suppress(OSError):
            children = [int(child) for child in path.read_text().split()]
        return [child for child in children if _MEMBER in _command_of(child)]

    def kill_worker(self, rng: random.Random) -> None:
        """Kill one of its workers, as soon as there is one; wait until the run has noticed."""
        before, killed = len(self.restarts()), False
        while not killed:
            wait_until(lambda: bool(self.workers()), lambda: f"a worker\n{self.said()}")
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(rng.choice(self.workers()), signal.SIGKILL)
                killed = True
        # Who asks it to stop in between is rightly told that there was no last snapshot.
        wait_until(lambda: len(self.restarts()) > before, lambda: f"a restart\n{self.said()}")

    def kill(self) -> None:
        """Kill the supervisor; its workers are on their own."""
        self.check()
        self._process.kill()
        self._process.wait()

    def ask_to_stop(self) -> None:
        """Send what an operator sends."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End as an operator does; it must end well."""
        self.ask_to_stop()
        status = self._process.wait(timeout=_PATIENCE_SECONDS)
        assert status == 0, self.said()
        self.check()

    def lives(self) -> bool:
        """Whether the supervisor has not ended."""
        return self._process.poll() is None

    def check(self) -> None:
        """Check that it lives or ended well, and that it told of nothing but kills."""
        assert self._process.poll() in (None, 0), self.said()
        self.check_said()

    def check_said(self) -> None:
        """Check that it told of nothing but kills; what is left of a killed one too."""
        said = self.said()
        assert not re.search(r"Traceback|panicked|gave up", said), said
        for reason in self.restarts():
            assert any(re.match(pattern, reason) for pattern in _EXPECTED), f"{reason}\n{said}"

    def restarts(self) -> list[str]:
        """Why it began anew, each time."""
        return re.findall(r"restarting: (.*)", self.said())

    def said(self) -> str:
        """What it printed so far."""
        return self._said.read_text(errors="replace")


def _command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()  # that of a zombie is empty
    return b""
