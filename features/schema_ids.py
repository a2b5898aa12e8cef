"""The id of a row's schema: 32 bits that stand in every row, and change with what a row means."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set

import msgspec

from .catalog import Catalog
from .kernels import layout
from .kinds import FROM_FEATURES


def schema_id(catalog: Catalog) -> int:
    """Hash what a row depends on.

    Texts, tags and times to live can change without a new row, and so can what is made of other
    features when it is read.

    Parameters
    ----------
    catalog
        Of one entity's views.
    """
    entity = catalog.entity
    # An entity of the key that it is named after has the id that it always had.
    is_plain = entity.is_customer or entity.join_keys == (entity.name,)
    return _hashed(catalog, FROM_FEATURES, () if is_plain else entity.join_keys)


def schema_ids(catalog: Catalog) -> tuple[int, ...]:
    """Return the ids that rows of a catalog may have: its own, and that of an earlier version.

    Examples
    --------
    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> def made(*features):
    ...     return Catalog(name="c", views=[FeatureView(name="v", source=shop, features=features)])
    >>> plain, parted = made(agg.count("n")), made(agg.count("n"), agg.ratio("r", "n", "n"))
    >>> schema_id(plain) == schema_id(parted), len(schema_ids(plain)), len(schema_ids(parted))
    (True, 1, 2)
    """
    # It took a ratio for something that is kept, and had no join keys in it.
    earlier = _hashed(catalog, FROM_FEATURES - {"ratio"})
    return tuple(dict.fromkeys((schema_id(catalog), earlier)))


def _hashed(catalog: Catalog, left_out: Set[str], keys: Sequence[str] = ()) -> int:
    views = [
        (
            view.name,
            view.gap_us,
            [
                msgspec.structs.replace(f, description="", owner="", tags={})
                for f in view.features
                if f.aggregation not in left_out
            ],
        )
        for view in catalog.views
    ]
    rows = [view for view in views if view[-1]]
    parts: list[object] = [layout.HEADER_WORDS, layout.RECENT_IDS, catalog.lateness_us, rows]
    parts += [keys] if keys else []
    digest = hashlib.blake2b(msgspec.json.encode(parts), digest_size=4).digest()
    return int.from_bytes(digest, "little")
