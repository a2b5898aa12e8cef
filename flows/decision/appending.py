"""What appends to a log that is not in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ...features.receipts import Receipt


class Appender(Protocol):
    """Appends events to a log that is not in the store, such as `KafkaPublisher`."""

    def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        """See `Publisher.publish`."""
        ...


class AsyncAppender(Protocol):
    """As `Appender`, with ``await``, such as `AsyncKafkaPublisher`."""

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
