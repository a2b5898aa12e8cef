"""Committing without blocking: what is decided at the same time is one call of the store."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, Self, TypeVar

import hiredis
import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff

from ...features.errors import NextbestError, StoreError
from ...features.online.shared_connection import SharedConnection
from ..connection import explained
from ..publisher import ANSWER_SECONDS, own_connections
from .appending import AsyncAppender
from .calling import (
    by_sha,
    by_text,
    check_bytes,
    is_final,
    place_of,
    unknown_script,
)
from .commit_call import Answer
from .committing import (
    Appended,
    Called,
    Committed,
    Committing,
    Conflict,
    Kept,
    Line,
    Log,
    Responded,
    Step,
)
from .contacts import CapRules, Update
from .drafts import Drafts
from .keys import Keys
from .record import Record, Response, events_of
from .request import Request

AT_ONCE = 64
"""Decisions of one call: while it runs the store does nothing else."""

Decision = tuple[Record, Update, bytes | None, int]
"""A record, the contacts that are to be, what goes out, and the customer's `ids.customer_hash`."""
Done = Committed | Conflict | NextbestError
_T = TypeVar("_T")


class _Waiting(NamedTuple):
    """Who waits for a line to be written."""

    line: Line
    done: asyncio.Future[Committed | Conflict]


