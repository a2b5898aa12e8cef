"""Many commits side by side: what all of them ask next is one round trip to the store."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

import redis

from ...features.errors import NextbestError
from .appending import Appender
from .calling import by_sha, by_text, unknown_script
from .committing import Appended, Called, Step

_T = TypeVar("_T")


class Commit(Generic[_T]):
    """One of them: how far it is, so that it can go on after a failure.

    Parameters
    ----------
    steps
        Of `Committing`.

    Attributes
    ----------
    result
        What the steps end with; None before.
    error
        What was wrong with this one alone.
    """

    def __init__(self, steps: Generator[Step, Any, _T]) -> None:
        self._steps = steps
        self.result: _T | None = None
        self.step: Step | None = None
        self.error: NextbestError | None = None
        self.go_on(None)

    def go_on(self, reply: Any) -> None:
        """Take a reply."""
        try:
            self.step = self._steps.send(reply)
        except StopIteration as end:
            self.result, self.step = end.value, None
        except NextbestError as error:
            self.error, self.step = error, None


class Pipelined:
    """Asks the store, and a log outside it, what commits want to know.

    Parameters
    ----------
    client
        Of the store, without decoding; it must send nothing twice by itself.
    appender
        What appends to a log that is not in the store; None: the log is there.
    """

    def __init__(self, client: redis.Redis, appender: Appender | None = None) -> None:
        self._client, self._appender = client, appender

    def ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the replies, errors among them.

        Raises
        ------
        redis.RedisError
            If the store is away.
        """
        if not commands:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]  # the client's
        found: list[Any] = pipeline.execute(raise_on_error=False)
        return found

    def get(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the replies.

        Raises
        ------
        redis.RedisError
            If the store is away, or answered an error.
        """
        found = self.ask(commands)
        for reply in found:
            if isinstance(reply, redis.RedisError):
                raise reply
        return found

    def run(self, commits: Sequence[Commit[Any]]) -> None:
        """Go on with all commits to their ends.

        After an error it may be called again with the same: what had ended stays as it is, and
        what had not asks again what it asked last. A decision's id counts once, so nothing is
        doubled.

        Raises
        ------
        redis.RedisError, StoreError
            If the store, or the log outside it, is away or refuses. Others may have gone on.
        """
        while open_ := [commit for commit in commits if commit.step is not None]:
            self._append([c for c in open_ if isinstance(c.step, Appended)])
            self._call([c for c in open_ if not isinstance(c.step, Appended | None)])

    def _append(self, commits: Sequence[Commit[Any]]) -> None:
        if not commits:
            return
        assert self._appender is not None
        steps = [commit.step for commit in commits if isinstance(commit.step, Appended)]
        receipts = self._appender.publish([s.line for s in steps], [s.customer for s in steps])
        for commit, receipt in zip(commits, receipts, strict=True):
            commit.go_on(receipt)

    def _call(self, commits: Sequence[Commit[Any]]) -> None:
        replies = self.ask([_command(commit.step, by_sha) for commit in commits])
        places = [
            i
            for i, reply in enumerate(replies)
            if isinstance(reply, redis.ResponseError) and unknown_script(reply)
        ]
        if places:  # the store began anew: it learns scripts from their texts
            texts = self.ask([_command(commits[i].step, by_text) for i in places])
            for i, reply in zip(places, texts, strict=True):
                replies[i] = reply
        error: redis.RedisError | None = None
        for commit, reply in zip(commits, replies, strict=True):
            if isinstance(reply, redis.RedisError):
                error = error or reply
            else:
                commit.go_on(reply)
        if error is not None:
            raise error


def _command(step: Step | None, called: Callable[[Called], tuple[Any, ...]]) -> tuple[Any, ...]:
    assert step is not None
    return called(step) if isinstance(step, Called) else tuple(step)
