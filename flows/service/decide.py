"""`POST /v1/decide`: what to offer to a customer now."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from ...features.errors import EventError, NextbestError, SettingsError
from ...features.receipts import Receipt
from ..decision.engine import Engine
from ..decision.errors import RequestError
from ..decision.outbound import outbound_message
from ..decision.reasons import Reason, reasons
from ..decision.record import Record
from ..decision.request import Request
from .deciding import Decider
from .http import Receive, Scope, read_typed
from .live import Asked, Decided, Live
from .loop_wire import DecideAnswer, DecideRequest, OfferAnswer
from .paths import invalid
from .problems import ProblemError, explained
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
        _, body = await read_typed(scope, receive, self._max_bytes, self._body_seconds)
        try:
            given = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise explained(error, body) from None
        live = self._strategies.live
        request = Request(
            customer=given.customer, channel=given.channel, n=given.n, context=given.context
        )
        asked = Asked(request, _receipts(given), given.wait_seconds, given.decision_id)
        try:
            decided = await self.decider.decide(live, asked)
        except RequestError as error:
            if error.field == "decision_id" and "another customer" in error.reason:
                raise ProblemError("not-theirs", str(error)) from None
            raise invalid(str(error), f"$.{error.field}") from None
        except SettingsError as error:  # of a receipt that is another customer's
            raise invalid(str(error), "$.after") from None
        return 200, self._encoder.encode(answer(live.engine, decided, explain=given.explain))


def answer(engine: Engine, decided: Decided, *, explain: bool) -> DecideAnswer:
    """Return a decision as it is answered."""
    record = decided.record
    return DecideAnswer(
        record.id,
        record.at,
        offers_of(engine, decided, explain=explain),
        record.control,
        explored(record),
        record.fallback or None,
        record.stale,
        decided.repeated,
        None if decided.receipt is None else str(decided.receipt),
    )


def offers_of(engine: Engine, decided: Decided, *, explain: bool) -> list[OfferAnswer]:
    """Return the offers of a decision as they are answered."""
    return _offers(engine, decided.record, _reasons(engine, decided) if explain else None)


def explored(record: Record) -> bool:
    """Return whether an offer had not the best score of those that were left for its rank."""
    if record.fallback or record.control or not record.offers:
        return False
    scores = np.frombuffer(record.scores, "<f8").tolist()
    last = len(record.offers) - 1
    for rank, offer in enumerate(record.offers):
        if offer.score < max(scores):
            return True
        if rank < last:
            scores[record.eligible.index(offer.action)] = -math.inf
    return False


def _outbound(live: Live, record: Record) -> bytes | None:
    return outbound_message(live.engine.loaded.strategy, record)


def _offers(engine: Engine, record: Record, said: list[list[Reason]] | None) -> list[OfferAnswer]:
    actions = engine.loaded.strategy.actions
    found = []
    for rank, offer in enumerate(record.offers):
        action = actions.get(offer.action)  # of an earlier version it may be gone
        found.append(
            OfferAnswer(
                offer.action,
                rank,
                offer.score,
                offer.propensity,
                {} if action is None else action.content,
                None if action is None else action.value,
                None if said is None else said[rank],
            )
        )
    return found


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
