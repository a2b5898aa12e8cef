"""The compiled plans of a catalog: one for each entity that its rows describe."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec

from . import aggregations as agg
from .catalog import Catalog
from .declaration import FeatureView
from .plan import Plan


@dataclass(frozen=True, slots=True)
class Plans:
    """What a worker computes for a catalog.

    Attributes
    ----------
    catalog
        What they were compiled from.
    customer
        The customers' plan. A customer's row also decides which events are duplicates and which
        are late, so there is a plan even where no view is of customers; see `serves_customers`.
    serves_customers
        Whether the customers' rows hold features that somebody reads.
    others
        A plan for each other entity, in the order of the entities' names.
    """

    catalog: Catalog
    customer: Plan
    serves_customers: bool
    others: tuple[Plan, ...]

    @classmethod
    def compile(cls, catalog: Catalog) -> Plans:
        """Compile a catalog.

        Raises
        ------
        DeclarationError
            As `Plan.compile`.

        Examples
        --------
        >>> from nextbest.features import Entity, EventSchema
        >>> shop = EventSchema("shop", types=("view",), properties={"product": str})
        >>> products = FeatureView(
        ...     name="p", source=shop, entity=Entity("product", ["product"]),
        ...     features=[agg.count("views")],
        ... )
        >>> plans = Plans.compile(Catalog(name="demo", views=[products]))
        >>> plans.serves_customers, [plan.catalog.columns for plan in plans.others]
        (False, [('p:views',)])
        """
        named = {entity.name: entity for entity in catalog.entities}
        others = [catalog.of(name) for name in sorted(named) if not named[name].is_customer]
        own = [name for name, entity in named.items() if entity.is_customer]
        return cls(
            catalog=catalog,
            customer=Plan.compile(catalog.of(own[0]) if own else _without_features(catalog)),
            serves_customers=bool(own),
            others=tuple(Plan.compile(each) for each in others),
        )

    @property
    def schema_id(self) -> int:
        """uint32 that changes when the meaning of any row, or what is computed, changes."""
        if self.serves_customers and not self.others:
            return self.customer.schema_id
        parts = [(plan.catalog.entity.name, _keys(plan), plan.schema_id) for plan in self.others]
        own = self.customer.schema_id if self.serves_customers else None
        text = msgspec.json.encode((own, parts))
        return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")


def _keys(plan: Plan) -> tuple[str, ...]:
    return tuple(plan.catalog.entity.join_keys)


def _without_features(catalog: Catalog) -> Catalog:
    """The least that decides duplicates: a row of one number, which nobody reads."""
    gap = min(view.gap_us for view in catalog.views)
    least = FeatureView(
        name="events", source=catalog.source, features=[agg.count("n")], session_gap=gap
    )
    return Catalog(name=catalog.name, views=[least], lateness=catalog.lateness)