class AsyncCommitter:
    """As `Committer`, with ``await``; of one event loop.

    All that is asked at once shares one connection, what is asked in one turn of the loop is one
    packet to the store, and what is committed in it one call.

    Examples
    --------
    >>> async with AsyncCommitter(url, keys, Log("events", 4, 16)) as c:  # doctest: +SKIP
    ...     await c.commit(record, update)
    """

    def __init__(
        self,
        client_or_url: redis.asyncio.Redis | str,
        keys: Keys,
        log: Log | AsyncAppender,
        *,
        record_seconds: float = 86_400.0,
        outbound_length: int = 10_000,
    ) -> None:
        here = log if isinstance(log, Log) else None
        self._appender = None if isinstance(log, Log) else log
        self._steps = Committing(keys, here, record_seconds, outbound_length)
        self._where = place_of(client_or_url, keys)
        none = redis.asyncio.retry.Retry(NoBackoff(), 0)
        connections = own_connections(client_or_url, redis.asyncio.ConnectionPool, none)
        check_bytes(connections)
        self._connection = SharedConnection(connections, ANSWER_SECONDS)
        self._waiting: list[_Waiting] = []
        self._writing: set[asyncio.Task[None]] = set()

    async def commit(
        self, record: Record, update: Update, *, outbound: bytes | None = None
    ) -> Committed | Conflict:
        """See `Committer.commit`; nothing is written if the log is known to be away."""
        self._check()
        line = self._steps.line_of(record, update, outbound)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Committed | Conflict] = loop.create_future()
        if not self._waiting:
            # It begins when all that are ready now have come this far.
            task = loop.create_task(self._write_waiting())
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        self._waiting.append(_Waiting(line, done))
        return await done

    async def complete(self, kept: Kept, *, outbound: bytes | None = None) -> Committed:
        """See `Committer.complete`."""
        return await self._run(self._steps.complete(kept, outbound))

    async def commit_many(self, decisions: Sequence[Decision]) -> list[Done]:
        """Commit decisions in few calls of the store, each as `commit` does.

        Several for one customer count one after the other, in their order: each must be made from
        the contacts that the one before it leaves. Where one conflicts, so do those after it.

        Returns
        -------
        list[Committed or Conflict or NextbestError]
            What became of each; what `commit` would have raised. Nothing is known of one that a
            store failed at: it may have been committed. If the log is known to be away, nothing is
            written.
        """
        try:
            self._check()
        except StoreError as error:
            return [error] * len(decisions)
        events = events_of([decision[0] for decision in decisions])
        made = list(map(self._line, decisions, events))
        lines = [one for one in made if isinstance(one, Line)]
        written = iter(await self._write_some(lines))
        return [next(written) if isinstance(one, Line) else one for one in made]

    async def commit_drafts(
        self, requests: Sequence[Request], contacts: Sequence[bytes], drafts: Drafts
    ) -> list[Done]:
        """Do as `commit_many` with decisions of which there are no records; nothing goes out.

        Parameters
        ----------
        requests, contacts, drafts
            As many of each; the contacts are those that the decisions were made from.
        """
        try:
            self._check()
        except StoreError as error:
            return [error] * len(requests)
        return await self._write_some(self._steps.lines_of(requests, contacts, drafts))

    async def respond(
        self,
        outcome_id: str,
        at_us: int,
        outcome: Response,
        rules: CapRules,
        record: Record | None = None,
    ) -> Responded:
        """See `Committer.respond`, and `commit`."""
        self._check()
        return await self._run(self._steps.respond(outcome_id, at_us, outcome, rules, record))

    async def kept_many(self, decisions: Sequence[str]) -> list[Kept | None]:
        """Return what `kept` does, of several."""
        return await self._run(self._steps.kept_many(decisions))

    async def kept(self, decision: str) -> Kept | None:
        """See `Committer.kept`."""
        return await self._run(self._steps.kept(decision))

    async def taken(self, customer: str, outcome_id: str) -> Response | None:
        """See `Committer.taken`."""
        return await self._run(self._steps.taken(customer, outcome_id))

    async def contacts(self, customer: str) -> bytes:
        """See `Committer.contacts`."""
        return await self._run(self._steps.contacts(customer))

    async def keys_of(self, customer: str) -> list[bytes]:
        """See `Committer.keys_of`."""
        return await self._run(self._steps.keys.of_customer(customer))

    async def erase(self, customer: str) -> int:
        """See `Committer.erase`."""
        return await self._run(self._steps.erase(customer))

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        await self.close()

    def _check(self) -> None:
        if self._appender is not None:
            self._appender.check()

    async def _write_waiting(self) -> None:
        """Write what was committed in one turn of the loop, and tell who waits."""
        waiting, self._waiting = self._waiting, []
        try:
            for begin in range(0, len(waiting), AT_ONCE):
                some = waiting[begin : begin + AT_ONCE]
                found = await self._write([one.line for one in some])
                for (_, done), what in zip(some, found, strict=True):
                    if done.done():  # it was given up
                        continue
                    if isinstance(what, NextbestError):
                        done.set_exception(what)
                    else:
                        done.set_result(what)
        finally:
            for _, done in waiting:
                done.cancel()  # those that nothing was said to, as this was cancelled

    def _line(self, decision: Decision, event: bytes) -> Line | NextbestError:
        try:
            return self._steps.line_of(*decision, event)
        except NextbestError as error:
            return error

    async def _write_some(self, lines: Sequence[Line]) -> list[Done]:
        found: list[Done] = []
        for begin in range(0, len(lines), AT_ONCE):
            found += await self._write(lines[begin : begin + AT_ONCE])
        return found

    async def _write(self, lines: Sequence[Line]) -> list[Done]:
        try:
            answers = await self._run(self._steps.write(lines))
        except StoreError as error:
            if len(lines) == 1 or not isinstance(error.__cause__, redis.ResponseError):
                return [error] * len(lines)
            # Nothing was changed. What is wrong with one is not to be the others' failure.
            return [found for line in lines for found in await self._write([line])]
        found = list(map(self._steps.done, lines, answers))
        left = [i for i, one in enumerate(found) if one is None]
        more = await asyncio.gather(*(self._finish(lines[i], answers[i]) for i in left))
        rest = iter(more)
        return [next(rest) if one is None else one for one in found]

    async def _finish(self, line: Line, answer: Answer) -> Done:
        try:
            return await self._run(self._steps.committed(line, answer))
        except NextbestError as error:
            return error

    async def _run(self, steps: Generator[Step, Any, _T]) -> _T:
        reply: Any = None
        try:
            while True:
                step = steps.send(reply)
                if isinstance(step, Appended):
                    assert self._appender is not None
                    reply = (await self._appender.publish([step.line], [step.customer]))[0]
                else:
                    reply = await self._ask(step)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what the steps return
        except redis.RedisError as error:
            raise explained(self._where, error) from error

    async def _ask(self, step: Called | tuple[Any, ...]) -> Any:
        if not isinstance(step, Called):
            return await self._execute(step)
        try:
            return await self._execute(by_sha(step))
        except redis.ResponseError as error:
            if not unknown_script(error):
                raise
        return await self._execute(by_text(step))

    async def _execute(self, command: tuple[Any, ...]) -> Any:
        packed = hiredis.pack_command(command)
        try:
            return await self._connection.ask(packed)
        except redis.ConnectionError as error:
            if is_final(error):
                raise
            return await self._connection.ask(packed)
