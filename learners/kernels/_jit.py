"""The numba options of every learner kernel, in one place."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` with the options that all learner kernels share.

    The GIL is released, the machine code is cached on disk, floating point keeps IEEE order (no
    `fastmath`: the same log must give the same bits), and a division by zero gives an infinity
    or NaN as in NumPy instead of an exception.
    """
    compiled = numba.njit(nogil=True, cache=True, fastmath=False, error_model="numpy")(function)
    return cast("Callable[P, R]", compiled)
