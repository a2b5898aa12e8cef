"""`POST /v1/decide`: what to offer to a customer now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import msgspec

from ...features.errors import EventError, NextbestError, SettingsError
from ...features.receipts import Receipt
from ..decision.engine import Engine
from ..decision.errors import RequestError
from ..decision.outbound import outbound_message, told_of
from ..decision.reasons import Reason, reasons
from ..decision.record import Record
from ..decision.request import Request
from ..telemetry import tracing
from ..telemetry.policies import explored
from ..telemetry.serving import SERVICE
from .deciding import Decider, Found
from .http import Receive, Reply, Scope, is_plain, read_decoded
from .live import Asked, Decided, Live
from .loop_wire import DecideAnswer, DecideRequest, OfferAnswer
from .paths import invalid
from .problems import ProblemError
from .strategies import Strategies


class DecideRoute:
    """Decides over HTTP.

    Parameters
    ----------
    strategies
        By which.
    seconds
        See `Decider`.
    max_bytes, body_seconds
        Of one request.

    Attributes
    ----------
    decider
        Makes the decisions.
    """

    def __init__(
        self, strategies: Strategies, seconds: float, *, max_bytes: int, body_seconds: float
    ) -> None:
        self._strategies = strategies
        self.decider = Decider(seconds, _outbound)
        self._max_bytes = max_bytes
        self._body_seconds = body_seconds
        self._decoder = msgspec.json.Decoder(DecideRequest)
        self._encoder = msgspec.json.Encoder()

    async def post(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Answer a decision; that the store is away is no error.

        Raises
        ------
        ProblemError
            If the request is wrong, or no strategy is served.
        """
        given = await read_decoded(
            scope, receive, self._decoder, self._max_bytes, self._body_seconds
        )
        live, asked = self._strategies.live, _asked(given)
        decided = await _said(self.decider.decide(live, asked))
        if asked.after is not None:
            SERVICE.waited(stale=decided.record.stale)
        return 200, self._encoder.encode(answer(live.engine, decided, explain=given.explain))

    def begin(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Begin to answer as `post` does; False: nothing was begun, as `post` has to do it.

        Raises
        ------
        Exception
            Whatever `post` explains; nothing was begun.
        """
        if len(body) > self._max_bytes or not is_plain(scope):
            return False
        given = self._decoder.decode(body)
        if given.decision_id is not None or given.after is not None:
            return False
        live, asked = self._strategies.live, _asked(given)

        def tell(found: Found) -> None:
            if isinstance(found, Decided) and not given.explain:
                try:
                    told = self._encoder.encode(answer(live.engine, found, explain=False))
                except Exception as error:  # nobody else waits in vain because of it
                    found = error
                else:
                    reply.whole(200, told)
                    return
            if not isinstance(found, asyncio.CancelledError):
                reply.by(self._settled(live, asked, found, explain=given.explain))

        self.decider.begin(live, asked.request, tell)
        return True

    async def _settled(
        self, live: Live, asked: Asked, found: Found, *, explain: bool
    ) -> tuple[int, bytes]:
        decided = await _said(self.decider.settle(live, asked, found))
        return 200, self._encoder.encode(answer(live.engine, decided, explain=explain))


async def _said(deciding: Awaitable[Decided]) -> Decided:
    """Wait for a decision; say what is wrong as the caller of the service knows it."""
    try:
        return await deciding
    except RequestError as error:
        if error.field == "decision_id" and "another customer" in error.reason:
            raise ProblemError("not-theirs", str(error)) from None
        raise invalid(str(error), f"$.{error.field}") from None
    except SettingsError as error:  # of a receipt that is another customer's
        raise invalid(str(error), "$.after") from None


def _asked(given: DecideRequest) -> Asked:
    request = Request(
        customer=given.customer, channel=given.channel, n=given.n, context=given.context
    )
    return Asked(request, _receipts(given), given.wait_seconds, given.decision_id)


def answer(engine: Engine, decided: Decided, *, explain: bool) -> DecideAnswer:
    """Return a decision as it is answered."""
    record = decided.record
    tried = explored(record)
    tracing.decided(record)
    SERVICE.decided(record, tried=tried, repeated=decided.repeated)
    return DecideAnswer(
        record.id,
        record.at,
        offers_of(engine, decided, explain=explain),
        record.control,
        tried,
        record.fallback or None,
        record.stale,
        decided.repeated,
        None if decided.receipt is None else str(decided.receipt),
    )


def offers_of(engine: Engine, decided: Decided, *, explain: bool) -> list[OfferAnswer]:
    """Return the offers of a decision as they are answered."""
    return _offers(engine, decided.record, _reasons(engine, decided) if explain else None)


def _outbound(live: Live, record: Record) -> bytes | None:
    return outbound_message(live.engine.loaded.strategy, record)


def _offers(engine: Engine, record: Record, said: list[list[Reason]] | None) -> list[OfferAnswer]:
    told = told_of(engine.loaded.strategy, record)
    if said is None:
        return [OfferAnswer(*one) for one in told]
    return [OfferAnswer(*one, why) for one, why in zip(told, said, strict=True)]


def _reasons(engine: Engine, decided: Decided) -> list[list[Reason]]:
    record = decided.record
    if record.strategy != engine.loaded.version:
        return [[] for _ in record.offers]  # why, at /v1/decisions, knows that version
    try:
        return reasons(engine, record, decided.persons)
    except (NextbestError, ValueError):
        return [[] for _ in record.offers]


def _receipts(given: DecideRequest) -> list[Receipt] | None:
    if given.after is None:
        return None
    texts = [given.after] if isinstance(given.after, str) else given.after
    try:
        return [Receipt.parse(text) for text in texts]
    except EventError as error:
        raise invalid(str(error), "$.after") from None
