"""Lookups that need nothing of Feast but its names: from ids to rows to values.

A request for computed views of one entity and nothing else is answered without a message for each
value: Feast makes three objects a value, and then the Python value from them. What a request
means is found out by Feast, once; any other request takes Feast's own way.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from feast import FeatureService, utils
from feast.infra.registry.base_registry import BaseRegistry
from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value

from .lookup import ordered, reader_of
from .source import source_of

if TYPE_CHECKING:
    from .serving import ServedCatalog, ServedRows, Wanted

Asked = list[str] | FeatureService
_MAX_PLANS = 256  # whoever asks for ever new choices of features must not fill the memory
_MICRO = 1_000_000


class Keys(NamedTuple):
    """Whose features are wanted: the ids by join key, as given, and the key texts."""

    columns: dict[str, Sequence[str]]
    texts: Sequence[str]


class DirectPlan(NamedTuple):
    """How one choice of features is answered."""

    asked: Asked
    catalog: ServedCatalog
    wanted: Wanted
    names: tuple[str, ...]

    def keys(self, rows: Any) -> Keys | None:
        """Take the ids out of entity rows, a list of dicts or a dict of lists.

        Returns
        -------
        Keys or None
            None for anything but strings under the join keys: Feast knows what to make of it.
        """
        wanted = self.catalog.entity.join_keys
        columns: dict[str, Sequence[str]]
        try:
            if isinstance(rows, list):
                columns = {key: [row[key] for row in rows] for key in rows[0]}
                if any(len(row) != len(wanted) for row in rows):
                    return None
            else:
                columns = {key: rows[key] for key in rows}
            if len(columns) != len(wanted):
                return None
            parts = [columns[key] for key in wanted]
        except (LookupError, TypeError, AttributeError):
            return None
        if any(type(part) is not list or set(map(type, part)) != {str} for part in parts):
            return None
        if len({len(part) for part in parts}) != 1:
            return None
        return Keys(columns, self.catalog.texts(parts))


class DirectResponse(OnlineResponse):
    """An answer as Feast gives it; its message is made when it is looked at.

    Parameters
    ----------
    plan
        What was asked for.
    keys
        Whose features they are.
    rows
        The features.
    """

    def __init__(self, plan: DirectPlan, keys: Keys, rows: ServedRows) -> None:
        self._plan = plan
        self._keys = keys
        self._rows = rows
        self._feature_types: dict[str, Any] = {}

    @cached_property
    def proto(self) -> GetOnlineFeaturesResponse:  # type: ignore[override]  # Feast's is set
        """The message that ``feast serve`` sends."""
        plan = self._plan
        made = GetOnlineFeaturesResponse()
        made.metadata.feature_names.val.extend([*self._keys.columns, *plan.names])
        for ids in self._keys.columns.values():
            column = made.results.add(
                values=[Value(string_val=each) for each in ids],
                statuses=[FieldStatus.PRESENT] * len(ids),
            )
            for _ in ids:
                column.event_timestamps.add()
        made.MergeFromString(plan.catalog.encode(self._rows, plan.wanted))
        return made

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:
        """Return the values by feature, and the timestamps (seconds) by ``feature__ts``."""
        plan = self._plan
        names = (*self._keys.columns, *plan.names)
        lists: list[Sequence[Any]] = [list(ids) for ids in self._keys.columns.values()]
        lists += plan.catalog.to_lists(self._rows, plan.wanted)
        if not include_event_timestamps:
            return dict(zip(names, lists, strict=True))
        found: dict[str, Any] = {}
        seconds = (self._rows.newest // _MICRO).tolist()
        for i, (name, values) in enumerate(zip(names, lists, strict=True)):
            found[name] = values
            of_ids = i < len(self._keys.columns)
            found[name + TIMESTAMP_POSTFIX] = [0] * len(seconds) if of_ids else [*seconds]
        return found


_FEAST: Any = object()
"""What stands in the place of a plan where the answer must be Feast's."""


class DirectPlans:
    """Plans by what was asked for, as long as the registry says the same.

    One store has one: Feast's own cache is one a process, and empties itself when another
    registry is asked.
    """

    def __init__(self) -> None:
        self._registry: BaseRegistry | None = None
        self._created: datetime | None = None
        self._plans: dict[tuple[Any, ...], DirectPlan] = {}

    def find(
        self, features: Asked, registry: BaseRegistry, project: str, full_names: bool
    ) -> DirectPlan | None:
        """Return how to answer, or None if Feast must."""
        service = features if isinstance(features, FeatureService) else None
        key: tuple[Any, ...]
        try:
            refs: Any = features if service is None else (service.name, None)
            key = (project, full_names, *refs)
            hash(key)
        except TypeError:
            return None
        plans = self._current(registry)
        plan = plans.get(key)
        if plan is None:
            _tell_apart(registry)
            plans = self._current(registry)
            if service is not None:
                known = registry.get_feature_service(service.name, project, allow_cache=True)
                if known != service:
                    return None  # which of the two is meant is for Feast to say
            plan = _compile(features, registry, project, full_names) or _FEAST
            # A copy that another thread has renewed meanwhile may say otherwise.
            if self._current(registry) is plans:
                if len(plans) >= _MAX_PLANS:
                    plans.clear()
                plans[key] = plan
        elif service is not None and plan is not _FEAST and plan.asked is not service:
            return plan if plan.asked == service else None
        return None if plan is _FEAST else plan

    def _current(self, registry: BaseRegistry) -> dict[tuple[Any, ...], DirectPlan]:
        created = getattr(registry, "cached_registry_proto_created", None)
        if created is None or not registry.is_cache_valid():
            return {}  # nothing is kept that nothing would ever renew
        if self._registry is not registry or self._created != created:
            self._registry, self._created, self._plans = registry, created, {}
        return self._plans


def _tell_apart(registry: BaseRegistry) -> None:
    """Renew a registry's copy if it is old, and give it a version if it has none.

    Feast remembers what it found in a copy by version and address: copies of an SQL registry have
    no version, and one may get the address of another that was freed.
    """
    if getattr(registry, "cached_registry_proto", None) is None:
        return
    registry.list_projects(allow_cache=True)
    copy: Any = registry.cached_registry_proto  # type: ignore[attr-defined]  # if it keeps one
    if not copy.version_id and copy.ByteSize():  # an empty copy is renewed as long as it is empty
        copy.version_id = uuid.uuid4().hex


def _compile(
    features: Asked, registry: BaseRegistry, project: str, full_names: bool
) -> DirectPlan | None:
    """Ask Feast what a request means, and whether that can be answered without it."""
    # Past Feast's cache: where the copy is renewed while a thread asks, it keeps the older answer.
    context = utils._get_online_request_context(registry, project, features, full_names)
    refs, on_demand, _, _, _, grouped, _, request_data, entityless = context
    if on_demand or request_data or entityless or not grouped:
        return None
    if getattr(features, "precompute_online", False):
        return None
    catalogs: set[ServedCatalog] = set()
    names: dict[str, str] = {}
    for view, _ in grouped:
        projection = view.projection
        plain = not projection.join_key_map and getattr(projection, "version_tag", None) is None
        if source_of(view) is None or not plain:
            return None
        catalogs.add(reader_of(view))
        names[projection.name_to_use()] = view.name
    if len(catalogs) != 1:
        return None
    split = [ref.partition(":") for ref in ordered(features, refs)]
    return DirectPlan(
        features,
        catalogs.pop(),
        tuple([(names[name], feature) for name, _, feature in split]),
        tuple([f"{name}__{feature}" if full_names else feature for name, _, feature in split]),
    )
