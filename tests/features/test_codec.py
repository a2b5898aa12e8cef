"""Decoding: every kind of bad input by its exact reason and path, and no good event lost."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features import EventSchema
from nextbest.features.codec import EventDecoder, Rejected
from nextbest.features.errors import DeclarationError
from nextbest.features.events import MAX_TIMESTAMP
from tests.features.codec_cases import (
    CANONICAL,
    DAY,
    DECODER,
    GOOD,
    NOW,
    SCHEMA,
    WORDS,
    line,
    ndjson,
    rows,
    with_property,
)

BAD_LINES = [
    (b"7", "Expected `object`, got `int`", None),
    (b"[]", "Expected `object`, got `array`", None),
    (b"{", "Input data was truncated", None),
    (line() + b" x", "JSON is malformed: trailing characters (byte 92)", None),
    (line() + line(), "JSON is malformed: trailing characters (byte 91)", None),
    (b"\xef\xbb\xbf" + line(), "JSON is malformed: invalid character (byte 0)", None),
    (b"{}", "Object missing required field `event_id`", None),
    (line(event_id=7), "Expected `str`, got `int`", "$.event_id"),
    (line(event_id=""), "Expected `str` of length >= 1", "$.event_id"),
    (line(event_id="i" * 10_000), "Expected `str` of length <= 256", "$.event_id"),
    (line(event_id="é" * 129), "Expected at most 256 bytes of UTF-8, got 258", "$.event_id"),
    (line(customer_id=None), "Expected `str`, got `null`", "$.customer_id"),
    (line(customer_id="é" * 256), "Expected at most 256 bytes of UTF-8, got 512", "$.customer_id"),
    (line(event_timestamp="now"), "Expected `int`, got `str`", "$.event_timestamp"),
    (line(event_timestamp=1.5), "Expected `int`, got `float`", "$.event_timestamp"),
    (line(event_timestamp=0), "Expected `int` >= 1", "$.event_timestamp"),
    (line(event_timestamp=-1), "Expected `int` >= 1", "$.event_timestamp"),
    (
        line(event_timestamp=MAX_TIMESTAMP + 1),
        "Expected `int` <= 4102444800000000",
        "$.event_timestamp",
    ),
    (
        line(event_timestamp=NOW + 2 * DAY),
        "timestamp is 172800 s in the future",
        "$.event_timestamp",
    ),
    (line(type="buy"), "Invalid enum value 'buy'", "$.type"),
    (line(type=None), "Expected `str`, got `null`", "$.type"),
    (line(channel=7), "Expected `str | null`, got `int`", "$.channel"),
    (line(channel="c" * 65), "Expected `str` of length <= 64", "$.channel"),
    (line(properties=[]), "Expected `object`, got `array`", "$.properties"),
    (with_property('"value": NaN'), "JSON is malformed: invalid character (byte 115)", None),
    (with_property('"value": 1e999'), "Number out of range", "$.properties.value"),
    (with_property('"value": "1"'), "Expected `float | null`, got `str`", "$.properties.value"),
    (with_property('"count": 1.5'), "Expected `int | null`, got `float`", "$.properties.count"),
    (
        with_property('"count": 9007199254740993'),
        "Expected `int` <= 9007199254740992",
        "$.properties.count",
    ),
    (with_property('"good": 1'), "Expected `bool | null`, got `int`", "$.properties.good"),
    (
        line(properties={"word": "w" * 4097}),
        "Expected `str` of length <= 4096",
        "$.properties.word",
    ),
    (with_property('"more": 1e999'), "Number out of range", "$.properties"),
    (with_property('"more": NaN'), "JSON is malformed: invalid character (byte 114)", None),
    (
        with_property('"more": "?"').replace(b"?", b"\xff"),
        "Invalid UTF-8 (byte 115)",
        None,
    ),
    (line(channel="?").replace(b"?", b"\xff"), "Invalid UTF-8 (byte 103)", None),
    (line(ignored="?").replace(b"?", b"\xff"), "Invalid UTF-8 (byte 103)", None),
    (line(channel="?").replace(b"?", b"\\ud800"), "Input data was truncated", None),
    (
        with_property('"more": ' + "[" * 9_000 + "]" * 9_000),
        "JSON is nested too deeply",
        None,
    ),
    (line(word="w" * 20_000), "line of 20102 bytes, more than 20000", None),
]


@pytest.mark.parametrize("blank", [[], [b" \r"]], ids=["", "blank"])
@pytest.mark.parametrize(("raw", "reason", "path"), BAD_LINES, ids=lambda v: repr(v)[:40])
def test_each_bad_line(raw: bytes, reason: str, path: str | None, blank: list[bytes]) -> None:
    decoded = ndjson(line(event_id="1"), *blank, raw, line(event_id="2"))
    assert decoded.rejected == [Rejected(1, 1 + len(blank), reason, path, raw)]
    assert decoded.table["event_id"].to_pylist() == ["1", "2"]
    assert decoded.index.tolist() == [0, 2]
    assert decoded.index.dtype == np.int64
    assert decoded.records == 3


def test_all_bad_lines_together() -> None:
    bad = [raw for raw, _, _ in BAD_LINES]
    decoded = ndjson(*bad, line())
    assert [r.raw for r in decoded.rejected] == bad
    assert [(r.reason, r.path) for r in decoded.rejected] == [(r, p) for _, r, p in BAD_LINES]
    assert decoded.index.tolist() == [len(bad)]


def test_a_good_chunk_is_canonical() -> None:
    decoded = ndjson(
        line(channel="web", properties={"value": 3, "count": 2**53, "good": True, "word": ""}),
        line(channel="", properties={"value": None}),
        line(),
    )
    assert decoded.table.schema == pa.schema({**CANONICAL, "extra": pa.string()})
    assert decoded.rejected == []
    first, *rest = rows(decoded.table)
    assert first["event_timestamp"].timestamp() * 1e6 == NOW
    assert {k: v for k, v in first.items() if k not in GOOD} == {
        "channel": "web",
        "value": 3.0,
        "count": 2.0**53,
        "good": 1.0,
        "word": "",
        "extra": None,
    }
    for row in rest:
        assert {v for k, v in row.items() if k not in GOOD} == {None}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n", b"\n \t\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_blank_lines(end: bytes, last: bool) -> None:
    lines = [line(event_id=str(i)) for i in range(3)]
    decoded = DECODER.decode_ndjson(end.join(lines) + end * last)
    assert decoded.table["event_id"].to_pylist() == ["0", "1", "2"]
    assert decoded.records == 3


@pytest.mark.parametrize("payload", [b"", b"\n", b" \r\n\t\n"])
def test_nothing(payload: bytes) -> None:
    decoded = DECODER.decode_ndjson(payload)
    assert (decoded.table.num_rows, decoded.records, decoded.rejected) == (0, 0, [])
    assert decoded.table.schema.field("word").type == WORDS


@pytest.mark.parametrize(
    "spanning",
    [
        line().replace(b", ", b",\n", 1),
        line(properties={}).replace(b": {", b":\n{"),
        line(properties={}).replace(b"{}", b"{}\n"),
        b"",
    ],
)
def test_an_event_is_one_line(spanning: bytes) -> None:
    """A decoder of concatenated JSON would find as many events as lines, and misplace them."""
    decoded = DECODER.decode_ndjson(line() + line() + b"\n" + spanning)
    assert decoded.table.num_rows == 0
    assert decoded.records == len(decoded.rejected) == (3 if spanning else 1)


@pytest.mark.parametrize("declared_first", [True, False])
def test_undeclared_properties_are_kept_exactly(declared_first: bool) -> None:
    text = b'{"a":0.10,"b":{"c":[12345678901234567890123]},"\\u00e9":"\\u00e9"}'
    lines = [line(properties={"value": 1}), line(properties={"value": 2})]
    place = 1 if declared_first else 0
    lines[place] = lines[place].replace(b"}}", b"," + text[1:] + b"}")
    decoded = ndjson(*lines)
    extra = decoded.table["extra"].to_pylist()
    assert extra[1 - place] is None
    assert extra[place] == text.decode().replace('"\\u00e9":', '"é":')
    assert decoded.table["value"].to_pylist() == [1, 2]


def test_what_is_late_wrong_keeps_its_line() -> None:
    future = line(event_timestamp=NOW + 2 * DAY)
    decoded = ndjson(line(), b"", future, b"{}", line(event_id="é" * 200))
    assert [(r.index, r.line) for r in decoded.rejected] == [(1, 2), (2, 3), (3, 4)]
    assert decoded.rejected[0].raw == future


def test_the_clock_and_its_skew() -> None:
    at = line(event_timestamp=NOW + 5)
    assert EventDecoder(SCHEMA, now=lambda: NOW, future_skew_us=5).decode_ndjson(at).index.size
    assert not EventDecoder(SCHEMA, now=lambda: NOW, future_skew_us=4).decode_ndjson(at).index.size
    assert EventDecoder(SCHEMA).decode_ndjson(line(event_timestamp=1)).index.size


def test_extra_is_reserved() -> None:
    with pytest.raises(DeclarationError, match="shop: property 'extra' has a reserved name"):
        EventDecoder(EventSchema("shop", types=("view",), properties={"extra": str}))


# Laws

word = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
good_event = st.fixed_dictionaries(
    {
        "event_id": word.filter(bool),
        "event_timestamp": st.integers(1, NOW),
        "customer_id": word.filter(bool),
        "type": st.sampled_from(SCHEMA.types),
    },
    optional={
        "channel": word,
        "properties": st.fixed_dictionaries(
            {},
            optional={
                "value": st.none() | st.floats(allow_nan=False, allow_infinity=False),
                "count": st.none() | st.integers(-(2**53), 2**53),
                "good": st.none() | st.booleans(),
                "word": st.none() | word,
                "more": st.recursive(st.none() | st.integers() | word, st.lists, max_leaves=3),
            },
        ),
    },
)
bad_line = st.sampled_from([raw for raw, _, _ in BAD_LINES]) | st.binary(max_size=40).filter(
    lambda raw: raw.strip(b" \t\r\n") and b"\n" not in raw
)
blank = st.sampled_from([b"", b" ", b"\r", b"\t"])


def flat(event: dict[str, Any]) -> dict[str, Any]:
    """The event as a row of the canonical table, with missing as None and numbers as floats."""
    properties = event.get("properties", {})
    row = dict.fromkeys(CANONICAL) | {k: v for k, v in event.items() if k in CANONICAL}
    row["channel"] = row["channel"] or None
    for name, kind in SCHEMA.properties.items():
        value = properties.get(name)
        row[name] = value if value is None or kind == "string" else float(value)
    return row


@settings(deadline=None)
@given(
    st.lists(
        good_event.map(lambda e: (True, e))
        | bad_line.map(lambda b: (False, b))
        | blank.map(lambda b: (None, b)),
        max_size=12,
    )
)
def test_bad_lines_never_cost_a_good_one(chunk: list[tuple[bool | None, Any]]) -> None:
    lines = [json.dumps(what).encode() if good else what for good, what in chunk]
    decoded = DECODER.decode_ndjson(b"\n".join(lines))
    records = [(n, good, what) for n, (good, what) in enumerate(chunk) if good is not None]
    want = [(i, flat(what)) for i, (_, good, what) in enumerate(records) if good]
    bad = [(i, n) for i, (n, good, _) in enumerate(records) if not good]
    assert decoded.records == len(records)
    assert decoded.index.tolist() == [i for i, _ in want]
    assert [(r.index, r.line) for r in decoded.rejected] == bad
    stamps = decoded.table["event_timestamp"].cast(pa.int64()).to_pylist()
    got = rows(decoded.table.drop_columns(["event_timestamp", "extra"]))
    assert [row | {"event_timestamp": us} for row, us in zip(got, stamps, strict=True)] == [
        row for _, row in want
    ]
    for (i, _), text in zip(want, decoded.table["extra"].to_pylist(), strict=True):
        more = {k: v for k, v in records[i][2].get("properties", {}).items() if k == "more"}
        assert (json.loads(text) if text else {}) == more


@settings(deadline=None)
@given(st.binary(max_size=200) | st.lists(bad_line, max_size=5).map(b"\n".join))
def test_no_bytes_raise(payload: bytes) -> None:
    decoded = DECODER.decode_ndjson(payload)
    assert decoded.records == decoded.table.num_rows + len(decoded.rejected)
    assert len(decoded.index) == decoded.table.num_rows
    ordinals = sorted([*decoded.index.tolist(), *(r.index for r in decoded.rejected)])
    assert ordinals == list(range(decoded.records))


@settings(deadline=None)
@given(st.lists(good_event, max_size=8))
def test_ndjson_and_arrow_agree(chunk: list[dict[str, Any]]) -> None:
    lines = DECODER.decode_ndjson(b"\n".join(json.dumps(event).encode() for event in chunk))
    flats = [flat(event) for event in chunk]
    plain = {n: pa.array([row[n] for row in flats], kind) for n, kind in CANONICAL.items()}
    table = DECODER.decode_arrow(pa.table(plain))
    assert not lines.rejected
    assert not table.rejected
    assert rows(table.table) == rows(lines.table.drop_columns(["extra"]))
    assert DECODER.decode_arrow(lines.table).table.equals(lines.table)


@settings(deadline=None)
@given(st.data())
def test_bad_rows_never_cost_a_good_one(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 12))
    ok = st.booleans()
    good = [data.draw(st.tuples(ok, ok, ok, ok)) for _ in range(count)]
    table = pa.table(
        {
            "event_id": pa.array(["e" if g[0] else "" for g in good], pa.string()),
            "event_timestamp": pa.array([NOW if g[1] else None for g in good], pa.int64()),
            "customer_id": pa.array(["c"] * count, pa.string()),
            "type": pa.array(["view" if g[2] else "buy" for g in good], pa.string()),
            "value": pa.array([1.0 if g[3] else float("nan") for g in good], pa.float64()),
        }
    )
    start = data.draw(st.integers(0, count))
    decoded = DECODER.decode_arrow(table.slice(start))
    bad = [i for i, g in enumerate(good[start:]) if not all(g)]
    assert [r.index for r in decoded.rejected] == bad
    paths = ["$.event_id", "$.event_timestamp", "$.type", "$.properties.value"]
    assert [r.path for r in decoded.rejected] == [paths[good[start:][i].index(False)] for i in bad]
    assert decoded.index.tolist() == [i for i, g in enumerate(good[start:]) if all(g)]
    assert decoded.records == count - start
