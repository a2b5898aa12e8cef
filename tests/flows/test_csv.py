"""CSV: every row once, typed as declared, at its line; what is no row costs only itself."""

from __future__ import annotations

import csv
import gzip
import io
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features import Columns, DeclarationError, SourceError
from nextbest.flows.sources import FileSource
from tests.flows.row_cases import OURS, chunks_of, decode, part_of, taken

OWN = Columns(
    customer_id="User",
    event_timestamp="Created at",
    type="what",
    properties={"amount": "Order value"},
)
HEADER = "User,Created at,what,Order value,category,note\r\n"


def test_rows_become_typed_events_at_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(
        b"\xef\xbb\xbf" + HEADER.encode() + b'ann,2026-01-01T10:00:00+01:00,view,,shoes,"hi, ""you'
        b'""\nthere"\r\n\r\nann,1767225600,order,59.9,"shoes",\r\n"bob",1767225600000,view,x,,'
    )
    events, letters = taken(file, OWN)
    assert [(e["customer_id"], e["type"], e.get("amount")) for e in events] == [
        ("ann", "view", None),
        ("ann", "order", 59.9),
    ]
    assert events[0]["event_timestamp"].isoformat() == "2026-01-01T09:00:00+00:00"
    assert events[0]["extra"] == '{"note":"hi, \\"you\\"\\nthere"}'
    assert len({e["event_id"] for e in events}) == 2
    assert [(x.line, x.path) for x in letters] == [(6, "$.properties.amount")]


def test_each_bad_row_is_a_dead_letter_that_says_why_and_where(tmp_path: Path) -> None:
    rows = [
        (b"1,soon,ann,view,,,,", "no time that can be read", "$.event_timestamp"),
        (b"1,1767225600,ann", "3 fields, the first line has 8", None),
        (b"1,1767225600,,view,,,,", "no value in the column 'customer_id'", "$.customer_id"),
        (b"1,1767225600,ann,buy,,,,", "Invalid enum value 'buy'", "$.type"),
        (b"1,1767225600,ann,view,,1e999,,", "Expected `float", "$.properties.amount"),
        (b"1,1767225600,ann,view,,,1.5,", "Expected `int", "$.properties.pieces"),
        (b"1,1767225600,ann,view,,,,maybe", "Expected `bool", "$.properties.gift"),
        (b"1,1767225600,ann,view,sho\xff,,,", "Invalid UTF-8 (byte 25)", None),
        (b"1,1767225600," + b"x" * 5000 + b",view,,,,", "longer than 1000 bytes", None),
        (b'1,1767225600,ann,view,"shoes,,,', "a quote that is never closed", None),
    ]
    good = b"1,1767225600,ann,order,,,2.0,yes"
    file = tmp_path / "a.csv"
    lines = [line for row, _, _ in rows for line in (row, good)]
    file.write_bytes(OURS.encode() + b"\n".join(lines))
    events, letters = taken(file, max_event_bytes=1000)
    assert len(events) == len(rows)
    assert {(e["pieces"], e["gift"]) for e in events} == {(2.0, 1.0)}
    for place, (letter, (row, reason, path)) in enumerate(zip(letters, rows, strict=True)):
        assert reason in letter.reason
        assert (letter.path, letter.line) == (path, 2 * place + 2)
        assert letter.origin == str(file)
        assert letter.raw_bytes >= len(row) or letter.raw.startswith("{")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"ann,1767225600,view\n", "no column 'customer_id' for customer_id; .* ann, 1767225600"),
        (OURS.replace("type", "kind").encode(), r"Say which it is with Columns\(type="),
        (OURS.replace("gift", "type").encode(), "the column 'type' stands 2 times"),
        (OURS.encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"x" * 9000, "first line must name the columns: longer than 1000 bytes"),
        (b'"customer_id,\n', "first line must name the columns: a quote"),
    ],
    ids=["no-header", "missing", "twice", "utf-16", "long", "quote"],
)
def test_a_file_without_its_columns_is_named(tmp_path: Path, text: bytes, why: str) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(text)
    with pytest.raises(SourceError, match=rf"a\.csv: .*{why}"):
        taken(file, max_event_bytes=1000)


