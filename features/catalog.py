"""A catalog: all the feature views of one event stream, and what names them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from .declaration import Entity, Feature, FeatureView
from .durations import Duration, microseconds
from .errors import DeclarationError
from .events import EventSchema


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """The feature views that one worker computes into one row a customer.

    Parameters
    ----------
    name
        An identifier; also the Feast project and the prefix of the row keys.
    views
        Views over one event schema and one entity.
    lateness
        How late an event may be, behind the customer's own newest event, and still count in
        sessions. Default: the least session gap, which is also the most.

    Raises
    ------
    DeclarationError
        If views differ in source or entity, a name stands twice, or lateness exceeds a gap.

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

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise DeclarationError(repr(self.name), "a catalog's name must be an identifier")
        views = tuple(self.views)
        msgspec.structs.force_setattr(self, "views", views)
        if not views:
            raise DeclarationError(self.name, "a catalog needs at least one view")
        if len({view.name for view in views}) != len(views):
            raise DeclarationError(self.name, "two views have the same name")
        for view in views[1:]:
            if view.source != views[0].source or view.entity != views[0].entity:
                raise DeclarationError(
                    f"{self.name}:{view.name}", "the views of a catalog share source and entity"
                )
        gap = min(view.gap_us for view in views)
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
        msgspec.structs.force_setattr(self, "lateness", lateness)

    @property
    def source(self) -> EventSchema:
        """The schema of the events."""
        return self.views[0].source

    @property
    def entity(self) -> Entity:
        """What the rows describe."""
        return self.views[0].entity

    @property
    def lateness_us(self) -> int:
        """Allowed lateness, microseconds."""
        assert isinstance(self.lateness, int)
        return self.lateness

    def features(self) -> Iterator[tuple[FeatureView, Feature]]:
        """Yield every feature with its view, in declared order."""
        for view in self.views:
            for feature in view.features:
                yield view, feature

    @property
    def columns(self) -> tuple[str, ...]:
        """``view:feature`` or ``view:feature[key]`` for every number of a row, in order."""
        return tuple(f"{v.name}:{column}" for v, f in self.features() for column in f.columns)
