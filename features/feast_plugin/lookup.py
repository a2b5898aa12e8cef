"""What a request asks of computed views: which rows to fetch, and how to answer from them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from feast import FeatureView, utils
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from .errors import ComputedViewError
from .response import Columns
from .source import SCHEMA_TAG, EventSource, source_of

if TYPE_CHECKING:
    from .serving import ServedCatalog

GroupedRefs = list[tuple[FeatureView, list[str]]]


class Lookup:
    """Features of one catalog for customers: one round trip.

    Parameters
    ----------
    source
        The source of all the views that are asked for.
    views
        The views by the name that the answer uses for them.
    wanted
        ``(name in the answer, feature)``, in the order of the answer.
    ids
        The customers, in the order of the answer; one may stand twice.

    Attributes
    ----------
    keys
        Where the rows are stored, in the order of ``ids``.
    """

    def __init__(
        self,
        source: EventSource,
        views: dict[str, FeatureView],
        wanted: Sequence[tuple[str, str]],
        ids: Sequence[str],
    ) -> None:
        # Imported here and not above: see `serving`.
        from . import serving

        self._views = views
        self._wanted = wanted
        self._ids = ids
        self._now = serving.now_us
        for view in views.values():
            self._catalog: ServedCatalog = serving.served(source, view.tags.get(SCHEMA_TAG, ""))
        self.keys = self._catalog.keys(ids)

    @classmethod
    def of_keys(
        cls, view: FeatureView, keys: Sequence[EntityKey], features: Sequence[str] | None
    ) -> Lookup:
        """Ask one view for customers, given as Feast's entity keys."""
        source = source_of(view)
        assert source is not None
        wanted = [(view.name, f) for f in features or [f.name for f in view.features]]
        ids = [_customer_id(view, key.entity_values[0]) for key in keys]
        return cls(source, {view.name: view}, wanted, ids)

    def answer(
        self,
        stored: Sequence[bytes | None],
        response: GetOnlineFeaturesResponse,
        full_names: bool,
        version_metadata: bool,
    ) -> Columns:
        """Add the features, as of now, to the response.

        Returns
        -------
        Columns
            The same features as Python values, made when they are wanted.

        Raises
        ------
        RowError
            If a stored row cannot be read.
        """
        rows = self._catalog.read(self._ids, stored, self._now())
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
    # Views of one catalog are read together, unless a join key map asks them of different people.
    groups: dict[tuple[bytes, tuple[str, ...]], tuple[EventSource, dict[str, Any]]] = {}
    for view, features in grouped_refs:
        source = source_of(view)
        if source is None:
            others.append((view, features))
            continue
        values = utils._get_table_entity_values(view, entity_name_to_join_key_map, join_key_values)
        if not values:
            raise KeyError(
                f"Missing join key values for {view.name}: it needs {view.join_keys}, "
                f"and {list(join_key_values)} are given"
            )
        (given,) = values.values()
        ids = tuple([_customer_id(view, value) for value in given])
        group = groups.setdefault((source.declaration, ids), (source, {}))
        name: str = view.projection.name_to_use()  # type: ignore[no-untyped-call]  # Feast's
        group[1][name] = (view, features)
    lookups = []
    for (_, ids), (source, asked) in groups.items():
        refs = tuple([(name, tuple(fs)) for name, (_, fs) in asked.items()])
        views = {name: view for name, (view, _) in asked.items()}
        lookups.append(Lookup(source, views, _arrange(refs, tuple(order)), ids))
    return lookups, others


@lru_cache(maxsize=256)
def _arrange(
    asked: tuple[tuple[str, tuple[str, ...]], ...], order: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Put features in the order in which they were asked for."""
    place = {ref: i for i, ref in enumerate(order)}
    refs = [(name, feature) for name, features in asked for feature in features]
    # Inputs of an on-demand view, which nobody named, come last.
    return tuple(sorted(refs, key=lambda ref: place.get(f"{ref[0]}:{ref[1]}", len(place))))


def _customer_id(view: FeatureView, value: Value) -> str:
    if value.WhichOneof("val") != "string_val":
        given = value.WhichOneof("val") or "nothing"
        raise ComputedViewError(
            f"{view.name} is keyed by a string; a customer was given as {given}: {value}".rstrip()
        )
    return value.string_val
