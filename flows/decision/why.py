"""Why: a decision made again from its record, and compared with it byte for byte."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec
import numpy as np

from ...features.errors import NextbestError, StateError
from ...features.online.answer import STATES
from .engine import Engine
from .errors import DecisionError, RequestError
from .ids import customer_hash, parse_id
from .models import Models
from .reasons import Reason, reasons
from .record import Record, Value, event_of


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the record that came out otherwise: its name, what was logged, what comes out."""

    part: str
    logged: Any
    again: Any


class FeatureSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A feature as it was served: its value, and whether it was present, missing or expired."""

    name: str
    value: Value
    state: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An action that could be chosen, its score, and what the models foretold by objective."""

    action: str
    score: float
    chances: dict[str, float]


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """An action that could not be chosen, and the rule that excluded it."""

    action: str
    rule: str


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """An offer: what chose it, and what speaks for it."""

    rank: int
    action: str
    score: float
    propensity: float
    draw: float
    chances: dict[str, float]
    reasons: list[Reason]


class OutcomeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome that was taken in: its id, when, what happened to which offer, and its worth."""

    outcome_id: str
    at: int
    response: str
    action: str | None
    value: float | None
    corrects: str | None


class CreditTold(msgspec.Struct, frozen=True, kw_only=True):
    """What an objective learned of an offer.

    Attributes
    ----------
    reward
        The share of the objective's range, 0 to 1; None: withdrawn, as it was not delivered.
    silence
        Whether nothing came until then.
    at
        Of the response, or when silence was told: as a rule at the window's end.
    """

    rank: int
    action: str
    objective: str
    reward: float | None
    silence: bool
    at: int


class WhatCame(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a decision, as far as it is archived.

    Attributes
    ----------
    outcomes, credits
        In order of time; of each offer and objective the last word. A credit that is missing is
        still open.
    complete
        Whether all of the archive was searched where such things can be; not if that took too
        long, or a file is damaged.
    """

    outcomes: list[OutcomeSeen]
    credits: list[CreditTold]
    complete: bool


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """A decision explained.

    Attributes
    ----------
    reproduced
        Whether everything came out again, byte for byte.
    differences
        What did not.
    foretold
        Of the models' chances: ``reproduced``, ``differ``, or why they were not made again.
    features
        As they were served; None where they could not be had.
    candidates, excluded
        Every action of the strategy is in one of them.
    offers
        What was answered.
    source
        Where its record was found: ``store`` or ``archive``.
    came
        What came of it; None: there is no archive at hand.
    member
        Which member of the fleet decided; empty: none.
    """

    decision_id: str
    customer: str
    at: int
    channel: str
    wanted: int
    reproduced: bool
    differences: list[Difference]
    foretold: str
    strategy: str
    policy: str
    models: dict[str, int]
    clock: int
    control: bool
    fallback: str
    trigger: str
    cause: str
    stale: bool
    context: dict[str, Value]
    features: list[FeatureSeen] | None
    position: int
    age_ms: int
    inputs: dict[str, Value]
    offers: list[Explained]
    candidates: list[Candidate]
    excluded: list[Excluded]
    source: str = "store"
    came: WhatCame | None = None
    member: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def why(
    record: Record, engine: Engine, *, models: Models | None = None, persons: bytes | None = None
) -> Why:
    """Explain a decision, and say whether it can be made again.

    What is eligible is worked out from the features as they were served, the context and the
    contacts; the scores from the chances that were logged; propensities from the scores; draws
    from the id. All of it is compared with the record.

    Parameters
    ----------
    record
        As it was logged.
    engine
        Of the version of the strategy that decided.
    models
        The models that decided, if they are still at hand: then the chances are compared too.
    persons
        The customer's own weights; None: not at hand.

    Raises
    ------
    DecisionError
        If the engine is of another version of the strategy.
    """
    if record.strategy != engine.loaded.version:
        raise DecisionError(
            f"decision {record.id} was made by version {record.strategy} of the strategy, "
            f"not by {engine.loaded.version}"
        )
    differences = _differences(record, engine)
    return Why(
        decision_id=record.id,
        customer=record.customer,
        at=record.at,
        channel=record.channel,
        wanted=record.wanted,
        reproduced=not differences,
        differences=differences,
        foretold=_foretold(record, engine, models, persons),
        strategy=record.strategy,
        policy=record.policy,
        models=record.models,
        clock=record.clock,
        control=record.control,
        fallback=record.fallback,
        trigger=record.trigger,
        cause=record.cause,
        stale=record.stale,
        member=record.member,
        context=record.context,
        features=_features(record, engine),
        position=-1 if record.served is None else record.served.position,
        age_ms=-1 if record.served is None else record.served.age_ms,
        inputs=record.inputs,
        offers=_offers(record, engine, models, persons),
        candidates=_candidates(record),
        excluded=[Excluded(action=a, rule=rule) for a, rule in record.excluded.items()],
    )


