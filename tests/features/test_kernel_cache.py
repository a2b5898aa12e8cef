"""Cached machine code is used again, and never after any kernel's source has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLS = {
    "features": "from kernels.hashing import hash_string, hash_strings as k; hash_string('a')",
    "learners": (
        "import numpy as np; from kernels.squarecb import sample as k;k(np.array([0.4, 0.6]), 0.5)"
    ),
}


def _hits(directory: Path, call: str) -> int:
    program = f"{call}; print(sum(k.stats.cache_hits.values()))"
    environment = os.environ | {"PYTHONPATH": str(directory)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.parametrize("package", ["features", "learners"])
def test_a_change_in_any_kernel_file_compiles_again(package: str, tmp_path: Path) -> None:
    kernels = tmp_path / "kernels"
    source = ROOT / package / "kernels"
    shutil.copytree(source, kernels, ignore=shutil.ignore_patterns("__pycache__"))
    call = CALLS[package]
    assert _hits(tmp_path, call) == 0
    assert _hits(tmp_path, call) == 1
    with (kernels / "__init__.py").open("a") as file:
        file.write("# another source\n")
    assert _hits(tmp_path, call) == 0
