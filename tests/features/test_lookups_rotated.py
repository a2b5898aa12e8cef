"""Reading lookups while a service drops the oldest of its files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nextbest.features.served_lookups import ServedLookup, read_lookups


def lookup(at: int) -> ServedLookup:
    return ServedLookup(at, "shop", "0" * 16, "customer", "ann", at, None, [1.0], [0])


def test_a_file_that_is_gone_by_then_is_passed_over(tmp_path: Path) -> None:
    for at in range(3):
        line = msgspec.json.encode(lookup(at)) + b"\n"
        (tmp_path / f"lookups-{at}-1.ndjson").write_bytes(line)
    reading = read_lookups(tmp_path)
    assert next(reading) == lookup(0)
    (tmp_path / "lookups-1-1.ndjson").unlink()
    assert list(reading) == [lookup(2)]
