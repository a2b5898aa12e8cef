"""A Feast repository for a catalog: files for the ``feast`` command, or a store in this process.

The registry is SQLite: the command and servers share it, and a reader never sees it half
written. (Feast's registry file is rewritten in place.)
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from feast import FeatureStore, RepoConfig
from sqlalchemy import URL

from ..catalog import Catalog
from ..errors import DeclarationError
from . import connection
from .definitions import feast_objects
from .source import CATALOG_TAG

URL_VARIABLE = "NEXTBEST_REDIS_URL"
STORE_TYPE = "nextbest.features.feast_plugin.online_store.NextbestOnlineStore"
HISTORY_TYPE = "nextbest.features.feast_plugin.offline_store.NextbestOfflineStore"

_YAML = """\
# Values of the catalog's views are computed by nextbest's workers and read as of now.
project: {project}
provider: local
registry:
  registry_type: sql
  path: {registry}
online_store:
  type: {store_type}
  connection_string: {connection_string}
offline_store:
{offline}
entity_key_serialization_version: 3
"""

_MODULE = '''\
"""The Feast objects of the catalog {reference}."""

from nextbest.features.feast_plugin.definitions import named_objects
from nextbest.features.feast_plugin.repo import load_catalog

globals().update(named_objects(load_catalog({reference!r})))
'''


def load_catalog(reference: str) -> Catalog:
    """Import a catalog by ``package.module:attribute``.

    Raises
    ------
    DeclarationError
        If there is no such module, no such attribute, or it is not a catalog.

    Examples
    --------
    >>> load_catalog("shop.features")
    Traceback (most recent call last):
        ...
    nextbest.features.errors.DeclarationError: 'shop.features': a catalog is named \
package.module:attribute
    """
    module_name, colon, attribute = reference.partition(":")
    if not (module_name and colon and attribute.isidentifier()):
        raise DeclarationError(repr(reference), "a catalog is named package.module:attribute")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise DeclarationError(
            repr(reference), f"{error}: install it, or put its directory on PYTHONPATH"
        ) from error
    found = getattr(module, attribute, None)
    if not isinstance(found, Catalog):
        what = "nothing" if found is None else f"a {type(found).__name__}"
        raise DeclarationError(repr(reference), f"{attribute!r} is {what}, not a Catalog")
    return found


def write_repo(
    directory: str | Path,
    reference: str,
    url: str,
    *,
    registry: str | Path | None = None,
    archive: str | Path | None = None,
) -> Path:
    """Write a Feast repository, for ``feast -c DIRECTORY apply`` and ``FeatureStore(directory)``.

    Parameters
    ----------
    directory
        Made if need be. Feast imports every Python file below it.
    reference
        The catalog, ``package.module:attribute``; it must be importable where ``feast`` runs.
    url
        ``unix://…``, ``redis://…`` or ``rediss://…``. One with a password is not written down:
        the file then refers to the environment variable NEXTBEST_REDIS_URL.
    registry
        The SQLite file; default ``registry.db`` in the directory.
    archive
        The directory of the archive of events, ``…/archive/events``: with it, the history of
        computed views can be asked for.

    Returns
    -------
    Path
        The file ``feature_store.yaml``.

    Raises
    ------
    DeclarationError
        If the reference names no catalog.
    ValueError
        If the URL is of another kind.
    """
    catalog = load_catalog(reference)
    secret = connection.has_password(connection.check_url(url))
    root = Path(directory).resolve()
    root.mkdir(parents=True, exist_ok=True)
    file = root / "feature_store.yaml"
    # JSON strings are YAML strings, whatever the paths contain.
    file.write_text(
        _YAML.format(
            project=catalog.name,
            registry=json.dumps(_sqlite(root, registry)),
            store_type=STORE_TYPE,
            connection_string=json.dumps(f"${{{URL_VARIABLE}}}" if secret else url),
            offline="\n".join(
                f"  {name}: {json.dumps(value)}" for name, value in _offline(archive).items()
            ),
        )
    )
    (root / "nextbest_views.py").write_text(_MODULE.format(reference=reference))
    return file


def apply(
    catalog: Catalog,
    directory: str | Path,
    url: str,
    *,
    registry: str | Path | None = None,
    archive: str | Path | None = None,
) -> FeatureStore:
    """Bring the registry in line with a catalog and return the store, in this process.

    Views and services that the catalog no longer has are taken out of the registry; rows stay, and
    so do entities, which other views may have.

    Parameters
    ----------
    catalog
        Need not be importable.
    directory, url, registry, archive
        As in `write_repo`; no file but the registry is written.

    Raises
    ------
    ValueError
        If the URL is of another kind.

    Examples
    --------
    >>> store = apply(catalog, "feast", "unix:///srv/server.sock")  # doctest: +SKIP
    >>> store.get_online_features(
    ...     ["visits:events"], [{"customer_id": "ada"}]
    ... ).to_dict()  # doctest: +SKIP
    {'customer_id': ['ada'], 'events': [3]}
    """
    connection.check_url(url)
    root = Path(directory).resolve()
    root.mkdir(parents=True, exist_ok=True)
    store = FeatureStore(
        config=RepoConfig(
            project=catalog.name,
            provider="local",
            registry={"registry_type": "sql", "path": _sqlite(root, registry)},
            online_store={"type": STORE_TYPE, "connection_string": url},
            offline_store=_offline(archive),
            entity_key_serialization_version=3,
            repo_path=root,
        )
    )
    objects: list[Any] = feast_objects(catalog)
    declared = {(type(each), each.name) for each in objects}
    known: list[Any] = [*store.list_feature_views(), *store.list_feature_services()]
    gone = [
        each
        for each in known
        if each.tags.get(CATALOG_TAG) == catalog.name and (type(each), each.name) not in declared
    ]
    store.apply(objects, objects_to_delete=gone, partial=not gone)
    return store


def _offline(archive: str | Path | None) -> dict[str, str]:
    if archive is None:
        return {"type": "duckdb"}
    return {"type": HISTORY_TYPE, "archive_path": str(Path(archive).resolve())}


def _sqlite(root: Path, registry: str | Path | None) -> str:
    path = root / (registry or "registry.db")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A ? or a % in it means something else in a URL.
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
