"""Reading what is kept of decisions and outcomes.

Of a line in a stream of the store only its place is kept, and the line is read there: it is kept
once. Of one in another log, and of one that its stream may lose sooner, the line itself is kept,
after its place, as it was of all at first.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from ...features.errors import StateError
from ..partitions import FIELD
from .commit_types import Called, Step
from .scripts import LINES, POINTER


def read(keys: Sequence[str]) -> Generator[Step, Any, list[bytes | None]]:
    """Read places and lines; None: nothing is kept under a key, or its line no longer.

    Yields steps of committing, takes their replies, and ends with values that `split` takes.

    Raises
    ------
    StateError
        What is kept is none of ours.
    """
    values: list[bytes | None] = []
    if len(keys) == 1:
        values = [(yield ("GET", keys[0]))]
    elif keys:
        values = list((yield ("MGET", *keys)))
    return (yield from lines_of(keys, values))


def lines_of(
    keys: Sequence[str], values: Sequence[bytes | None]
) -> Generator[Step, Any, list[bytes | None]]:
    """Read the lines of values that say only where they are; see `read`."""
    found = list(values)
    streams: dict[str, int] = {}
    asked: list[bytes | int] = []
    places: list[tuple[int, bytes]] = []
    for i, value in enumerate(values):
        if value is None or not value.startswith(POINTER):
            continue
        place, entry, stream = _parts(keys[i], value)
        number = streams.setdefault(stream, len(streams) + 1)
        asked += (number, entry, place.partition(b":")[2])
        places.append((i, place))
    if len(places) == 1:  # a script would cost more than it saves
        entries = yield ("XRANGE", *streams, asked[1], asked[1])
        line = _line(entries, int(asked[2]))
        found[places[0][0]] = None if line is None else places[0][1] + b" " + line
    elif places:
        lines = yield Called(LINES, tuple(streams), tuple(asked))
        for (i, place), line in zip(places, lines, strict=True):
            found[i] = place + b" " + line if line else None
    return found


def split(key: str, value: bytes) -> tuple[bytes, bytes]:
    """Return the place in the log, and the line if it is kept here, else nothing.

    >>> split("outcome:1", b'7:2 {"event_id":"1"}')
    (b'7:2', b'{"event_id":"1"}')
    >>> split("outcome:1", b"#7:2 1767225600000-0 log:3")
    (b'7:2', b'')
    """
    if value.startswith(POINTER):
        return _parts(key, value)[0], b""
    place, _, line = value.partition(b" ")
    return place, line


def _line(entries: Any, number: int) -> bytes | None:
    """Return a line of an entry, as any client tells it; None: it is not there."""
    if not entries:
        return None
    fields = entries[0][1]
    text = fields.get(FIELD, b"") if isinstance(fields, dict) else fields[1]
    lines: list[bytes] = text.split(b"\n", number + 1)
    return lines[number] if len(lines) > number + 1 else None


def _parts(key: str, value: bytes) -> tuple[bytes, bytes, str]:
    """Return the place, the entry's id, and its stream."""
    parts = value[len(POINTER) :].split(b" ", 2)
    place, entry, stream = parts if len(parts) == 3 else (b"", b"", b"")
    ids = (*place.split(b":"), *entry.split(b"-"))
    if len(ids) != 4 or not all(map(bytes.isdigit, ids)):
        raise StateError(f"{key} is nothing that was kept here: {value[:80]!r}")
    try:
        return place, entry, stream.decode()
    except UnicodeDecodeError as error:
        raise StateError(f"{key} is nothing that was kept here: {error}") from None
