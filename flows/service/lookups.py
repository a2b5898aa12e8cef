"""`POST /v1/features` and `GET /v1/features/{id}`: features as of now, or of a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ...features.catalog import Catalog
from ...features.catalog_codec import meaning_id
from ...features.entity_keys import key_text
from ...features.errors import DeclarationError, EventError
from ...features.online import AsyncFeatureClient, Features
from ...features.receipts import Receipt
from ..telemetry.serving import SERVICE
from .http import Receive, Scope, read_decoded
from .lookup_log import Asked, LookupLog
from .moments import microseconds_at
from .paths import invalid, query, unescaped
from .problems import ProblemError, explained
from .shapes import Shape
from .wire import MAX_CELLS, FeaturesRequest

_CELLS_AT_ONCE = 50_000
"""Values that are encoded before other requests get their turn."""
_Ids = Sequence[str] | Mapping[str, Sequence[str]]
_PARAMETERS = ("service", "features", "at", "after", "wait_seconds")


class _Part(NamedTuple):
    """The columns of an answer that are of one entity."""

    entity: str
    is_customer: bool
    asked: Asked
    columns: Any


class FeaturesRoute:
    """Looks features up.

    Parameters
    ----------
    client
        Which reads the store.
    log
        Where a sample of the answers goes; None: nowhere.
    max_bytes, body_seconds
        Of one request.
    """

    def __init__(
        self,
        client: AsyncFeatureClient,
        log: LookupLog | None,
        *,
        max_bytes: int,
        body_seconds: float,
    ) -> None:
        self._client = client
        self._catalog: Catalog = client.catalog
        self._log = log
        self._max_bytes = max_bytes
        self._seconds = body_seconds
        self._decoder = msgspec.json.Decoder(FeaturesRequest)
        self._meanings = {
            entity.name: meaning_id(self._catalog.of(entity.name))
            for entity in self._catalog.entities
        }
        # Where there are other entities, a customer's id finds no features of theirs.
        self._customer_views = [
            view.name
            for view in self._catalog.views
            if view.entity.is_customer and len(self._catalog.entities) > 1
        ]
        self._shape = lru_cache(maxsize=256)(self._make_shape)
        self._width = lru_cache(maxsize=256)(self._check_choice)

    async def warm(self) -> None:
        """Make the kernels ready before the first request waits for them."""
        await self._answer(probe(self._catalog))

    async def post(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Answer for many ids.

        Raises
        ------
        ProblemError
            If the request is wrong.
        """
        request = await read_decoded(scope, receive, self._decoder, self._max_bytes, self._seconds)
        return 200, await self._answer(request)

    async def get(self, scope: Scope, raw_id: bytes) -> tuple[int, bytes]:
        """Answer for one customer; ``raw_id`` is the rest of the path, still escaped.

        Raises
        ------
        ProblemError
            If the request is wrong.
        """
        request: dict[str, Any] = {"ids": [unescaped(raw_id)]}
        for name, value in query(scope["query_string"]):
            if name not in _PARAMETERS:
                known = ", ".join(_PARAMETERS)
                raise invalid(f"no parameter {name!r:.80}; there are: {known}", f"$.{name:.80}")
            if name == "after":
                request.setdefault(name, []).append(value)
            elif name in request:
                raise invalid(f"{name} is given twice", f"$.{name}")
            else:
                request[name] = value.split(",") if name == "features" else value
        if self._customer_views and not request.keys() & {"service", "features"}:
            request["features"] = self._customer_views
        try:
            return 200, await self._answer(msgspec.convert(request, FeaturesRequest, strict=False))
        except msgspec.ValidationError as error:
            raise explained(error, b"") from None

    async def _answer(self, request: FeaturesRequest) -> bytes:
        rows = _row_count(request.ids)
        features = None if request.features is None else tuple(request.features)
        keys = tuple(request.ids) if isinstance(request.ids, dict) else None
        width = self._width(request.service, features, keys)
        if rows * width > MAX_CELLS:
            raise ProblemError(
                "too-large", f"{rows} ids x {width} values in one answer, of at most {MAX_CELLS}"
            )
        try:
            at = microseconds_at(request.at)
        except ValueError as error:
            raise invalid(str(error), "$.at") from None
        found = await self._client.get(
            request.ids,
            service=request.service,
            features=features,
            at=at,
            after=_receipts(request.after),
            wait_seconds=request.wait_seconds,
        )
        SERVICE.looked_up(rows, waited=request.after is not None, stale=found.stale)
        shape, parts = self._shape(found.columns, request.service, features)
        if self._log is not None:
            self._sample(parts, found, request.ids)
        return await _encoded(shape, found, request.ids)

    def _check_choice(
        self, service: str | None, features: tuple[str, ...] | None, keys: tuple[str, ...] | None
    ) -> int:
        """Return how many values a row has; what is not declared is a ProblemError."""
        catalog = self._catalog
        if service is not None and features is not None:
            raise invalid("give a service or features, not both", "$.features")
        if features is not None and len(set(features)) < len(features):
            raise invalid("a feature is asked for twice", "$.features")
        known = {key for entity in catalog.entities for key in entity.join_keys}
        for key in keys or ():
            if key not in known:
                raise ProblemError(
                    "not-found", f"no entity with join key {key!r} in {catalog.name!r}"
                )
        try:
            refs = catalog.service(service).features if service is not None else features
            chosen = catalog.select(refs) if refs is not None else tuple(catalog.features())
        except DeclarationError as error:
            if "chosen twice" in error.reason:
                raise invalid(error.reason, "$.features") from None
            raise ProblemError("not-found", str(error)) from None
        return sum(len(feature.columns) for _, feature in chosen)

    def _make_shape(
        self, columns: tuple[str, ...], service: str | None, features: tuple[str, ...] | None
    ) -> tuple[Shape, list[_Part]]:
        catalog = self._catalog
        refs = catalog.service(service).features if service is not None else features
        entity_of = {view.name: view.entity.name for view in catalog.views}
        customers = {e.name for e in catalog.entities if e.is_customer}
        views = [column.partition(":")[0] for column in columns]
        entities = list(dict.fromkeys(entity_of[view] for view in views))
        parts = []
        for entity in entities:
            places = [i for i, view in enumerate(views) if entity_of[view] == entity]
            own = None if refs is None else tuple(refs)
            if len(entities) > 1:
                own = tuple(dict.fromkeys(columns[i].partition("[")[0] for i in places))
            features_ = None if own is None else list(own)
            asked = Asked(catalog.name, self._meanings[entity], entity, features_)
            chosen = slice(None) if len(entities) == 1 else places
            parts.append(_Part(entity, entity in customers, asked, chosen))
        return Shape(columns, catalog), parts

    def _sample(self, parts: Sequence[_Part], found: Features, ids: _Ids) -> None:
        assert self._log is not None
        for row in range(len(found.ids)):
            if not self._log.wants():
                continue
            for part in parts:
                self._log.put(
                    part.asked,
                    self._key_text(part.entity, ids, row),
                    found.at,
                    # Of things whose events are of many partitions no position says it all.
                    int(found.positions[row]) if part.is_customer else -1,
                    found.values[row, part.columns],
                    found.state[row, part.columns],
                    older=part.is_customer and found.older is not None and bool(found.older[row]),
                )

    def _key_text(self, name: str, ids: _Ids, row: int) -> str:
        if not isinstance(ids, Mapping):
            return ids[row]
        entity = next(e for e in self._catalog.entities if e.name == name)
        return key_text(entity, [ids[key][row] for key in entity.join_keys])


