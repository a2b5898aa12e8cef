"""A lookup as steps: what it asks the store, and what it makes of the replies.

The steps know no connection. They yield a command and are sent its reply, or yield how many
seconds to pause; so that the client that blocks and the one that does not are the same.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..catalog import Catalog
from ..declared import pick_schema, schema_key
from ..errors import RowError, SettingsError, StateError, StoreError, UnknownSchemaError
from ..kernels.hashing import hash_string
from ..receipts import Receipt
from ..rows import FeatureRows, empty_rows
from .answer import Features
from .choice import Choice, Choices, Ids, Part

Command = Sequence[str | bytes]
Steps = Generator[Command | float, Any, Features]
Receipts = str | Receipt | Sequence[str | Receipt]
_Ages = tuple[npt.NDArray[np.int64], ...]
_Fetched = tuple[int, FeatureRows, _Ages, npt.NDArray[np.bool_] | None]

MAX_WAIT_SECONDS = 30.0
FURTHEST = 2**62
"""Microseconds; kernels subtract times without overflow."""
MOST_AHEAD = 86_400_000_000
"""Microseconds that a time may lie ahead of the clock: what is further is not microseconds."""
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.0003, 0.01, 1.25
_FORGET_ABSENT_SECONDS = 1.0
_MOST_SCHEMAS = 256
_MOST_RECEIPTS = 10_000


class Beside(NamedTuple):
    """All features of customers, and what other keys held at that moment.

    Attributes
    ----------
    at
        As of when.
    rows
        Of each customer, in order.
    stale
        Whether an event that was waited for is not in them.
    values
        Of each key; None: it is not there.
    """

    at: int
    rows: FeatureRows
    stale: bool
    values: list[bytes | None]


class Reader:
    """Makes lookups in the rows of one catalog; knows no connection."""

    def __init__(self, catalog: Catalog, clock: Callable[[], int]) -> None:
        self._choices = Choices(catalog)
        self._customers: Choice | None = None
        self._clock = clock
        self._schemas: dict[tuple[str, int], Catalog] = {}
        self._absent: dict[tuple[str, int], float] = {}

    def read(
        self,
        ids: Ids,
        service: str | None,
        features: Sequence[str] | None,
        at: int | None,
        after: Receipts | None,
        wait_seconds: float,
    ) -> Steps:
        """Return the steps of a lookup (see `FeatureClient.get`); they end with its answer."""
        if at is not None:
            at = _moment(at)
            if at > self._clock() + MOST_AHEAD:
                raise SettingsError(f"at={at} lies more than a day in the future")
        if features is None and service is None:
            features = self._choices.default(ids)
        choice = self._choices.choose(service, features)
        names, keys = choice.find(ids)
        if after is None:
            stale = False
            found = yield from self._fetch(choice, names, keys, at)
        else:
            needed = _needed(after, choice, keys)
            seconds = _seconds(wait_seconds)
            found = yield from self._fetch(choice, names, keys, at)
            assert choice.layout.customer is not None
            if (found[1].positions < needed).any():
                own = choice.layout.customer
                part, own_keys = choice.parts[own], keys[own]
                yield from self._wait(part, own_keys, needed, found[1].positions, seconds)
                # All rows again: the answer is of one moment.
                found = yield from self._fetch(choice, names, keys, at)
            stale = bool((found[1].positions < needed).any())
        read_at, rows, ages, older = found
        return Features(names, choice.layout, rows, ages, read_at, stale, older)

    def read_beside(
        self,
        customers: Sequence[str],
        beside: Sequence[str],
        at: int | None,
        after: Receipts | None,
        wait_seconds: float,
    ) -> Generator[Command | float, Any, Beside]:
        """Return the steps of `AsyncFeatureClient.get_beside`; they end with its answer."""
        choice = self._customers
        if choice is None:
            choice = self._choices.choose(None, self._choices.default(customers))
            self._customers = choice
        names, keys = choice.find(customers)
        part, own = choice.parts[0], keys[0]
        n = len(own)
        needed = None if after is None else _needed(after, choice, keys)
        seconds = _seconds(wait_seconds)
        stale = False
        for turn in range(2):
            stored = yield from _mget([*own, *beside])
            moment = _moment(self._clock() if at is None else at)
            rows = yield from self._decode(part, stored[:n], moment, names)
            stale = needed is not None and bool((rows.positions < needed).any())
            if not stale or turn:
                break
            assert needed is not None
            yield from self._wait(part, own, needed, rows.positions, seconds)
        return Beside(moment, rows, stale, stored[n:])

    def _fetch(
        self, choice: Choice, ids: Sequence[Any], keys: list[list[str]], at: int | None
    ) -> Generator[Command, Any, _Fetched]:
        """Fetch the rows of all parts in one round trip and read them as of one moment."""
        parts = choice.parts
        if len(parts) == 1:
            stored = yield from _mget(keys[0])
            moment = _moment(self._clock()) if at is None else at
            rows = yield from self._decode(parts[0], stored, moment, ids)
            return moment, rows, (rows.age_ms,), parts[0].decoder.older(stored)
        # One customer and a hundred products: the customer's row is fetched once.
        different = [list(dict.fromkeys(own)) for own in keys]
        stored = yield from _mget([key for own in different for key in own])
        moment = _moment(self._clock()) if at is None else at
        n = len(ids)
        result = empty_rows(n, len(choice.layout.columns))
        ages, older = [], None
        start = 0
        for i, part in enumerate(parts):
            stop = start + len(different[i])
            found = yield from self._decode(part, stored[start:stop], moment, different[i])
            is_first = i == (choice.layout.customer or 0)
            others = part.decoder.older(stored[start:stop]) if is_first else None
            start = stop
            place = {key: ordinal for ordinal, key in enumerate(different[i])}
            take = np.fromiter((place[key] for key in keys[i]), np.intp, n)
            result.values[:, part.columns] = found.values[take]
            result.state[:, part.columns] = found.state[take]
            ages.append(found.age_ms[take])
            if is_first:
                older = None if others is None else others[take]
                result.age_ms[:] = ages[-1]
                result.positions[:] = found.positions[take]
        return moment, result, tuple(ages), older

    def _wait(
        self,
        part: Part,
        keys: list[str],
        needed: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        seconds: float,
    ) -> Generator[Command | float, Any, None]:
        """Wait until the rows of these keys are as far as is needed, or the time is over."""
        until = time.monotonic() + seconds
        far = {
            key: need
            for key, need, got in zip(keys, needed.tolist(), positions.tolist(), strict=True)
            if got < need
        }
        pause = _FIRST_PAUSE
        while far and (left := until - time.monotonic()) > 0:
            yield min(pause, left)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
            waiting = list(far)
            stored = yield from _mget(waiting)
            rows = yield from self._decode(part, stored, 0, waiting)
            for key, got in zip(waiting, rows.positions.tolist(), strict=True):
                if got >= far[key]:
                    del far[key]

    def _decode(
        self, part: Part, stored: Sequence[bytes | None], at: int, names: Sequence[Any]
    ) -> Generator[Command, Any, FeatureRows]:
        """Decode rows, and fetch the declarations that they need."""
        for _ in range(_MOST_SCHEMAS):
            try:
                if len(stored) != 1 or stored[0] is None:
                    return part.decoder.decode(stored, at)
                values, state, position, age_ms = part.decoder.decode_one(stored[0], at)
                return FeatureRows(
                    values[None], state[None], np.array([age_ms]), np.array([position])
                )
            except UnknownSchemaError as error:
                row = _row(part, names[error.ordinal])
                known = yield from self._schema(part, error.schema_id)
                if known is None:
                    raise UnknownSchemaError(error.ordinal, error.schema_id, row) from error
                part.decoder.learn(known)
            except RowError as error:
                row = _row(part, names[error.ordinal])
                raise RowError(error.ordinal, error.reason, row) from error
        raise StateError(f"rows of more than {_MOST_SCHEMAS} schemas in one lookup")

    def _schema(self, part: Part, schema_id: int) -> Generator[Command, Any, Catalog | None]:
        """Return a declaration by the id of its schema, None if the store has none."""
        entity, name = part.entity, self._choices.catalog.name
        wanted = entity.name, schema_id
        found = self._schemas.get(wanted)
        if found is not None:
            return found
        now = time.monotonic()
        if now < self._absent.get(wanted, 0.0):
            return None
        for known in (self._schemas, self._absent):
            # Whoever writes ever new schemas to the store must not fill the memory.
            if len(known) >= _MOST_SCHEMAS:
                known.clear()
        reply = yield ("GET", schema_key(name, entity, schema_id))
        found = pick_schema(reply, name, entity, schema_id)
        if found is None:
            self._absent[wanted] = now + _FORGET_ABSENT_SECONDS
        else:
            self._schemas[wanted] = found
        return found


def _mget(keys: list[str]) -> Generator[Command, Any, list[bytes | None]]:
    if not keys:
        return []
    stored = yield ["MGET", *keys]
    if not isinstance(stored, list) or len(stored) != len(keys):
        raise StoreError(f"feature lookup failed: MGET of {len(keys)} was answered {stored!r:.80}")
    return stored


def _row(part: Part, name: object) -> str:
    if isinstance(name, str):
        name = name.removeprefix(part.prefix)
    return f"the row of {part.entity.name} {name!r}"


def _moment(at: int) -> int:
    try:
        at = operator.index(at)
    except TypeError:
        raise SettingsError(f"at={at!r:.80} is no integer: microseconds since 1970") from None
    if abs(at) > FURTHEST:
        raise SettingsError(f"at={at} are not microseconds since 1970")
    return at


def _seconds(wait: float) -> float:
    if not isinstance(wait, int | float) or not 0 <= wait <= MAX_WAIT_SECONDS or math.isnan(wait):
        raise SettingsError(f"wait_seconds={wait!r:.80} is not 0 to {MAX_WAIT_SECONDS:g}")
    return float(wait)


def _needed(after: Receipts, choice: Choice, keys: list[list[str]]) -> npt.NDArray[np.int64]:
    """Return int64[n]: the position that the row of each id must have reached, -1 if any."""
    # A receipt is a tuple itself.
    given = (after,) if isinstance(after, str | Receipt) else after
    if not isinstance(given, Sequence) or len(given) > _MOST_RECEIPTS:
        raise SettingsError(f"after must be at most {_MOST_RECEIPTS} receipts, not {after!r:.80}")
    receipts = [Receipt.parse(r) if isinstance(r, str) else r for r in given]
    for receipt in receipts:
        if not isinstance(receipt, Receipt) or not 0 <= receipt.position <= FURTHEST:
            raise SettingsError(f"after={receipt!r:.80} is no receipt")
    own = choice.layout.customer
    if own is None:
        names = " and ".join(part.entity.name for part in choice.parts)
        raise SettingsError(f"a receipt is of a customer's event; these are features of {names}")
    far: dict[int, int] = {}
    for receipt in receipts:
        far[receipt.customer] = max(receipt.position, far.get(receipt.customer, -1))
    prefix = len(choice.parts[own].prefix)
    customers = [key[prefix:] for key in keys[own]]
    try:
        hashes = {name: int(hash_string(name)[0]) for name in dict.fromkeys(customers)}
    except UnicodeEncodeError as error:
        raise SettingsError(f"an id is no text: {error}") from None
    strangers = far.keys() - hashes.values()
    for receipt in receipts:
        if receipt.customer in strangers:
            raise SettingsError(f"the receipt {receipt} is of none of the customers asked for")
    return np.array([far.get(hashes[name], -1) for name in customers], np.int64)