def _differences(record: Record, engine: Engine) -> list[Difference]:
    found = _of_id(record)
    try:
        again = _as_told(record, engine.again(record))
    except (NextbestError, ValueError) as error:
        return [*found, Difference(part="record", logged="", again=str(error))]
    if event_of(again) == event_of(record):
        return found
    for part in record.__struct_fields__:
        logged, now = getattr(record, part), getattr(again, part)
        if msgspec.json.encode(logged) != msgspec.json.encode(now):
            found.append(Difference(part=part, logged=_shown(logged), again=_shown(now)))
    return found


def _as_told(record: Record, again: Record) -> Record:
    """Return what was made again, without tags if the record is from when none were told."""
    if any(offer.tags for offer in record.offers):
        return again
    bare = [msgspec.structs.replace(offer, tags={}) for offer in again.offers]
    return msgspec.structs.replace(again, offers=bare)


def _of_id(record: Record) -> list[Difference]:
    """Compare the record with what its id says of it."""
    try:
        said = parse_id(record.id)
    except RequestError:
        return [Difference(part="id", logged=record.id, again="no decision's id")]
    found = []
    if said.at != record.at:
        found.append(Difference(part="at", logged=record.at, again=said.at))
    if said.customer != customer_hash(record.customer):
        found.append(Difference(part="customer", logged=record.customer, again="another's id"))
    return found


def _foretold(record: Record, engine: Engine, models: Models | None, persons: bytes | None) -> str:
    if record.fallback or not record.eligible:
        return "no model was asked"
    if models is None:
        return "not made again: the models are not at hand"
    if models.versions != record.models:
        return "not made again: the models have learned since"
    known = persons or b""
    if record.persons != (crc32(known) if known else 0):
        return "not made again: the customer's weights have changed since"
    try:
        again = engine.again(record, models=models, persons=known)
    except (NextbestError, ValueError) as error:
        return f"differ: {error}"
    return "reproduced" if again.chances == record.chances else "differ"


def _features(record: Record, engine: Engine) -> list[FeatureSeen] | None:
    if record.served is None:
        return None
    try:
        row = engine.row(record.served)
    except StateError:
        return None  # the differences tell
    typed = engine.typed(row)
    return [
        FeatureSeen(name=name, value=value, state=STATES.get(state, "unknown"))
        for (name, value), state in zip(typed.items(), row.state.tolist(), strict=True)
    ]


def _candidates(record: Record) -> list[Candidate]:
    n = len(record.eligible)
    scores = _numbers(record.scores, n)
    chances = {name: _numbers(data, n) for name, data in record.chances.items()}
    return [
        Candidate(
            action=action, score=scores[i], chances={name: c[i] for name, c in chances.items()}
        )
        for i, action in enumerate(record.eligible)
    ]


def _offers(
    record: Record, engine: Engine, models: Models | None, persons: bytes | None
) -> list[Explained]:
    try:
        said = reasons(engine, record, persons or b"", models=models)
    except (NextbestError, ValueError, KeyError):
        said = [[] for _ in record.offers]  # the differences tell what is wrong with the record
    return [
        Explained(
            rank=rank,
            action=offer.action,
            score=offer.score,
            propensity=offer.propensity,
            draw=offer.draw,
            chances=offer.chances,
            reasons=own,
        )
        for rank, (offer, own) in enumerate(zip(record.offers, said, strict=True))
    ]


def _numbers(data: bytes, n: int) -> list[float]:
    """Return float64[n]; what a damaged record does not have is NaN."""
    found = np.full(n, np.nan)
    known = np.frombuffer(data[: len(data) // 8 * 8], "<f8")[:n]
    found[: len(known)] = known
    return [float(x) for x in found]


def _shown(part: Any) -> Any:
    """Return a part of a record for a person."""
    if isinstance(part, bytes):
        return _numbers(part, len(part) // 8)
    if isinstance(part, dict):
        return {name: _shown(value) for name, value in part.items()}
    return msgspec.to_builtins(part)
