"""Why an offer was made, in codes that a program can read and words that a person can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np

from ...learners import LearnerError
from ...learners.published_reasons import AVERAGE, published_reasons
from .engine import Engine
from .errors import ModelError
from .models import Models
from .persons import unpack_persons
from .record import Offer, Record
from .request import Row

Code = Literal[
    "best", "explored", "control", "fallback", "model", "personal", "boost", "lever", "cost"
]


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reason for an offer, or against it.

    Attributes
    ----------
    code
        ``best``: none that could be chosen at its rank had a higher score. ``explored``: another
        one had, and this one was tried. ``control``: the customer is in the control group.
        ``fallback``: see the text. ``model``: an input of an objective's model. ``personal``: what
        was learned of this customer. ``boost``, ``lever``, ``cost``: the strategy's.
    text
        For a person.
    objective
        Of a ``model`` or ``personal`` reason.
    value
        How much: logits of a model's input, the factor of a boost or lever, a cost, the
        propensity of what was explored.
    """

    code: Code
    text: str
    objective: str = ""
    value: float = 0.0


def reasons(
    engine: Engine,
    record: Record,
    persons: bytes = b"",
    *,
    models: Models | None = None,
    top: int = 3,
) -> list[list[Reason]]:
    """Return the reasons of every offer of a decision, in their order.

    Parameters
    ----------
    engine
        Of the strategy's version.
    record
        The decision.
    persons
        The customer's own weights, as they were given to it.
    models
        Those that it was made with; None: the engine's. A model of another version says nothing.
    top
        How many inputs of each objective's model are named.

    Raises
    ------
    ModelError
        If the customer's weights are damaged.
    """
    if record.fallback:
        text = f"the declared fallback: {record.fallback}"
        return [[Reason(code="fallback", text=text)] for _ in record.offers]
    found = []
    known = engine.models if models is None else models
    served = engine.row(record.served)
    left = dict(zip(record.eligible, np.frombuffer(record.scores, "<f8").tolist(), strict=True))
    for offer in record.offers:
        best = offer.score >= max(left.values())
        del left[offer.action]
        found.append(
            [
                _choice(record, offer, best),
                *_strategy(engine, record, offer, served),
                *_learned(engine, known, record, offer, persons, top),
            ]
        )
    return found


def _choice(record: Record, offer: Offer, best: bool) -> Reason:
    if record.control:
        return Reason(code="control", text="the customer is in the control group")
    if best:
        return Reason(code="best", text="the highest score", value=offer.score)
    share = f"{100.0 * offer.propensity:.3g} %"
    text = f"tried, to learn from it: chosen in {share} of such decisions"
    return Reason(code="explored", text=text, value=offer.propensity)


def _strategy(engine: Engine, record: Record, offer: Offer, served: Row) -> list[Reason]:
    action = engine.loaded.strategy.actions[offer.action]
    found = []
    if not record.control:
        place = engine.actions.index(offer.action)
        held = engine.inputs.held(
            served.values, served.state, record.context, record.channel, record.at
        )
        for boost, holds in zip(engine.loaded.strategy.boosts, held, strict=True):
            if holds[place] and boost.times != 1.0:
                text = f"times {boost.times:g} while {boost.when}"
                found.append(Reason(code="boost", text=text, value=boost.times))
        if action.lever != 1.0:
            text = f"times {action.lever:g}, as the strategy weighs it"
            found.append(Reason(code="lever", text=text, value=action.lever))
    if action.cost:
        text = f"less its cost of {action.cost:g}"
        found.append(Reason(code="cost", text=text, value=action.cost))
    return found


def _learned(
    engine: Engine, models: Models, record: Record, offer: Offer, persons: bytes, top: int
) -> list[Reason]:
    if record.control:
        return []
    personal = engine.loaded.strategy.model.personal
    blocks: Mapping[str, bytes] = unpack_persons(persons) if personal else {}
    features = [np.nan if x is None else x for x in offer.features] or None
    found = []
    for name, model in models.arranged.items():
        if model.version != record.models.get(name) or not model.version:
            continue
        person = blocks.get(models.person_key(name)) if personal else None
        arm = model.arms.index(offer.action)
        try:
            parts = published_reasons(model, record.inputs, features, arm, person)
        except LearnerError as error:
            raise ModelError(f"objective {name!r}: {error}") from error
        chance = offer.chances.get(name)
        for label, logit in [p for p in parts if p[1] and p[0] != AVERAGE][:top]:
            own = label == "person" or label.startswith("person & ")
            speaks = "for" if logit > 0.0 else "against"
            text = f"{label} speaks {speaks} {name}"
            if own:
                text = f"what was learned of this customer speaks {speaks} {name}"
            if chance is not None:
                text += f" (chance {chance:.3g})"
            code: Code = "personal" if own else "model"
            found.append(Reason(code=code, text=text, objective=name, value=logit))
    return found
