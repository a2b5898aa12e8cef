"""Kernels load no SciPy, which they do not need; who needs it has it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from nextbest.features.kernels.hashing import hash_string
hash_string("ann")
from numba.np import arraymath
print("scipy.linalg" in sys.modules, arraymath._HAVE_BLAS)
"""


def test_kernels_load_no_scipy_and_others_may() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "False True\n"), done.stderr