@pytest.mark.parametrize("text", [b"", b"\n\n", OURS.encode()], ids=["empty", "blank", "header"])
def test_a_file_without_rows_is_a_log_without_events(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    (tmp_path / "b.csv").write_text(f"{OURS}1,1767225600,ann,view,a,,,\n")
    events, letters = taken(tmp_path)
    assert [event["customer_id"] for event in events] == ["ann"]
    assert not letters


def test_csv_needs_a_schema_and_a_whole_archive(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(OURS)
    with pytest.raises(SourceError, match="can only be read with a schema"):
        chunks_of(FileSource(tmp_path / "a.csv").build_part("in", "0", None))
    packed = gzip.compress(OURS.encode() + random.Random(3).randbytes(3000).hex().encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[:-900])
    with pytest.raises(SourceError, match=r"a\.csv\.gz: cannot be read: the packed file is damag"):
        taken(tmp_path / "a.csv.gz")
    with pytest.raises(DeclarationError, match="no event type 'refund' in schema 'shop'"):
        taken(tmp_path / "a.csv", Columns(every_row_is="refund"))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_resumed_reader_makes_the_same_chunks(tmp_path: Path, name: str) -> None:
    rows = ["1,1767225600,ann,view,a,,,", "", "bad", '2,1767225600,"a""\nb",view,"x\n\ny",,,']
    rows += ['3,1767225600,ann,view,"never closed,,,', "4,1767225600,bob,view,,,,"] * 2
    random.Random(5).shuffle(rows := rows * 6)
    text = (OURS + "\n".join(rows)).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    whole = chunks_of(part_of(tmp_path, batch_rows=3, max_event_bytes=120))
    assert len(whole) > 5
    part = part_of(tmp_path, batch_rows=3, max_event_bytes=120)
    for done in range(len(whole)):
        state = part.snapshot()
        rest = chunks_of(part_of(tmp_path, state=state, batch_rows=3, max_event_bytes=120))
        assert [(c.payload, c.line, c.position, c.faults) for c in rest] == [
            (c.payload, c.line, c.position, c.faults) for c in whole[done:]
        ]
        part.next_batch()


def test_a_followed_file_waits_for_whole_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(OURS[:20])
    part = part_of(tmp_path, follow=True)
    events = []
    for more in (
        OURS[20:],
        '1,1767225600,ann,view,"x',
        "\ny",
        '",,,\n2,17672',
        "25601,bob,view,,,,\n",
    ):
        assert decode(chunks_of(part))[1] == []
        with file.open("a") as opened:
            opened.write(more)
        events += decode(chunks_of(part))[0]
    assert [(e["customer_id"], e.get("category")) for e in events] == [
        ("ann", "x\ny"),
        ("bob", None),
    ]


_words = st.text(st.sampled_from('ab ,;"\n\ré'), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_words, _words), max_size=8), st.sampled_from(",;\t"), st.integers(1, 4))
def test_what_a_writer_wrote_is_read(rows: list[tuple[str, str]], mark: str, batch: int) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=mark)
    writer.writerow(["event_id", "event_timestamp", "customer_id", "type", "category", "note"])
    writer.writerows([i, 1767225600, "ann", "view", a, b] for i, (a, b) in enumerate(rows))
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "a.csv").write_bytes(text.getvalue().encode())
        events, letters = taken(Path(name), Columns(delimiter=mark), batch_rows=batch)
    assert letters == []
    assert [e.get("category", "") for e in events] == [a for a, _ in rows]


def test_a_row_sent_twice_has_one_id_unless_it_differs(tmp_path: Path) -> None:
    header = "customer_id,event_timestamp,type,category\n"
    (tmp_path / "a.csv").write_text(header + "ann,1767225600,view,a\nann,1767225600,view,b\n")
    (tmp_path / "b.csv").write_text(header + "ann,1767225600,view,b\r\nann,1767225600,view,c\n")
    ids = [event["event_id"] for event in taken(tmp_path)[0]]
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3
