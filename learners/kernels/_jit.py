"""The numba options of every learner kernel, in one place."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba

# numba compares only the file of the function itself with its cached machine code, which also
# holds what that file imports; the stamp that it compares is made to cover every kernel file.
_SOURCES = hashlib.blake2b(
    b"\0".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` with the options that all learner kernels share.

    The GIL is released, the machine code is cached on disk, floating point keeps IEEE order (no
    `fastmath`: the same log must give the same bits), and a division by zero gives an infinity
    or NaN as in NumPy instead of an exception.
    """
    return _compiled(function)


def bare(function: Callable[P, R]) -> Callable[P, R]:
    """As `kernel`, for one that allocates nothing: it counts no array in or out of a function.

    The counting is atomic and, once for each weight, costs more than the work on the weight.
    """
    return _compiled(function, _nrt=False)


def inline(function: Callable[P, R]) -> Callable[P, R]:
    """As `bare`, for a small function that becomes part of the kernels that call it."""
    return _compiled(function, _nrt=False, forceinline=True)


def _compiled(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    compiled = numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy", **options)(
        function
    )
    file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if file is not None:  # there is none without just-in-time compilation
        file._source_stamp = (file._source_stamp, _SOURCES)
    return cast("Callable[P, R]", compiled)
