"""Decoding: every kind of bad input by its exact reason and path, and no good event lost."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features import EventSchema
from nextbest.features.codec import Decoded, EventDecoder, Rejected
from nextbest.features.errors import DeclarationError, SourceError
from nextbest.features.events import MAX_TIMESTAMP

NOW = 1_767_225_600_000_000
DAY = 86_400_000_000
SCHEMA = EventSchema(
    "shop",
    types=("view", "cart"),
    properties={"value": float, "count": int, "good": bool, "word": str},
)
DECODER = EventDecoder(SCHEMA, now=lambda: NOW, max_event_bytes=20_000)
GOOD = {"event_id": "e", "event_timestamp": NOW, "customer_id": "c", "type": "cart"}
WORDS = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("us", "UTC")
CANONICAL: dict[str, Any] = {
    "event_id": pa.string(),
    "event_timestamp": TIME,
    "customer_id": pa.string(),
    "type": WORDS,
    "channel": WORDS,
    "value": pa.float64(),
    "count": pa.float64(),
    "good": pa.float64(),
    "word": WORDS,
}


def line(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def with_property(text: str) -> bytes:
    return line(properties={"value": "?"}).replace(b'"value": "?"', text.encode())


def ndjson(*lines: bytes) -> Decoded:
    return DECODER.decode_ndjson(b"\n".join(lines))


def rows(table: pa.Table) -> list[dict[str, Any]]:
    plain = [c.cast(pa.string()) if c.type == WORDS else c for c in table.columns]
    return pa.table(plain, names=table.column_names).to_pylist()


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


# Arrow


def arrow(**columns: Any) -> pa.Table:
    """Three good rows, with some columns changed; None takes a column out."""
    table: dict[str, Any] = {
        "event_id": ["e0", "e1", "e2"],
        "event_timestamp": [NOW, NOW + 1, NOW + 2],
        "customer_id": ["c0", "c1", "c2"],
        "type": ["view", "cart", "view"],
    } | columns
    return pa.table({name: value for name, value in table.items() if value is not None})


BAD_ROWS = [
    ("event_id", ["e", None, "e"], "Expected `str`, got `null`"),
    ("event_id", ["e", "", "e"], "Expected `str` of length >= 1"),
    ("event_id", ["e", "i" * 257, "e"], "Expected at most 256 bytes of UTF-8, got 257"),
    ("customer_id", ["c", "é" * 129, "c"], "Expected at most 256 bytes of UTF-8, got 258"),
    ("customer_id", pa.array([b"c", b"\xff", b"c"]).view(pa.string()), "Invalid UTF-8 (byte 0)"),
    ("event_timestamp", [NOW, None, NOW], "Expected `int`, got `null`"),
    ("event_timestamp", [NOW, 0, NOW], "Expected `int` >= 1"),
    (
        "event_timestamp",
        pa.array([1, 2**63 // 1_000_000 + 2, 1], pa.timestamp("s")),
        "Expected `int` <= 4102444800000000",
    ),
    ("event_timestamp", pa.array([1, 2**64 - 1, 1], pa.uint64()), "Expected `int` >= 1"),
    ("event_timestamp", [NOW, NOW + 2 * DAY, NOW], "timestamp is 172800 s in the future"),
    ("type", ["view", "buy", "cart"], "Invalid enum value 'buy'"),
    ("type", ["view", None, "cart"], "Expected `str`, got `null`"),
    (
        "type",
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["view", None])),
        "Expected `str`, got `null`",
    ),
    ("channel", ["web", "c" * 65, None], "Expected `str` of length <= 64"),
    ("channel", pa.array([b"c", b"\xff", b"c"]).view(pa.string()), "Invalid UTF-8 (byte 0)"),
    ("word", ["w", "w" * 4097, None], "Expected `str` of length <= 4096"),
    ("value", [1.0, float("nan"), None], "Expected a finite number, got nan"),
    ("value", [1.0, float("-inf"), None], "Expected a finite number, got -inf"),
    ("count", [1.0, 1.5, None], "Expected `int`, got `float`"),
    ("count", [1, 2**53 + 1, None], "Expected `int` <= 9007199254740992"),
    ("count", [1, -(2**53) - 1, None], "Expected `int` >= -9007199254740992"),
    ("good", [0, 2, 1], "Expected `bool`, got 2.0"),
]


@pytest.mark.parametrize(("name", "column", "reason"), BAD_ROWS, ids=lambda v: repr(v)[:40])
def test_each_bad_row(name: str, column: Any, reason: str) -> None:
    table = arrow(**{name: column})
    decoded = DECODER.decode_arrow(table)
    path = f"$.{name}" if name in (*GOOD, "channel") else f"$.properties.{name}"
    [rejected] = decoded.rejected
    assert rejected[:4] == (1, 1, reason, path)
    raw = json.loads(rejected.raw)
    assert raw["type"] == ("cart" if name != "type" else table["type"][1].as_py())
    assert decoded.index.tolist() == [0, 2]
    assert decoded.records == 3
    assert decoded.table.schema == pa.schema(CANONICAL)
    rows(decoded.table)  # what is left can be read


def test_a_rejected_row_is_shown_as_on_the_wire() -> None:
    table = arrow(
        event_timestamp=pa.array([1, 2, 3], pa.timestamp("ms")),
        value=[None, float("inf"), None],
        seen=pa.array([1, 2_000_000_003, 3], pa.timestamp("ns")),
        far=pa.array([1, 2**62, 3], pa.date64()),
        note=["a", "é", "b"],
    )
    [rejected] = DECODER.decode_arrow(table).rejected
    assert json.loads(rejected.raw) == {
        "event_id": "e1",
        "event_timestamp": 2000,
        "customer_id": "c1",
        "type": "cart",
        "properties": {"value": float("inf"), "seen": 2_000_000, "note": "é"},
    }


GOOD_COLUMNS = [
    ("event_id", pa.array(["e0", "e1", "e2"], pa.large_string())),
    ("event_id", pa.array(["e0", "e1", "e2"]).dictionary_encode()),
    ("event_id", pa.array(["e0", "e1", "e2"], pa.string_view())),
    ("event_timestamp", pa.array([NOW, NOW + 1, NOW + 2], TIME)),
    ("event_timestamp", pa.array([NOW, NOW + 1, NOW + 2], pa.timestamp("us"))),
    ("event_timestamp", pa.array([NOW, NOW + 1, NOW + 2], pa.timestamp("us", "Asia/Tokyo"))),
    (
        "event_timestamp",
        pa.array([NOW * 1000 + 999, NOW * 1000 + 1000, NOW * 1000 + 2000], pa.timestamp("ns")),
    ),
    ("event_timestamp", pa.array([NOW, NOW + 1, NOW + 2], pa.uint64())),
    ("type", pa.array(["view", "cart", "view"]).dictionary_encode()),
    ("type", pa.array(["view", "cart", "view"], pa.large_string())),
    (
        "type",
        pa.DictionaryArray.from_arrays(
            pa.array([3, 1, 0], pa.int8()), pa.array(["view", "cart", "buy", "view"])
        ),
    ),
    (
        "type",
        pa.chunked_array([pa.array([w]).dictionary_encode() for w in ("view", "cart", "view")]),
    ),
    ("channel", pa.nulls(3)),
    ("channel", ["", None, ""]),
    ("value", pa.nulls(3)),
]


@pytest.mark.parametrize(("name", "column"), GOOD_COLUMNS, ids=lambda v: repr(v)[:60])
def test_a_column_may_be_of_many_types(name: str, column: Any) -> None:
    plain = DECODER.decode_arrow(arrow())
    assert plain.table.schema == pa.schema(CANONICAL)
    decoded = DECODER.decode_arrow(arrow(**{name: column}))
    assert decoded.table.schema == plain.table.schema
    assert rows(decoded.table) == rows(plain.table)


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.int8(), pa.uint8(), pa.int32(), pa.uint64(), pa.float16(), pa.float32(), pa.bool_()),
        *(pa.decimal128(9, 2), pa.dictionary(pa.int8(), pa.float32())),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["value", "count", "good"])
def test_numbers_of_every_width(name: str, kind: Any) -> None:
    values: list[Any] = [True, None, False] if pa.types.is_boolean(kind) else [1, None, 0]
    if pa.types.is_decimal(kind):
        values = [Decimal(1), None, Decimal(0)]
    column = (
        pa.array(values, pa.float32()).dictionary_encode()
        if pa.types.is_dictionary(kind)
        else pa.array([None if v is None else np.float16(v) for v in values], kind)
        if kind == pa.float16()
        else pa.array(values, kind)
    )
    decoded = DECODER.decode_arrow(arrow(**{name: column}))
    assert decoded.table[name].to_pylist() == [1.0, None, 0.0]
    assert decoded.table[name].type == pa.float64()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"customer_id": None}, "column 'customer_id' is missing"),
        ({"type": None}, "column 'type' is missing"),
        ({"event_id": [1, 2, 3]}, "column 'event_id' is int64, not string"),
        ({"customer_id": [b"a", b"b", b"c"]}, "column 'customer_id' is binary, not string"),
        (
            {"event_timestamp": ["a", "b", "c"]},
            "column 'event_timestamp' is string, not a timestamp or integer",
        ),
        (
            {"event_timestamp": [1.0, 2.0, 3.0]},
            "column 'event_timestamp' is double, not a timestamp or integer",
        ),
        ({"channel": [1, 2, 3]}, "column 'channel' is int64, not string"),
        ({"value": ["1", "2", "3"]}, "column 'value' is string, not float"),
        ({"good": ["1", "2", "3"]}, "column 'good' is string, not bool"),
        ({"word": [1, 2, 3]}, "column 'word' is int64, not string"),
        (
            {"properties": [{"value": 1.0}] * 3},
            "column 'properties': give each property a column of its own",
        ),
    ],
)
def test_tables_that_cannot_be_meant(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError) as caught:
        DECODER.decode_arrow(arrow(**columns))
    assert str(caught.value) == message


def test_a_column_that_stands_twice() -> None:
    table = arrow().append_column("type", [["view"] * 3])
    with pytest.raises(SourceError, match="column 'type' stands 2 times"):
        DECODER.decode_arrow(table)


def test_undeclared_columns_pass_through() -> None:
    note = pa.chunked_array([[1], [2, 3]], pa.int8())
    decoded = DECODER.decode_arrow(arrow(note=note, type=["view", "buy", "cart"]))
    assert decoded.table["note"].to_pylist() == [1, 3]
    assert decoded.table["note"].type == pa.int8()


def test_a_clean_column_is_not_copied() -> None:
    table = DECODER.decode_arrow(arrow(value=[1.0, None, 2.0], word=["a", "b", None])).table
    again = DECODER.decode_arrow(table).table
    for name in table.column_names:
        before: Any = table[name].chunk(0)
        after: Any = again[name].chunk(0)
        assert before.buffers()[-1].address == after.buffers()[-1].address, name


def test_a_large_dictionary_is_cut_to_what_a_chunk_uses() -> None:
    column = pa.array([f"w{i}" for i in range(1000)]).dictionary_encode().slice(500, 3)
    word: Any = DECODER.decode_arrow(arrow(word=column)).table["word"].chunk(0)
    assert word.dictionary.to_pylist() == ["w500", "w501", "w502"]


def test_an_empty_table() -> None:
    for table in (arrow().slice(0, 0), arrow().schema.empty_table()):
        decoded = DECODER.decode_arrow(table)
        assert (decoded.table.num_rows, decoded.records, decoded.rejected) == (0, 0, [])
        assert decoded.table.schema == pa.schema(CANONICAL)


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
