"""Tables of events: what each column may be, and what becomes of rows that are wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nextbest.features.errors import SourceError
from tests.features.codec_cases import (
    CANONICAL,
    DAY,
    DECODER,
    GOOD,
    NOW,
    TIME,
    rows,
)


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


@pytest.mark.parametrize(
    ("name", "column", "reason"), BAD_ROWS, ids=lambda v: str(getattr(v, "type", v))[:40]
)
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


@pytest.mark.parametrize(("name", "column"), GOOD_COLUMNS, ids=lambda v: str(getattr(v, "type", v)))
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
