"""Row memory that grows without being copied."""

from __future__ import annotations

import mmap
import sys

import numpy as np

from .errors import StateError
from .kernels.layout import Rows

_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if hasattr(mmap, "MADV_HUGEPAGE") else 0)
_HUGE_PAGE = 1 << 21


def reserve_rows(words: int, capacity: int) -> Rows:
    """Reserve address space for ``capacity`` rows of ``words`` 8-byte words, all zero.

    Pages take memory only when they are first written. The first row is at the beginning of a huge
    page, so that the first write takes the whole of it: else the system puts huge pages together
    later, at its leisure, and memory grows for an hour by what was never asked for.

    Raises
    ------
    StateError
        If the system does not grant the address space.
    """
    size = words * 8 * capacity
    try:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
        memory = mmap.mmap(-1, size + _HUGE_PAGE, flags=flags)
    except OSError as error:
        raise StateError(f"cannot reserve {size} bytes for {capacity} rows: {error}") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    u64 = np.frombuffer(memory, np.uint64, size // 8, -_address(memory) % _HUGE_PAGE)
    return Rows(u64, u64.view(np.int64), u64.view(np.float64), u64.view(np.uint32))


def release_rows(rows: Rows, start: int, stop: int) -> None:
    """Make the words from ``start`` to ``stop`` zero and give their pages back to the system."""
    if sys.platform != "linux":  # elsewhere the advice does not promise zeros
        rows.u64[start:stop] = 0
        return
    page = min(-(-8 * start // _HUGE_PAGE) * _HUGE_PAGE, 8 * len(rows.u64))
    rows.u64[start : min(stop, page // 8)] = 0
    if 8 * stop > page:
        memory = rows.u64.base.obj  # type: ignore[union-attr]  # what `reserve_rows` mapped
        first = rows.u64.ctypes.data - _address(memory)
        memory.madvise(mmap.MADV_DONTNEED, first + page, 8 * len(rows.u64) - page)


def _address(memory: mmap.mmap) -> int:
    return int(np.frombuffer(memory, np.uint8).ctypes.data)
