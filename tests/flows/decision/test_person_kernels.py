"""Blocks of weights found by a kernel are those that are found one by one."""

import zlib

import numpy as np
import pytest

from nextbest.features.errors import StateError
from nextbest.flows.decision.contact_bytes import check
from nextbest.flows.decision.errors import ModelError
from nextbest.flows.decision.models import Models
from nextbest.flows.decision.person_kernels import unpack
from nextbest.flows.decision.persons import pack_persons, unpack_persons
from nextbest.learners.kernels import crc
from tests.flows.decision.engine_cases import ANN, AT, DAY, ENGINE, LOADED, PUBLISHED, decide, row
from tests.flows.decision.test_decide_many import SPENT

MODELS = Models(LOADED.strategy, PUBLISHED)
NAMES = [name.encode() for name in LOADED.strategy.objectives]
FIRST = 3


def found(persons):
    """What the kernel says: whether all is well, where blocks are, and the blocks."""
    n, joined = len(persons), b"".join(persons)
    told = np.full((n, FIRST + 2 * len(NAMES) + 1), 7)
    words = np.zeros(len(joined) // 4, np.uint32)
    ends = np.cumsum([len(own) for own in persons])
    data = np.frombuffer(joined or b"\0", np.uint8)
    names = np.frombuffer(b"".join(NAMES), np.uint8)
    name_ends = np.cumsum([len(name) for name in NAMES])
    good = unpack(data, n, ends, names, name_ends, told, FIRST, words)
    assert (told[:, :FIRST] == 7).all()
    assert (told[:, -1] == 7).all()
    return good, told[:, FIRST:-1].ravel().tolist(), words


def test_they_are_those_of_each_customer():
    blocks = unpack_persons(ANN)
    accept = pack_persons({"accept": blocks["accept"]})
    more = pack_persons({"gone": b"of another time", "spend": blocks["spend"], "accept": b""})
    persons = [b"", ANN, accept, b"", more, pack_persons({}), ANN]
    good, where, words = found(persons)
    expected, own = MODELS.blocks(persons)
    assert good
    assert where == list(expected)
    assert words[: len(own)].tobytes() == own.tobytes()
    assert found([b"", b""])[:2] == (True, [-1, 0] * 2 * len(NAMES))


def test_no_damage_is_overlooked():
    """Each byte in turn is another one, or the last; it is odd, or harmless."""
    rng = np.random.default_rng(1)
    accepted = 0
    for i in range(len(ANN)):
        byte = bytes([ANN[i] ^ int(rng.integers(1, 256))])
        for damaged in (ANN[:i] + byte + ANN[i + 1 :], ANN[:i]):
            if not damaged:
                continue
            good, where, words = found([damaged])
            if not good:
                continue
            accepted += 1
            expected, own = MODELS.blocks([damaged])  # else it is refused
            assert where == list(expected)
            assert words[: len(own)].tobytes() == own.tobytes()
    assert accepted < 40  # another name is another objective's


def test_what_is_odd_is_refused_with_the_same_words():
    for damaged in (ANN[:-1] + b"\1", ANN + b"\0", b"\xc0", ANN[:30], bytes(1 << 18)):
        with pytest.raises(ModelError) as expected:
            MODELS.blocks([damaged])
        with pytest.raises(ModelError) as said:
            decide(served=row(), persons=damaged)
        assert str(said.value) == str(expected.value)


def test_no_damage_of_contacts_is_overlooked():
    rng = np.random.default_rng(2)
    once = ENGINE.caps.offered(SPENT, ["tea"], "web", AT - DAY // 2).contacts
    wrong = [once[:i] + bytes([once[i] ^ int(rng.integers(1, 256))]) + once[i + 1 :]
             for i in range(len(once))]  # fmt: skip
    wrong += [once[:i] for i in range(8, len(once), 8)] + [once + bytes(8), bytes(32), b"1"]
    for damaged in wrong:
        with pytest.raises(StateError) as expected:
            check(damaged)
        with pytest.raises(StateError) as said:
            decide(served=row(), contacts=damaged)
        assert str(said.value) == str(expected.value)


def test_the_sum_is_that_of_zlib():
    data = np.random.default_rng(0).bytes(64)
    for n in range(0, 64, 4):
        found_sum = crc.BEGIN
        for word in np.frombuffer(data[:n], "<u4"):
            found_sum = np.uint64(crc.take(found_sum, np.uint64(word)))
        assert found_sum ^ crc.BEGIN == zlib.crc32(data[:n])
