"""A catalog: all the feature views of one event stream, and what names them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from .declaration import Entity, Feature, FeatureView
from .derived import operands, split_ref
from .derived_checks import check_operand
from .durations import Duration, microseconds
from .errors import DeclarationError
from .events import EventSchema
from .services import FeatureService


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """The feature views that one worker computes: one row for each entity's every key.

    Parameters
    ----------
    name
        An identifier; also the Feast project and the prefix of the row keys.
    views
        Views over one event schema.
    lateness
        How late an event may be, behind the customer's own newest event, and still count in
        sessions. Default: the least session gap, which is also the most.
    services
        Named choices of the views' features.

    Raises
    ------
    DeclarationError
        If views differ in source, a name stands twice, an entity is declared in two ways or asks
        for what events do not carry, lateness exceeds a gap, or a service names what is not there.

    Examples
    --------
    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view", "cart"))
    >>> visits = FeatureView(name="visits", source=shop, features=[agg.count("events")])
    >>> catalog = Catalog(name="demo", views=[visits])
    >>> catalog.columns
    ('visits:events',)
    """

    name: str
    views: Sequence[FeatureView]
    lateness: Duration | int | None = None
    services: Sequence[FeatureService] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise DeclarationError(repr(self.name), "a catalog's name must be an identifier")
        views, services = tuple(self.views), tuple(self.services)
        msgspec.structs.force_setattr(self, "views", views)
        msgspec.structs.force_setattr(self, "services", services)
        if not views:
            raise DeclarationError(self.name, "a catalog needs at least one view")
        if len({view.name for view in views}) != len(views):
            raise DeclarationError(self.name, "two views have the same name")
        self._check_views()
        msgspec.structs.force_setattr(self, "lateness", self._lateness())
        if len({service.name for service in services}) != len(services):
            raise DeclarationError(self.name, "two services have the same name")
        for service in services:
            self.select(service.features, f"{self.name}:{service.name}")

    @property
    def source(self) -> EventSchema:
        """The schema of the events."""
        return self.views[0].source

    @property
    def entities(self) -> tuple[Entity, ...]:
        """What the rows describe, in the order of the views."""
        return tuple({view.entity.name: view.entity for view in self.views}.values())

    @property
    def entity(self) -> Entity:
        """What the rows of the first view describe; of all, where there is one entity."""
        return self.views[0].entity

    @property
    def lateness_us(self) -> int:
        """Allowed lateness, microseconds."""
        assert isinstance(self.lateness, int)
        return self.lateness

    def of(self, entity: str) -> Catalog:
        """Return the catalog of one entity's views; it has no services.

        Raises
        ------
        DeclarationError
            If no view is of that entity.
        """
        views = [view for view in self.views if view.entity.name == entity]
        if not views:
            raise DeclarationError(self.name, f"no view is of the entity {entity!r}")
        return Catalog(name=self.name, views=views, lateness=self.lateness)

    def service(self, name: str) -> FeatureService:
        """Return a service by its name.

        Raises
        ------
        DeclarationError
            If there is none.
        """
        for service in self.services:
            if service.name == name:
                return service
        known = ", ".join(service.name for service in self.services) or "none"
        raise DeclarationError(self.name, f"no feature service {name!r}; there are: {known}")

    def select(
        self, refs: Sequence[str], where: str | None = None
    ) -> tuple[tuple[FeatureView, Feature], ...]:
        """Return the features that ``"view:feature"`` and ``"view"`` name, in that order.

        Parameters
        ----------
        refs
            What is wanted.
        where
            Whose choice it is, for errors; default: the catalog.

        Raises
        ------
        DeclarationError
            If a name is not known, or a feature is named twice.
        """
        views = {view.name: view for view in self.views}
        chosen: dict[str, tuple[FeatureView, Feature]] = {}
        for ref in refs:
            name, colon, wanted = ref.partition(":")
            view = views.get(name)
            found = (
                () if view is None else [f for f in view.features if f.name == wanted or not colon]
            )
            if view is None or not found:
                raise DeclarationError(where or self.name, f"no feature {ref!r} in {self.name!r}")
            for feature in found:
                full = f"{name}:{feature.name}"
                if full in chosen:
                    raise DeclarationError(where or self.name, f"{full!r} is chosen twice")
                chosen[full] = (view, feature)
        return tuple(chosen.values())

    def features(self) -> Iterator[tuple[FeatureView, Feature]]:
        """Yield every feature with its view, in declared order."""
        for view in self.views:
            for feature in view.features:
                yield view, feature

    @property
    def columns(self) -> tuple[str, ...]:
        """``view:feature`` or ``view:feature[key]`` for every number of a row, in order."""
        return tuple(f"{v.name}:{column}" for v, f in self.features() for column in f.columns)

    def _check_views(self) -> None:
        entities: dict[str, Entity] = {}
        for view in self.views:
            where = f"{self.name}:{view.name}"
            if view.source != self.source:
                raise DeclarationError(where, "the views of a catalog share one source")
            if entities.setdefault(view.entity.name, view.entity) != view.entity:
                raise DeclarationError(
                    where, f"the entity {view.entity.name!r} is declared in two ways"
                )
            _check_entity(where, view)
        _check_sources(self.views)

    def _lateness(self) -> int:
        gap = min(view.gap_us for view in self.views)
        lateness: int
        if self.lateness is None:
            lateness = gap
        elif isinstance(self.lateness, int):
            lateness = self.lateness
        else:
            try:
                lateness = microseconds(self.lateness)
            except ValueError as error:
                raise DeclarationError(self.name, f"lateness: {error}") from None
        if not 0 <= lateness <= gap:
            raise DeclarationError(
                self.name, "lateness must not be negative or exceed a session gap"
            )
        return lateness


def _check_entity(where: str, view: FeatureView) -> None:
    """Check that events carry the entity's keys, and that the log is in the order it needs."""
    if view.entity.is_customer:
        return
    for key in view.entity.join_keys:
        if key == "customer_id":
            continue
        if not view.source.has(key) or view.source.is_numeric(key):
            raise DeclarationError(
                where, f"join key {key!r} of {view.entity.name!r} is no string that events carry"
            )
    for feature in view.features:
        if feature.window.kind in ("session", "last_session"):
            raise DeclarationError(
                f"{where}:{feature.name}",
                f"{feature.window.kind} of {view.entity.name!r}: sessions are a customer's",
            )


def _check_sources(views: Sequence[FeatureView]) -> None:
    """Check that formulas read other views of the same entity, declared before their own."""
    seen: dict[tuple[str, str, str], Feature] = {}
    for view in views:
        for feature in view.features:
            reads = feature.expression if feature.aggregation == "derived" else None
            for ref in operands(reads) if reads is not None else ():
                other, name, _ = split_ref(ref)
                source = seen.get((view.entity.name, other or view.name, name))
                check_operand(f"{view.name}:{feature.name}", ref, source)
            seen[view.entity.name, view.name, feature.name] = feature
