"""The strategy that the service decides by: loaded, published, and followed while it runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ...features.catalog import Catalog
from ...features.errors import NextbestError, SettingsError, StoreError
from ...features.online import AsyncFeatureClient
from ..decision.commit import AsyncCommitter
from ..decision.engine import Engine
from ..decision.errors import ModelError
from ..decision.goals import longest_window
from ..decision.keys import Keys
from ..decision.loading import Loaded, load
from ..decision.models import Models
from ..decision.published import Found, PublishedModels
from ..decision.warming import warm
from ..telemetry.serving import SERVICE
from .live import Live
from .problems import ProblemError
from .strategy_file import Seen, read, status
from .strategy_store import StrategyStore

FOLLOW_SECONDS = 1.0
"""Between two looks at the file and the store."""
MODELS_SECONDS = 0.1
"""Between two looks at the models, at least."""
_MODELS_SHARE = 0.2
"""Of the time, at most, is for taking up models."""
_OLD_ENGINES = 8
_log = logging.getLogger("nextbest.service")


class _Made(NamedTuple):
    """Models that were read, all models with them, and the seconds that it took a processor."""

    found: Found
    models: Models
    seconds: float


class Strategies:
    """Keeps the strategy and its models as they are in a file, or in the store.

    Parameters
    ----------
    store
        Where strategies are published, and models found.
    client
        Reads customers; the strategy is to fit its catalog.
    source
        A file, whose strategy is published; or the name of one in the store; None: the only one
        that is in the store.
    committer
        Makes what writes for some keys, and keeps records so many seconds.
    record_seconds
        For how long records are kept, at least.
    archived
        Returns the text of a version that the store does not have; None: nobody has it.
    """

    def __init__(
        self,
        store: StrategyStore,
        client: AsyncFeatureClient,
        source: Path | str | None,
        committer: Callable[[Keys, float], AsyncCommitter],
        record_seconds: float,
        archived: Callable[[str], str | None] = lambda version: None,
    ) -> None:
        self.store, self._archived = store, archived
        self._client, self._catalog = client, client.catalog
        self._changing = asyncio.Lock()
        self._file = source if isinstance(source, Path) else None
        self._name = source if isinstance(source, str) else None
        self._make_committer = committer
        self._record_seconds = record_seconds
        self._committers: dict[tuple[Keys, float], AsyncCommitter] = {}
        self._live: Live | None = None
        self._seen: Seen | None = None
        self._settling: tuple[int, int] | None = None
        self._wrong = False
        self._unpublished = False
        self._published = PublishedModels(Keys("", ""), ())
        self._old: dict[str, Engine] = {}
        self._complaints: dict[str, str] = {}

    @property
    def live(self) -> Live:
        """The strategy that decides.

        Raises
        ------
        ProblemError
            If there is none.
        """
        if self._live is None:
            raise ProblemError("no-strategy", "no strategy is served: nextbest serve --strategy")
        return self._live

    @property
    def loaded(self) -> Loaded | None:
        """What decides now; None: there is none."""
        return None if self._live is None else self._live.engine.loaded

    async def start(self) -> None:
        """Load the strategy, publish it, and find its models.

        Raises
        ------
        SettingsError
            If the file cannot be read, or has no strategy that fits the catalog.
        """
        if self._file is not None:
            seen = await asyncio.to_thread(read, self._file)
            try:
                await self._take_up(_load(seen.text, self._catalog))
            except SettingsError as error:
                raise SettingsError(f"{self._file}: {error}") from None
            self._seen, self._unpublished = seen, True
        await self.look()

    async def with_client(self, client: AsyncFeatureClient) -> None:
        """Decide by another declaration from now on, unless the strategy does not fit it."""
        async with self._changing:
            self._client, self._catalog = client, client.catalog
            self._old.clear()
            text = None if self._live is None else self._live.engine.loaded.text
            if self._seen is not None:
                text = self._seen.text
            if text is None:
                return
            try:
                await self._take_up(await asyncio.to_thread(_load, text, self._catalog))
                self._wrong = False
                self._fine("catalog")
            except NextbestError as error:
                reason = f"the strategy does not fit the new declaration: {error}"
                self._complain("catalog", reason)

    async def follow(
        self, seconds: float = FOLLOW_SECONDS, models_seconds: float = MODELS_SECONDS
    ) -> None:
        """Look at file and store, and more often at the models, again and again, until cancelled.

        Where models are so large that it takes long to take them up, it is done less often.
        """
        async with asyncio.TaskGroup() as both:
            both.create_task(self._repeat(self.look, seconds))
            both.create_task(self._repeat(self.look_at_models, models_seconds))

    async def _repeat(self, look: Callable[[], Awaitable[float]], seconds: float) -> None:
        pause = seconds
        while True:
            await asyncio.sleep(pause)
            pause = seconds
            try:
                pause = max(pause, await look() * (1.0 / _MODELS_SHARE - 1.0))
            except Exception as error:  # whatever it is, what is served is served on
                self._complain("following", f"following the strategy: {error}")

    async def look(self) -> float:
        """Take up what has changed; what cannot be used is said once, and not taken up.

        Returns
        -------
        Seconds of a processor that models took.
        """
        async with self._changing:
            await self._look()
        return await self.look_at_models()

    async def look_at_models(self) -> float:
        """As `look`, at the models only."""
        if self._live is None:
            return 0.0
        async with self._changing:
            try:
                return await self._look_at_models(self._live)
            except StoreError:
                return 0.0

    async def _look(self) -> None:
        try:
            if self._file is not None:
                await self._look_at_file(self._file)
            else:
                await self._look_at_store()
            if not self._wrong:  # one that was refused stays so until it changes
                self._fine("strategy")
        except StoreError:
            return  # decisions say so
        except NextbestError as error:
            where = "" if self._file is None else f"{self._file}: "
            self._complain("strategy", f"the strategy is not taken up: {where}{error}")
        if self._live is None:
            return
        try:
            loaded, keys = self._live.engine.loaded, self._live.keys
            # A store that lost everything is told again.
            lost = self._file is not None and not await self.store.has(keys, loaded.version)
            if self._unpublished or lost:
                await self.store.publish(keys, loaded)
                self._unpublished = False
        except StoreError:
            return

    async def engine_of(self, version: str) -> Engine | None:
        """Return what decides by a version of the strategy; None: it is not kept.

        Raises
        ------
        StoreError
            When the store is away.
        SettingsError
            If it does not fit the catalog any more.
        """
        live = self.live
        if live.engine.loaded.version == version:
            return live.engine
        found = self._old.get(version)
        if found is None:
            text = await self._text_of(live.keys, version)
            if text is None:
                return None
            found = await asyncio.to_thread(_compile, text, self._catalog)
            if found.loaded.version != version:
                return None
            while len(self._old) >= _OLD_ENGINES:
                self._old.pop(next(iter(self._old)))
            self._old[version] = found
        return found

    async def _text_of(self, keys: Keys, version: str) -> str | None:
        """Return the text of a version: from the archive, which is there if the store is away."""
        text = await asyncio.to_thread(self._archived, version)
        if text is None:
            stored = await self.store.version(keys, version)
            text = None if stored is None else stored.text
        return text

    async def close(self) -> None:
        """Close all connections."""
        for committer in self._committers.values():
            await committer.close()
        await self.store.close()

    async def _look_at_file(self, path: Path) -> None:
        now = await asyncio.to_thread(status, path)
        if self._seen is not None and now == self._seen[:2]:
            return
        if now != self._settling:  # somebody may be writing it: is it the same at the next look?
            self._settling = now
            return
        seen = await asyncio.to_thread(read, path)
        if self._seen is None or seen.text != self._seen.text or self._live is None:
            # A file that is wrong is not looked at again before it changes.
            self._seen, self._wrong = seen, True
            before = None if self._live is None else self._live.engine.loaded
            loaded = await asyncio.to_thread(_load, seen.text, self._catalog)
            if before is not None and loaded.strategy.name != before.strategy.name:
                raise SettingsError(
                    f"its name is {loaded.strategy.name!r}, but {before.strategy.name!r} is "
                    "served: what was offered and learned is kept by name; start another service"
                )
            if before is None or loaded.version != before.version:
                await self._take_up(loaded)
                self._unpublished = True
            self._wrong = False
        self._seen = seen

    async def _look_at_store(self) -> None:
        name = self._name
        if name is None:
            names = await self.store.names(self._catalog.name)
            if not names:
                return
            if len(names) > 1 and self._live is None:
                raise SettingsError(f"the store has several, name one: {', '.join(names)}")
            name = names[0] if self._live is None else self._live.keys.strategy
        stored = await self.store.current(Keys(self._catalog.name, name))
        if stored is None:
            if self._live is None and self._name is not None:
                raise SettingsError(f"the store has no strategy {name!r}")
            return
        if self._live is None or self._live.engine.loaded.version != stored.version:
            await self._take_up(await asyncio.to_thread(_load, stored.text, self._catalog))

    async def _take_up(self, loaded: Loaded) -> None:
        strategy, name = loaded.strategy, loaded.strategy.name
        keys = Keys(self._catalog.name, name)
        before = self._live
        names, fleet = list(strategy.objectives), strategy.fleet is not None
        published = PublishedModels(keys, names, self._published, fleet=fleet)
        try:
            models, fault = published.with_found(strategy, {}), ""
        except ModelError as error:
            models, fault = Models(strategy), f"models: {error}"
            published = PublishedModels(keys, names, fleet=fleet)
        engine = await asyncio.to_thread(_ready, loaded, self._catalog, models)
        seconds = max(self._record_seconds, longest_window(strategy) / 1e6)
        committer = self._committers.get((keys, seconds))
        if committer is None:
            committer = self._make_committer(keys, seconds)
            self._committers[keys, seconds] = committer
        # Requests under way end with what they began with.
        kept_us = round(seconds * 1e6)
        self._live = Live(self._client, engine, keys, committer, fault, kept_us)
        self._published = published
        SERVICE.took_up_strategy()
        if before is not None:
            self._old.pop(loaded.version, None)
            _log.warning("strategy %s: version %s is served", name, loaded.version)

    async def _look_at_models(self, live: Live) -> float:
        """Take up the models that have changed; return the seconds that it took a processor."""
        seen = self._published
        tags = await self.store.ask(*seen.tag_commands)
        changed = seen.changed(tags)
        if not changed:
            if live.models_fault and not any(tags):
                self._live = live._replace(models_fault="")  # there is nothing that is wrong
            return 0.0
        names = list(changed)
        data = dict(zip(names, await self.store.ask(*seen.model_commands(names)), strict=True))
        try:
            made = await asyncio.to_thread(_made, live.engine.loaded, seen, data)
        except ModelError as error:
            # Tried again when it changes. Without one that could be used, decisions fall back.
            seen.take(changed, {})
            self._complain("models", f"a model is not taken up: {error}")
            if not seen.models and live is self._live:
                self._live = live._replace(models_fault=f"models: {error}")
            return 0.0
        for name in seen.take(changed, made.found):
            _log.warning("objective %r: an older model than the one that is served is left", name)
        live.engine.models = made.models
        SERVICE.took_up_models(made.found)
        self._live = live._replace(models_fault="")
        self._fine("models")
        return made.seconds

    def _complain(self, what: str, reason: str) -> None:
        """Log something once, until it is another or was fine meanwhile."""
        if self._complaints.get(what) != reason:
            self._complaints[what] = reason
            _log.error("%s", reason)
            SERVICE.complained(what)

    def _fine(self, what: str) -> None:
        if self._complaints.pop(what, None) is not None:
            SERVICE.contented(what)


def _load(text: str, catalog: Catalog) -> Loaded:
    """Load a strategy; classes of River, which only a worker needs, are not looked up."""
    return load(text, catalog, look_up=False)


def _ready(loaded: Loaded, catalog: Catalog, models: Models) -> Engine:
    """Compile a strategy, and make its kernels ready: nobody is to wait for them."""
    engine = Engine(loaded, catalog, models)
    warm(engine, time.time_ns() // 1000)
    return engine


def _made(loaded: Loaded, seen: PublishedModels, data: Mapping[str, bytes]) -> _Made:
    began = time.thread_time()
    found = seen.decode(data)
    models = seen.with_found(loaded.strategy, found)
    return _Made(found, models, time.thread_time() - began)


def _compile(text: str, catalog: Catalog) -> Engine:
    return Engine(_load(text, catalog), catalog)
