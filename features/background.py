"""The one thread of a process for work on disk that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="background")


def submit(work: Callable[..., None], *arguments: Any) -> Future[None]:
    """Have work done after all that was submitted before, for whichever shard.

    >>> submit([].append, 1).result()
    """
    return _thread().submit(work, *arguments)
