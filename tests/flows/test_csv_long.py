"""CSV: fields that are long, and hold what looks like rows, are one field."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextbest.features import Columns
from nextbest.flows.commands.sampling import read_sample
from tests.flows.row_cases import OURS, taken

INSIDE = "2,1767225600,mallory,order,hats,1,1,yes\n" * 5000


@pytest.mark.parametrize("text", ["x" * 200_000, INSIDE], ids=["plain", "lines"])
def test_a_long_quoted_field_is_one_field(tmp_path: Path, text: str) -> None:
    assert len(text) > 131_072
    file = tmp_path / "a.csv"
    head = OURS.replace("\n", ",note\n")
    rows = [f'1,1767225600,ann,view,hats,,,,"{text}"', "3,1767225600,bob,view,hats,,,,x"]
    file.write_text(head + "\n".join(rows))
    events, letters = taken(file, Columns())
    assert letters == []
    assert [event["customer_id"] for event in events] == ["ann", "bob"]
    sample = read_sample(file)
    assert (len(sample.rows), sample.bad, sample.whole) == (2, 0, True)
    assert sample.rows[0]["note"] == text