def probe(catalog: Catalog) -> FeaturesRequest:
    """Return a lookup that any store answers if it answers at all: one feature of nobody."""
    view = catalog.views[0]
    return FeaturesRequest(
        ids={key: ["nextbest"] for key in view.entity.join_keys},
        features=[f"{view.name}:{view.features[0].name}"],
    )


async def _encoded(shape: Shape, found: Features, ids: _Ids) -> bytes:
    n = len(found.ids)
    names = _named(ids) if isinstance(ids, Mapping) else ids
    # The youngest of the rows that the answer is made from; -1 where there is none.
    ages = found.ages[0]
    for other in found.ages[1:]:
        ages = np.where((ages < 0) | ((other >= 0) & (other < ages)), other, ages)
    step = max(1, _CELLS_AT_ONCE // len(found.columns))
    pieces = []
    for begin in range(0, n, step):
        if begin:
            await asyncio.sleep(0)
        end = begin + step
        pieces.append(
            shape.encode(
                names[begin:end], found.values[begin:end], found.state[begin:end], ages[begin:end]
            )
        )
    stale = b"true" if found.stale else b"false"
    return b'{"at":%d,"stale":%s,"rows":[%s]}' % (found.at, stale, b",".join(pieces))


def _named(ids: Mapping[str, Sequence[str]]) -> Sequence[Any]:
    """What each row is called: its keys by their names, or its only key."""
    if len(ids) == 1:
        (only,) = ids.values()
        return only
    return [dict(zip(ids, row, strict=True)) for row in zip(*ids.values(), strict=True)]


def _row_count(ids: _Ids) -> int:
    if not isinstance(ids, Mapping):
        return len(ids)
    lengths = {len(values) for values in ids.values()}
    if len(lengths) > 1:
        raise invalid("every join key needs as many values as the others", "$.ids")
    return lengths.pop()


def _receipts(texts: str | list[str] | None) -> list[Receipt] | None:
    if texts is None:
        return None
    try:
        return [Receipt.parse(text) for text in ([texts] if isinstance(texts, str) else texts)]
    except EventError as error:
        raise invalid(str(error), "$.after") from None
