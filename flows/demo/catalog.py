"""The demo's declarations: what is known of a household, and what is decided from it.

`catalog` is what `nextbest run --catalog nextbest.flows.demo.catalog:catalog` takes, and
`next_category` what `--decisions` takes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...features import Catalog, EventSchema, FeatureView, event
from ...features import aggregations as agg
from ..decisions import DecisionPoint
from . import journey

ARMS = (
    "BEEF",
    "TROPICAL FRUIT",
    "COUPON/MISC ITEMS",
    "EGGS",
    "REFRGRATD JUICES/DRNKS",
    "COLD CEREAL",
    "LUNCHMEAT",
    "SOUP",
    "CANDY - CHECKLANE",
    "FRZN MEAT/MEAT DINNERS",
    "FROZEN PIZZA",
    "CRACKERS/MISC BKD FD",
    "VEGETABLES - SHELF STABLE",
    "CANDY - PACKAGED",
    "ICE CREAM/MILK/SHERBTS",
    "CANNED JUICES",
    "MILK BY-PRODUCTS",
    "BAKED SWEET GOODS",
    "CONDIMENTS/SAUCES",
    "YOGURT",
    "WATER - CARBONATED/FLVRD DRINK",
    "DELI MEATS",
    "SALD DRSNG/SNDWCH SPRD",
    "COOKIES/CONES",
    "VEGETABLES - ALL OTHERS",
    "SALAD MIX",
    "TOMATOES",
    "ONIONS",
    "POTATOES",
    "BEERS/ALES",
)
"""The categories in 6th to 35th place by the baskets that hold them: `journey.categories()`."""
_DAY_SECONDS = 86_400.0

shopping = EventSchema(
    "shopping",
    types=journey.EVENT_TYPES,
    properties={
        "basket_id": str,
        "category": str,
        "value": float,
        "quantity": float,
        **dict.fromkeys(journey.CONTEXTS, str),
    },
)

_start, _bought, _paid = (event.type == kind for kind in journey.EVENT_TYPES)

household = FeatureView(
    name="household",
    source=shopping,
    description="A household as a person would describe it.",
    features=[
        agg.count(
            "visit_items", where=_bought, window="session",
            description="purchases in the open visit",
        ),
        agg.sum(
            "visit_spend", of="value", where=_bought, window="session",
            description="dollars spent in the open visit",
        ),
        agg.time_since("since_visit", where=_start, description="seconds since the last visit"),
        agg.last(
            "last_category", of="category", where=_bought, vocabulary=ARMS,
            description="the category bought last, of the 30 that are recommended",
        ),
        agg.count("purchases_30d", where=_bought, window="30d", description="purchases in 30 days"),
        agg.count("visits_30d", where=_paid, window="30d", description="visits in 30 days"),
        agg.mean(
            "basket_90d", of="value", where=_paid, window="90d",
            description="dollars of an average basket of 90 days",
        ),
        agg.evidence(
            "weekly_habit", where=_paid, window="7d",
            description="visits in 7 days: 0 none, 1 coincidence, 2 pattern, 3 trend",
        ),
        agg.count("visits", where=_paid, description="visits ever"),
        agg.sum("spend", of="value", where=_paid, description="dollars ever spent"),
    ],
)  # fmt: skip

taste = FeatureView(
    name="taste",
    source=shopping,
    description="What the ranking learns from: which categories a household buys, and when.",
    features=[
        *(
            agg.decayed(
                f"bought_{days}d", by="category", vocabulary=ARMS, half_life=f"{days}d",
                where=_bought, description=f"purchases by category, half as much {days} days ago",
            )
            for days in journey.HALF_LIVES_DAYS
        ),
        *(
            agg.decayed(
                f"baskets_{days}d", half_life=f"{days}d", where=_paid,
                description=f"baskets, half as much {days} days ago",
            )
            for days in journey.HALF_LIVES_DAYS
        ),
        agg.time_since(
            "since_bought", by="category", vocabulary=ARMS, where=_bought,
            description="seconds since the category was bought last",
        ),
    ],
)  # fmt: skip

catalog = Catalog(name="journey", views=[household, taste])


def _positions(*columns: str) -> NDArray[np.intp]:
    place = {column: i for i, column in enumerate(catalog.columns)}
    return np.array([place[column] for column in columns], np.intp)


_BOUGHT = np.stack(
    [_positions(*(f"taste:bought_{d}d[{arm}]" for arm in ARMS)) for d in journey.HALF_LIVES_DAYS]
)
_BASKETS = _positions(*(f"taste:baskets_{d}d" for d in journey.HALF_LIVES_DAYS))
_SINCE = _positions(*(f"taste:since_bought[{arm}]" for arm in ARMS))


def action_features(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the features of every arm for a household.

    Parameters
    ----------
    values
        float64[columns], the household's row in the order of ``catalog.columns``.

    Returns
    -------
    float64[K, D], columns as in `journey.ACTION_FEATURES`.

    Examples
    --------
    >>> action_features(np.full(len(catalog.columns), np.nan)).shape
    (30, 7)
    """
    return journey.action_features(values[_BOUGHT], values[_BASKETS], values[_SINCE] / _DAY_SECONDS)


next_category = DecisionPoint(
    name="next_category",
    trigger="basket_start",
    arms=ARMS,
    contexts=journey.CONTEXTS,
    action_features=action_features,
    action_feature_names=journey.ACTION_FEATURES,
    reward_type="purchase",
    reward_property="category",
    close_type="checkout",
)
"""When a basket starts: recommend one of 30 categories; right iff it is then bought in it."""
