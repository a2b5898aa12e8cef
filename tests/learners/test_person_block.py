"""A person's block: every byte of it counts, and none can do harm."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.learners import LearnerError
from nextbest.learners.person import (
    NEW,
    Person,
    arm_key,
    block_bytes,
    pack_person,
    unpack_person,
)

numbers = st.floats(-1e6, 1e6, width=32)
entries = st.lists(
    st.tuples(st.integers(1, 2**64 - 1), numbers, st.floats(0, 1e6, width=32)), max_size=9
)


def person(updates, intercept, arms):
    keys, information, precision = zip(*arms, strict=True) if arms else ((), (), ())
    return Person(updates, *intercept, keys, information, precision)


@given(st.integers(0, 2**33), st.tuples(numbers, st.floats(0, 1e6, width=32)), entries)
def test_a_block_holds_what_was_put_in(updates, intercept, arms):
    block = pack_person(person(updates, intercept, arms), 9)
    assert len(block) == block_bytes(9)
    found = unpack_person(block)
    assert found.updates == min(updates, 2**32 - 1)
    assert (found.information, found.precision) == intercept
    columns = (found.keys, found.arm_information, found.arm_precision)
    assert list(zip(*columns, strict=True)) == arms
    assert pack_person(found, 9) == block


def test_every_damaged_byte_is_noticed():
    block = pack_person(person(3, (0.5, 1.0), [(7, 0.25, 2.0)]), 2)
    for i in range(len(block)):
        for bit in (1, 128):
            damaged = block[:i] + bytes([block[i] ^ bit]) + block[i + 1 :]
            with pytest.raises(LearnerError, match="block"):
                unpack_person(damaged)


@given(st.binary(min_size=1, max_size=200))
def test_any_other_bytes_are_refused(data):
    with pytest.raises(LearnerError, match="block"):
        unpack_person(data)


@pytest.mark.parametrize(
    ("at", "code", "value"),
    [(12, "f", float("nan")), (16, "f", -1.0), (3, "B", 3), (28, "f", float("inf"))],
    ids=["nan", "negative", "too-many", "infinite"],
)
def test_a_right_checksum_does_not_make_bad_weights_good(at, code, value):
    block = bytearray(pack_person(person(3, (0.5, 1.0), [(7, 0.25, 2.0)]), 1))
    struct.pack_into(f"<{code}", block, at, value)
    struct.pack_into("<I", block, 4, zlib.crc32(block[8:], zlib.crc32(block[:4])))
    with pytest.raises(LearnerError, match="block"):
        unpack_person(bytes(block))


def test_an_empty_block_is_a_new_person():
    assert unpack_person(b"") is NEW
    assert len(unpack_person(pack_person(NEW, 4)).keys) == 0


def test_the_key_of_an_arm_is_for_ever():
    assert arm_key("tea") == 0x90C484BBC18765BA
    assert arm_key("tea") != arm_key("coffee")
