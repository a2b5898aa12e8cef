"""Threads for work on disk: one for what nobody waits for, some for what is waited for at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

_AT_ONCE = 16


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="background")


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sync")


def submit(work: Callable[..., None], *arguments: Any) -> Future[None]:
    """Have work done after all that was submitted before, for whichever shard.

    >>> submit([].append, 1).result()
    """
    return _thread().submit(work, *arguments)


def beside(work: Callable[[], None]) -> Future[None]:
    """Have work begun now, beside other such work: a disk waits for many as for one.

    >>> beside([1].clear).result()
    """
    return _threads().submit(work)
