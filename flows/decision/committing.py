"""The steps of committing: generators that yield what is to be asked and take the replies.

So they are the same with and without ``await``; see `commit` for what they promise.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import msgspec

from ...features.errors import EventError, NextbestError, SettingsError, StateError, StoreError
from ...features.event_check import id_fault
from ...features.events import MAX_TIMESTAMP
from ...features.kernels.hashing import hash_string
from ...features.receipts import Receipt
from ..partitions import LINE_BITS
from ..publisher import log_keys
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
from .keys import Keys
from .record import Record, Response, event_of, outcome_event, response_of
from .scripts import AGAIN, COMMIT, CONFLICT, DONE, FINISH, PENDING

ENTRY_BYTES = 1 << 14
"""How large an entry of the log with several decisions may become; a receipt costs the store a look
at the last one."""
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
        self._keep_ms = round(record_seconds * 1000)
        self._outbound_length = outbound_length

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

    def commit(
        self, record: Record, update: Update, outbound: bytes | None
    ) -> Generator[Step, Any, Committed | Conflict]:
        """Commit a decision."""
        line = self.line_of(record, update, outbound)
        (answer,) = yield from self.write([line])
        return (yield from self.committed(line, answer))

    def committed(
        self, line: Line, answer: tuple[int, Any]
    ) -> Generator[Step, Any, Committed | Conflict]:
        """Take the answer of `write` for a decision, and finish what is left to do."""
        found = yield from self._written(line, answer)
        if isinstance(found, Conflict):
            return found
        kept, repeated = found
        return Committed(kept.event, _known(kept), repeated)

    def complete(self, kept: Kept, outbound: bytes | None) -> Generator[Step, Any, Committed]:
        """Append what is pending."""
        record = kept.record
        key = self.keys.decision(record.id)
        first = _hash(record.customer)
        line = Line(kept.event, key, record.customer, record.channel, first, outbound=outbound)
        (answer,) = yield from self.write([line])
        found = yield from self._written(line, answer)
        assert not isinstance(found, Conflict)  # nothing was compared
        return Committed(found[0].event, _known(found[0]), found[1])

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
            found = yield from self._written(line, answer)
            if not isinstance(found, Conflict):
                return Responded(_known(found[0]), found[1])
            present = found.contacts
        raise StoreError(f"{self.keys.contacts(record.customer)} changed {TRIES} times meanwhile")

    def kept(self, decision: str) -> Generator[Step, Any, Kept | None]:
        """Read what is kept of a decision."""
        key = self.keys.decision(decision)
        value = yield ("GET", key)
        if value is None:
            return None
        return self._parsed(key, *_split(value), None)

    def kept_many(self, decisions: Sequence[str]) -> Generator[Step, Any, list[Kept | None]]:
        """Read what is kept of several decisions."""
        keys = list(map(self.keys.decision, decisions))
        values = (yield ("MGET", *keys)) if keys else []
        return [
            None if value is None else self._parsed(key, *_split(value), None)
            for key, value in zip(keys, values, strict=True)
        ]

    def taken(self, customer: str, outcome_id: str) -> Generator[Step, Any, Response | None]:
        """Read what an outcome said."""
        key = self.keys.outcome(customer, outcome_id)
        value = yield ("GET", key)
        if value is None:
            return None
        try:
            return response_of(value.partition(b" ")[2])
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

    def write(self, lines: Sequence[Line]) -> Generator[Step, Any, list[tuple[int, Any]]]:
        """Write lines at once, each unless it is there already or its contacts have changed.

        They end with what `COMMIT` answers for each. That must be taken by `committed`.
        """
        log = self._log
        here: dict[str, int] = {}
        outs: dict[str, int] = {}
        keys: list[str] = []
        told: list[bytes | str | int] = []
        for line in lines:
            _, key, customer, channel, first, before, update, outbound = line
            place = out = 0
            if log is not None:
                place = here.setdefault(log[first % self._shards % len(log)], len(here) + 1)
                if outbound is not None:
                    out = outs.setdefault(self.keys.outbound(channel), len(outs) + 1)
            keys += (self.keys.contacts(customer), key)
            if update is None:
                told += (place, b"", b"", b"", line.text, out, outbound or b"")
            else:
                keep = max(update.keep_ms, 1)
                told += (place, before, update.contacts, keep, line.text, out, outbound or b"")
        head = (len(lines), len(here), len(outs), self._keep_ms, self._outbound_length, ENTRY_BYTES)
        answer = yield Called(COMMIT, (*here, *outs, *keys), (*head, *told))
        return list(zip(answer[::2], answer[1::2], strict=True))

    def done(self, line: Line, answer: tuple[int, Any]) -> Committed | Conflict | NextbestError:
        """Take the answer of `write` for a decision, where the log is in the store."""
        try:
            if answer[0] == DONE:
                receipt = self._receipt(line.key, answer[1], line.hash)
                return Committed(line.text, receipt, False)
            next(self.committed(line, answer))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what the steps return
        except NextbestError as error:
            return error
        raise AssertionError("a log in the store leaves nothing to do")

    def _written(
        self, line: Line, answer: tuple[int, Any]
    ) -> Generator[Step, Any, tuple[Kept, bool] | Conflict]:
        status, told = answer
        if status == CONFLICT:
            return Conflict(told)
        again = status == AGAIN
        place, event = _split(told) if again else (told, line.text)
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


def _split(value: bytes) -> tuple[bytes, bytes]:
    place, _, event = value.partition(b" ")
    return place, event


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
