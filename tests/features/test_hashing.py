"""The hash equals its plain-Python twin, and published values."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features.kernels.hashing import hash_string, hash_strings, murmur3
from tests.naive import hashing as naive

unicode = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@settings(deadline=None)  # the first call compiles
@given(unicode)
def test_one_string_as_its_twin(text: str) -> None:
    assert hash_string(text) == naive.hash_string(text)


@settings(deadline=None)  # the first call compiles
@given(st.lists(unicode, max_size=12), st.sampled_from([np.int32, np.int64]))
def test_strings_end_to_end_as_their_twins(texts: list[str], width: type) -> None:
    raw = [text.encode() for text in texts]
    offsets: Any = np.cumsum([0, *map(len, raw)]).astype(width)
    out = np.zeros((len(texts), 3), dtype=np.uint64)
    hash_strings(np.frombuffer(b"".join(raw), np.uint8), offsets, out[:, 0], out[:, 2])
    assert [(int(a), int(b)) for a, _, b in out] == [naive.hash_string(t) for t in texts]
    assert not out[:, 1].any()


@pytest.mark.parametrize("length", range(49))
def test_every_length_of_tail(length: int) -> None:
    text = "".join(chr(33 + i) for i in range(length))
    assert hash_string(text) == naive.hash_string(text)


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "0000000000000000 0000000000000000"),
        ("hello", "cbd8a7b341bd9b02 5b1e906a48ae1d19"),
        ("The quick brown fox jumps over the lazy dog", "e34bbc7bbc071b6c 7a433ca9c49a9347"),
    ],
)
def test_published_values(text: str, digest: str) -> None:
    first, second = naive.murmur3(text.encode())
    assert f"{first:016x} {second:016x}" == digest
    assert hash_string(text) == (first or 1, second)


def test_from_another_kernel() -> None:
    @numba.njit
    def of_slice(data: Any) -> Any:
        return murmur3(data, 2, 5)

    data = np.frombuffer(b"..hello..", np.uint8)
    assert tuple(map(int, of_slice(data))) == naive.murmur3(b"hello")
