"""Catalogs as bytes, for whoever reads rows without the module that declares them.

The bytes are JSON, compressed; nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import zlib

import msgspec

from .catalog import Catalog
from .declaration import Entity, Feature, FeatureView
from .errors import DeclarationError, StateError
from .events import EventSchema
from .services import FeatureService

_MOST_BYTES = 16 << 20
_UNREADABLE = (zlib.error, msgspec.DecodeError, RecursionError, TypeError, DeclarationError)
_WORDS = ("description", "owner", "tags")
"""What is said of a view or a feature, and changes no value."""


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


def meaning_id(catalog: Catalog) -> str:
    """Return 16 hexadecimal digits that tell what a catalog's values mean.

    Formulas and times to live count, which the id of a row's schema leaves out; descriptions do
    not.

    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> def id_of(**more):
    ...     view = FeatureView(name="v", source=shop, features=[agg.count("n")], **more)
    ...     return meaning_id(Catalog(name="demo", views=[view]))
    >>> id_of() == id_of(description="Visits."), id_of() == id_of(ttl="1d")
    (True, False)
    """
    views = msgspec.to_builtins(catalog)["views"]
    for view in views:
        for said in (view, *view["features"]):
            for word in _WORDS:
                said.pop(word, None)
    text = msgspec.json.encode([catalog.name, catalog.lateness, views])
    return hashlib.blake2b(text, digest_size=8).hexdigest()


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
    except _UNREADABLE as error:
        raise StateError(f"a stored catalog cannot be read: {error}") from error
