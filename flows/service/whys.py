"""`GET /v1/decisions/{id}/why`: a decision made again from its record, and explained."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ...features.errors import SettingsError
from ..decision.engine import Engine
from ..decision.errors import RequestError
from ..decision.ids import parse_id
from ..decision.why import why
from .http import Scope
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
    clock
        Microseconds since 1970.
    """

    def __init__(
        self,
        strategies: Strategies,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._strategies = strategies
        self._clock = clock
        self._encoder = msgspec.json.Encoder()

    async def get(self, scope: Scope, raw_id: bytes) -> tuple[int, bytes]:
        """Answer why; ``raw_id`` is the id as it is in the path, still escaped.

        Raises
        ------
        ProblemError
            If there is no such decision, or it or its strategy is no longer kept.
        StoreError
            When the store is away.
        """
        no_query(scope)
        decision = unescaped(raw_id)
        live = self._strategies.live
        try:
            said = parse_id(decision)
        except RequestError as error:
            raise invalid(str(error), "$.id") from None
        kept = await live.committer.kept(decision)
        if kept is None:
            wrong = unknown(decision, said.at, live, self._clock())
            raise ProblemError(wrong.kind, wrong.reason)
        record = kept.record
        engine = await self._engine(decision, record.strategy)
        # Models and weights that have changed since cannot tell; the explanation says so.
        persons = await self._strategies.store.get(live.keys.person(record.customer))
        models = live.engine.models if engine is live.engine else None
        return 200, self._encoder.encode(why(record, engine, models=models, persons=persons))

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
                "which the store does not have",
            )
        return found
