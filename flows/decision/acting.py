"""Deciding by ourselves: what events and failed deliveries ask for is decided, kept and sent once.

It is made by the same engine as what apps ask for, and committed by the same script, so caps hold
between the two. A decision's id follows from what made us decide. So whoever reads the log again,
after a crash or beside another, finds what was decided and sends nothing a second time, as long as
records are kept; an event that is older than its trigger's ``within`` decides nothing.

Where no action is eligible nothing is sent, and nothing is logged: a customer who goes on browsing
would else fill the log with records that are larger than the events. It is counted.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import redis

from ...features.catalog import Catalog
from ...features.errors import EventError, NextbestError, SettingsError, StateError
from ...features.online import FeatureClient
from ..telemetry.outbound import OUTBOUND
from .appending import Appender
from .committing import Committed, Committing, Conflict, Log
from .contacts import BLOCKED, Update
from .eligibility import CLOSED
from .engine import Engine
from .errors import ModelError, RequestError
from .followed import Followed
from .goals import longest_window
from .keys import Keys
from .loading import Loaded
from .offered import left_by
from .outbound import outbound_message
from .pipelined import Commit, Pipelined
from .record import Record, record_of
from .reported import Reported
from .request import Request
from .rerouting import Rerouting
from .scripts import PENDING
from .strategy import Strategy
from .triggering import Found, Occasions, Task, Triggering
from .warming import warm

COUNTED = ("triggered", "sent", "rerouted", "late", "nothing", "repeated", "fallback", "refused")
"""What is told: conditions that held, messages sent at them, and in place of others that were not
delivered; what came too late, or is of a time to come; decisions without an eligible action; those
that had been made before; those that the declared fallback answered; those that could not be made
at all."""
_AT_ONCE = 256
_SOON, _PAUSE = 4, 0.005
_LONGEST_OF_TRIGGERS = 7200.0
"""Seconds that a record is kept at least: an event that is as old decides nothing any more."""
_log = logging.getLogger("nextbest.decisions")


def once(ask: Callable[[], Any]) -> Any:
    """Ask, and let errors pass."""
    return ask()


class _Made(NamedTuple):
    task: Task
    record: Record
    update: Update
    commit: Commit[Any]


class Actor:
    """Decides by itself; of one thread.

    Parameters
    ----------
    loaded, catalog
        The strategy, loaded with the catalog.
    client
        Of the store, without decoding; it must send nothing twice by itself.
    log
        A `Log` in the same store, or what appends to another.
    record_seconds
        For how long records are kept, if no objective takes longer.
    outbound_length
        About how many entries an outbound stream has at most.
    patiently
        Asks the store, and asks again if it is away. What it is given may be called again.
    tell
        Told what came of it: numbers by the names of `COUNTED`.
    clock
        Microseconds since 1970.
    """

    def __init__(
        self,
        loaded: Loaded,
        catalog: Catalog,
        client: redis.Redis,
        log: Log | Appender,
        *,
        record_seconds: float = 86_400.0,
        outbound_length: int = 10_000,
        patiently: Callable[[Callable[[], Any]], Any] = once,
        tell: Callable[[Mapping[str, int]], None] = lambda _: None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        strategy = loaded.strategy
        self.engine = Engine(loaded, catalog)
        self._keys = Keys(catalog.name, strategy.name)
        here = log if isinstance(log, Log) else None
        seconds = kept_seconds(strategy, record_seconds)
        self._steps = Committing(self._keys, here, seconds, outbound_length)
        self._store = Pipelined(client, None if isinstance(log, Log) else log)
        self.followed = Followed(self.engine, self._keys, client)
        weakref.finalize(self, self.followed.end)  # where a run fails nobody closes its sinks
        self._triggering = Triggering(strategy, catalog)
        features = FeatureClient(client, catalog, clock=clock)
        self._rerouting = Rerouting(
            self.engine, self._keys, self._store, features, round(seconds * 1000)
        )
        self._patiently, self._tell, self._clock = patiently, tell, clock
        self._counts: Counter[str] = Counter()

    def warm(self) -> None:
        """Decide once for nobody: no event is to wait for the kernels."""
        warm(self.engine, self._clock())

    def act(self, occasions: Sequence[Occasions] = (), outcomes: Sequence[Reported] = ()) -> None:
        """Decide what is to be decided at some events and failed deliveries.

        Of outcomes that were put into the log contacts are changed.

        Raises
        ------
        NextbestError, redis.RedisError
            As ``patiently`` says. Nothing was lost, if all is given again.
        """
        found = self._triggering.find(occasions, self._clock()) if occasions else Found([], 0, 0)
        self._counts.update(triggered=found.triggered, late=found.late)
        if found.tasks or outcomes:
            self._patiently(self.followed.start)
        for first in range(0, len(found.tasks), _AT_ONCE):
            self._do(found.tasks[first : first + _AT_ONCE])
        for first in range(0, len(outcomes), _AT_ONCE):
            find = partial(self._rerouting.find, outcomes[first : first + _AT_ONCE], self._clock())
            again: Found = self._patiently(find)
            self._counts.update(late=again.late)
            self._do(again.tasks)
        self._told()

    def close(self) -> None:
        """End what looks for models."""
        self.followed.close()

    def _told(self) -> None:
        counts = {name: n for name, n in self._counts.items() if n}
        self._counts.clear()
        if counts:
            self._tell(counts)

    def _do(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        names = list(dict.fromkeys(task.customer for task in tasks))
        kept = [self._keys.decision(task.id) for task in tasks]
        read = ("MGET", *map(self._keys.contacts, names), *map(self._keys.person, names))
        heads = [("GETRANGE", key, 0, len(PENDING) - 1) for key in kept]
        *begun, found = self._patiently(lambda: self._store.get([*heads, read]))
        unfinished = [key for key, head in zip(kept, begun, strict=True) if head == PENDING]
        if unfinished:
            self._finish(unfinished)
        self._counts["repeated"] += sum(map(bool, begun))
        waiting = [task for task, head in zip(tasks, begun, strict=True) if not head]
        values = [value or b"" for value in found]
        contacts = dict(zip(names, values, strict=False))
        persons = dict(zip(names, values[len(names) :], strict=True))
        rounds = 0
        while waiting:
            waiting = self._round(waiting, contacts, persons)
            rounds += 1
            if rounds > _SOON and waiting:
                time.sleep(_PAUSE)  # others are at the same customers

    def _finish(self, keys: Sequence[str]) -> None:
        """Append to the log outside, and send, what was decided just before a crash."""
        values = self._patiently(lambda: self._store.get([("GET", key) for key in keys]))
        commits = []
        for value in values:
            record = record_of(value[len(PENDING) + 1 :])
            message = outbound_message(self.engine.loaded.strategy, record)
            commits.append(Commit(self._steps.commit(record, Update(record.contacts, 1), message)))
        self._patiently(lambda: self._store.run(commits))

    def _round(
        self, tasks: Sequence[Task], contacts: dict[str, bytes], persons: Mapping[str, bytes]
    ) -> list[Task]:
        """Decide, one task a customer, and commit; return what remains to be done."""
        made: dict[str, _Made] = {}
        later = []
        for task in tasks:
            if task.customer in made:
                later.append(task)
                continue
            one = self._made(task, contacts[task.customer], persons[task.customer])
            if one is not None:
                made[task.customer] = one
        if made:
            commits = [one.commit for one in made.values()]
            self._patiently(lambda: self._store.run(commits))
        again = []
        for customer, (task, record, update, commit) in made.items():
            result = commit.result
            if isinstance(result, Conflict):
                contacts[customer] = result.contacts
                again.append(task)
            elif isinstance(result, Committed):
                if not result.repeated:
                    contacts[customer] = update.contacts
                self._count(task, record, repeated=result.repeated)
            else:
                self._refuse(task, commit.error)
        return again + later

    def _made(self, task: Task, contacts: bytes, persons: bytes) -> _Made | None:
        """Decide; None: nothing is to be sent."""
        try:
            record = self._decided(task, contacts, persons)
            if record is None:
                self._counts["nothing"] += 1
                return None
            update = left_by(self.engine.caps, record)
        except (RequestError, StateError, SettingsError, EventError) as error:
            # Of contacts that are damaged: only no offer at all is sure to keep the caps.
            self._refuse(task, error)
            return None
        message = outbound_message(self.engine.loaded.strategy, record)
        return _Made(task, record, update, Commit(self._steps.commit(record, update, message)))

    def _decided(self, task: Task, contacts: bytes, persons: bytes) -> Record | None:
        """Decide for the first channel that has an eligible action."""
        for place, channel in enumerate(task.channels):
            record = self._decide(task, channel, contacts, persons)
            if record.offers:
                return record
            if not (place or task.rerouted or self._unreachable(record)):
                return None
        return None

    def _decide(self, task: Task, channel: str, contacts: bytes, persons: bytes) -> Record:
        request = Request(
            customer=task.customer, channel=channel, n=task.wanted, context=task.context
        )
        at, decision, cause, trigger = task.at, task.id, task.cause, task.trigger
        fault = task.fault or self.followed.fault
        if not fault:
            try:
                return self.engine.decide(
                    request, task.row, contacts, persons, at, decision, cause=cause, trigger=trigger
                )
            except ModelError as error:
                fault = f"models: {error}"
        return self.engine.fallback(
            request, fault, contacts, at, decision, cause=cause, trigger=trigger
        )

    def _unreachable(self, record: Record) -> bool:
        """Whether the channel is closed, or blocked: caps are no reason to take another."""
        if CLOSED in record.excluded.values():
            return True
        checked = self.engine.caps.check(record.contacts, record.channel, record.at)
        return BLOCKED in checked.reasons.values()

    def _count(self, task: Task, record: Record, *, repeated: bool) -> None:
        if repeated:
            self._counts["repeated"] += 1
            return
        self._counts["rerouted" if task.rerouted else "sent"] += 1
        OUTBOUND[record.channel, task.rerouted] += 1
        self._counts["fallback"] += bool(record.fallback)

    def _refuse(self, task: Task, error: NextbestError | None) -> None:
        self._counts["refused"] += 1
        _log.error("nothing is sent because of %.80r: %s", task.cause, error)


def kept_seconds(strategy: Strategy, least: float) -> float:
    """Return for how long the records of a strategy are kept.

    >>> from .strategy import Action, Channel, Objective
    >>> kept_seconds(Strategy(
    ...     name="tea", objectives={"sale": Objective(response="buy", window="2d")},
    ...     channels={"web": Channel()}, actions={"green": Action(channels=["web"])},
    ... ), 60.0)
    172800.0
    """
    return max(least, _LONGEST_OF_TRIGGERS, longest_window(strategy) / 1e6)
