"""The fleet in a strategy's file: its challengers, and how they are tried."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from .strategy_parts import Duration, Name, Part, Scale, Text

RiverName = Annotated[str, Meta(min_length=1, max_length=200)]


class RiverStage(Part, frozen=True, kw_only=True):
    """A class of River, and its parameters.

    Attributes
    ----------
    river
        Its name, such as ``river.linear_model.LogisticRegression``.
    with_
        In the file ``with``: its parameters by name; one may be a class in turn.
    """

    river: RiverName
    with_: Given = field(name="with", default_factory=dict)


Plain = bool | int | float | Annotated[str, Meta(max_length=200)] | None
Given = Annotated[
    dict[Name, Plain | RiverStage | Annotated[list[Plain], Meta(max_length=64)]],
    Meta(max_length=32),
]


class Challenger(Part, frozen=True, kw_only=True):
    """Models that learn as the champion's do, but by other settings; what is not given is as there.

    Attributes
    ----------
    river
        A classifier of River by its class's name, or several stages of which it is the last: then
        it is a shadow, which learns and forecasts, and never decides. It has no other settings.
    with_
        In the file ``with``: the parameters of the class, if one is named.
    variances, forgetting
        How far weights may be from nothing, and how fast old examples count less, by example: each
        with each is tried, as far as the examples bear it out.
    switching
        How readily one of these is left for another.
    bias_scale, shared_scale, feature_scale
        By how much the variance is greater of what all actions share: their mean, the contexts and
        numbers, and the action's features.
    """

    river: RiverName | Annotated[list[RiverName | RiverStage], Meta(max_length=8)] | None = None
    with_: Given = field(name="with", default_factory=dict)
    variances: Annotated[list[Annotated[float, Meta(ge=1e-4, le=100.0)]], Meta(max_length=8)] = []
    forgetting: Annotated[list[Annotated[float, Meta(ge=0.0, le=0.1)]], Meta(max_length=8)] = []
    switching: Annotated[float, Meta(ge=0.0, le=0.1)] | None = None
    bias_scale: Scale | None = None
    shared_scale: Scale | None = None
    feature_scale: Scale | None = None
    description: Text = ""


class Drift(Part, frozen=True, kw_only=True):
    """When a fresh challenger begins: as the champion's rewards drop below what it foretells.

    Attributes
    ----------
    part
        Of what is foretold, that is left after a drop.
    threshold
        How sure it has to be: on average e to its power decisions between false alarms.
    warm_up
        Decisions before it is looked for.
    """

    part: Annotated[float, Meta(ge=0.01, le=0.99)] = 0.5
    threshold: Annotated[float, Meta(ge=1.0, le=1000.0)] = 15.0
    warm_up: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 500


class Fleet(Part, frozen=True, kw_only=True):
    """Challengers that learn beside the models, the champion, and may take their place.

    Attributes
    ----------
    champion
        What the models are called that decide at first.
    challengers
        By name; what is made of other settings needs another name.
    share
        Of the customers who are decided for by a challenger: each challenger has as many.
    stay
        For how long a customer stays with whoever decides for them.
    salt
        Another one shares customers out anew.
    alpha
        The chance of a false promotion, at most, during the reign of one champion.
    keep
        For how long a former champion, or a fresh challenger, remains to be proven better.
    drift
        When a fresh challenger begins; None: never.
    """

    champion: Name = "base"
    challengers: Annotated[dict[Name, Challenger], Meta(max_length=8)] = {}
    share: Annotated[float, Meta(gt=0.0, le=0.9)] = 0.2
    stay: Duration = "1d"
    salt: str = ""
    alpha: Annotated[float, Meta(ge=1e-6, le=0.5)] = 0.05
    keep: Duration = "30d"
    drift: Drift | None = None
