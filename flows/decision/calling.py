"""What committers have in common: logs outside the store, and how a step becomes a command."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import redis

from ...features.errors import SettingsError
from ...features.receipts import Receipt
from .committing import Called
from .keys import Keys


class Appender(Protocol):
    """Appends events to a log that is not in the store, such as `KafkaPublisher`."""

    def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        """See `Publisher.publish`."""
        ...


class AsyncAppender(Protocol):
    """As `Appender`, with ``await``."""

    async def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        """See `Publisher.publish`."""
        ...


class InThread:
    """Makes an `AsyncAppender` of one that blocks and may be used by several threads."""

    def __init__(self, appender: Appender) -> None:
        self._appender = appender

    async def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        """See `Publisher.publish`."""
        return await asyncio.to_thread(self._appender.publish, events, customers)


def place_of(client_or_url: Any, keys: Keys) -> str:
    """Return what errors of the store name."""
    return client_or_url if isinstance(client_or_url, str) else keys.prefix


def check_bytes(connections: Any) -> None:
    """Refuse connections that decode what they read."""
    if connections.get_encoder().decode_responses:
        raise SettingsError("contacts are bytes: make the client without decode_responses")


def by_sha(step: Called) -> tuple[Any, ...]:
    """Return the command that calls a script by its SHA-1."""
    return ("EVALSHA", step.script.sha, len(step.keys), *step.keys, *step.arguments)


def by_text(step: Called) -> tuple[Any, ...]:
    """Return the command that calls a script, and tells it."""
    return ("EVAL", step.script.text, len(step.keys), *step.keys, *step.arguments)


def unknown_script(error: redis.ResponseError) -> bool:
    """Whether the store has to be told the script."""
    return isinstance(error, redis.exceptions.NoScriptError) or str(error).startswith("NOSCRIPT")


def is_final(error: redis.ConnectionError) -> bool:
    """Whether trying again at once cannot help."""
    return isinstance(error, redis.AuthenticationError | redis.BusyLoadingError)
