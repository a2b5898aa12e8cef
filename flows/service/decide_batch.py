"""`POST /v1/decide/batch`: what to offer to each of many customers now."""

from __future__ import annotations

import asyncio

import msgspec

from ...features.errors import StoreError
from ..decision.answers import Answers
from ..decision.errors import RequestError
from ..decision.record import Value
from ..decision.request import Request, check
from ..telemetry import tracing
from ..telemetry.policies import explored
from ..telemetry.serving import SERVICE
from .batch import BatchDecider, Outcome, Rehearsed, Wanted
from .batch_drafts import Told
from .batch_lines import AnswerLines, lines_of
from .batch_wire import (
    BatchAnswer,
    BatchCounts,
    BatchCustomer,
    BatchDecision,
    BatchRequest,
    State,
)
from .decide import offers_of
from .deciding import Decider, check_id
from .http import Receive, Scope, read_decoded
from .live import Decided, Live
from .paths import invalid
from .problems import Fault, ProblemError
from .strategies import Strategies

_FAULTS = 100
_ENCODED = 64
"""Answers that are written at a time; others have their turn in between."""


class BatchRoute:
    """Decides for many customers over HTTP.

    Parameters
    ----------
    strategies
        By which.
    decider
        See `BatchDecider`.
    max_bytes, body_seconds
        Of one request.
    """

    def __init__(
        self, strategies: Strategies, decider: Decider, *, max_bytes: int, body_seconds: float
    ) -> None:
        self._strategies = strategies
        self._batches = BatchDecider(decider)
        self._now = decider.now
        self._max_bytes = max_bytes
        self._body_seconds = body_seconds
        self._decoder = msgspec.json.Decoder(BatchRequest)
        self._encoder = msgspec.json.Encoder()
        self._lines: AnswerLines | None = None

    async def post(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Answer a decision for each customer, with its state.

        Raises
        ------
        ProblemError
            If the request or a customer of it is wrong: then nothing was decided.
        StoreError
            When the store is away in a dry run.
        """
        given = await read_decoded(
            scope, receive, self._decoder, self._max_bytes, self._body_seconds
        )
        live = self._strategies.live
        wanted = self._wanted(live, given)
        with tracing.batch(given.channel, len(wanted), commit=given.commit) as told:
            if given.commit:
                records = given.explain or tracing.is_recording()
                found = await self._batches.decide(live, wanted, given.batch_id, records=records)
                told(o.record for o in found if isinstance(o, Decided) and not o.repeated)
                return 200, await self._encoded(live, given, wanted, found)
            return 200, await self._dry(live, given, wanted)

    async def _dry(self, live: Live, given: BatchRequest, wanted: list[Wanted]) -> bytes:
        requests = [one.request for one in wanted]
        try:
            parts = await self._batches.rehearse(live, requests, explain=given.explain)
        except TimeoutError:
            raise StoreError("the store does not answer a dry run in time") from None
        return await self._rehearsed(live, given, parts)

    def _wanted(self, live: Live, given: BatchRequest) -> list[Wanted]:
        """Check every customer."""
        channels, now = live.engine.loaded.strategy.channels, self._now()
        if given.channel not in channels:
            reason = f"channel is {given.channel!r:.80}, which the strategy has not"
            raise invalid(reason, "$.channel")
        if given.batch_id is not None and not given.commit:
            raise invalid("a dry run decides nothing that could be found again", "$.batch_id")
        wanted: list[Wanted] = []
        faults: list[Fault] = []
        checked: dict[str, Value] | None = None
        for index, one in enumerate(given.customers):
            if isinstance(one, BatchCustomer):
                context = {**given.context, **one.context} if one.context else given.context
                made = Wanted(_request(given, one.customer, context), one.decision_id)
            else:
                made = Wanted(_request(given, one, given.context))
            try:
                check(made.request, channels, now, checked)
                checked = made.request.context  # which most of them share
                if made.decision_id is not None:
                    check_id(made.decision_id, made.request.customer)
                    if not given.commit:
                        raise RequestError("decision_id", "is given, but a dry run decides nothing")
            except RequestError as error:
                faults.append(Fault(str(error), index=index, path=f"$.{error.field}"))
            wanted.append(made)
        if faults:
            more = f", the first {_FAULTS} are listed" if len(faults) > _FAULTS else ""
            detail = f"{len(faults)} of {len(wanted)} customers are wrong{more}; none was decided"
            raise ProblemError("invalid-request", detail, faults[:_FAULTS])
        return wanted

    async def _encoded(
        self, live: Live, given: BatchRequest, wanted: list[Wanted], found: list[Outcome]
    ) -> bytes:
        counts, parts = BatchCounts(), list[bytes]()
        for begin in range(0, len(found), _ENCODED):
            for (request, _), outcome in zip(
                wanted[begin : begin + _ENCODED], found[begin : begin + _ENCODED], strict=True
            ):
                if isinstance(outcome, Told):
                    counts.logged += 1
                    parts.append(outcome.line)
                    continue
                one = _told(live, request, outcome, given)
                setattr(counts, one.state, getattr(counts, one.state) + 1)
                parts.append(self._encoder.encode(one))
            await asyncio.sleep(0)
        return self._answer(given, counts, parts)

    async def _rehearsed(self, live: Live, given: BatchRequest, found: list[Rehearsed]) -> bytes:
        parts: list[bytes] = []
        lines = self._lines = lines_of(live.engine.loaded.strategy, self._lines)
        for requests, at, some in found:
            if isinstance(some, Answers):
                parts.append(lines.dry(requests, at or 0, some))
            else:
                told = [
                    _told(live, request, one, given)
                    for request, one in zip(requests, some, strict=True)
                ]
                parts.append(self._encoder.encode(told)[1:-1])
            await asyncio.sleep(0)
        return self._answer(given, BatchCounts(dry=sum(len(p.requests) for p in found)), parts)

    def _answer(self, given: BatchRequest, counts: BatchCounts, parts: list[bytes]) -> bytes:
        head = self._encoder.encode(BatchAnswer(given.commit, counts, []))
        return b"".join((head[:-2], b",".join(parts), b"]}"))


def _request(given: BatchRequest, customer: str, context: dict[str, Value]) -> Request:
    return Request(customer=customer, channel=given.channel, n=given.n, context=context)


def _told(
    live: Live, request: Request, outcome: Decided | Exception, given: BatchRequest
) -> BatchDecision:
    if not isinstance(outcome, Decided):
        return BatchDecision(request.customer, "refused", [], error=str(outcome))
    record, receipt = outcome.record, outcome.receipt
    state: State = "logged"
    if receipt is None:
        state = "unlogged" if given.commit else "dry"
    tried = explored(record)
    if given.commit:
        SERVICE.decided(record, tried=tried, repeated=outcome.repeated)
    return BatchDecision(
        record.customer,
        state,
        offers_of(live.engine, outcome, explain=given.explain),
        record.id if given.commit else None,
        record.at,
        record.control,
        tried,
        record.fallback or None,
        outcome.repeated,
        None if receipt is None else str(receipt),
    )
