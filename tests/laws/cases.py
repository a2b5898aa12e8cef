"""What directed cases are written with: a small catalog, events and answers as literals."""

from __future__ import annotations

from typing import Any

from nextbest.features import Catalog, EventSchema, FeatureView
from nextbest.features.declaration import Feature
from tests.laws.driver import Kernels
from tests.laws.strategies import EPOCH, MINUTE

GAP = 30 * MINUTE
START = EPOCH
PRESENT, MISSING, EXPIRED = 0, 1, 2

SCHEMA = EventSchema(
    "shop", types=("view", "cart"), properties={"value": float, "word": str, "good": bool}
)


def catalog(*features: Feature, **settings: Any) -> Catalog:
    """A catalog of one view."""
    lateness = settings.pop("lateness", None)
    view = FeatureView(name="v", source=SCHEMA, features=features, **settings)
    return Catalog(name="case", views=[view], lateness=lateness)


def row(
    time: int, event_id: str | None = None, customer: str = "ada", **properties: Any
) -> dict[str, Any]:
    """A view at ``time`` after the start."""
    return {
        "event_id": event_id or f"at {time}",
        "event_timestamp": START + time,
        "customer_id": customer,
        "type": "view",
        "channel": None,
        "properties": properties,
    }


def answer(kernels: Kernels, time: int, customer: str = "ada") -> list[float | str]:
    """The customer's values, or the states of those that have none, ``time`` after the start."""
    rows = kernels.state.read([customer], START + time)
    names = {MISSING: "missing", EXPIRED: "expired"}
    return [
        names.get(int(state), float(value))
        for value, state in zip(rows.values[0], rows.state[0], strict=True)
    ]
