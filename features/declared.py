"""Declarations in the store: workers publish what they run with, and readers find it there.

A hash holds each catalog by its name. Beside it, each entity's views are kept for ever under the
id of their schema, so that a row can be read by whoever knows a later declaration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import redis

from .catalog import Catalog
from .catalog_codec import decode_catalog, encode_catalog
from .errors import SettingsError, StateError, StoreError

if TYPE_CHECKING:
    from .declaration import Entity

CATALOGS = b"nextbest:catalogs"


def row_prefix(catalog: str, entity: Entity) -> bytes:
    """Return what stands before the key text in the key of a row.

    >>> from nextbest.features import customer
    >>> row_prefix("demo", customer)
    b'nextbest:demo:customer:'
    """
    return f"nextbest:{catalog}:{entity.name}:".encode()


def schema_key(catalog: str, entity: Entity, schema_id: int) -> bytes:
    """Return where the declaration of the rows of that schema is.

    >>> from nextbest.features import customer
    >>> schema_key("demo", customer, 0xC0FFEE)
    b'nextbest:demo:customer/schema:00c0ffee'
    """
    # No entity has a slash in its name: a declaration never has the key of a row.
    return f"nextbest:{catalog}:{entity.name}/schema:{schema_id:08x}".encode()


def declare_commands(catalog: Catalog) -> list[tuple[bytes, ...]]:
    """Return the commands of the store with which a worker publishes its declaration.

    Examples
    --------
    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> v = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> [c[:2] for c in declare_commands(Catalog(name="demo", views=[v]))]  # doctest: +ELLIPSIS
    [(b'SET', b'nextbest:demo:customer/schema:...'), (b'HSET', b'nextbest:catalogs')]
    """
    from .plan import Plan

    commands: list[tuple[bytes, ...]] = []
    for entity in catalog.entities:
        own = catalog.of(entity.name)
        key = schema_key(catalog.name, entity, Plan.compile(own).schema_id)
        commands.append((b"SET", key, encode_catalog(own)))
    return [*commands, (b"HSET", CATALOGS, catalog.name.encode(), encode_catalog(catalog))]


def read_catalog(client: redis.Redis, name: str | None = None) -> Catalog:
    """Read a catalog that a worker published.

    Parameters
    ----------
    client
        Returns bytes.
    name
        May be left out where there is one catalog.

    Raises
    ------
    SettingsError
        If there is none, none of that name, or several and no name.
    StateError
        If it cannot be read.
    StoreError
        If the store is away.
    """
    untyped: Any = client
    try:
        found: Any = untyped.execute_command(*catalogs_command())
    except redis.RedisError as error:
        raise StoreError(f"reading the catalog failed: {error}") from error
    return pick_catalog(found, name)


def catalogs_command() -> tuple[bytes, ...]:
    """Return the command whose reply `pick_catalog` takes."""
    return (b"HGETALL", CATALOGS)


def catalog_command(name: str) -> tuple[bytes, ...]:
    """Return the command whose reply is one catalog's declaration, None if there is none."""
    return (b"HGET", CATALOGS, name.encode())


def pick_catalog(reply: object, name: str | None) -> Catalog:
    """Choose a catalog among all that are published; see `read_catalog`.

    Parameters
    ----------
    reply
        Of the store: a mapping of bytes, or names and declarations in turn.
    name
        The catalog's.
    """
    if isinstance(reply, list):
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    if not isinstance(reply, Mapping):
        raise StoreError(f"{CATALOGS.decode()} in the store is {type(reply).__name__}, not ours")
    known = ", ".join(sorted(key.decode(errors="replace") for key in reply))
    if not known:
        raise SettingsError("the store has no catalog: run a worker, or give one to the client")
    if name is None and len(reply) > 1:
        raise SettingsError(f"the store has several catalogs, name one: {known}")
    key = next(iter(reply)) if name is None else name.encode()
    if key not in reply:
        raise SettingsError(f"the store has no catalog {name!r}; there are: {known}")
    catalog = decode_catalog(reply[key])
    if catalog.name.encode() != key:
        raise StateError(f"the catalog stored as {key!r} is {catalog.name!r}")
    return catalog


def pick_schema(reply: object, catalog: str, entity: Entity, schema_id: int) -> Catalog | None:
    """Decode the declaration that `schema_key` leads to; None if there is none.

    Raises
    ------
    StateError
        If what is stored there is another declaration, or none at all.
    """
    from .schema_ids import schema_ids

    if reply is None:
        return None
    where = schema_key(catalog, entity, schema_id).decode()
    if not isinstance(reply, bytes):
        raise StateError(f"{where} in the store is {type(reply).__name__}, not a declaration")
    found = decode_catalog(reply)
    if found.name != catalog or [one.name for one in found.entities] != [entity.name]:
        raise StateError(f"{where} in the store is of other rows")
    if schema_id not in schema_ids(found):
        raise StateError(f"{where} in the store is of another schema, or of another version")
    return found
