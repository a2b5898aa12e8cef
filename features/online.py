"""Looking features up: one round trip, as of now.

The light client: it needs numpy, numba, msgspec and redis, neither Feast nor pyarrow.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .catalog import Catalog
from .errors import RowError, SettingsError, StoreError
from .kernels.layout import I64, U8
from .kernels.pack import BAD_CHECKSUM, BAD_LENGTH, BAD_MAGIC, OK, OTHER_SCHEMA, unpack_rows
from .kernels.read import EXPIRED, MISSING, PRESENT, read_rows
from .plan import Plan
from .state import FeatureRows, empty_rows

STATES = {int(PRESENT): "present", int(MISSING): "missing", int(EXPIRED): "expired"}
MAX_IDS = 10_000
_FURTHEST = 2**62  # microseconds; kernels subtract times without overflow

_DAMAGE = {
    BAD_MAGIC: "is not a row of ours",
    BAD_LENGTH: "is cut off or too long",
    BAD_CHECKSUM: "is damaged (checksum)",
    OTHER_SCHEMA: "was written under another declaration",
}


def key_prefix(catalog: Catalog) -> bytes:
    """Return what stands before the customer id in the key of a row.

    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> v = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> key_prefix(Catalog(name="demo", views=[v]))
    b'nextbest:demo:customer:'
    """
    return f"nextbest:{catalog.name}:{catalog.entity.name}:".encode()


def now_us() -> int:
    """Return the wall clock, microseconds since 1970, UTC."""
    return time.time_ns() // 1000


class RowDecoder:
    """Turns stored rows into features as of a time; knows no store.

    Examples
    --------
    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> v = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> RowDecoder(Plan.compile(Catalog(name="demo", views=[v]))).decode([None], 0).state
    array([[1]], dtype=uint8)
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def decode(self, stored: Sequence[bytes | None], at: int | I64) -> FeatureRows:
        """Read n stored rows (None = unknown) as of ``at`` (microseconds, or int64[n]).

        Raises
        ------
        RowError
            Naming the ordinal of a row that is damaged or of another declaration.
        """
        n = len(stored)
        plan = self.plan
        result = empty_rows(n, plan.reads.columns)
        known = [row for row in stored if row is not None]
        if any(len(row) % 8 for row in known):
            bad = next(i for i, row in enumerate(stored) if row is not None and len(row) % 8)
            raise RowError(bad, _DAMAGE[BAD_LENGTH])
        present = np.fromiter((row is not None for row in stored), np.bool_, n)
        bounds = np.cumsum([0, *(len(row) // 8 for row in known)], dtype=np.int64)
        packed = np.frombuffer(b"".join(known), np.uint64)
        # A read finds a row by where its unserved words would begin; hence the space in front.
        memory = np.empty(plan.header + len(known) * plan.served_words, np.uint64)
        status: U8 = np.empty(len(known), np.uint8)
        unpack_rows(
            packed, bounds, plan.schema_id, memory[plan.header :], plan.served_words, status
        )
        if (status != OK).any():
            bad = int(np.flatnonzero(status != OK)[0])
            ordinal = int(np.flatnonzero(present)[bad])
            raise RowError(ordinal, _DAMAGE[int(status[bad])])
        offsets = np.full(n, -1, np.int64)
        offsets[present] = np.arange(len(known)) * plan.served_words
        times: I64 = np.broadcast_to(np.asarray(at, np.int64), (n,)).copy()
        read_rows(memory, offsets, times, plan.reads, *result)
        return result


@dataclass(frozen=True, slots=True)
class Features:
    """What a lookup answers: features of n customers as of one time.

    Attributes
    ----------
    ids
        The customers asked for.
    columns
        ``view:feature`` or ``view:feature[key]``, in declared order.
    values, state, age_ms
        As `FeatureRows`.
    at
        The time that was asked for, microseconds.
    """

    ids: tuple[str, ...]
    columns: tuple[str, ...]
    rows: FeatureRows
    at: int

    def to_dict(self, customer_id: str) -> dict[str, float | None]:
        """Return one customer's values by column; None where there is none."""
        values = self.rows.values[self.ids.index(customer_id)].tolist()
        return {c: v if v == v else None for c, v in zip(self.columns, values, strict=True)}

    def states(self, customer_id: str) -> dict[str, str]:
        """Return ``present``, ``missing`` or ``expired`` by column."""
        state = self.rows.state[self.ids.index(customer_id)].tolist()
        return {c: STATES[s] for c, s in zip(self.columns, state, strict=True)}


class FeatureClient:
    """Looks features up in Redis or Valkey.

    Parameters
    ----------
    url
        ``redis://…``, ``rediss://…`` or ``unix://…``; or a ``redis.Redis`` that returns bytes.
    catalog
        The declarations that the worker runs with.
    clock
        Returns the time in microseconds; default: the wall clock.

    Raises
    ------
    SettingsError
        When the URL is no Redis URL, or the client decodes what it reads.
    """

    def __init__(
        self,
        url: str | redis.Redis,
        catalog: Catalog,
        *,
        timeout_seconds: float = 5.0,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self.catalog = catalog
        self._decoder = RowDecoder(Plan.compile(catalog))
        self._prefix = key_prefix(catalog).decode()
        self._clock = clock
        self._redis: Any = _connect(url, timeout_seconds) if isinstance(url, str) else url
        if self._redis.get_encoder().decode_responses:
            raise SettingsError("rows are bytes: make the client without decode_responses")

    def get(self, ids: Sequence[str], *, at: int | None = None) -> Features:
        """Return the features of customers, as of now or of ``at`` (microseconds).

        An unknown customer is missing, not zero. A row is never read before its newest event.

        Raises
        ------
        StoreError
            When the store is away.
        RowError
            When a stored row is damaged.
        ValueError
            For more than 10,000 ids, an id that is not a string, or a time beyond 64 bits.
        """
        wanted = tuple(ids)
        if isinstance(ids, str) or not all(isinstance(i, str) for i in wanted):
            raise ValueError("ids must be a sequence of strings")
        if len(wanted) > MAX_IDS:
            raise ValueError(f"{len(wanted)} ids in one lookup, of at most {MAX_IDS}")
        time_ = self._clock() if at is None else operator.index(at)
        if abs(time_) > _FURTHEST:
            raise ValueError(f"at={time_} are not microseconds since 1970")
        stored: list[bytes | None] = []
        if wanted:
            try:
                stored = self._redis.mget([self._prefix + i for i in wanted])
            except redis.RedisError as error:
                raise StoreError(f"feature lookup failed: {error}") from error
        try:
            rows = self._decoder.decode(stored, time_)
        except RowError as error:
            customer = f"the row of customer {wanted[error.ordinal]!r}"
            raise RowError(error.ordinal, error.reason, customer) from error
        return Features(wanted, self.catalog.columns, rows, time_)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _connect(url: str, seconds: float) -> redis.Redis:
    """A client that tries once more at once, so that a lookup takes no longer than it says."""
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 1),
        )
    except (ValueError, TypeError) as error:
        # The URL itself may hold a password.
        raise SettingsError(f"not the URL of an online store: {error}") from None
