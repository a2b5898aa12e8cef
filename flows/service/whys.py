"""`GET /v1/decisions/{id}/why`: a decision made again from its record, and explained."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ...features.errors import SettingsError, StoreError
from ..decision.engine import Engine
from ..decision.errors import RequestError
from ..decision.goals import longest_window
from ..decision.ids import parse_id
from ..decision.record import Record
from ..decision.why import why
from .archive import ArchiveSearch
from .http import Scope
from .live import Live
from .outcomes import unknown
from .paths import invalid, no_query, unescaped
from .problems import ProblemError
from .strategies import Strategies


class WhyRoute:
    """Explains decisions over HTTP.

    Parameters
    ----------
    strategies
        Of any version that is kept.
    archive
        Where decisions are whose records have left the store, and what came of them.
    clock
        Microseconds since 1970.
    """

    def __init__(
        self,
        strategies: Strategies,
        archive: ArchiveSearch,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._strategies, self._archive = strategies, archive
        self._clock = clock
        self._encoder = msgspec.json.Encoder()

    async def get(self, scope: Scope, raw_id: bytes) -> tuple[int, bytes]:
        """Answer why; ``raw_id`` is the id as it is in the path, still escaped.

        Raises
        ------
        ProblemError
            If there is no such decision, it or its strategy is no longer kept, or the archive
            could not be searched in time.
        StoreError
            When the store is away, and the archive has not what is asked for.
        """
        no_query(scope)
        decision = unescaped(raw_id)
        live = self._strategies.live
        try:
            parse_id(decision)
        except RequestError as error:
            raise invalid(str(error), "$.id") from None
        record, source = await self._record(decision, live)
        engine = await self._engine(decision, record.strategy)
        # Models and weights that have changed since cannot tell; the explanation says so.
        try:
            persons = await self._strategies.store.get(live.keys.person(record.customer))
            models = live.engine.models.named(record.member) if engine is live.engine else None
        except StoreError:
            persons, models = None, None
        came = await self._archive.came(record, longest_window(engine.loaded.strategy))
        found = why(record, engine, models=models, persons=persons)
        return 200, self._encoder.encode(msgspec.structs.replace(found, source=source, came=came))

    async def _record(self, decision: str, live: Live) -> tuple[Record, str]:
        """Return a decision's record, and where it was."""
        away: StoreError | None = None
        try:
            kept = await live.committer.kept(decision)
            if kept is not None:
                return kept.record, "store"
        except StoreError as error:
            away = error
        archived = await self._archive.decision(decision)
        if archived is not None:
            return archived.record, "archive"
        if away is not None:
            raise away
        wrong = unknown(decision, parse_id(decision).at, live, self._clock())
        if not self._archive.there:
            reason = f"{wrong.reason}; there is no archive in the service's --data-dir"
            raise ProblemError(wrong.kind, reason)
        raise ProblemError(
            "unknown-decision", f"neither the store nor the archive has decision {decision}"
        )

    async def _engine(self, decision: str, version: str) -> Engine:
        try:
            found = await self._strategies.engine_of(version)
        except SettingsError as error:
            raise ProblemError(
                "no-longer-kept",
                f"decision {decision} was made by version {version} of the strategy, "
                f"which does not fit what is declared now: {error}",
            ) from None
        if found is None:
            raise ProblemError(
                "no-longer-kept",
                f"decision {decision} was made by version {version} of the strategy, "
                "which the store does not have, nor the archive",
            )
        return found
