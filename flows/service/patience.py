"""A limit to how long things may take, that costs next to nothing while they do not."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self


class Patience:
    """Ends what takes too long: ``with patience:`` is ``async with asyncio.timeout(seconds):``.

    All that is begun shares one timer, as it is all given the same time: what is begun first ends
    first. Of one event loop at a time.

    Parameters
    ----------
    seconds
        That each may take.

    Examples
    --------
    >>> async def wait():
    ...     with Patience(0.001).limit():
    ...         await asyncio.sleep(60)
    >>> asyncio.run(wait())
    Traceback (most recent call last):
        ...
    TimeoutError
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._begun: deque[_Limit] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timed = False

    def limit(self) -> _Limit:
        """Return what is to be entered, once, by a task of the running loop."""
        return _Limit(self)

    def begin(self, limit: _Limit) -> float:
        """Watch over what is begun; return when its time is over."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timed = loop, False
            self._begun.clear()
        until = loop.time() + self.seconds
        self._begun.append(limit)
        if not self._timed:
            self._timed = True
            loop.call_at(until, self._look, loop)
        return until

    def forget_ended(self) -> None:
        """Let go of what has ended, as far as nothing before it is still going on."""
        begun = self._begun
        while begun and begun[0].task is None:
            begun.popleft()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        now, begun = loop.time(), self._begun
        while begun and (begun[0].task is None or begun[0].until <= now):
            begun.popleft().end()
        self._timed = bool(begun)
        if begun:
            loop.call_at(begun[0].until, self._look, loop)


class _Limit:
    """What has been begun, by which task, and until when it may go on."""

    __slots__ = ("_asked", "_over", "_patience", "task", "until")

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._over = False
        self._asked = 0
        self.until = 0.0
        self.task: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self.task = asyncio.current_task()
        assert self.task is not None
        self._asked = self.task.cancelling()
        self.until = self._patience.begin(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task, self.task = self.task, None
        self._patience.forget_ended()
        if self._over:
            assert task is not None
            # Somebody else may have cancelled it too: then it ends as they want it.
            if task.uncancel() <= self._asked and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def end(self) -> None:
        """Cancel the task, if it is still at it."""
        if self.task is not None:
            self._over = True
            self.task.cancel()
