"""How every kernel of the package is compiled, in one place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba

_HERE = Path(__file__).parent


def _drop_stale_cache() -> None:
    """Delete cached machine code that was compiled from other sources than today's.

    numba looks only at the file of the function itself; a kernel also holds the constants and
    the inlined functions of the files it imports.
    """
    sources = sorted(_HERE.glob("*.py"))
    digest = hashlib.blake2b(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
    stamp = _HERE / "__pycache__" / "kernels.stamp"
    with suppress(OSError):  # a read-only installation has no cache here
        if stamp.exists() and stamp.read_text() == digest:
            return
        for pattern in ("*.nbi", "*.nbc"):
            for cached in stamp.parent.glob(pattern):
                cached.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(digest)


_drop_stale_cache()

_F = TypeVar("_F", bound=Callable[..., Any])

# Kernels allocate nothing that outlives them, and run without the GIL. With ``_nrt=False`` no
# array is counted in or out of a function: the counting is atomic and, per event, cost more than
# the event's work.
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_njit: Any = numba.njit  # its types know neither the options as a dict nor `_nrt`


def kernel(function: _F) -> _F:
    """Compile a kernel: it works on the arrays that it is given and allocates none."""
    return _njit(**_OPTIONS, _nrt=False)(function)  # type: ignore[no-any-return]


def inline(function: _F) -> _F:
    """As `kernel`, for a small function that becomes part of the kernels that call it."""
    return _njit(**_OPTIONS, _nrt=False, forceinline=True)(function)  # type: ignore[no-any-return]


def allocating(function: _F) -> _F:
    """Compile a function that returns new arrays."""
    return _njit(**_OPTIONS)(function)  # type: ignore[no-any-return]
