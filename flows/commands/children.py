"""Processes of ours that are ordered and watched by the one that starts them."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque

from ..cluster import ClusterError
from .reports import Failed, Message, decode_message

Said = queue.Queue[tuple[int, Message | None]]
"""Which process says what; None when it says no more."""
_MOST_FAILURES = 5
_WITHIN_SECONDS = 60.0


class Failures:
    """How often processes died lately, after which they are started anew."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def add(self, reason: str) -> int:
        """Take note of one; return how many there were lately.

        Raises
        ------
        ClusterError
            If they are too many.
        """
        now = time.monotonic()
        self._times.append(now)
        while self._times[0] < now - _WITHIN_SECONDS:
            self._times.popleft()
        if len(self._times) == _MOST_FAILURES:
            raise ClusterError(
                f"gave up after {_MOST_FAILURES} failures within {_WITHIN_SECONDS:.0f} s; "
                f"the last one: {reason}"
            )
        return len(self._times)


class Child:
    """One process, and a thread that passes on what it says.

    Parameters
    ----------
    index
        Which one.
    module
        What it runs. The first line of its standard input is the order; when that input ends, its
        parent is gone. Its standard output brings messages, one JSON line each.
    order
        A line.
    said
        Where its messages go.
    """

    def __init__(self, index: int, module: str, order: bytes, said: Said) -> None:
        self.index = index
        self._said = said
        # A group of its own: Ctrl-C in a terminal is for the parent, which passes it on.
        self.process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
        )  # fmt: skip
        self.say(order)
        threading.Thread(target=self._listen, daemon=True).start()

    def say(self, word: bytes) -> None:
        """Send a line, if it is still there."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(word)
            self.process.stdin.flush()

    def end(self) -> None:
        """Kill it, if it is still there."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def reason(self) -> Failed:
        """Return why it is gone, if it did not say so itself."""
        code = self.process.wait()
        if code < 0:
            return Failed(ClusterError.__name__, f"killed by {signal.Signals(-code).name}")
        return Failed(ClusterError.__name__, f"ended with status {code}")

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as messages:
            for line in messages:
                self._said.put((self.index, decode_message(line)))
        self._said.put((self.index, None))
