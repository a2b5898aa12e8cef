"""CSV: lines that end with a carriage return alone are refused, not passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextbest.features import Columns, SourceError
from nextbest.flows.commands.sampling import read_sample
from tests.flows.row_cases import OURS, chunks_of, part_of, taken

ROW = "1,1767225600,ann,view,hats,,,\n"


@pytest.mark.parametrize("follow", [False, True], ids=["once", "followed"])
@pytest.mark.parametrize("rows", [0, 3, 500], ids=["header", "short", "long"])
@pytest.mark.parametrize("quote", ["", '"'], ids=["plain", "quoted"])
def test_a_carriage_return_alone_ends_no_line(
    tmp_path: Path, follow: bool, rows: int, quote: str
) -> None:
    file = tmp_path / "a.csv"
    text = OURS.replace("type", f"{quote}type{quote}") + "x,y\n" + ROW * rows
    file.write_bytes(text.replace("\n", "\r").encode())
    with pytest.raises(SourceError, match=r"a\.csv: its lines end with a carriage return alone"):
        chunks_of(part_of(file, follow=follow, max_event_bytes=1024))
    with pytest.raises(SourceError, match=r"a\.csv: its lines end with a carriage return alone"):
        read_sample(file)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"], ids=["unix", "windows", "twice"])
def test_other_carriage_returns_are_taken(tmp_path: Path, end: str) -> None:
    file = tmp_path / "a.csv"
    text = OURS.replace("\n", ',"a\rnote"\n') + ROW.replace("\n", ",x\n")
    file.write_bytes(text.replace("\n", end).encode())
    events, letters = taken(file, Columns())
    assert letters == []
    assert [event["extra"] for event in events] == ['{"a\\rnote":"x"}']
    assert len(read_sample(file).rows) == 1


def test_half_a_line_end_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(OURS.encode()[:-1] + b"\r")
    part = part_of(file, follow=True)
    assert chunks_of(part) == []
    with file.open("ab") as opened:
        opened.write(b"\n" + ROW.encode())
    assert sum(chunk.records for chunk in chunks_of(part)) == 1
