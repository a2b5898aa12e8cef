"""`POST /v1/events`: events are checked, all of them, then appended to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from ...features.errors import EventError
from ...features.receipts import Receipt
from ..telemetry.serving import SERVICE
from .http import JSON, Receive, Scope, decoded, read_typed
from .problems import Fault, ProblemError, explained
from .wire import EventsAnswer

_FAULTS = 100
_AT_ONCE = 256
"""Events that are checked before other requests get their turn."""


class Checker(Protocol):
    """Says whose an event is, or what is wrong with it."""

    def check(self, raw: bytes) -> str: ...  # noqa: D102


class Publisher(Protocol):
    """Appends events to the log."""

    async def publish(  # noqa: D102
        self, events: Sequence[bytes], customers: Sequence[str]
    ) -> list[Receipt]: ...


class EventsRoute:
    """Takes events in.

    Parameters
    ----------
    checker, publisher
        What checks an event as the log's decoder would, and what appends it.
    max_bytes, max_events, body_seconds
        Of one request.
    """

    def __init__(
        self,
        checker: Checker,
        publisher: Publisher,
        *,
        max_bytes: int,
        max_events: int,
        body_seconds: float,
    ) -> None:
        self._checker = checker
        self._publisher = publisher
        self._max_bytes = max_bytes
        self._max_events = max_events
        self._seconds = body_seconds
        self._raws = msgspec.json.Decoder(list[msgspec.Raw])
        self._any = msgspec.json.Decoder(msgspec.Raw)

    async def post(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Answer 202 with a receipt for each event.

        Raises
        ------
        ProblemError
            If an event, or the request itself, is wrong: then nothing was appended.
        """
        kind, body = await read_typed(scope, receive, self._max_bytes, self._seconds, lines=True)
        events = self._events(body) if kind == JSON else _lines(body)
        if not events:
            raise ProblemError(
                "invalid-request", "no event in the body", [Fault("no event", path="$")]
            )
        if len(events) > self._max_events:
            raise ProblemError(
                "too-large", f"{len(events)} events in one request, of at most {self._max_events}"
            )
        customers = await self._check(events)
        receipts = await self._publisher.publish(events, customers)
        SERVICE.published(len(events))
        return 202, msgspec.json.encode(EventsAnswer([str(receipt) for receipt in receipts]))

    def _events(self, body: bytes) -> list[bytes]:
        """The text of each event, as it came."""
        try:
            if not body.isascii():
                body.decode()  # raw values are not looked into
        except UnicodeDecodeError as error:
            raise explained(error, body) from None
        text = body.strip(b" \t\r\n")
        if text.startswith(b"["):
            return [bytes(raw) for raw in decoded(self._raws, body)]
        decoded(self._any, body)
        if not text.startswith(b"{"):
            fault = Fault("Expected `object` or `array`", path="$")
            raise ProblemError(
                "invalid-request", "the body is neither an event nor a list", [fault]
            )
        return [text]

    async def _check(self, events: Sequence[bytes]) -> list[str]:
        customers = []
        faults = []
        wrong = 0
        for index, event in enumerate(events):
            if index % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            try:
                customers.append(self._checker.check(event))
            except EventError as error:
                wrong += 1
                if wrong <= _FAULTS:
                    faults.append(Fault(error.reason, index=index, path=error.path or "$"))
        if wrong:
            SERVICE.refused(wrong)
            first = f", the first {_FAULTS} are listed" if wrong > _FAULTS else ""
            detail = f"{wrong} of {len(events)} events are wrong{first}; nothing was appended"
            raise ProblemError("invalid-events", detail, faults)
        return customers


def _lines(body: bytes) -> list[bytes]:
    """The lines that are not blank."""
    lines = (line.strip(b" \t\r") for line in body.split(b"\n"))
    return [line for line in lines if line]
