"""What `nextbest publish` makes of a file: packed, marked, damaged, or with nothing in it."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest
import redis

from nextbest.flows.embedded import ensure_server
from tests.flows.test_cli import Nextbest, event, home, ndjson, nextbest, one_line

__all__ = ["home", "nextbest"]

LINES = ndjson(event(1), event(2)).encode()
BOM = b"\xef\xbb\xbf"


def published(home: Path, stream: str = "events") -> bytes:
    """What the stream holds."""
    with redis.Redis.from_url(ensure_server(home / ".nextbest")) as client:
        return b"".join(fields[b"events"] for _, fields in client.xrange(stream))


def test_a_packed_file_is_published_as_what_is_in_it(home: Path, nextbest: Nextbest) -> None:
    (home / "a.ndjson.gz").write_bytes(gzip.compress(BOM + LINES))
    assert nextbest("publish", "a.ndjson.gz").words.startswith("2 events in 1 entries")
    assert published(home) == LINES


def test_a_mark_before_the_first_line_is_no_part_of_it(
    home: Path, nextbest: Nextbest, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "a.ndjson").write_bytes(BOM + LINES)
    assert nextbest("publish", "a.ndjson").code == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BOM + LINES)))
    assert nextbest("publish", "-").code == 0
    assert published(home) == LINES + LINES
    (home / "empty.ndjson").write_bytes(BOM)
    assert "empty.ndjson: no event in it" in one_line(nextbest("publish", "empty.ndjson"))


def test_a_damaged_packed_file_is_named(home: Path, nextbest: Nextbest) -> None:
    (home / "a.ndjson.gz").write_bytes(gzip.compress(LINES)[:-9])
    message = one_line(nextbest("publish", "a.ndjson.gz"))
    assert "a.ndjson.gz: cannot be read: the packed file is damaged" in message
    (home / "b.ndjson.gz").write_bytes(LINES)
    assert "b.ndjson.gz: cannot be read" in one_line(nextbest("publish", "b.ndjson.gz"))
    (home / "c.ndjson").mkdir()
    assert "c.ndjson: Is a directory" in one_line(nextbest("publish", "c.ndjson"))


def test_a_file_of_bad_rows_alone_says_what_is_bad(home: Path, nextbest: Nextbest) -> None:
    rows = "".join(f"e{n},soon,ada,view\n" for n in range(7))
    (home / "a.csv").write_text("event_id,event_timestamp,customer_id,type\n" + rows)
    result = nextbest("publish", "a.csv", "--catalog", "shop:catalog")
    assert "a.csv: no event in it" in one_line(result)
    assert result.out.startswith("left out, as they are no events: 7\n  line 2: no time that")
    assert result.out.count("\n") == 6
