"""Catalogs as bytes, for whoever reads rows without the module that declares them.

The bytes are JSON, compressed; nothing in them is executed.
"""

from __future__ import annotations

import zlib

import msgspec

from .catalog import Catalog
from .declaration import Entity, Feature, FeatureView
from .errors import DeclarationError, StateError
from .events import EventSchema
from .services import FeatureService

_MOST_BYTES = 16 << 20


class _StoredView(msgspec.Struct):
    """A `FeatureView` with every duration in microseconds."""

    name: str
    source: EventSchema
    features: tuple[Feature, ...]
    entity: Entity
    session_gap: int
    ttl: int | None
    description: str
    owner: str
    tags: dict[str, str]


class _StoredCatalog(msgspec.Struct):
    """A `Catalog` with every duration in microseconds."""

    name: str
    views: tuple[_StoredView, ...]
    lateness: int
    services: tuple[FeatureService, ...] = ()


def encode_catalog(catalog: Catalog) -> bytes:
    """Encode a catalog, in the order in which it was written.

    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> views = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> catalog = Catalog(name="demo", views=[views])
    >>> decode_catalog(encode_catalog(catalog)) == catalog
    True
    """
    return zlib.compress(msgspec.json.encode(catalog), 9)


def decode_catalog(data: bytes) -> Catalog:
    """Decode what `encode_catalog` returned.

    Raises
    ------
    StateError
        If the bytes are damaged, or this version knows no such declaration.
    """
    try:
        inflater = zlib.decompressobj()
        text = inflater.decompress(data, _MOST_BYTES)
        if not inflater.eof:
            raise StateError(f"a stored catalog is cut off, or has more than {_MOST_BYTES} bytes")
        stored = msgspec.json.decode(text, type=_StoredCatalog)
        views = [FeatureView(**msgspec.structs.asdict(view)) for view in stored.views]
        return Catalog(
            name=stored.name, views=views, lateness=stored.lateness, services=stored.services
        )
    except (zlib.error, msgspec.DecodeError, TypeError, DeclarationError) as error:
        raise StateError(f"a stored catalog cannot be read: {error}") from error
