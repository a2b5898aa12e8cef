"""The loop's own events in the log: told from the others, checked, and kept with their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from ...features.decoded import Rejected
from ...features.errors import DeclarationError, EventError
from ...features.event_check import BAD_LINE, explain, id_fault, latest, time_fault
from ...features.events import EventSchema, Identifier, Timestamp
from ..partitions import NO_TIME
from .record import DECISION, FIELD, ORDER, OUTCOME, Order, Record, Response, Value
from .request import LARGEST_INTEGER, LONGEST_NAME, MOST_OFFERS

MOST_ID_BYTES = 240
"""The longest id of a decision: an example's name is made of it."""
LONGEST_NOTE = 1000
"""Characters of each word of an order."""
_OWN = f"$.properties.{FIELD}"
_TYPES = (DECISION, OUTCOME, ORDER)
_WORDS = tuple(word.encode() for word in _TYPES)


class LoopEvent(msgspec.Struct, frozen=True, array_like=True):
    """A decision, an outcome or an order, where it stood in the log.

    Attributes
    ----------
    event_id, at, customer, channel
        Of the event; ``at`` in microseconds.
    own
        What is the loop's.
    text
        Its JSON text.
    properties
        The other properties of an outcome.
    position, origin, line, raw, received_at
        As in a dead letter; ``raw`` is the whole line.
    logged_at
        When the log took it in, by its own account, microseconds; `NO_TIME`: it does not say.
    """

    event_id: str
    at: int
    customer: str
    channel: str | None
    own: Record | Response | Order
    text: str
    properties: dict[str, Value] = {}
    position: int = -1
    origin: str = ""
    line: int = 0
    raw: bytes = b""
    received_at: int = 0
    logged_at: int = NO_TIME

    @property
    def type(self) -> str:
        """``decision``, ``outcome`` or ``fleet-order``."""
        if isinstance(self.own, Order):
            return ORDER
        return DECISION if isinstance(self.own, Record) else OUTCOME


class _Kind(msgspec.Struct):
    type: str


class _Line(msgspec.Struct):
    event_id: Identifier
    event_timestamp: Timestamp
    customer_id: Identifier
    type: Literal["decision", "outcome", "fleet-order"]
    properties: dict[str, msgspec.Raw] = {}
    channel: str | None = None


T = TypeVar("T")


class LoopReader:
    """Reads the events of types `DECISION`, `OUTCOME` and `ORDER`, exact about what is wrong.

    Parameters
    ----------
    schema
        Of the users' events, which may not have these types.
    future_skew_us
        How far ahead of the clock an event may be, microseconds.
    max_event_bytes
        The longest line.
    now
        The clock, microseconds.

    Raises
    ------
    DeclarationError
        If the schema has one of these types.

    Examples
    --------
    >>> from .record import Response, outcome_event
    >>> shop = EventSchema("shop", types=("view",))
    >>> reader = LoopReader(shop, future_skew_us=0, max_event_bytes=999, now=lambda: 9)
    >>> line = outcome_event("o-1", 7, "ann", "web", Response(decision_id="d", response="accept"))
    >>> reader.read(line).own.response
    'accept'
    >>> reader.read(b'{"type":"view"}') is None
    True
    >>> reader.read(line.replace(b'"nextbest"', b'"other"'))
    Traceback (most recent call last):
        ...
    nextbest.features.errors.EventError: Object missing required field `nextbest` - at \
`$.properties`
    """

    def __init__(
        self,
        schema: EventSchema,
        *,
        future_skew_us: int,
        max_event_bytes: int,
        now: Callable[[], int],
    ) -> None:
        for word in _TYPES:
            if word in schema.types:
                raise DeclarationError(schema.name, f"event type {word!r} is the loop's own")
        self._skew, self._most, self._now = future_skew_us, max_event_bytes, now
        self._kind = msgspec.json.Decoder(_Kind)
        self._line = msgspec.json.Decoder(_Line)

    def split(self, rejected: Sequence[Rejected]) -> tuple[list[Rejected], dict[int, LoopEvent]]:
        """Tell the loop's events from what is no event at all.

        Returns
        -------
        rejected, events
            What remains rejected, those of the loop's own with their own reasons; the events by
            their places in what was given.
        """
        bad: list[Rejected] = []
        good: dict[int, LoopEvent] = {}
        for place, record in enumerate(rejected):
            try:
                event = self.read(record.raw)
            except EventError as error:
                bad.append(record._replace(reason=error.reason, path=error.path))
                continue
            if event is None:
                bad.append(record)
            else:
                good[place] = event
        return bad, good

    def read(self, raw: bytes) -> LoopEvent | None:
        """Read one line; None if it is no event of the loop.

        Raises
        ------
        EventError
            If it is one, and malformed.
        """
        if not any(word in raw for word in _WORDS) or len(raw) > self._most:
            return None
        try:
            if not raw.isascii():
                raw.decode()
            if self._kind.decode(raw).type not in _TYPES:
                return None
        except msgspec.ValidationError:
            return None
        except BAD_LINE as error:
            raise EventError(*explain(error)) from None
        line = _decoded(self._line, raw, "$")
        self._check(line)
        if FIELD not in line.properties:
            raise EventError(f"Object missing required field `{FIELD}`", "$.properties")
        text = line.properties.pop(FIELD)
        own: Record | Response | Order
        properties: dict[str, Value] = {}
        if line.type == DECISION:
            own = _decoded(_RECORD, text, _OWN)
            _check_record(own, line)
        elif line.type == ORDER:
            own = _decoded(_ORDER, text, _OWN)
            _check_order(own)
        else:
            own = _decoded(_RESPONSE, text, _OWN)
            if not own.response:
                raise EventError("Expected `str` of length >= 1", f"{_OWN}.response")
            for name, value in line.properties.items():
                properties[name] = _decoded(_VALUE, value, f"$.properties.{name}")
        return LoopEvent(
            line.event_id, line.event_timestamp, line.customer_id, line.channel or None, own,
            bytes(text).decode(), properties, raw=raw,
        )  # fmt: skip

    def _check(self, line: _Line) -> None:
        now = self._now()
        for fault, path in (
            (id_fault(line.event_id), "$.event_id"),
            (time_fault(line.event_timestamp, now, latest(now, self._skew)), "$.event_timestamp"),
            (id_fault(line.customer_id), "$.customer_id"),
        ):
            if fault is not None:
                raise EventError(fault, path)


