"""How every kernel of the package is compiled, in one place."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numba

# numba looks only at the file of the function itself to tell whether its cached machine code is
# of today's source; a kernel also holds the constants and inlined functions of the files that it
# imports. So the stamp that it compares covers them all.
_SOURCES = hashlib.blake2b(
    b"\0".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()

_F = TypeVar("_F", bound=Callable[..., Any])


def _load_without_scipy() -> None:
    """Let numba believe that BLAS is where SciPy is installed, instead of loading it to see.

    That takes a quarter of a second of each process, and no kernel multiplies matrices.
    """
    sys.modules["scipy.linalg"] = None  # type: ignore[assignment]  # not to be found
    try:
        from numba.np import arraymath
    finally:
        del sys.modules["scipy.linalg"]
    if hasattr(arraymath, "_HAVE_BLAS"):
        arraymath._HAVE_BLAS = find_spec("scipy") is not None


if sys.modules.keys().isdisjoint(("scipy.linalg", "numba.np.arraymath")):
    _load_without_scipy()

# Kernels allocate nothing that outlives them, and run without the GIL. With ``_nrt=False`` no
# array is counted in or out of a function: the counting is atomic and, per event, cost more than
# the event's work.
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_njit: Any = numba.njit  # its types know neither the options as a dict nor `_nrt`


def _compiled(function: _F, *sources: str, **options: Any) -> _F:
    dispatcher = _njit(**_OPTIONS, **options)(function)
    # Absent without just-in-time compilation.
    file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if file is not None:
        file._source_stamp = (file._source_stamp, _SOURCES, *sources)
    return dispatcher  # type: ignore[no-any-return]  # the function, as far as types go


def kernel(function: _F) -> _F:
    """Compile a kernel: it works on the arrays that it is given and allocates none."""
    return _compiled(function, _nrt=False)


def kernel_of(*files: str) -> Callable[[_F], _F]:
    """Return `kernel` for one that calls kernels of these files, which are not of this package."""
    sources = [hashlib.blake2b(Path(file).read_bytes()).hexdigest() for file in files]

    def compiled(function: _F) -> _F:
        return _compiled(function, *sources, _nrt=False)

    return compiled


def inline(function: _F) -> _F:
    """As `kernel`, for a small function that becomes part of the kernels that call it."""
    return _compiled(function, _nrt=False, forceinline=True)


def allocating(function: _F) -> _F:
    """Compile a function that returns new arrays."""
    return _compiled(function)
