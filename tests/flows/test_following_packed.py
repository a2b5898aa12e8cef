"""Packed files that are followed: they are whole when they get their name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.flows.row_cases import OURS, chunks_of, part_of

ROW = b'{"n":1}'


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["open", "closed"])
@pytest.mark.parametrize("name", ["a.ndjson.gz", "a.jsonl.gz", "a.csv.gz"])
def test_the_last_line_counts_without_a_newline(tmp_path: Path, name: str, end: bytes) -> None:
    text = OURS.encode() + b"1,1767225600,ann,view,a,,," if "csv" in name else ROW + b"\n" + ROW
    (tmp_path / name).write_bytes(gzip.compress(text + end))
    part = part_of(tmp_path, follow=True)
    assert sum(chunk.records for chunk in chunks_of(part)) == (1 if "csv" in name else 2)
