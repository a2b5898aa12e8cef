"""What could not be delivered is tried through another channel.

A failed delivery blocks its channel for the customer. However often it is reported, the first
report in the log counts: the id of what is decided in its place is made of its time and of the
failed decision. No chain of failures tries a channel twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from ...features.durations import microseconds
from ...features.errors import RowError, StateError
from ...features.online import FeatureClient
from .commit import Kept
from .engine import Engine
from .errors import RequestError
from .ids import id_of_cause, parse_id
from .kept import read
from .keys import Keys
from .pipelined import Commit, Pipelined
from .record import FAIL, Record
from .reported import Reported, is_of, taking_in
from .request import Row, row_of
from .strategy import Trigger, otherwise_of
from .triggering import Found, Task, timely

_WITHIN = Trigger(event="", channel="any").within


class Rerouting:
    """Finds what is to be decided in place of what was not delivered.

    Parameters
    ----------
    engine
        The strategy's.
    keys
        Of its store.
    store
        What asks it.
    features
        Looks customers up there.
    keep_ms
        For how long it is known that a decision was not delivered.
    """

    def __init__(
        self, engine: Engine, keys: Keys, store: Pipelined, features: FeatureClient, keep_ms: int
    ) -> None:
        self._keep_ms = keep_ms
        self._engine, self._keys = engine, keys
        self._store, self._features = store, features

    def find(self, outcomes: Sequence[Reported], now: int) -> Found:
        """Return what is to be decided; for outcomes of what we know nothing of: nothing.

        Contacts are changed as those outcomes ask that were not posted.

        Raises
        ------
        redis.RedisError, StoreError
            If the store is away; ask again.
        """
        keys = self._keys
        records = self._records([one.decision_id for one in outcomes])
        before = self._store.get(
            [("EXISTS", keys.outcome(one.customer, one.outcome_id)) for one in outcomes]
        )
        late, pairs = 0, []
        changes: dict[str, list[Commit[None]]] = {}
        for one, record, taken in zip(outcomes, records, before, strict=True):
            if record is None or not is_of(one, record):
                continue
            if not taken:  # it was not posted, but put into the log
                change = Commit(taking_in(keys, self._engine.caps, one, record))
                changes.setdefault(one.customer, []).append(change)
            if one.response != FAIL or not self._is_outbound(record):
                continue
            if timely(one.at, now, self._within(record)):
                pairs.append((one, record))
            else:
                late += 1
        for wave in zip_longest(*changes.values()):  # a customer's are one after the other
            self._store.run([change for change in wave if change is not None])
        pairs = self._first(pairs)
        tasks = []
        rows = self._rows([one.customer for one, _ in pairs])
        for (one, record), (row, fault) in zip(pairs, rows, strict=True):
            tasks.append(self._task(one, record, *self._newer(row, fault, record)))
        return Found(tasks, 0, late)

    def _records(self, decisions: Sequence[str]) -> list[Record | None]:
        """Return what is kept of decisions; None: nothing that can be read."""
        reads = [Commit(read([self._keys.decision(decision)])) for decision in decisions]
        self._store.run(reads)
        return [_record(one.result[0]) if one.result else None for one in reads]

    def _first(self, pairs: Sequence[tuple[Reported, Record]]) -> list[tuple[Reported, Record]]:
        """Return the failures that were the first report, also if they are read again."""
        commands: list[tuple[Any, ...]] = []
        for one, record in pairs:
            key = self._keys.failed(record.id)
            commands.append(("SET", key, _claim(one), "NX", "PX", self._keep_ms))
            commands.append(("GET", key))
        first = self._store.get(commands)[1::2]
        return [pair for pair, name in zip(pairs, first, strict=True) if name == _claim(pair[0])]

    def _is_outbound(self, record: Record) -> bool:
        channel = self._engine.loaded.strategy.channels.get(record.channel)
        return channel is not None and channel.direction == "outbound"

    def _within(self, record: Record) -> int:
        trigger = self._engine.loaded.strategy.triggers.get(record.trigger)
        return microseconds(_WITHIN if trigger is None else trigger.within)

    def _task(self, one: Reported, record: Record, row: Row | None, fault: str) -> Task:
        tried = self._tried(record)
        others = otherwise_of(self._engine.loaded.strategy, record.channel)
        return Task(
            id_of_cause(one.at, record.customer, record.id),
            record.customer,
            one.at,
            record.id,
            record.trigger,
            tuple(name for name in others if name not in tried),
            row,
            fault,
            record.wanted,
            record.context,
            rerouted=True,
        )

    def _newer(self, row: Row | None, fault: str, record: Record) -> tuple[Row | None, str]:
        """Return what the failed decision saw, if the store does not have it (yet)."""
        served = record.served
        if served is None or (row is not None and row.position >= served.position):
            return row, fault
        try:
            return self._engine.row(served), ""
        except StateError:  # of another declaration
            return row, fault

    def _tried(self, record: Record) -> set[str]:
        """Return the channels of the chain that ends with a failed decision."""
        tried = {record.channel}
        while _is_id(record.cause):
            (before,) = self._records([record.cause])
            if before is None or before.channel in tried:
                break
            tried.add(before.channel)
            record = before
        return tried

    def _rows(self, customers: Sequence[str]) -> list[tuple[Row | None, str]]:
        """Return each customer's features, or why they cannot be had."""
        if not customers:
            return []
        try:
            found = self._features.get(list(customers)).rows
        except (RowError, StateError) as error:
            if len(customers) == 1:
                return [(None, f"the customer's row cannot be read: {error}")]
            return [row for customer in customers for row in self._rows([customer])]
        return [(row_of(found, i), "") for i in range(len(customers))]


def _claim(one: Reported) -> bytes:
    """What tells a report from others; who sends one again may give it another time."""
    return f"{one.at} {one.outcome_id}".encode()


def _record(value: bytes | None) -> Record | None:
    if value is None:
        return None
    try:
        return Kept(value.partition(b" ")[2], None).record
    except StateError:
        return None


def _is_id(cause: str) -> bool:
    try:
        parse_id(cause)
    except RequestError:
        return False
    return True
