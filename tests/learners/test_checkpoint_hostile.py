"""Snapshots with a right checksum that somebody made up: refused, cheaply, whatever they say."""

import json
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import ActionRanker, LearnerError
from nextbest.learners.checkpoint import pack, unpack
from tests.naive.checkpoint import hostile, seal


def header(*arrays, **more):
    return {"kind": "demo", "values": {}, "arrays": list(arrays), **more}


def array(name="a", type="<f8", shape=(1,), at=0, **more):  # noqa: A002
    return {"name": name, "type": type, "shape": list(shape), "at": at, **more}


def test_the_handmade_snapshot_itself_is_right():
    values, arrays = unpack(hostile(header(array()), b"\0" * 8), "demo")
    assert (values, arrays["a"].tolist()) == ({}, [0.0])


HUGE = [2**62, 2**64, 10**300, -1, 1.0, True, None, "8"]


@pytest.mark.parametrize("size", HUGE, ids=[str(size)[:8] for size in HUGE])
@pytest.mark.parametrize("version", [(2, 0), (1, 0), (2, 7)], ids=str)
def test_a_shape_that_cannot_be_is_refused(size, version):
    for shape in ([size], [size, size], [0, size], [2**32, 2**32]):
        made = header(array(shape=shape) if version[0] == 2 else ["a", "<f8", shape])
        with pytest.raises(LearnerError, match="snapshot"):
            unpack(hostile(made, b"\0" * 8, version), "demo")


@pytest.mark.parametrize(
    "made",
    [
        {},
        [],
        7,
        {"kind": "demo"},
        {"kind": "demo", "values": [], "arrays": []},
        {"kind": 7, "values": {}, "arrays": []},
        {"kind": "demo", "values": {}, "arrays": {}},
        header(7),
        header([]),
        header(["a", "<f8", [1]]),
        header(array(name=7)),
        header(array(name=["a"])),
        header(array(type="<f16")),
        header(array(type="|O")),
        header(array(type=["<f8"])),
        header(array(shape=[[1]])),
        header(array(shape=[1] * 17)),
        header(array(at=-8)),
        header(array(at=8)),
        header(array(at=2**70)),
        header(array(at=0.0)),
        header(array(), array()),
        header(array(), array("b")),
        header(array("b", at=8), array()),
        header(array(type="<f2")),
        header(*[array(str(i), shape=[0]) for i in range(4097)]),
    ],
    ids=lambda made: json.dumps(made)[:60],
)
def test_a_header_that_cannot_be_is_refused(made):
    with pytest.raises(LearnerError, match="snapshot"):
        unpack(hostile(made, b"\0" * 8), "demo")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"kind": "demo", "kind": "demo", "values": {}, "arrays": []}',
        b'{"kind": "demo", "values": {"a": 1, "a": 2}, "arrays": []}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"9" * 10_000,
        "{}".encode("utf-16"),
    ],
    ids=["none", "open", "bytes", "twice", "twice inside", "open lists", "lists", "dicts", "digits",
         "utf-16"],
)  # fmt: skip
def test_text_that_is_no_header_is_refused(text):
    with pytest.raises(LearnerError, match="snapshot"):
        unpack(hostile(text), "demo")


@pytest.mark.parametrize("length", [2**64 - 1, 2**40, 10**6, 65])
def test_a_header_longer_than_the_bytes_is_refused(length):
    with pytest.raises(LearnerError, match="snapshot"):
        unpack(hostile(header(), length=length), "demo")


@pytest.mark.parametrize(
    "values",
    ["[]," * (1 << 21), "{}," * (1 << 21), "0," * (1 << 22)],
    ids=["lists", "dicts", "numbers"],
)
def test_a_header_that_would_fill_the_memory_is_not_parsed(values):
    text = f'{{"kind": "demo", "arrays": [], "values": {{"a": [{values}0]}}}}'.encode()
    data = hostile(text)
    tracemalloc.start()
    with pytest.raises(LearnerError, match="more than 4194304 values"):
        unpack(data, "demo")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(data)


def test_what_a_small_snapshot_claims_is_never_allocated():
    made = [
        hostile(header(array(shape=shape)), b"\0" * 64)
        for shape in ([2**40], [2**30, 2**10], [2**47], [9])
    ]
    tracemalloc.start()
    for data in made:
        with pytest.raises(LearnerError, match="outside of its place"):
            unpack(data, "demo")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_arrays_cannot_share_bytes():
    made = header(array(shape=[8]), array("b", shape=[8], at=32))
    with pytest.raises(LearnerError, match="'b' outside of its place"):
        unpack(hostile(made, b"\0" * 128), "demo")


def test_a_bool_is_0_or_1():
    made = hostile(header(array(type="|b1", shape=[2])), b"\1\2")
    for copy in (True, False):
        with pytest.raises(LearnerError, match="neither 0 nor 1"):
            unpack(made, "demo", copy=copy)


