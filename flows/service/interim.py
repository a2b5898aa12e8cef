"""What this package stands on, until the modules that it names are there: one place to replace.

``AsyncFeatureClient`` → `nextbest.features.online`, ``EventChecker`` →
`nextbest.features.event_check`, ``AsyncPublisher`` → `nextbest.flows.publisher`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...features.catalog import Catalog
from ...features.entity_keys import key_text
from ...features.errors import DeclarationError, EventError, RowError, SettingsError, StoreError
from ...features.events import MAX_TIMESTAMP, EventSchema, wire_type
from ...features.kernels.hashing import hash_string
from ...features.kernels.layout import F64, I64, MAX_ID_BYTES, U8
from ...features.online import RowDecoder, now_us
from ...features.plan import Plan
from ...features.receipts import Receipt


def _client(url: str, seconds: float) -> Any:
    return redis.asyncio.Redis.from_url(
        url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 1)
    )


@dataclass(frozen=True, slots=True)
class Features:
    """What a lookup answers; ages are int64[n, columns]."""

    ids: tuple[Any, ...]
    columns: tuple[str, ...]
    values: F64
    state: U8
    age_ms: I64
    positions: I64
    at: int
    stale: bool


class AsyncFeatureClient:
    """Looks features of one entity up."""

    def __init__(
        self,
        url: str,
        catalog: Catalog | None = None,
        *,
        timeout_seconds: float = 5.0,
        clock: Callable[[], int] = now_us,
    ) -> None:
        if catalog is None:
            raise SettingsError("no run has been made here: name a catalog with --catalog")
        self.catalog = catalog
        self._clock = clock
        self._redis = _client(url, timeout_seconds)
        self._decoders = {
            e.name: RowDecoder(Plan.compile(catalog.of(e.name))) for e in catalog.entities
        }

    async def open(self) -> AsyncFeatureClient:
        """Do nothing: the catalog is there."""
        return self

    async def get(
        self,
        ids: Sequence[str] | Mapping[str, Sequence[str]],
        service: str | None = None,
        features: Sequence[str] | None = None,
        at: int | None = None,
        after: Sequence[Receipt] | None = None,
        wait_seconds: float = 1.0,
    ) -> Features:
        """Return the features of n ids."""
        refs = features if service is None else self.catalog.service(service).features
        if isinstance(ids, Mapping):
            asked = list(zip(*ids.values(), strict=True))
            matching = [e for e in self.catalog.entities if set(e.join_keys) == set(ids)]
            if not matching:
                raise SettingsError(f"no entity is found by {', '.join(ids)}")
            entity = matching[0]
            parts = zip(*(ids[key] for key in entity.join_keys), strict=True)
            keys = [key_text(entity, part) for part in parts]
        else:
            asked = keys = list(ids)  # type: ignore[assignment]
            entity = self.catalog.entity
        own = self.catalog.of(entity.name)
        columns = own.columns
        picked: Any = slice(None)
        if refs is not None:
            wanted = [
                f"{view.name}:{column}"
                for view, feature in self.catalog.select(refs)
                for column in feature.columns
            ]
            place = {column: i for i, column in enumerate(columns)}
            if not set(wanted) <= set(place):
                raise DeclarationError(own.name, f"features of another entity than {entity.name}")
            picked = [place[column] for column in wanted]
            columns = tuple(wanted)
        prefix = f"nextbest:{self.catalog.name}:{entity.name}:"
        end = asyncio.get_running_loop().time() + wait_seconds
        while True:
            try:
                found = await self._redis.mget([prefix + key for key in keys]) if keys else []
            except redis.RedisError as error:
                raise StoreError(f"feature lookup failed: {error}") from error
            time = self._clock() if at is None else at
            try:
                rows = self._decoders[entity.name].decode(found, time)
            except RowError as error:
                row = f"the row of {entity.name} {keys[error.ordinal]!r}"
                raise RowError(error.ordinal, error.reason, row) from error
            behind = [
                r
                for r in after or ()
                for i, key in enumerate(keys)
                if r.is_of(key) and rows.positions[i] < r.position
            ]
            if not behind or asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(0.01)
        ages = np.repeat(rows.age_ms[:, None], len(columns), axis=1)
        values, state = rows.values[:, picked], rows.state[:, picked]
        return Features(
            tuple(asked), columns, values, state, ages, rows.positions, time, bool(behind)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


class EventChecker:
    """Checks an event."""

    def __init__(
        self,
        schema: EventSchema,
        *,
        future_skew_us: int,
        max_event_bytes: int,
        now: Callable[[], int] = now_us,
    ) -> None:
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(wire_type(schema))
        self._skew = future_skew_us
        self._most = max_event_bytes
        self._now = now

    def check(self, raw: bytes) -> str:
        """Return whose event it is."""
        if len(raw) > self._most:
            raise EventError(f"line of {len(raw)} bytes, more than {self._most}")
        try:
            raw.decode()
            event = self._decoder.decode(raw)
        except UnicodeDecodeError as error:
            raise EventError(f"Invalid UTF-8 (byte {error.start})") from None
        except RecursionError:
            raise EventError("JSON is nested too deeply") from None
        except msgspec.DecodeError as error:
            reason, at, path = str(error).partition(" - at `")
            raise EventError(reason, path[:-1] if at else None) from None
        now = self._now()
        if event.event_timestamp > min(now + self._skew, MAX_TIMESTAMP):
            ahead = (event.event_timestamp - now) // 1_000_000
            raise EventError(f"timestamp is {ahead} s in the future", "$.event_timestamp")
        for name in ("event_id", "customer_id"):
            size = len(getattr(event, name).encode())
            if size > MAX_ID_BYTES:
                raise EventError(
                    f"Expected at most {MAX_ID_BYTES} bytes of UTF-8, got {size}", f"$.{name}"
                )
        customer: str = event.customer_id
        return customer


class AsyncPublisher:
    """Appends events to a stream of the store."""

    def __init__(
        self, client_or_url: str, stream: str, *, partitions: int | None, shards: int
    ) -> None:
        if not stream:
            raise SettingsError("a stream needs a name")
        self._redis = _client(client_or_url, 5.0)
        self._stream = stream
        self._partitions = partitions
        self._shards = shards

    async def publish(self, events: Sequence[bytes], customers: Sequence[str]) -> list[Receipt]:
        """Append n events in one round trip."""
        pipe = self._redis.pipeline(transaction=False)
        places = []
        for event, customer in zip(events, customers, strict=True):
            number = int(hash_string(customer)[0]) % self._shards % (self._partitions or 1)
            key = self._stream if self._partitions is None else f"{self._stream}:{number}"
            places.append(number)
            line = event.replace(b"\n", b" ") + b"\n"
            pipe.execute_command("XADD", key, "*", b"events", line)
        try:
            ids = await pipe.execute()
        except redis.RedisError as error:
            raise StoreError(f"{self._stream}: {error}") from error
        out = []
        for place, id_, customer in zip(places, ids, customers, strict=True):
            ms, _, seq = id_.decode().partition("-")
            out.append(Receipt.of(place, (int(ms) << 20) + int(seq), customer))
        return out

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
