"""Committing decisions and taking in outcomes: at once or not at all.

One script in the store (`scripts.COMMIT`) compares the customer's contacts with those that the
decision was made from, sets the new ones, appends the event to the log, keeps under its id where it
is there and appends what goes out. Nobody sees half of it, and the same id a second time returns
what is kept. What it needs of the store's permissions: ``evalsha eval get mget set del unlink scan
xadd xdel xrange xinfo|stream`` on the keys of `Keys` and of the log.

A line is in the store once: in its stream (see `kept`). Where workers trim that stream sooner than
records end, the line is kept under the id, too.

Outcomes pass through the same script. Their contacts are computed here and compared there too,
rather than computed in the script: so what contacts mean stands in one place, 64-bit times are
exact, which they are not in Lua, and a conflict is as rare as two writes for one customer within a
round trip.

A log that is not in the store (Kafka) is written between two scripts: the first counts the contact
and keeps the record as pending, then the line is appended, then the record is told its place and
what goes out is appended. A crash in between counts a contact that was not offered, never the other
way round. The same id again, or `complete`, appends the line again, so it may be in the log twice,
under the id of its event; the contact counts once, and once it goes out.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..connection import explained
from ..publisher import own_connections
from .appending import Appender, InThread
from .calling import (
    by_sha,
    by_text,
    check_bytes,
    is_final,
    place_of,
    unknown_script,
)
from .commit_async import AsyncCommitter
from .committing import (
    Appended,
    Called,
    Committed,
    Committing,
    Conflict,
    Kept,
    Log,
    Responded,
    Step,
)
from .contacts import CapRules, Update
from .keys import Keys
from .record import Record, Response

__all__ = [
    "AsyncCommitter",
    "Committed",
    "Committer",
    "Conflict",
    "InThread",
    "Kept",
    "Log",
    "Responded",
]

_T = TypeVar("_T")


class Committer:
    """Commits decisions and takes outcomes in; any number of threads may use it.

    Parameters
    ----------
    client_or_url
        The store; of a client its settings are used, not its connections.
    keys
        The strategy's.
    log
        A `Log` in the same store, or what appends to another.
    record_seconds
        For how long records and outcomes are kept.
    outbound_length
        About how many entries each outbound stream has at most; the oldest go.

    Raises
    ------
    SettingsError
        A setting cannot be used.

    Examples
    --------
    >>> committer = Committer(url, Keys("shop", "tea"), Log("events", 4, 16))  # doctest: +SKIP
    >>> committer.commit(record, rules.offered(record.contacts, ["green"], "web", record.at))
    ... # doctest: +SKIP
    Committed(event=b'{"event_id":...', receipt=Receipt(...), repeated=False)
    """

    def __init__(
        self,
        client_or_url: redis.Redis | str,
        keys: Keys,
        log: Log | Appender,
        *,
        record_seconds: float = 86_400.0,
        outbound_length: int = 10_000,
    ) -> None:
        here = log if isinstance(log, Log) else None
        self._appender = None if isinstance(log, Log) else log
        self._steps = Committing(keys, here, record_seconds, outbound_length)
        self._where = place_of(client_or_url, keys)
        connections = own_connections(client_or_url, redis.ConnectionPool, Retry(NoBackoff(), 0))
        check_bytes(connections)
        self._client: Any = redis.Redis(connection_pool=connections)

    def commit(
        self, record: Record, update: Update, *, outbound: bytes | None = None
    ) -> Committed | Conflict:
        """Commit a decision, unless the contacts are no longer those that it was made from.

        Parameters
        ----------
        record
            The decision; its ``contacts`` are those that it was made from.
        update
            The contacts that are to be, from `CapRules.offered`.
        outbound
            What is appended to the outbound stream of the record's channel; None: nothing.

        Returns
        -------
        Committed or Conflict
            A decision of the same id that was there before is returned as it is kept, and this
            one forgotten. After a conflict decide again, from the contacts that it has.

        Raises
        ------
        EventError
            The id or the customer cannot be an event's.
        StoreError
            The store or the log is away or refuses. It may have been committed: try again.
        StateError
            What is kept under the id is no record.
        """
        return self._run(self._steps.commit(record, update, outbound))

    def complete(self, kept: Kept, *, outbound: bytes | None = None) -> Committed:
        """Append what `kept` returned without a receipt; ``outbound`` and errors as of `commit`.

        What goes out is appended unless it was.
        """
        return self._run(self._steps.complete(kept, outbound))

    def respond(
        self,
        outcome_id: str,
        at_us: int,
        outcome: Response,
        rules: CapRules,
        record: Record | None = None,
    ) -> Responded:
        """Take in an outcome: log it, and change the contacts as its response asks.

        Parameters
        ----------
        outcome_id
            The event's id; a second time it only returns what became of the first.
        at_us
            When it happened, microseconds.
        outcome
            What happened.
        rules
            The strategy's.
        record
            The decision's; None: it is read from the store.

        Raises
        ------
        EventError
            There is no such decision (any more), it made no such offer, or an id or time is wrong.
        StoreError, StateError
            See `commit`.
        """
        return self._run(self._steps.respond(outcome_id, at_us, outcome, rules, record))

    def kept(self, decision: str) -> Kept | None:
        """Return what is kept of a decision; None: nothing, or no longer."""
        return self._run(self._steps.kept(decision))

    def taken(self, customer: str, outcome_id: str) -> Response | None:
        """Return what an outcome said that was taken in; None: there was none, or no longer."""
        return self._run(self._steps.taken(customer, outcome_id))

    def contacts(self, customer: str) -> bytes:
        """Return a customer's packed contacts; empty: none."""
        return self._run(self._steps.contacts(customer))

    def keys_of(self, customer: str) -> list[bytes]:
        """Return all keys of the strategy that belong to a customer; walks through the store."""
        return self._run(self._steps.keys.of_customer(customer))

    def erase(self, customer: str) -> int:
        """Delete them; return how many there were. The log is not touched."""
        return self._run(self._steps.erase(customer))

    def close(self) -> None:
        """Close the connections."""
        self._client.connection_pool.disconnect()

    def __enter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def _run(self, steps: Generator[Step, Any, _T]) -> _T:
        reply: Any = None
        try:
            while True:
                step = steps.send(reply)
                if isinstance(step, Appended):
                    assert self._appender is not None
                    reply = self._appender.publish([step.line], [step.customer])[0]
                else:
                    reply = self._ask(step)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what the steps return
        except redis.RedisError as error:
            raise explained(self._where, error) from error

    def _ask(self, step: Called | tuple[Any, ...]) -> Any:
        if not isinstance(step, Called):
            return self._execute(step)
        try:
            return self._execute(by_sha(step))
        except redis.ResponseError as error:
            if not unknown_script(error):
                raise
        return self._execute(by_text(step))

    def _execute(self, command: tuple[Any, ...]) -> Any:
        try:
            return self._client.execute_command(*command)
        except redis.ConnectionError as error:
            if is_final(error):
                raise
            # It was left idle, or the store began anew: an id counts once, so nothing is doubled.
            return self._client.execute_command(*command)