def test_a_later_minor_version_is_read_and_what_it_adds_left_out():
    made = header(
        array(unit="logits"),
        array("h", "<f2", [2], 8, optional=True),
        array("c", "<i4", [1], 16),
        made_by="7.1",
    )
    body = np.array([2.5]).tobytes() + b"\0" * 8 + np.array([7], np.int32).tobytes()
    values, arrays = unpack(hostile(made, body + b"\0" * 4, (2, 9)), "demo")
    assert values == {}
    assert {name: a.tolist() for name, a in arrays.items()} == {"a": [2.5], "c": [7]}


def test_what_a_later_minor_version_cannot_leave_out_is_refused():
    made = header(array("h", "<f2", [2]))
    with pytest.raises(LearnerError, match=r"'h' of type '<f2'; .* upgrade nextbest"):
        unpack(hostile(made, b"\0" * 8, (2, 9)), "demo")
    with pytest.raises(LearnerError, match=r"type '<f2'$"):
        unpack(hostile(header(array("h", "<f2", [2], optional=True)), b"\0" * 8), "demo")


@pytest.mark.parametrize("version", [(0, 0), (3, 0), (255, 255)], ids=str)
def test_another_major_version_is_refused_with_what_to_do(version):
    with pytest.raises(LearnerError, match=rf"{version[0]}\.{version[1]}; .* upgrade nextbest"):
        unpack(hostile(header(), version=version), "demo")


@given(place=st.integers(0), new=st.binary(min_size=1, max_size=4), version=st.sampled_from([1, 2]))
@settings(max_examples=300, deadline=None)
def test_a_changed_header_with_a_right_checksum_reads_or_is_refused(place, new, version):
    """Never another error than the learners' own."""
    entries = ["a", "<f8", [2, 2]] if version == 1 else array(shape=[2, 2])
    text = bytearray(json.dumps({**header(entries), "values": {"x": [1, {"y": 2}]}}).encode())
    text[place % len(text) : place % len(text) + len(new)] = new
    data = hostile(bytes(text), b"\0" * 32, (version, 0))
    try:
        values, arrays = unpack(data, "demo")
    except LearnerError:
        return
    assert isinstance(values, dict)
    assert all(a.nbytes <= 32 for a in arrays.values())


@given(body=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_with_a_right_checksum_are_refused(body):
    for prefix in (b"", b"NBCP", b"NBCP\1\0", b"NBCP\2\0"):
        with pytest.raises(LearnerError, match="snapshot"):
            unpack(seal(prefix + body), "demo")


def ranker_parts():
    ranker = ActionRanker(["tea", "coffee"], ["affinity"], ["hour"])
    ranker.update({"hour": "am"}, [0.5], 0, 1.0)
    return unpack(ranker.to_bytes(), "ActionRanker")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, a: v.pop("arms"), "lacks 'arms'"),
        (lambda v, a: v.pop("decisions"), "lacks 'decisions'"),
        (lambda v, a: v.update(settings={"new": 1}), "no such model"),
        (lambda v, a: v.update(settings=7), "no such model"),
        (lambda v, a: v.update(categories=[["hour", ["am"]]]), "no such model"),
        (lambda v, a: v.update(categories=[["day", "am"]]), "lacks 'day'"),
        (lambda v, a: v.update(categories=[["hour", "am"]] * 10**4), "20004 weights"),
        (lambda v, a: v.update(categories=[]), "4 weights"),
        (lambda v, a: v.update(updates="many"), "no such model"),
        (lambda v, a: v.update(arms=[]), "at least one arm"),
        (lambda v, a: a.pop("mean"), "lacks 'mean'"),
        (lambda v, a: a.pop("variance"), "lacks the array 'variance'"),
        (lambda v, a: a.update(variance=np.ones(1)), r"float64\(1,\), expected float64\(6,\)"),
        (lambda v, a: a.update(mean=np.ones(6, np.float32)), "float32"),
    ],
    ids=lambda x: x.replace("\\", "") if isinstance(x, str) else "",
)
def test_a_ranker_of_a_made_up_snapshot_is_refused(change, message):
    values, arrays = ranker_parts()
    change(values, arrays)
    with pytest.raises(LearnerError, match=message):
        ActionRanker.from_bytes(pack("ActionRanker", values, arrays))


def test_reading_does_not_depend_on_the_depth_of_the_callers_stack():
    data = hostile(header(values={"a": 1}))
    text = b'{"kind": "demo", "arrays": [], "values": ' + b'{"a":' * 64 + b"1" + b"}" * 64 + b"}"

    def below(depth):
        return below(depth - 1) if depth else unpack(hostile(text), "demo")

    assert unpack(data, "demo")[0] == {"a": 1}
    assert below(sys.getrecursionlimit() // 2)[0]["a"]