_RECORD = msgspec.json.Decoder(Record)
_RESPONSE = msgspec.json.Decoder(Response)
_ORDER = msgspec.json.Decoder(Order)
_VALUE: msgspec.json.Decoder[Value] = msgspec.json.Decoder(Value)


def _check_order(order: Order) -> None:
    for name in ("fleet", "member", "by", "note"):
        text = getattr(order, name)
        if len(text) > LONGEST_NOTE or (not text and name != "note"):
            reason = f"Expected `str` of 1 to {LONGEST_NOTE} characters"
            raise EventError(reason, f"{_OWN}.{name}")


def _check_record(record: Record, line: _Line) -> None:
    for fault, name in _faults(record, line):
        raise EventError(f"{name} {fault}", f"{_OWN}.{name}")


def _faults(record: Record, line: _Line) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a decision, and where; what no engine of ours has ever written."""
    for name, said, own in (
        ("id", line.event_id, record.id),
        ("customer", line.customer_id, record.customer),
        ("at", line.event_timestamp, record.at),
    ):
        if said != own:
            yield f"is not the event's {said!r}", name
    size = len(record.id.encode())
    if size > MOST_ID_BYTES:
        yield f"has {size} bytes, more than {MOST_ID_BYTES}", "id"
    actions = [offer.action for offer in record.offers]
    if len(actions) > MOST_OFFERS:
        yield f"has {len(actions)} actions, more than {MOST_OFFERS}", "offers"
    if len(set(actions)) < len(actions):
        yield "has an action twice", "offers"
    for rank, offer in enumerate(record.offers):
        if not 0 < len(offer.action) <= LONGEST_NAME:
            yield f"is no name of 1 to {LONGEST_NAME} characters", f"offers[{rank}].action"
        for tag in _endless(offer.tags):
            yield f"is beyond {LARGEST_INTEGER}", f"offers[{rank}].tags.{tag}"
        if not 0.0 < offer.propensity <= 1.0:
            yield f"is {offer.propensity:g}, not above 0 and up to 1", f"offers[{rank}].propensity"
    for name in _endless(record.inputs):
        yield f"is beyond {LARGEST_INTEGER}", f"inputs.{name}"
    if not record.fallback and record.eligible and not {*actions} <= {*record.eligible}:
        yield "lacks an action that was offered", "eligible"
    for name, data in (("scores", record.scores), *_shares(record)):
        if len(data) != 8 * len(record.eligible):
            yield f"is not a number for each of {len(record.eligible)} eligible actions", name
    if record.served is not None and len(record.served.values) != 8 * len(record.served.state):
        yield "has not as many values as states", "served"


def _endless(values: Mapping[str, Value]) -> Iterator[str]:
    """Yield the names of integers that no state can hold."""
    for name, value in values.items():
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            yield name


def _shares(record: Record) -> list[tuple[str, bytes]]:
    return [(f"chances.{name}", data) for name, data in record.chances.items()]


def _decoded(decoder: msgspec.json.Decoder[T], text: Any, root: str) -> T:
    """Decode; an error's path begins at ``root`` instead of ``$``."""
    try:
        return decoder.decode(text)
    except BAD_LINE as error:
        reason, path = explain(error)
        path = root + (path or "$")[1:]
        raise EventError(reason, None if path == "$" else path) from None
