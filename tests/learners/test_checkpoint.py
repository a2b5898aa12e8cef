"""Snapshots: what goes in comes out, bit for bit; what was damaged does not."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from nextbest.learners import LearnerError, checkpoint
from nextbest.learners.checkpoint import ALIGNMENT, DEEPEST, fill, pack, reading, unpack
from tests.naive.checkpoint import floats, naive_pack_v1

TYPES = ("f8", "f4", "i8", "i4", "u8", "u1", "?")
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
shapes = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def array_of(types):
    def any_bits(code):
        if code == "?":
            return npst.arrays(np.bool_, shapes)
        raw = npst.arrays(np.dtype(f"u{code[1:]}"), shapes)  # NaN of every kind among them
        return raw.map(lambda array: array.view(code))

    return st.sampled_from(types).flatmap(any_bits)


def contents(arrays):
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}


@given(
    values=st.dictionaries(st.text(), plain, max_size=4),
    arrays=st.dictionaries(st.text(), array_of(TYPES), max_size=4),
    copy=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_what_goes_in_comes_out_bit_for_bit(values, arrays, copy):
    data = pack("demo", values, arrays)
    found, unpacked = unpack(data, "demo", copy=copy)
    assert found == values
    assert json.dumps(found) == json.dumps(values)  # the signs of zeros, too
    assert contents(unpacked) == contents(arrays)
    assert list(unpacked) == list(arrays)
    assert pack("demo", found, unpacked) == data


@given(
    values=st.dictionaries(st.text(), plain, max_size=4),
    arrays=st.dictionaries(st.text(), array_of(("f8", "i8")), max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_version_1_is_read(values, arrays):
    found, unpacked = unpack(naive_pack_v1("demo", values, arrays), "demo")
    assert found == values
    assert contents(unpacked) == contents(arrays)


def test_every_nan_keeps_its_bits():
    odd = floats(0x7FF8000000000001, 0x7FF0000000000001, 0xFFF8DEAD0000BEEF, 1 << 63)
    single = np.array([0x7F800001, 0xFFC12345], np.uint32).view(np.float32)
    data = pack("demo", {}, {"odd": odd, "single": single})
    for copy in (True, False):
        arrays = unpack(data, "demo", copy=copy)[1]
        assert arrays["odd"].tobytes() == odd.tobytes()
        assert arrays["single"].tobytes() == single.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0)[::3],
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(4, dtype=">i4"),
    ],
    ids=["strided", "fortran", "big-endian"],
)
def test_any_memory_layout_is_written_in_order(array):
    unpacked = unpack(pack("demo", {}, {"a": array}), "demo")[1]["a"]
    assert unpacked.dtype.isnative
    assert unpacked.flags.c_contiguous
    assert unpacked.tolist() == array.tolist()


def test_arrays_lie_aligned_and_can_be_used_where_they_are():
    arrays = {"a": np.ones(3, np.uint8), "b": np.arange(5.0), "c": np.arange(3, dtype=np.int32)}
    data = np.frombuffer(b"\0" * 64 + pack("demo", {"n": 1}, arrays), np.uint8)
    room = np.zeros(len(data) + 64, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    room[start : start + len(data) - 64] = data[64:]
    snapshot = memoryview(room)[start : start + len(data) - 64]
    views = unpack(snapshot, "demo", copy=False)[1]
    for name, view in views.items():
        assert view.ctypes.data % ALIGNMENT == 0
        assert np.shares_memory(view, room)
        assert view.tolist() == arrays[name].tolist()
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 0
    for copied in unpack(snapshot, "demo")[1].values():
        assert not np.shares_memory(copied, room)
        copied[0] = 0


def test_arrays_that_do_not_lie_aligned_are_copied():
    snapshot = pack("demo", {}, {"b": np.arange(5.0)})
    moved = memoryview(b"\0" + snapshot)[1:]
    array = unpack(moved, "demo", copy=False)[1]["b"]
    assert array.flags.aligned
    assert not array.flags.writeable
    assert array.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


DATA = pack(
    "demo",
    {"names": ["a", "b"], "x": 0.1},
    {"f": np.arange(9.0), "b": np.array([True, False]), "n": np.array([1, 2], np.uint64)},
)
DATA_1 = naive_pack_v1("demo", {"names": ["a", "b"]}, {"f": np.arange(5.0), "n": np.arange(3)})


@given(data=st.sampled_from([DATA, DATA_1]), place=st.integers(0), bits=st.integers(1, 255))
@settings(max_examples=400, deadline=None)
def test_any_flipped_byte_is_noticed(data, place, bits):
    damaged = bytearray(data)
    damaged[place % len(data)] ^= bits
    with pytest.raises(LearnerError, match="snapshot"):
        unpack(damaged, "demo")


@pytest.mark.parametrize("data", [DATA, DATA_1], ids=["v2", "v1"])
def test_any_cut_and_any_appended_byte_is_noticed(data):
    for cut in range(len(data)):
        with pytest.raises(LearnerError, match="snapshot"):
            unpack(data[:cut], "demo")
    for more in (b"\0", b"x" * 64, data):
        with pytest.raises(LearnerError, match="snapshot"):
            unpack(data + more, "demo")


def deep(n):
    value = []
    for _ in range(n):
        value = [value]
    return value


def circular():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(2, np.float16), "array 'a' must be one of float64, .* float16"),
        (np.array(["x"]), "'a' must be one of"),
        (np.array([None]), "'a' must be one of"),
        (np.zeros(2, [("f", "f8")]), "'a' must be one of"),
        ([1.0], "'a' must be an array, got list"),
        (np.zeros((1,) * 17), "17 dimensions"),
    ],
    ids=["half", "text", "object", "record", "list", "dimensions"],
)
def test_an_array_that_cannot_be_kept_is_refused(array, message):
    with pytest.raises(LearnerError, match=message):
        pack("demo", {}, {"a": array})


def test_names_and_numbers_of_arrays_are_checked():
    with pytest.raises(LearnerError, match="name of an array must be a string, got 7"):
        pack("demo", {}, {7: np.zeros(1)})
    with pytest.raises(LearnerError, match="up to 4096 arrays, got 4097"):
        pack("demo", {}, {str(i): np.zeros(1) for i in range(4097)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: {7: 1}, "the key 7"),
        (lambda: {"a": [{"b": {None: 1}}]}, "the key None"),
        (lambda: {"a": object()}, "not plain"),
        (lambda: {"a": np.int64(3)}, "not plain"),
        (lambda: {"a": {1, 2}}, "not plain"),
        (lambda: {"a": 10**5000}, "not plain"),
        (lambda: {"a": deep(DEEPEST)}, "nested more than 64 deep"),
        (lambda: {"a": circular()}, "nested more than 64 deep"),
    ],
    ids=["key", "inner key", "object", "numpy", "set", "digits", "deep", "circular"],
)
def test_values_that_cannot_be_kept_are_refused(make, message):
    with pytest.raises(LearnerError, match=message):
        pack("demo", make(), {})


@pytest.mark.parametrize(
    ("limit", "values"),
    [("LARGEST_HEADER", {"a": "x" * 4096}), ("MOST_VALUES", {"a": [1] * 4096})],
    ids=["bytes", "values"],
)
def test_more_than_is_read_is_not_written(limit, values, monkeypatch):
    data = pack("demo", values, {})
    monkeypatch.setattr(checkpoint, limit, 2048)
    with pytest.raises(LearnerError, match="keep what is long in arrays"):
        pack("demo", values, {})
    with pytest.raises(LearnerError, match="snapshot with a header of"):
        unpack(data, "demo")


def test_the_deepest_values_come_back():
    value = {"a": deep(DEEPEST - 2)}
    assert unpack(pack("demo", value, {}), "demo")[0] == value


def test_a_snapshot_of_something_else_is_refused():
    with pytest.raises(LearnerError, match="of a 'demo', expected a 'other'"):
        unpack(DATA, "other")


@pytest.mark.parametrize("data", ["text", np.arange(40.0)[::2], None], ids=["str", "gaps", "None"])
def test_what_is_not_bytes_is_refused(data):
    with pytest.raises(LearnerError, match="not a model snapshot"):
        unpack(data, "demo")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"float64\(3,\), expected float64\(2,\)"),
        (np.zeros(1), r"float64\(1,\)"),
        (np.zeros(2, np.int64), r"int64\(2,\)"),
    ],
    ids=["longer", "one", "integers"],
)
def test_an_array_of_another_shape_fills_nothing(array, message):
    target = np.ones(2)
    with pytest.raises(LearnerError, match=message):
        fill(target, {"mean": array}, "mean")
    with pytest.raises(LearnerError, match="lacks the array 'mean'"):
        fill(target, {}, "mean")
    assert target.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "wrong",
    [lambda: int("x"), lambda: [][0], lambda: len(3), lambda: int(1e999), lambda: (0).n],
    ids=["value", "index", "type", "overflow", "attribute"],
)
def test_what_goes_wrong_in_reading_names_the_kind(wrong):
    with pytest.raises(LearnerError, match="'demo' holds no such model"), reading("demo"):
        wrong()
