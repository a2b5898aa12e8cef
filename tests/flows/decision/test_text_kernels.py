"""Bytes in base64 are those of the standard library."""

from base64 import b64encode

import numpy as np

from nextbest.flows.decision.text_kernels import PAIRS, base64


def test_parts_are_written_one_after_the_other():
    rng = np.random.default_rng(2)
    data = rng.integers(0, 256, 1000).astype(np.uint8)
    data[:6] = 0, 0, 0, 255, 255, 255
    data.flags.writeable = False
    begins = np.array([0, 0, 3, *rng.integers(0, 900, 60)])
    sizes = np.array([0, 6, 1, *rng.integers(0, 100, 60)])
    parts = [data[a : a + n].tobytes() for a, n in zip(begins, sizes, strict=True)]
    expected = b"".join(map(b64encode, parts))
    out = np.zeros(len(expected) // 2 + 2, np.uint16)
    base64(data, begins, sizes, PAIRS, out)
    assert out.tobytes() == expected + bytes(4)
