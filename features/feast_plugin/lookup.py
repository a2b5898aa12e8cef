"""What a request asks of computed views: which rows to fetch, and how to answer from them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import msgspec
from feast import FeatureService, FeatureView, utils
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from .errors import ComputedViewError
from .response import Columns
from .source import ORDER_TAG, SCHEMA_TAG, source_of

if TYPE_CHECKING:
    from .serving import Command, ServedCatalog, ServedRows

ReadRow = tuple[dt.datetime | None, dict[str, Value] | None]
GroupedRefs = list[tuple[FeatureView, list[str]]]


class Lookup:
    """Features of one entity of one catalog, for n keys: one round trip.

    Parameters
    ----------
    catalog
        What reads the rows of all the views that are asked for.
    views
        The views by the name that the answer uses for them.
    wanted
        ``(name in the answer, feature)``, in the order of the answer.
    texts
        The key texts, in the order of the answer; one may stand twice.
    """

    def __init__(
        self,
        catalog: ServedCatalog,
        views: dict[str, FeatureView],
        wanted: Sequence[tuple[str, str]],
        texts: Sequence[str],
    ) -> None:
        self._catalog = catalog
        self._views = views
        self._wanted = wanted
        self._texts = texts

    @classmethod
    def of_keys(
        cls, view: FeatureView, keys: Sequence[EntityKey], features: Sequence[str] | None
    ) -> Lookup:
        """Ask one view for what Feast's entity keys name."""
        wanted = [(view.name, f) for f in features or [f.name for f in view.features]]
        catalog = reader_of(view)
        given: dict[str, list[Value]] = {key: [] for key in catalog.entity.join_keys}
        for each in keys:
            for key, value in zip(each.join_keys, each.entity_values, strict=True):
                given.setdefault(key, []).append(value)
        return cls(catalog, {view.name: view}, wanted, _texts(view, catalog, given))

    def read(self) -> Generator[Command, Any, ServedRows]:
        """Read the rows as of now: see `ServedCatalog.lookup`."""
        return self._catalog.lookup(self._texts)

    def answer(
        self,
        rows: ServedRows,
        response: GetOnlineFeaturesResponse,
        full_names: bool,
        version_metadata: bool,
    ) -> Columns:
        """Add the features that were read to the response.

        Returns
        -------
        Columns
            The same features as Python values, made when they are wanted.
        """
        names = [f"{n}__{feature}" if full_names else feature for n, feature in self._wanted]
        wanted = tuple([(self._views[name].name, feature) for name, feature in self._wanted])
        response.metadata.feature_names.val.extend(names)
        response.MergeFromString(self._catalog.encode(rows, wanted))
        if version_metadata:
            for view in self._views.values():
                response.metadata.feature_view_metadata.add(
                    name=view.projection.name_alias or view.projection.name,
                    version=getattr(view, "current_version_number", 0) or 0,
                )
        make = partial(self._catalog.to_lists, rows, wanted)
        return {name: (make, place) for place, name in enumerate(names)}

    def rows(self, read: ServedRows) -> list[ReadRow]:
        """Return time and values of each row, as Feast's lower-level contract wants them."""
        response = GetOnlineFeaturesResponse()
        self.answer(read, response, full_names=False, version_metadata=False)
        names = response.metadata.feature_names.val
        vectors = list(zip(names, response.results, strict=True))
        rows: list[ReadRow] = []
        for r in range(len(self._texts)):
            if not vectors or vectors[0][1].statuses[r] == FieldStatus.NOT_FOUND:
                rows.append((None, None))
                continue
            time = vectors[0][1].event_timestamps[r].ToDatetime(dt.UTC)
            rows.append((time, {name: vector.values[r] for name, vector in vectors}))
        return rows


