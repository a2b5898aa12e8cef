"""A user's own columns and times: what is declared is what is read, in every format."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextbest.features import Columns, DeclarationError, SourceError
from nextbest.flows.sources.row_times import time_reader
from tests.flows.row_cases import taken

START = 1_767_225_600_000_000  # 2026-01-01
OWN = Columns(customer_id="user", event_timestamp="at", every_row_is="order")


@pytest.mark.parametrize(
    ("declared", "value", "us"),
    [
        ({}, "2026-01-01T00:00:00Z", START),
        ({}, "2026-01-01", START),
        ({}, "20260101", START),
        ({}, " 2026-01-01 01:00:00.25+01:00", START + 250_000),
        ({"time_zone": "Europe/Berlin"}, "2026-01-01 01:00", START),
        ({"time_zone": "Europe/Berlin"}, "2026-07-01T00:00Z", START + 181 * 86_400_000_000),
        ({}, "1767225600", START),
        ({}, "1767225600.25", START + 250_000),
        ({}, 1767225600000, START),
        ({}, "1767225600000000", START),
        ({}, "1767225600000000123", START),
        ({"time_format": "s"}, "5", 5_000_000),
        ({"time_format": "ms"}, 5, 5_000),
        ({"time_format": "us"}, "5", 5),
        ({"time_format": "ns"}, "5999", 5),
        ({"time_format": "%d.%m.%Y %H:%M"}, "01.01.2026 00:00", START),
        ({}, datetime(2026, 1, 1, tzinfo=UTC), START),
    ],
    ids=str,
)
def test_times_are_read(declared: dict[str, Any], value: Any, us: int) -> None:
    assert time_reader(Columns(**declared))(value) == us


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ({}, "yesterday"),
        ({}, "01/02/2026"),
        ({}, "5"),
        ({}, "1e400"),
        ({}, True),
        ({}, "1_767_225_600"),
        ({}, "9" * 400),
        ({"time_format": "ms"}, "soon"),
        ({"time_format": "%d.%m.%Y"}, "2026-01-01"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_time_is_refused(declared: dict[str, Any], value: Any) -> None:
    with pytest.raises(ValueError, match="no time that can be read: expected"):
        time_reader(Columns(**declared))(value)


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"customer_id": " "}, "' ' is no name of a column"),
        ({"properties": {"type": "kind"}}, "'type' is no name of a property"),
        ({"time_format": "minutes"}, "time_format is 'minutes'"),
        ({"time_zone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"delimiter": ", "}, "delimiter is ', '"),
        ({"decimal": ","}, "decimal is ','"),
        ({"missing": "NULL"}, "missing must be a sequence"),
        ({"encoding": "utf-16"}, "encoding 'utf-16' is not known, or has no ASCII"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_columns_that_mean_nothing_are_refused(declared: dict[str, Any], why: str) -> None:
    with pytest.raises(DeclarationError, match=why):
        Columns(**declared)


def test_a_european_export_is_read(tmp_path: Path) -> None:
    text = "Kunde;Datum;Betrag;Menge\r\nJörg;24.12.2025 18:30;1.234,50;NULL\r\n"
    (tmp_path / "a.csv").write_bytes(text.encode("cp1252"))
    columns = Columns(
        customer_id="Kunde", event_timestamp="Datum", every_row_is="order", delimiter=";",
        decimal=",", encoding="cp1252", time_format="%d.%m.%Y %H:%M", time_zone="Europe/Berlin",
        missing=("", "NULL"), properties={"amount": "Betrag", "pieces": "Menge"},
    )  # fmt: skip
    [event], letters = taken(tmp_path, columns)
    assert letters == []
    assert (event["customer_id"], event["amount"], "pieces" in event) == ("Jörg", 1234.5, False)
    assert event["event_timestamp"] == datetime(2025, 12, 24, 17, 30, tzinfo=UTC)


def test_json_lines_and_parquet_in_own_words_are_read_too(tmp_path: Path) -> None:
    rows = [
        {"user": 7, "at": "2026-01-01T00:00:00Z", "amount": 3, "gift": True, "page": "x"},
        {"user": "ann", "at": 1767225600, "properties": {"category": "shoes"}},
    ]
    bad = [{"user": None, "at": 1767225600}, {"user": "ann", "at": "soon"}, [1], None]
    lines = [*map(json.dumps, rows), "", "{", *map(json.dumps, bad)]
    (tmp_path / "a.ndjson").write_text("\n".join(lines))
    events, letters = taken(tmp_path / "a.ndjson", OWN)
    assert [(e["customer_id"], e["type"], e.get("amount"), e.get("category")) for e in events] == [
        ("7", "order", 3.0, None),
        ("ann", "order", None, "shoes"),
    ]
    assert events[0]["extra"] == '{"page":"x"}'
    assert [(x.line, x.reason.split(" (")[0]) for x in letters] == [
        (4, "Input data was truncated"),
        (5, "no value in the column 'user'"),
        (6, "no time that can be read: expected ISO 8601, or a number since 1970"),
        (7, "Expected `object`, got `list`"),
        (8, "Expected `object`, got `null`"),
    ]
    times = pa.array([datetime(2026, 1, 1, tzinfo=UTC), None], pa.timestamp("ms", "UTC"))
    table = pa.table({"user": ["ann", "bob"], "at": times, "amount": [1.5, None]})
    pq.write_table(table, tmp_path / "b.parquet")
    events, letters = taken(tmp_path / "b.parquet", OWN)
    assert [(e["customer_id"], e["amount"]) for e in events] == [("ann", 1.5)]
    assert [(x.line, x.path) for x in letters] == [(2, "$.event_timestamp")]


def test_files_of_several_kinds_have_columns_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "orders-1.csv").write_text("user,at,amount\nann,1767225600,9.5\n")
    (tmp_path / "views.ndjson").write_text('{"who":"bob","when":"2026-01-01","category":"hats"}\n')
    (tmp_path / "zero.csv").write_text("")
    seen = Columns(customer_id="who", event_timestamp="when", every_row_is="view")
    events, letters = taken(tmp_path, {"orders*.csv": OWN, "view*": seen, "*": Columns()})
    assert not letters
    assert [(e["customer_id"], e["type"], e.get("amount")) for e in events] == [
        ("ann", "order", 9.5), ("bob", "view", None),
    ]  # fmt: skip
    with pytest.raises(SourceError, match=r"zero\.csv: no columns are .*; there are: o\*, v\*"):
        taken(tmp_path, {"o*": OWN, "v*": seen})
