"""`nextbest why`: one decision, made again from what is kept of it, and what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import redis

from ...features.catalog import Catalog
from ...features.errors import SettingsError, SourceError, StateError, StoreError
from ..connection import ask, store_errors
from ..decision.calling import by_text
from ..decision.commit_types import Called
from ..decision.engine import Engine
from ..decision.errors import ModelError
from ..decision.goals import longest_window
from ..decision.ids import parse_id
from ..decision.kept import read, split
from ..decision.keys import Keys
from ..decision.loading import Loaded
from ..decision.models import Models
from ..decision.published import model_of
from ..decision.record import Record, record_of
from ..decision.roster import read_roster
from ..decision.stored import Stored
from ..decision.why import Why, why
from ..embedded import connect
from ..loop_archive import LoopArchive
from ..settings import Settings
from ..strategy_versions import StrategyVersions, load_version


def explain_decision(
    settings: Settings, catalog: Catalog, identifier: str, strategy: str | None = None
) -> Why:
    """Return why a decision came out as it did: from the store while it is kept, then the archive.

    Parameters
    ----------
    settings
        Where store and archive are.
    catalog
        By which it was made.
    identifier
        The decision's id.
    strategy
        The name of the strategy that made it; None: any.

    Raises
    ------
    RequestError
        If it is no decision's id.
    SourceError
        If nobody knows the decision, or the archive is damaged.
    SettingsError
        If its strategy is not kept, or does not fit the catalog.
    """
    parse_id(identifier)
    archive = LoopArchive(settings.archive_dir)
    versions = StrategyVersions(settings.archive_dir / "strategies")
    with _store(settings) as store:
        names = [strategy] if strategy else sorted({*store.names(catalog), *versions.names()})
        keys = [Keys(catalog.name, name) for name in names]
        record, source = store.record(keys, identifier), "store"
        if record is None:
            archived = archive.decision(identifier)
            if archived is None:
                raise SourceError(_nobody(identifier, archive, settings, store.fault))
            record, source = archived.record, "archive"
        loaded = _loaded(record, versions, store, keys, catalog)
        engine = Engine(loaded, catalog)
        own = Keys(catalog.name, loaded.strategy.name)
        models = store.models(own, loaded, record.member)
        persons = store.persons(own, record.customer)
    came = archive.came(record, longest_window(loaded.strategy)) if archive.there else None
    found = why(record, engine, models=models, persons=persons)
    return msgspec.structs.replace(found, source=source, came=came)


def _loaded(
    record: Record, versions: StrategyVersions, store: _Store, keys: list[Keys], catalog: Catalog
) -> Loaded:
    version = record.strategy
    text = versions.text(version) or store.text(keys, version)
    if text is None:
        raise SettingsError(
            f"decision {record.id} was made by version {version} of its strategy, whose text "
            f"neither the store nor the archive has{_away(store.fault)}"
        )
    try:
        return load_version(text, version, catalog)
    except SettingsError as error:
        raise SettingsError(
            f"decision {record.id} was made by version {version} of its strategy, which does not "
            f"fit the catalog as it is now: {error}"
        ) from None


def _nobody(identifier: str, archive: LoopArchive, settings: Settings, fault: str) -> str:
    where = f"nor the archive in {settings.archive_dir}" if archive.there else (
        f"and there is no archive of decisions in {settings.archive_dir}"
    )  # fmt: skip
    return f"the store has no decision {identifier}, {where}{_away(fault)}"


def _away(fault: str) -> str:
    return f" (the store does not answer: {fault})" if fault else ""


@contextlib.contextmanager
def _store(settings: Settings) -> Iterator[_Store]:
    """Open the store, if it answers; what is archived can be told without it."""
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(contextlib.closing(connect(settings)))
            found = _Store(client, settings.redis_url or "the embedded server")
        except StoreError as error:
            found = _Store(None, "", str(error))
        yield found


class _Store:
    """What is asked of the store; of one that is away nothing is known."""

    def __init__(self, client: redis.Redis | None, url: str, fault: str = "") -> None:
        self._client, self._url, self.fault = client, url, fault

    def names(self, catalog: Catalog) -> list[str]:
        """Return the names of the catalog's strategies."""
        found = self._ask("SMEMBERS", Keys(catalog.name, "").all_strategies())
        return [name.decode() for name in found or ()]

    def record(self, keys: list[Keys], identifier: str) -> Record | None:
        """Return a decision that is kept under one of the strategies."""
        for one in keys:
            key = one.decision(identifier)
            value = self._read(key)
            if value:
                try:
                    return record_of(split(key, value)[1])
                except msgspec.DecodeError as error:
                    raise SourceError(f"{key} holds no decision: {error}") from None
        return None

    def text(self, keys: list[Keys], version: str) -> str | None:
        """Return the text of a version of one of the strategies."""
        for one in keys:
            value = self._ask("GET", one.version(version))
            if value:
                with contextlib.suppress(msgspec.DecodeError):
                    return msgspec.json.decode(value, type=Stored).text
        return None

    def models(self, keys: Keys, loaded: Loaded, member: str = "") -> Models | None:
        """Return the models, or a member's, as they are now; None: they cannot be had."""
        if self._client is None:
            return None
        with contextlib.suppress(ModelError):
            roster = None if member else self._ask("GET", keys.fleet())
            if roster and loaded.strategy.fleet is not None:
                member = read_roster(roster).champion
            of = f":{member}" if member else ""
            data = {o: self._ask("GET", keys.model(o + of)) for o in loaded.strategy.objectives}
            found = {name: model_of(name, d) for name, d in data.items() if d}
            return Models(loaded.strategy, found, member=member)
        return None

    def persons(self, keys: Keys, customer: str) -> bytes | None:
        """Return the customer's own weights as they are now."""
        found: bytes | None = self._ask("GET", keys.person(customer))
        return found

    def _read(self, key: str) -> bytes | None:
        """Return what is kept under a key."""
        steps, reply = read([key]), None
        try:
            while True:
                step = steps.send(reply)
                reply = self._ask(*(by_text(step) if isinstance(step, Called) else step))
                if self._client is None:
                    return None  # it went away
        except StopIteration as end:
            found: list[bytes | None] = end.value
            return found[0]
        except StateError as error:
            raise SourceError(str(error)) from None

    def _ask(self, *command: Any) -> Any:
        if self._client is None:
            return None
        try:
            with store_errors(self._url):
                return ask(self._client, *command)
        except StoreError as error:
            self._client, self.fault = None, str(error)
            return None