def reader_of(view: FeatureView) -> ServedCatalog:
    """Return what reads the rows of a computed view.

    Raises
    ------
    RegistryError
        If this version of nextbest would read them otherwise than the registry says.
    """
    # Imported here and not above: see `serving`.
    from . import serving

    source = source_of(view)
    assert source is not None
    return serving.served(source, view.name, view.tags.get(SCHEMA_TAG, ""))


def plan_lookups(
    grouped_refs: GroupedRefs,
    join_key_values: dict[str, list[Value]],
    entity_name_to_join_key_map: dict[str, str],
    order: Sequence[str],
) -> tuple[list[Lookup], GroupedRefs]:
    """Split a request into lookups of computed views, and the other views.

    Parameters
    ----------
    grouped_refs, join_key_values, entity_name_to_join_key_map
        As Feast gives them to a store: the features of each view in no particular order.
    order
        ``view:feature`` in the order in which they were asked for.

    Raises
    ------
    KeyError
        If the request has no ids for a view.
    """
    others: GroupedRefs = []
    # Views of one entity are read together, unless a join key map asks them of other things.
    groups: dict[tuple[ServedCatalog, tuple[str, ...]], dict[str, Any]] = {}
    for view, features in grouped_refs:
        if source_of(view) is None:
            others.append((view, features))
            continue
        catalog = reader_of(view)
        values = utils._get_table_entity_values(view, entity_name_to_join_key_map, join_key_values)
        if not values.keys() >= set(catalog.entity.join_keys):
            raise KeyError(
                f"Missing join key values for {view.name}: it needs "
                f"{list(catalog.entity.join_keys)}, and {list(join_key_values)} are given"
            )
        asked = groups.setdefault((catalog, tuple(_texts(view, catalog, values))), {})
        name: str = view.projection.name_to_use()  # type: ignore[no-untyped-call]  # Feast's
        asked[name] = (view, features)
    lookups = []
    for (catalog, texts), asked in groups.items():
        refs = tuple([(name, tuple(fs)) for name, (_, fs) in asked.items()])
        views = {name: view for name, (view, _) in asked.items()}
        lookups.append(Lookup(catalog, views, _arrange(refs, tuple(order)), texts))
    return lookups, others


def ordered(features: list[str] | FeatureService, refs: list[str]) -> list[str]:
    """Put the features of a service in their declared order, where Feast keeps another.

    Parameters
    ----------
    features
        What was asked for.
    refs
        The ``view:feature`` that Feast made of it.
    """
    tags = getattr(features, "tags", None)
    if not tags or ORDER_TAG not in tags:
        return refs
    declared = _declared_order(tags[ORDER_TAG])
    return sorted(refs, key=lambda ref: declared.get(ref, len(declared)))


@lru_cache(maxsize=256)
def _declared_order(tag: str) -> dict[str, int]:
    try:
        return {ref: i for i, ref in enumerate(msgspec.json.decode(tag, type=list[str]))}
    except msgspec.DecodeError:  # the order is all that is lost
        return {}


@lru_cache(maxsize=256)
def _arrange(
    asked: tuple[tuple[str, tuple[str, ...]], ...], order: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Put features in the order in which they were asked for."""
    place = {ref: i for i, ref in enumerate(order)}
    refs = [(name, feature) for name, features in asked for feature in features]
    # Inputs of an on-demand view, which nobody named, come last.
    return tuple(sorted(refs, key=lambda ref: place.get(f"{ref[0]}:{ref[1]}", len(place))))


def _texts(
    view: FeatureView, catalog: ServedCatalog, given: Mapping[str, Sequence[Value]]
) -> Sequence[str]:
    columns = [[_part(view, value) for value in given[key]] for key in catalog.entity.join_keys]
    return catalog.texts(columns)


def _part(view: FeatureView, value: Value) -> str:
    if value.WhichOneof("val") != "string_val":
        given = value.WhichOneof("val") or "nothing"
        raise ComputedViewError(
            f"{view.name} is keyed by strings; one was given as {given}: {value}".rstrip()
        )
    return value.string_val
