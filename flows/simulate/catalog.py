"""What is known of a customer of the simulated world.

`catalog` is what ``nextbest run --catalog nextbest.flows.simulate.catalog:catalog`` takes.
"""

from __future__ import annotations

from ...features import Catalog, EventSchema, FeatureView, event
from ...features import aggregations as agg

KINDS = ("tea", "coffee", "bread", "fruit", "cheese", "sweets")
"""What there is to look at, and what actions are about."""
VIEW, LEAVE = "view", "leave"

shop = EventSchema("simulated", types=(VIEW, LEAVE), properties={"kind": str})

taste = FeatureView(
    name="taste",
    source=shop,
    description="What a customer looked at.",
    features=[
        agg.count("views", where=event.type == VIEW, description="views ever"),
        agg.count(
            "viewed", by="kind", vocabulary=KINDS, where=event.type == VIEW,
            description="views ever, by kind",
        ),
        agg.last("last", of="kind", vocabulary=KINDS, where=event.type == VIEW),
    ],
)  # fmt: skip

catalog = Catalog(name="simulated", views=[taste])
