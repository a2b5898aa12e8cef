"""`nextbest init`: what it writes for a file reads every row of it, or it says what is missing."""

from __future__ import annotations

import io
import json
import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from nextbest.features import Catalog, Columns, NextbestError
from nextbest.features.plans import Plans
from nextbest.flows.commands.init import init
from nextbest.flows.commands.references import load
from nextbest.flows.decode import ChunkDecoder
from nextbest.flows.settings import Settings
from nextbest.flows.sources import FileSource
from nextbest.flows.sources.row_events import RowEvents
from tests.flows.row_cases import chunks_of

_ORDERS = [
    (datetime(2026, 1, 13) + timedelta(hours=n), f"u{n % 7}", ["view", "order"][n % 2], n)
    for n in range(60)
]


def drafted(path: Path, **known: str) -> tuple[Catalog, Columns | None, str, int]:
    """What was written, what was said, and how many of the file's events it reads."""
    out = path.with_name(f"drafted_{path.name.split('.')[0].replace(' ', '_')}.py")
    said = io.StringIO()
    init(path, out, Console(file=said, width=100, color_system=None), **known)
    catalog = load(f"{out}:catalog", Catalog)
    columns = load(f"{out}:columns", Columns) if "columns = " in out.read_text() else None
    rows = RowEvents(catalog.source, columns)
    part = FileSource(path, rows=rows, mapped=columns is not None).build_part("in", "0", None)
    decoder = ChunkDecoder(Plans.compile(catalog).customer, Settings())
    found = [each for chunk in chunks_of(part) for each in decoder(chunk)]
    return catalog, columns, said.getvalue(), sum(len(getattr(e, "batch", ())) for e in found)


def test_a_plain_export(tmp_path: Path) -> None:
    lines = ["Order No,User,Created At,Action,Product ID,Category,Amount,Gift?"]
    lines += [
        f"{n},{who},{at.isoformat(' ')},{kind},p{n % 9},{'shoes' if n % 3 else 'hats'},"
        f"{'NULL' if n % 5 else n / 4},{'yes' if n % 2 else 'no'}"
        for at, who, kind, n in _ORDERS
    ]
    (tmp_path / "orders.csv").write_text("\n".join(lines))
    catalog, columns, said, events = drafted(tmp_path / "orders.csv")
    assert events == 60
    assert columns is not None
    assert (columns.customer_id, columns.event_timestamp, columns.type, columns.event_id) == (
        "User", "Created At", "Action", "Order No",
    )  # fmt: skip
    assert columns.missing == ("", "NULL")
    assert catalog.source.properties == {
        "product_id": "string", "category": "string", "amount": "float", "gift": "bool",
    }  # fmt: skip
    assert catalog.source.types == ("order", "view") or catalog.source.types == ("view", "order")
    assert "customers:category_affinity[hats]" in catalog.columns
    assert "product_ids:events_1d" in catalog.columns
    assert "nextbest run" in said
    assert "--columns" in said


def test_a_european_export_of_one_type(tmp_path: Path) -> None:
    lines = ["Kunde;Datum;Betrag;Größe"]
    lines += [f"{who};{at:%d.%m.%Y %H:%M};{n},50;L" for at, who, _, n in _ORDERS]
    (tmp_path / "bestellungen.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
    catalog, columns, said, events = drafted(tmp_path / "bestellungen.csv")
    assert events == 60
    assert columns is not None
    assert (columns.delimiter, columns.decimal, columns.encoding, columns.time_format) == (
        ";", ",", "cp1252", "%d.%m.%Y %H:%M",
    )  # fmt: skip
    assert catalog.source.types == ("bestellungen",)
    assert catalog.source.properties["größe"] == "string"
    assert "Windows-1252" in said


@pytest.mark.parametrize("ours", [True, False], ids=["envelope", "own-words"])
def test_json_lines(tmp_path: Path, ours: bool) -> None:
    rows = []
    for at, who, kind, n in _ORDERS:
        us = int(at.timestamp()) * 1_000_000
        own = {"category": "shoes", "value": n / 2}
        if ours:
            head = {"event_id": str(n), "event_timestamp": us, "customer_id": who, "type": kind}
            rows.append(head | {"properties": own})
        else:
            rows.append({"id": n, "ts": us // 1000, "user": who, "event": kind, "tags": []} | own)
    (tmp_path / "log.ndjson").write_text("\n".join(map(json.dumps, rows)))
    catalog, columns, said, events = drafted(tmp_path / "log.ndjson")
    assert events == 60
    assert (columns is None) == ours
    assert catalog.source.properties == {"category": "string", "value": "float"}
    assert ours or "tags" in said


def test_what_is_known_is_told(tmp_path: Path) -> None:
    lines = ["a,b,c"] + [f"{who},{kind},{at:%m/%d/%Y}" for at, who, kind, _ in _ORDERS]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    _, columns, _, events = drafted(tmp_path / "x.csv", customer="a", time="c", kind="b")
    assert columns is not None
    assert (columns.type, columns.time_format, events) == ("b", "%m/%d/%Y", 60)


def test_odd_names_and_texts_still_make_a_module_that_runs(tmp_path: Path) -> None:
    names = ["user", "time", "class", "2nd", "customer_id ", "a b", "a-b", 'q"uo\\te', "", "type"]
    words = ['x"y', "it's", "\\n", "é\u2028", "None", "{}"]
    rng = random.Random(3)
    lines = ["\t".join(names)]
    for at, who, _, _ in _ORDERS:
        fields = [who, at.isoformat(), *(rng.choice(words) for _ in names[2:-1]), rng.choice(words)]
        lines.append("\t".join('"' + field.replace('"', '""') + '"' for field in fields))
    (tmp_path / "odd name.csv").write_text("\n".join(lines))
    _, columns, _, events = drafted(tmp_path / "odd name.csv", customer="user")
    assert columns is not None
    assert columns.delimiter == "\t"
    assert events == 60


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.csv", "", r"a\.csv: is empty"),
        ("a.csv", "user,time\n", r"a\.csv: no row in it that can be read"),
        ("a.csv", "user,when\nann,soon\n", "no column is seen to hold times, of user, when"),
        ("a.csv", "x,time\nann,2026-01-01\n", "no column is seen to name the customer, of x, time"),
        ("a.xlsx", "x", r"a\.xlsx: expected a file that ends in \.csv"),
        ("a.ndjson", "nothing\n", "no row in it that can be read"),
        ("a.ndjson.gz", "nothing\n", r"a\.ndjson\.gz: cannot be read"),
    ],
    ids=["empty", "header", "times", "customers", "suffix", "json", "packed"],
)
def test_a_file_that_cannot_be_understood(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(NextbestError, match=why):
        drafted(tmp_path / name)
    assert list(tmp_path.glob("*.py")) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,time\nann,2026-01-01\nbob,2026-01-02\n")
    drafted(tmp_path / "a.csv")
    with pytest.raises(NextbestError, match=r"drafted_a\.py: is already there|is there already"):
        drafted(tmp_path / "a.csv")
    with pytest.raises(NextbestError, match="no column 'c' in the file; it has: user, time"):
        init(tmp_path / "a.csv", tmp_path / "b.py", Console(file=io.StringIO()), customer="c")
