"""`POST /v1/outcomes`: what became of offers, checked, then taken in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from ...features.event_check import id_fault
from ..decision.commit import Responded
from ..decision.errors import RequestError
from ..decision.ids import customer_hash, parse_id
from ..decision.outbound import outbound_message
from ..decision.record import RESPONSES, Record, Response
from ..decision.strategy import Strategy
from ..telemetry import tracing
from .http import JSON, Receive, Scope, decoded, read_typed
from .live import Live
from .loop_wire import OUTCOMES_MOST, OutcomeRequest, OutcomesAnswer, OutcomeTaken
from .moments import microseconds_at
from .problems import Fault, ProblemError
from .strategies import Strategies

SKEW_US = 60_000_000
"""How far an outcome may be before its decision, or ahead of our clock: clocks differ."""
_AT_ONCE = 64
"""Records that are read, or customers whose outcomes are written, at the same time."""
_FAULTS = 100


class _Wrong(NamedTuple):
    """What is wrong with an outcome."""

    kind: str
    reason: str
    path: str


class _Known(NamedTuple):
    """An outcome that was checked, and its decision."""

    outcome_id: str
    at: int
    response: Response
    record: Record


_Taken = dict[tuple[str, str], Response]
"""What outcomes said that were taken in, by customer and id."""


class OutcomesRoute:
    """Takes outcomes in.

    Parameters
    ----------
    strategies
        By which they are checked.
    max_bytes, body_seconds
        Of one request.
    clock
        Microseconds since 1970.
    """

    def __init__(
        self,
        strategies: Strategies,
        *,
        max_bytes: int,
        body_seconds: float,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._strategies = strategies
        self._max_bytes = max_bytes
        self._seconds = body_seconds
        self._clock = clock
        self._one = msgspec.json.Decoder(OutcomeRequest)
        self._many = msgspec.json.Decoder(list[OutcomeRequest])

    async def post(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        """Answer 202 with a receipt for each outcome.

        Raises
        ------
        ProblemError
            If an outcome, or the request itself, is wrong: then none was taken in. An outcome
            that comes again must say what it said the first time; one that corrects another must
            be of the same offer. If another request takes in the same id meanwhile, some may have
            been taken in.
        StoreError
            When the store is away. Some may have been taken in: send them all again.
        """
        kind, body = await read_typed(scope, receive, self._max_bytes, self._seconds, lines=True)
        live = self._strategies.live
        outcomes = self._decoded(body, lines=kind != JSON)
        if not outcomes:
            fault = Fault("no outcome", path="$")
            raise ProblemError("invalid-request", "no outcome in the body", [fault])
        if len(outcomes) > OUTCOMES_MOST:
            raise ProblemError(
                "too-large", f"{len(outcomes)} outcomes in one request, of at most {OUTCOMES_MOST}"
            )
        taken = await self._take(live, await self._check(live, outcomes))
        answer = OutcomesAnswer(
            [
                OutcomeTaken(outcome.outcome_id, str(found.receipt), found.repeated)
                for outcome, found in zip(outcomes, taken, strict=True)
            ]
        )
        return 202, msgspec.json.encode(answer)

    def _decoded(self, body: bytes, *, lines: bool) -> list[OutcomeRequest]:
        if lines:
            texts = [line for line in body.split(b"\n") if line.strip(b" \t\r")]
            if len(texts) > OUTCOMES_MOST:
                raise ProblemError(
                    "too-large", f"more than {OUTCOMES_MOST} outcomes in one request"
                )
            return [self._line(text, index) for index, text in enumerate(texts)]
        if body.lstrip(b" \t\r\n").startswith(b"["):
            return decoded(self._many, body)
        return [decoded(self._one, body)]

    def _line(self, text: bytes, index: int) -> OutcomeRequest:
        try:
            return decoded(self._one, text)
        except ProblemError as known:
            path = known.errors[0].path if known.errors else "$"
            fault = Fault(known.detail, index=index, path=path)
            raise ProblemError(known.kind, f"line {index + 1}: {known.detail}", [fault]) from None

    async def _check(self, live: Live, outcomes: Sequence[OutcomeRequest]) -> list[_Known]:
        """Check all; raise what is wrong with any."""
        wrong = {
            index: fault
            for index, outcome in enumerate(outcomes)
            if (fault := _of_itself(outcome)) is not None
        }
        good = [outcome for index, outcome in enumerate(outcomes) if index not in wrong]
        wanted = {o.decision_id for o in good}
        records, taken = await asyncio.gather(
            self._records(live, sorted(wanted)), self._taken(live, good)
        )
        now = self._clock()
        known = []
        for index, outcome in enumerate(outcomes):
            if index in wrong:
                continue
            found = _of_decision(outcome, records[outcome.decision_id], live, now)
            if isinstance(found, _Known):
                found = _of_others(found, taken)
            if isinstance(found, _Wrong):
                wrong[index] = found
            else:
                known.append(found)
                taken[outcome.customer, outcome.outcome_id] = found.response
        if wrong:
            raise _problem(wrong, len(outcomes))
        return known

    async def _records(self, live: Live, ids: Sequence[str]) -> dict[str, Record | None]:
        found: dict[str, Record | None] = {}
        for begin in range(0, len(ids), _AT_ONCE):
            some = ids[begin : begin + _AT_ONCE]
            kept = await asyncio.gather(*(_record(live, name) for name in some))
            found.update(zip(some, kept, strict=True))
        return found

    async def _taken(self, live: Live, outcomes: Sequence[OutcomeRequest]) -> _Taken:
        """Return what is known of these outcomes, and of those that they correct."""
        names = dict.fromkeys(
            (one.customer, name)
            for one in outcomes
            for name in (one.outcome_id, one.corrects)
            if name is not None
        )
        found: _Taken = {}
        every = list(names)
        for begin in range(0, len(every), _AT_ONCE):
            some = every[begin : begin + _AT_ONCE]
            said = await asyncio.gather(*(live.committer.taken(*name) for name in some))
            found |= {name: one for name, one in zip(some, said, strict=True) if one is not None}
        return found

    async def _take(self, live: Live, known: Sequence[_Known]) -> list[Responded]:
        """Take all in: those of a customer one after the other, in order.

        Raises
        ------
        ProblemError
            If another request took in the same id after it was checked. What is behind it of the
            customer's may build on it, and is left out.
        """
        places: dict[str, list[int]] = {}
        for place, one in enumerate(known):
            places.setdefault(one.record.customer, []).append(place)
        found: dict[int, Responded] = {}
        wrong: dict[int, _Wrong] = {}

        async def take(own: Sequence[int]) -> None:
            for place in own:
                name, at, response, record = known[place]
                tracing.responded(response.decision_id, response.response)
                found[place] = await live.committer.respond(
                    name, at, response, live.engine.caps, record
                )
                if not found[place].same:
                    wrong[place] = _id_taken(name)
                    return

        every = list(places.values())
        for begin in range(0, len(every), _AT_ONCE):
            await asyncio.gather(*map(take, every[begin : begin + _AT_ONCE]))
        if wrong:
            raise _problem(wrong, len(known), some=True)
        return [found[place] for place in range(len(known))]


async def _record(live: Live, decision: str) -> Record | None:
    """Return a decision, which then is in the log: an outcome means nothing before it."""
    kept = await live.committer.kept(decision)
    if kept is None:
        return None
    record = kept.record
    if kept.receipt is None:
        await live.committer.complete(
            kept, outbound=outbound_message(live.engine.loaded.strategy, record)
        )
    return record


def responses_of(strategy: Strategy) -> list[str]:
    """Return the words that an outcome of a strategy may have.

    Examples
    --------
    >>> from ..decision.strategy import Action, Channel, Objective
    >>> strategy = Strategy(
    ...     name="tea", objectives={"sale": Objective(response="buy")},
    ...     channels={"web": Channel()}, actions={"green": Action(channels=["web"])},
    ... )
    >>> responses_of(strategy)[-2:]
    ['convert', 'buy']
    """
    own = [o.response for o in strategy.objectives.values() if o.response is not None]
    rests = [rest.after for rest in strategy.cool_downs]
    return list(dict.fromkeys([*RESPONSES, *own, *rests]))


def _of_itself(outcome: OutcomeRequest) -> _Wrong | None:
    """Say what is wrong with an outcome, whatever its decision was."""
    for name in ("outcome_id", "customer", "corrects"):
        value = getattr(outcome, name)
        fault = None if value is None else id_fault(value)
        if fault is not None:
            return _Wrong("invalid-request", fault, f"$.{name}")
    if outcome.corrects == outcome.outcome_id:
        return _Wrong("invalid-request", "an outcome cannot correct itself", "$.corrects")
    try:
        said = parse_id(outcome.decision_id)
    except RequestError as error:
        return _Wrong("invalid-request", str(error), "$.decision_id")
    if said.customer != customer_hash(outcome.customer):
        reason = f"decision {outcome.decision_id} is of another customer"
        return _Wrong("not-theirs", reason, "$.customer")
    return None


def _of_decision(
    outcome: OutcomeRequest, record: Record | None, live: Live, now: int
) -> _Known | _Wrong:
    decided_at = parse_id(outcome.decision_id).at
    if record is None:
        return unknown(outcome.decision_id, decided_at, live, now)
    if record.customer != outcome.customer:  # of the same hash
        return _Wrong("not-theirs", "the decision is of another customer", "$.customer")
    offered = [offer.action for offer in record.offers]
    if not offered:
        return _Wrong("invalid-request", "the decision offered nothing", "$.decision_id")
    if outcome.action is not None and outcome.action not in offered:
        reason = f"the decision did not offer {outcome.action!r}, but {', '.join(offered)}"
        return _Wrong("invalid-request", reason, "$.action")
    if outcome.channel is not None and outcome.channel != record.channel:
        reason = f"the decision was made for {record.channel!r}"
        return _Wrong("invalid-request", reason, "$.channel")
    strategy = live.engine.loaded.strategy
    known = responses_of(strategy)
    if outcome.response not in known:
        reason = f"{outcome.response!r} is no response of the strategy, but {', '.join(known)}"
        return _Wrong("invalid-request", reason, "$.response")
    reason = _of_value(outcome, strategy)
    if reason:
        return _Wrong("invalid-request", reason, "$.value")
    try:
        at = microseconds_at(outcome.at)
    except ValueError as error:
        return _Wrong("invalid-request", str(error), "$.at")
    response = Response(
        decision_id=outcome.decision_id,
        response=outcome.response,
        action=outcome.action or offered[0],
        value=outcome.value,
        corrects=outcome.corrects,
    )
    if at is None:
        return _Known(outcome.outcome_id, max(now, decided_at), response, record)
    if at < decided_at - SKEW_US:
        return _Wrong("invalid-request", f"is before the decision, {decided_at}", "$.at")
    if at > now + SKEW_US:
        return _Wrong("invalid-request", f"is ahead of the clock, {now}", "$.at")
    return _Known(outcome.outcome_id, max(at, decided_at), response, record)


def _of_others(known: _Known, taken: _Taken) -> _Known | _Wrong:
    """Compare an outcome with those that came before it."""
    customer, said = known.record.customer, known.response
    same = taken.get((customer, known.outcome_id))
    if same is not None and same != said:
        return _id_taken(known.outcome_id)
    if said.corrects is None:
        return known
    earlier = taken.get((customer, said.corrects))
    if earlier is None:
        reason = f"there is no outcome {said.corrects!r} to correct, or it is no longer kept"
        return _Wrong("invalid-request", reason, "$.corrects")
    if (earlier.decision_id, earlier.action) != (said.decision_id, said.action):
        reason = f"outcome {said.corrects!r} is of another offer"
        return _Wrong("invalid-request", reason, "$.corrects")
    return known


def _id_taken(name: str) -> _Wrong:
    reason = f"{name!r} was taken in before, and said something else"
    return _Wrong("outcome-id-taken", reason, "$.outcome_id")


def unknown(decision: str, decided_at: int, live: Live, now: int) -> _Wrong:
    """Say why there is no record of a decision."""
    if decided_at + live.kept_us < now:
        hours = live.kept_us / 3.6e9
        reason = f"decision {decision} is older than {hours:g} h, for which records are kept"
        return _Wrong("no-longer-kept", reason, "$.decision_id")
    return _Wrong("unknown-decision", f"decision {decision} is not known", "$.decision_id")


def _of_value(outcome: OutcomeRequest, strategy: Strategy) -> str:
    for name, objective in strategy.objectives.items():
        low, high = objective.range
        if objective.response != outcome.response or not isinstance(objective.value, str):
            continue
        if outcome.value is None:
            return f"objective {name!r} needs one: what it is worth, {low:g} to {high:g}"
        if not low <= outcome.value <= high:
            return f"{outcome.value:g} is not in the range of {name!r}, {low:g} to {high:g}"
    return ""


def _problem(wrong: dict[int, _Wrong], of: int, *, some: bool = False) -> ProblemError:
    """Say what is wrong: by its own name if there is but one outcome, or some were taken in."""
    faults = [
        Fault(wrong[index].reason, index=index if of > 1 else None, path=wrong[index].path)
        for index in sorted(wrong)[:_FAULTS]
    ]
    if of == 1:
        return ProblemError(wrong[0].kind, wrong[0].reason, faults)
    first = f", the first {_FAULTS} are listed" if len(wrong) > _FAULTS else ""
    detail = f"{len(wrong)} of {of} outcomes are wrong{first}"
    if some:
        detail += "; others may have been taken in: send them again"
        return ProblemError(next(iter(wrong.values())).kind, detail, faults)
    detail += "; none was taken in"
    return ProblemError("invalid-outcomes", detail, faults)
