"""Parquet in a user's own words: what Python cannot say costs its row only."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextbest.features import Columns
from nextbest.flows.sources.row_times import time_reader
from tests.flows.row_cases import taken

START = datetime(2026, 1, 1, tzinfo=UTC)
OWN = Columns(customer_id="user", event_timestamp="at", every_row_is="order")


def three(path: Path, columns: Columns = OWN, **more: Any) -> tuple[list[Any], list[Any]]:
    """What a file of three rows becomes, with some columns replaced or added."""
    table: dict[str, Any] = {"user": ["ann", "bob", "cid"], "at": [START] * 3} | more
    pq.write_table(pa.table(table), path / "a.parquet", store_schema=True)
    return taken(path / "a.parquet", columns)


def text(*words: bytes) -> pa.Array[Any]:
    """A column of text that nobody checked."""
    data = b"".join(words)
    ends = [sum(map(len, words[:n])) for n in range(len(words) + 1)]
    offsets = pa.array(ends, pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), len(words), [None, offsets, pa.py_buffer(data)])


def test_text_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    events, letters = three(tmp_path, category=text(b"hats", b"sho\xff", b"shoes"))
    assert [(e["customer_id"], e["category"]) for e in events] == [
        ("ann", "hats"),
        ("cid", "shoes"),
    ]
    [letter] = letters
    assert (letter.line, letter.path) == (2, "$.properties.category")
    assert letter.reason == "Invalid UTF-8 (byte 3)"
    assert letter.raw == '{"user":"bob","at":"2026-01-01T00:00:00Z"}'
    _, letters = three(tmp_path, user=text(b"\xff", b"b", b"c"))
    assert [(x.line, x.path) for x in letters] == [(1, "$.customer_id")]


def test_a_time_that_python_has_not_costs_its_row(tmp_path: Path) -> None:
    far = pa.array([1_767_225_600_000_000, 3 * 10**17, None], pa.int64()).cast(pa.timestamp("us"))
    for column, bad, good in (("delivered", [2], ["ann", "cid"]), ("at", [2, 3], ["ann"])):
        events, letters = three(tmp_path, **{column: far})
        assert [letter.line for letter in letters] == bad
        assert letters[0].reason == "a value that cannot be read: date value out of range"
        assert [e["customer_id"] for e in events] == good


def test_times_of_nanoseconds_are_read(tmp_path: Path) -> None:
    first = 1_767_225_600_000_000_000
    at = pa.array([first + 1234, first + 1235, first], pa.int64()).cast(pa.timestamp("ns", "UTC"))
    noon = pa.array([1, None, 2], pa.int64()).cast(pa.time64("ns"))
    events, letters = three(tmp_path, user=["ann"] * 3, at=at, noon=noon)
    assert letters == []
    assert [e["event_timestamp"].microsecond for e in events] == [1, 1, 0]
    # Rows that differ in what an event cannot hold are not one event.
    assert len({e["event_id"] for e in events}) == 3
    table = pa.table({"user": ["ann"] * 3, "at": at.cast(pa.timestamp("us", "UTC"), safe=False)})
    pq.write_table(table, tmp_path / "a.parquet")
    assert len({e["event_id"] for e in taken(tmp_path / "a.parquet", OWN)[0]}) == 2


def test_bytes_are_text(tmp_path: Path) -> None:
    told = Columns(
        customer_id="user", event_timestamp="at", event_id="id", type="what", channel="via"
    )
    events, letters = three(
        tmp_path, told,
        user=pa.array([b"ann", "j\u00f6rg".encode(), b"cid"]),
        id=pa.array([b"1", b"2", b"\xff"], pa.binary()),
        what=[b"order"] * 3,
        via=[b"web", None, b"app"],
        category=[b"hats", b"shoes", b"\xff"],
        note=[b"x", b"y", None],
    )  # fmt: skip
    assert letters == []
    assert [(e["event_id"], e["customer_id"], e["category"], e.get("channel")) for e in events] == [
        ("1", "ann", "hats", "web"),
        ("2", "j\u00f6rg", "shoes", None),
        ("/w==", "cid", "/w==", "app"),
    ]
    assert events[0]["extra"] == '{"note":"x"}'


def test_decimals_are_numbers_where_numbers_are_declared(tmp_path: Path) -> None:
    events, letters = three(
        tmp_path,
        user=pa.array([Decimal(n) for n in (1, 2, 3)], pa.decimal128(20, 0)),
        at=pa.array([Decimal("1767225600.5")] * 3, pa.decimal128(20, 3)),
        amount=pa.array([Decimal("9.90"), Decimal("0.00"), None], pa.decimal128(10, 2)),
        pieces=pa.array([Decimal("2.00"), Decimal("3.00"), Decimal("1.50")], pa.decimal128(10, 2)),
        price=pa.array([Decimal("1.10"), None, None], pa.decimal128(10, 2)),
    )
    assert [(e["customer_id"], e.get("amount"), e["pieces"]) for e in events] == [
        ("1", 9.9, 2.0),
        ("2", 0.0, 3.0),
    ]
    assert events[0]["event_timestamp"].isoformat() == "2026-01-01T00:00:00.500000+00:00"
    assert events[0]["extra"] == '{"price":"1.10"}'
    assert [(x.line, x.path) for x in letters] == [(3, "$.properties.pieces")]


def test_a_date_is_its_midnight(tmp_path: Path) -> None:
    events, letters = three(tmp_path, at=pa.array([date(2026, 1, 1)] * 3))
    assert letters == []
    assert {e["event_timestamp"] for e in events} == {START}


@pytest.mark.parametrize("shape", ["auto", "ms", "%d.%m.%Y"])
def test_a_date_is_midnight_where_it_was_written(shape: str) -> None:
    read = time_reader(Columns(time_format=shape, time_zone="Europe/Berlin"))
    hours = 0 if shape == "ms" else 3600_000_000
    assert read(date(2026, 1, 1)) == 1_767_225_600_000_000 - hours
