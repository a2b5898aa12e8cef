"""What is kept of an event that was refused: why, where it stood, and its bytes."""

from __future__ import annotations

import base64
from typing import Literal, Self

import msgspec

RAW_BYTES = 4096
"""How much of a refused record is kept, in bytes."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One refused record; a line of JSON in the dead letters file.

    Attributes
    ----------
    reason
        Why, for a person.
    path
        Where in the record, such as `$.properties.value`; None: the whole record.
    origin
        The file's path; of a stream the entry, ``clicks:0@1700000000000-0``; of a topic the
        message, ``clicks[0]@17``.
    line
        1-based line or row in the file, entry or message.
    position
        The record's log position.
    received_at
        When it was refused: microseconds since 1970, UTC.
    raw
        The record, its first 4 KiB at most: as text, or in base64 if it is not UTF-8.
    raw_encoding
        Which of the two.
    raw_bytes
        The record's true size in bytes.

    Examples
    --------
    >>> letter = DeadLetter.of(
    ...     b'{"value": "x"}', reason="Expected `float`, got `str`", path="$.value",
    ...     origin="a.ndjson", line=3, position=2, received_at=1_700_000_000_000_000,
    ... )
    >>> letter.raw, letter.raw_bytes
    ('{"value": "x"}', 14)
    """

    reason: str
    path: str | None
    origin: str
    line: int
    position: int
    received_at: int
    raw: str
    raw_encoding: Literal["utf-8", "base64"]
    raw_bytes: int

    @classmethod
    def of(
        cls,
        record: bytes,
        *,
        reason: str,
        path: str | None = None,
        origin: str,
        line: int,
        position: int,
        received_at: int,
        size: int | None = None,
    ) -> Self:
        """A dead letter of `record`; `size` if only the beginning of it is at hand."""
        raw, encoding = _readable(record[:RAW_BYTES], cut=len(record) > RAW_BYTES or bool(size))
        return cls(
            reason=reason,
            path=path,
            origin=origin,
            line=line,
            position=position,
            received_at=received_at,
            raw=raw,
            raw_encoding=encoding,
            raw_bytes=size or len(record),
        )


def _readable(head: bytes, *, cut: bool) -> tuple[str, Literal["utf-8", "base64"]]:
    try:
        return head.decode(), "utf-8"
    except UnicodeDecodeError as error:
        # The cut may have gone through the last character; drop what is left of it.
        if cut and error.reason == "unexpected end of data" and error.start >= len(head) - 3:
            return head[: error.start].decode(), "utf-8"
    return base64.b64encode(head).decode(), "base64"
