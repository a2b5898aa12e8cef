"""Looking features up: one round trip, as of now.

The light client: it needs numpy, numba, msgspec and redis, neither Feast nor pyarrow. numba, most
of what an import takes, comes with the first client that is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..catalog import Catalog
from ..declared import row_prefix
from .answer import Features
from .client import AsyncFeatureClient, FeatureClient, now_us

if TYPE_CHECKING:
    from .choice import MAX_IDS
    from .decoding import RowDecoder

__all__ = [
    "MAX_IDS",
    "AsyncFeatureClient",
    "FeatureClient",
    "Features",
    "RowDecoder",
    "key_prefix",
    "now_us",
]
_LATER = {"MAX_IDS": "choice", "RowDecoder": "decoding"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def key_prefix(catalog: Catalog) -> bytes:
    """Return what stands before the key text in the key of a row of the catalog's one entity.

    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> v = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> key_prefix(Catalog(name="demo", views=[v]))
    b'nextbest:demo:customer:'
    """
    return row_prefix(catalog.name, catalog.entity)
