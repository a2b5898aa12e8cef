"""The catalog that ``lookup`` reads: 50 features of a shop's visitors, each of them one number."""

from __future__ import annotations

from nextbest.features import Catalog, FeatureView
from nextbest.features import aggregations as agg

from .catalog import CATEGORIES, cart, purchase, shop, view
from .catalog import catalog as forty

_scalars = [feature for _, feature in forty.features() if not feature.is_vector]
_more = [
    agg.last("s_last_category", of="category", vocabulary=CATEGORIES, window="session"),
    agg.last("last_category", of="category", vocabulary=CATEGORIES),
    agg.first("first_category", of="category", vocabulary=CATEGORIES),
    agg.last("bought_category", of="category", vocabulary=CATEGORIES, where=purchase),
    agg.last("viewed_category_30d", of="category", vocabulary=CATEGORIES, where=view, window="30d"),
    agg.distinct("categories_7d", of="category", vocabulary=CATEGORIES, window="7d"),
    agg.count("carts_7d", where=cart, window="7d"),
    agg.mean("value_7d", of="value", window="7d"),
    agg.mean("value_30d", of="value", window="30d"),
    agg.min("least_value_30d", of="value", window="30d"),
    agg.time_since("since_last_cart", where=cart),
    agg.ratio("bought_share_30d", "purchases_30d", "events_30d"),
]

catalog = Catalog(
    name="lookup",
    views=[FeatureView(name="visitor", source=shop, features=[*_scalars, *_more])],
)
