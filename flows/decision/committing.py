"""The steps of committing: generators that yield what is to be asked and take the replies.

So they are the same with and without ``await``; see `commit` for what they promise.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import msgspec

from ...features.errors import EventError, SettingsError, StateError, StoreError
from ...features.event_check import id_fault
from ...features.events import MAX_TIMESTAMP
from ...features.kernels.hashing import hash_string
from ...features.receipts import Receipt
from ..partitions import LINE_BITS
from ..publisher import log_keys
from .commit_call import Answer, Calling, answers
from .commit_types import (
    Appended,
    Called,
    Committed,
    Conflict,
    Kept,
    Line,
    Log,
    Responded,
    Step,
)
from .contacts import CapRules, Reply, Update
from .drafts import Drafts
from .kept import lines_of, read, split
from .keys import Keys
from .record import Record, Response, event_of, outcome_event, response_of
from .request import Request
from .scripts import AGAIN, CONFLICT, FINISH, PENDING

__all__ = [
    "TRIES",
    "Appended",
    "Called",
    "Committed",
    "Committing",
    "Conflict",
    "Kept",
    "Line",
    "Log",
    "Responded",
    "Step",
]

TRIES = 100
"""How often an outcome is tried while others change the same contacts."""
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 366 * 86_400.0


class Committing:
    """The steps for one strategy; see `commit.Committer` for parameters and methods."""

    def __init__(
        self, keys: Keys, log: Log | None, record_seconds: float, outbound_length: int
    ) -> None:
        if not _LEAST_SECONDS <= record_seconds <= _MOST_SECONDS:
            raise SettingsError(f"record_seconds={record_seconds!r} is not in 1 s to 366 d")
        if not 1 <= outbound_length <= 1 << 30:
            raise SettingsError(f"outbound_length={outbound_length!r} is not in 1 to 2**30")
        self.keys = keys
        self._log = None if log is None else log_keys(log.stream, log.partitions, log.shards)
        self._shards = 1 if log is None else log.shards
        self._outbound_length = outbound_length
        # A line that may leave the log before its time is kept beside it.
        whole = log is None or 0 < log.retention_seconds < record_seconds
        keep_ms = round(record_seconds * 1000)
        self._calling = Calling(keys, self._log, self._shards, whole, keep_ms, outbound_length)

    def line_of(
        self,
        record: Record,
        update: Update,
        outbound: bytes | None,
        first: int | None = None,
        event: bytes | None = None,
    ) -> Line:
        """Return what is to be written of a decision.

        Parameters
        ----------
        first, event
            The customer's hash and the line, if they are known.
        record, update, outbound
            See `commit.Committer.commit`.

        Raises
        ------
        EventError
            The id or the customer cannot be an event's.
        """
        _check_ids({"event_id": record.id, "customer_id": record.customer})
        return Line(
            event or event_of(record), self.keys.decision(record.id), record.customer,
            record.channel, _hash(record.customer) if first is None else first, record.contacts,
            update, outbound,
        )  # fmt: skip

    def lines_of(
        self, requests: Sequence[Request], contacts: Sequence[bytes], drafts: Drafts
    ) -> list[Line]:
        """Return what is to be written of decisions without records, whose ids were made here."""
        kept = self.keys.decision("")
        return [
            Line(
                text, kept + name, request.customer, request.channel, int(name[17:33], 16),
                before, update,
            )
            for request, before, name, text, update in zip(
                requests, contacts, drafts.ids, drafts.lines, drafts.updates, strict=True
            )
        ]  # fmt: skip

    def commit(
        self, record: Record, update: Update, outbound: bytes | None
    ) -> Generator[Step, Any, Committed | Conflict]:
        """Commit a decision."""
        line = self.line_of(record, update, outbound)
        (answer,) = yield from self.write([line])
        return (yield from self.committed(line, answer))

    def committed(self, line: Line, answer: Answer) -> Generator[Step, Any, Committed | Conflict]:
        """Take the answer of `write` for a decision, and finish what is left to do."""
        if answer.status == CONFLICT:
            return Conflict(answer.told)
        kept, repeated = yield from self._written(line, answer)
        return Committed(kept.event, _known(kept), repeated)

    def complete(self, kept: Kept, outbound: bytes | None) -> Generator[Step, Any, Committed]:
        """Append what is pending."""
        record = kept.record
        key = self.keys.decision(record.id)
        first = _hash(record.customer)
        line = Line(kept.event, key, record.customer, record.channel, first, outbound=outbound)
        (answer,) = yield from self.write([line])
        found, repeated = yield from self._written(line, answer)
        return Committed(found.event, _known(found), repeated)

    def respond(
        self,
        outcome_id: str,
        at_us: int,
        outcome: Response,
        rules: CapRules,
        record: Record | None,
    ) -> Generator[Step, Any, Responded]:
        """Take in an outcome."""
        _check_ids({"event_id": outcome_id})
        if not 0 < at_us <= MAX_TIMESTAMP:
            raise EventError(f"{at_us!r} is no time in microseconds since 1970")
        if record is None:
            kept = yield from self.kept(outcome.decision_id)
            if kept is None:
                raise _unknown(outcome.decision_id, "is known")
            record = kept.record
        if record.id != outcome.decision_id:
            raise _unknown(outcome.decision_id, f"is {record.id}")
        reply = Reply(
            outcome_id,
            at_us,
            outcome.response,
            _offered(record, outcome.action),
            record.channel,
            record.at,
            outcome.corrects,
        )
        line = Line(
            outcome_event(outcome_id, at_us, record.customer, record.channel, outcome),
            self.keys.outcome(record.customer, outcome_id),
            record.customer,
            record.channel,
            _hash(record.customer),
        )
        present = None
        if rules.touches(outcome.response, outcome.corrects):
            present = yield from self.contacts(record.customer)
        for _ in range(TRIES):
            if present is not None:
                line = line._replace(before=present, update=rules.responded(present, reply))
            (answer,) = yield from self.write([line])
            if answer.status != CONFLICT:
                found, repeated = yield from self._written(line, answer, needed=False)
                said = (yield from self._said(line.key, answer.told)) if repeated else None
                return Responded(_known(found), repeated, said is None or said == outcome)
            present = answer.told
        raise StoreError(f"{self.keys.contacts(record.customer)} changed {TRIES} times meanwhile")

    def kept(self, decision: str) -> Generator[Step, Any, Kept | None]:
        """Read what is kept of a decision."""
        (found,) = yield from self.kept_many([decision])
        return found

    def kept_many(self, decisions: Sequence[str]) -> Generator[Step, Any, list[Kept | None]]:
        """Read what is kept of several decisions."""
        keys = list(map(self.keys.decision, decisions))
        values = yield from read(keys)
        return [
            None if value is None else self._parsed(key, *split(key, value), None)
            for key, value in zip(keys, values, strict=True)
        ]

    def taken(self, customer: str, outcome_id: str) -> Generator[Step, Any, Response | None]:
        """Read what an outcome said."""
        key = self.keys.outcome(customer, outcome_id)
        value: bytes | None = yield ("GET", key)
        return None if value is None else (yield from self._said(key, value))

    def _said(self, key: str, value: bytes) -> Generator[Step, Any, Response | None]:
        """Return what an outcome said, from what is kept of it; None: its line is not."""
        (found,) = yield from lines_of([key], [value])
        if found is None:
            return None
        try:
            return response_of(split(key, found)[1])
        except msgspec.DecodeError as error:
            raise StateError(f"{key} is no outcome: {error}") from None

    def contacts(self, customer: str) -> Generator[Step, Any, bytes]:
        """Read a customer's contacts."""
        value: bytes | None = yield ("GET", self.keys.contacts(customer))
        return value or b""

    def erase(self, customer: str) -> Generator[Step, Any, int]:
        """Delete a customer's keys."""
        names = yield from self.keys.of_customer(customer)
        return int((yield ("UNLINK", *names))) if names else 0

    def write(self, lines: Sequence[Line]) -> Generator[Step, Any, list[Answer]]:
        """Write lines at once, each unless it is there already or its contacts have changed.

        They end with what became of each. That must be taken by `committed`.
        """
        called, layout = self._calling.call(lines)
        return answers((yield called), layout)

    def done(self, line: Line, answer: Answer) -> Committed | Conflict | None:
        """Take the answer of `write` for a decision; None: `committed` has more to do."""
        if answer.position is not None:
            receipt = Receipt(self._number(line.hash), answer.position, line.hash)
            return Committed(line.text, receipt, False)
        return Conflict(answer.told) if answer.status == CONFLICT else None

    def _written(
        self, line: Line, answer: Answer, *, needed: bool = True
    ) -> Generator[Step, Any, tuple[Kept, bool]]:
        """Return what is kept, its line only if it is needed, and whether it was there before."""
        if answer.position is not None:
            receipt = Receipt(self._number(line.hash), answer.position, line.hash)
            return Kept(line.text, receipt), False
        again = answer.status == AGAIN
        place, event = split(line.key, answer.told) if again else (PENDING, line.text)
        if again and not event and needed:
            (value,) = yield from lines_of([line.key], [answer.told])
            if value is None:
                raise StateError(f"{line.key} is at {place.decode()} of the log, which lost it")
            event = split(line.key, value)[1]
        kept = self._parsed(line.key, place, event, line.hash)
        if kept.receipt is None:
            kept = yield from self._append(line, kept.event)
        return kept, again

    def _append(self, line: Line, event: bytes) -> Generator[Step, Any, Kept]:
        """Append what is pending to the log outside, and note where it is."""
        if self._log is not None:
            raise StateError(f"{line.key} was meant for a log outside the store")
        receipt: Receipt = yield Appended(event, line.customer)
        out = line.outbound
        keys = (line.key,) if out is None else (line.key, self.keys.outbound(line.channel))
        yield Called(FINISH, keys, (f"@{receipt}", out or b"", self._outbound_length))
        return Kept(event, receipt)

    def _number(self, first: int) -> int:
        return first % self._shards % len(self._log or [""])

    def _parsed(self, key: str, place: bytes, event: bytes, first: int | None) -> Kept:
        """Return what is kept, from its place in the log and its line."""
        if place == PENDING:
            return Kept(event, None)
        try:
            if place.startswith(b"@"):
                return Kept(event, Receipt.parse(place[1:].decode()))
            if first is None:
                first = _hash(msgspec.json.decode(event, type=_Whose).customer_id)
        except (ValueError, msgspec.DecodeError) as error:
            raise _strange(key, error) from None
        return Kept(event, self._receipt(key, place, first))

    def _receipt(self, key: str, place: bytes, first: int) -> Receipt:
        """Return the receipt of a line, from its entry and its number in it."""
        entry, _, number = place.partition(b":")
        try:
            position = ((int(entry) - 1) << LINE_BITS) + int(number or 0)
        except ValueError as error:
            raise _strange(key, error) from None
        return Receipt(self._number(first), position, first)


def _strange(key: str, error: Exception) -> StateError:
    return StateError(f"{key} is nothing that was kept here: {error}")


class _Whose(msgspec.Struct):
    customer_id: str


def _hash(customer: str) -> int:
    return int(hash_string(customer)[0])


def _known(kept: Kept) -> Receipt:
    assert kept.receipt is not None
    return kept.receipt


def _check_ids(ids: dict[str, str]) -> None:
    for name, value in ids.items():
        fault = id_fault(value)
        if fault is not None:
            raise EventError(fault, f"$.{name}")


def _offered(record: Record, action: str | None) -> str:
    names = [offer.action for offer in record.offers]
    if not names:
        raise EventError(f"decision {record.id} offered nothing", "$.decision_id")
    if action is None:
        return names[0]
    if action not in names:
        raise EventError(f"decision {record.id} did not offer {action!r:.80}", "$.action")
    return action


def _unknown(decision: str, but: str) -> EventError:
    return EventError(f"decision {decision!r:.80}: no such decision {but}", "$.decision_id")
