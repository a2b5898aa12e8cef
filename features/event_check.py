"""Checking one event as the log's decoder will, before it is in the log.

Imports no Arrow, as a service that takes events in needs none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from .errors import EventError
from .events import MAX_TIMESTAMP, EventSchema, wire_type
from .kernels.layout import MAX_ID_BYTES

BAD_LINE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EventError)
"""What `EventReader.read` raises; `explain` says why."""
BLANK = b" \t\r"
"""A line of nothing but these bytes is no record; it still counts as a line."""


class EventReader:
    """Reads single events from JSON text, exact about what is wrong.

    Parameters
    ----------
    schema
        What an event is.
    max_event_bytes
        The longest text.

    Attributes
    ----------
    closed, open, bags
        Decoders of events without undeclared properties, of events with any, and of all
        properties as raw text.
    """

    def __init__(self, schema: EventSchema, *, max_event_bytes: int) -> None:
        self.schema = schema
        self.max_event_bytes = max_event_bytes
        event = wire_type(schema)
        properties = {field.name: field.type for field in msgspec.structs.fields(event)}[
            "properties"
        ]
        closed = msgspec.defstruct(
            "closed", [], bases=(properties,), frozen=True, gc=False, forbid_unknown_fields=True
        )
        field = ("properties", closed, msgspec.field(default_factory=closed))
        strict = msgspec.defstruct("strict", [field], bases=(event,), frozen=True, gc=False)
        bag = msgspec.defstruct("bag", [("properties", dict[str, msgspec.Raw], {})])
        self.open: msgspec.json.Decoder[Any] = msgspec.json.Decoder(event)
        self.closed: msgspec.json.Decoder[Any] = msgspec.json.Decoder(strict)
        self.bags: msgspec.json.Decoder[Any] = msgspec.json.Decoder(bag)

    def read(self, line: bytes) -> tuple[Any, str | None]:
        """Read one event; return it and its undeclared properties as JSON text, if it has any.

        Ids are not yet checked for their bytes, nor is the timestamp for its place in time.
        """
        if len(line) > self.max_event_bytes:
            raise EventError(f"line of {len(line)} bytes, more than {self.max_event_bytes}")
        if not line.isascii():
            line.decode()  # msgspec does not look into strings that it skips
        try:
            return self.closed.decode(line), None
        except msgspec.ValidationError:
            event = self.open.decode(line)
        return event, self.undeclared(self.bags.decode(line))

    def undeclared(self, bag: Any) -> str | None:
        """Return what `bags` found and the schema does not declare, as JSON text."""
        kept = {k: v for k, v in bag.properties.items() if k not in self.schema.properties}
        if not kept:
            return None
        text = msgspec.json.encode(kept)
        try:
            msgspec.json.decode(text)  # a skipped number may be out of range
        except msgspec.DecodeError as error:
            raise EventError(explain(error)[0], "$.properties") from None
        return text.decode()


class EventChecker:
    """Checks events one by one, with the very reasons that a dead letter would give.

    Parameters
    ----------
    schema
        What an event is.
    future_skew_us
        How far ahead of the clock an event may be, microseconds.
    max_event_bytes
        The longest event.
    now
        The clock, microseconds since 1970. Default: the wall clock.

    Examples
    --------
    >>> shop = EventSchema("shop", types=("view", "cart"), properties={"value": float})
    >>> checker = EventChecker(shop, future_skew_us=0, max_event_bytes=1000, now=lambda: 7)
    >>> event = b'{"event_id":"1","event_timestamp":7,"customer_id":"ann","type":"cart"}'
    >>> checker.check(event)
    'ann'
    >>> checker.check(event.replace(b'"cart"', b'"buy"'))
    Traceback (most recent call last):
        ...
    nextbest.features.errors.EventError: Invalid enum value 'buy' - at `$.type`
    """

    def __init__(
        self,
        schema: EventSchema,
        *,
        future_skew_us: int,
        max_event_bytes: int,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._reader = EventReader(schema, max_event_bytes=max_event_bytes)
        self._skew = future_skew_us
        self._now = now

    def check(self, raw: bytes | msgspec.Raw) -> str:
        """Check the JSON text of one event; return whose it is.

        Newlines between its tokens are allowed, as `Publisher` makes spaces of them.

        Raises
        ------
        EventError
            With the reason and the path of the dead letter that this would become.
        """
        try:
            event, _ = self._reader.read(bytes(raw).strip(BLANK + b"\n"))
        except BAD_LINE as error:
            raise EventError(*explain(error)) from None
        now = self._now()
        faults = (
            (id_fault(event.event_id), "$.event_id"),
            (time_fault(event.event_timestamp, now, latest(now, self._skew)), "$.event_timestamp"),
            (id_fault(event.customer_id), "$.customer_id"),
        )
        for fault, path in faults:
            if fault is not None:
                raise EventError(fault, path)
        customer: str = event.customer_id
        return customer


def one_line(event: bytes) -> bytes:
    """Return JSON text as a line of a log: without newlines, or blanks around it.

    A newline in JSON can only be between tokens, and any blank may stand there.

    >>> one_line(b'{"a":\\n1}\\r\\n')
    b'{"a": 1}'
    """
    return event.replace(b"\n", b" ").strip(BLANK)


def latest(now: int, future_skew_us: int) -> int:
    """Return the latest time that an event may have, microseconds.

    >>> latest(5, 2), latest(MAX_TIMESTAMP, 1) == MAX_TIMESTAMP
    (7, True)
    """
    return min(now + future_skew_us, MAX_TIMESTAMP)


def time_fault(us: int, now: int, latest: int) -> str | None:
    """Say what is wrong with an event's time, if anything is; all are microseconds.

    >>> time_fault(0, 5, 9), time_fault(9, 5, 9), time_fault(7_000_005, 5, 9)
    ('Expected `int` >= 1', None, 'timestamp is 7 s in the future')
    """
    if us < 1:
        return "Expected `int` >= 1"
    if us > MAX_TIMESTAMP:
        return f"Expected `int` <= {MAX_TIMESTAMP}"
    return f"timestamp is {(us - now) // 1_000_000} s in the future" if us > latest else None


def id_fault(text: str) -> str | None:
    """Say what is wrong with an id, if anything is.

    >>> id_fault("c-7"), id_fault(""), id_fault("é" * 129)
    (None, 'Expected `str` of length >= 1', 'Expected at most 256 bytes of UTF-8, got 258')
    """
    if not text:
        return "Expected `str` of length >= 1"
    # No character takes more than four bytes.
    size = len(text) if len(text) <= MAX_ID_BYTES // 4 else len(text.encode())
    if size > MAX_ID_BYTES:
        return f"Expected at most {MAX_ID_BYTES} bytes of UTF-8, got {size}"
    return None


def explain(error: Exception) -> tuple[str, str | None]:
    """Split an error into a reason and a path."""
    if isinstance(error, EventError):
        return error.reason, error.path
    if isinstance(error, RecursionError):
        return "JSON is nested too deeply", None
    if isinstance(error, UnicodeDecodeError):
        return f"Invalid UTF-8 (byte {error.start})", None
    reason, at, path = str(error).partition(" - at `")
    return reason, path[:-1] if at else None
