"""A strategy: what may be offered to whom, what it is worth, and how to find that out.

It is one YAML file that a marketer reads and writes; these are its parts as types. Durations are
written like ``30m`` or ``7d``, conditions and numbers as expressions over features, context and
the action's tags.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from .strategy_fleet import Challenger, Drift, Fleet, RiverStage
from .strategy_parts import (
    Duration,
    Expression,
    Finite,
    Name,
    Part,
    Positive,
    Share,
    Tags,
    Text,
)

__all__ = [
    "Action", "Boost", "Cap", "Challenger", "Channel", "Control", "CoolDown", "Drift",
    "Exploration", "Fleet", "Model", "Name", "Objective", "Part", "RiverStage", "Strategy",
    "Suppression", "Trigger", "otherwise_of",
]  # fmt: skip


class Objective(Part, frozen=True, kw_only=True):
    """What an action is to bring about, and until when that counts.

    Attributes
    ----------
    response
        What the app posts when it happens: ``accept``, ``convert``, or any word of its own.
    event
        The type of the event that shows it, where nobody posts it. One of the two is given.
    where
        Which of those events count: a condition over ``event.*`` and ``action.*``.
    value
        What one is worth: a number, or the property of the response or event that says it; a
        response without it says it as its ``value``.
    range
        The least and the greatest value; what lies outside is taken for the nearer of the two.
        No response counts as the least.
    window
        For how long after the decision a response counts.
    silence_after
        When to learn "no response" meanwhile; one that comes later in the window takes its place.
    weight
        Of this objective among all; negative for what is to be avoided.
    """

    response: Name | None = None
    event: str | None = None
    where: Expression | None = None
    value: Finite | Name = 1.0
    range: tuple[Finite, Finite] = (0.0, 1.0)
    window: Duration = "1d"
    silence_after: Duration | None = None
    weight: Finite = 1.0
    description: Text = ""


class Cap(Part, frozen=True, kw_only=True):
    """At most so many offers within any stretch of time so long."""

    most: Annotated[int, Meta(ge=0, le=1000)]
    per: Duration


class Channel(Part, frozen=True, kw_only=True):
    """Where actions reach a customer.

    Attributes
    ----------
    direction
        ``inbound``: the customer is there and an app asks; ``outbound``: we go to them.
    caps
        Of all actions through this channel.
    open
        A condition; where it does not hold the channel is closed.
    blocked_for
        For how long the channel is not tried again after a delivery failed.
    otherwise
        Outbound: through which channels, in this order, the customer is tried to be reached when
        a delivery failed, or when the channel is closed or blocked as a trigger decides. None:
        all other outbound channels, as they stand in the file.
    """

    direction: Literal["inbound", "outbound"] = "inbound"
    caps: list[Cap] = []
    open: Expression | None = None
    blocked_for: Duration = "1h"
    otherwise: list[Name] | None = None
    description: Text = ""


class CoolDown(Part, frozen=True, kw_only=True):
    """After a response, an action is not offered for a while.

    Attributes
    ----------
    after
        The response that begins it.
    pause
        How long it is.
    of
        What rests: the ``action`` itself, ``all`` actions, or those with the same value of a tag.
    """

    after: Name = "refuse"
    pause: Duration
    of: Name = "action"


class Action(Part, frozen=True, kw_only=True):
    """What can be offered.

    Attributes
    ----------
    value
        What a full response is worth: one number, or one for each objective.
    cost
        Of offering it once, in the same unit.
    lever
        What its score is multiplied by: the marketer's hand on the scale.
    channels
        Where it can be offered.
    valid_from, valid_until
        When, ISO 8601 with a zone or a date in the strategy's zone; ``valid_until`` is outside.
    tags
        What expressions call ``action.<tag>``.
    eligible
        A condition over features and context.
    caps
        Of this action.
    content
        Given to the app with the decision, as it is.
    """

    channels: Annotated[list[Name], Meta(min_length=1)]
    value: Finite | dict[Name, Finite] = 1.0
    cost: Finite = 0.0
    lever: Annotated[float, Meta(ge=0.0, le=1e6)] = 1.0
    valid_from: str | None = None
    valid_until: str | None = None
    tags: Tags = {}
    eligible: Expression | None = None
    caps: list[Cap] = []
    content: dict[str, str | int | float | bool | None] = {}
    description: Text = ""


class Suppression(Part, frozen=True, kw_only=True):
    """While a condition holds, some actions, or all, are not offered.

    Attributes
    ----------
    when
        The condition.
    actions, tags
        Which: those named, and those with all these tags; neither: all.
    """

    when: Expression
    actions: list[Name] = []
    tags: Tags = {}
    reason: Text = ""


class Boost(Part, frozen=True, kw_only=True):
    """While a condition holds, the score of some actions, or all, is multiplied."""

    when: Expression
    times: Annotated[float, Meta(ge=0.0, le=1e6)]
    actions: list[Name] = []
    tags: Tags = {}


class Model(Part, frozen=True, kw_only=True):
    """What the models see of a customer, a moment and an action.

    Attributes
    ----------
    contexts
        Name → expression whose text or number is a category.
    numbers
        Name → expression, of a scale of about 1.
    action_features
        Name → expression that may read ``action.*``.
    segments
        Name → expression whose text is a segment; each has weights of its own.
    personal
        Whether each customer has weights of their own.
    """

    contexts: dict[Name, Expression] = {}
    numbers: dict[Name, Expression] = {}
    action_features: dict[Name, Expression] = {}
    segments: dict[Name, Expression] = {}
    personal: bool = True


class Exploration(Part, frozen=True, kw_only=True):
    """How to find out what is not known.

    Attributes
    ----------
    method
        ``squarecb``, ``epsilon`` or ``greedy``.
    gamma, exponent
        Of SquareCB: it exploits with ``gamma * t ** exponent`` after t outcomes learned.
    epsilon
        The share of decisions that ``epsilon`` draws evenly.
    floor
        The least propensity of an eligible action.
    budget
        The most that all actions but the best may have together.
    """

    method: Literal["squarecb", "epsilon", "greedy"] = "squarecb"
    gamma: Positive = 100.0
    exponent: Share = 0.5
    epsilon: Share = 0.05
    floor: Share = 0.0
    budget: Share = 1.0


class Control(Part, frozen=True, kw_only=True):
    """Customers who never meet the learned policy, so that its worth can be measured.

    They get the first eligible of ``actions``, or any eligible one by lot if none is named.
    """

    share: Share = 0.0
    salt: str = ""
    actions: list[Name] = []


class Trigger(Part, frozen=True, kw_only=True):
    """An event at which we decide by ourselves, and through which channel.

    Attributes
    ----------
    event
        Its type.
    when
        A condition over the features right after it.
    channel
        An outbound channel.
    within
        What is learned of later than that after it happened is past: nothing is decided.
    """

    event: str
    channel: Name
    when: Expression | None = None
    within: Duration = "10m"


class Strategy(Part, frozen=True, kw_only=True):
    """The whole file.

    Attributes
    ----------
    name
        An identifier; part of the store's keys.
    zone
        Of ``now.hour`` and the like: an IANA name.
    objectives, channels, actions, triggers
        By name.
    caps
        Of all actions together.
    fleet
        Who may take the models' place; None: nobody.
    credit
        To which of several decisions a response without a decision's id belongs: the ``last``,
        the ``first`` or ``all`` that it can belong to.
    fallback
        What is offered, in this order, when store or models are away.
    """

    name: Name
    zone: str = "UTC"
    objectives: Annotated[dict[Name, Objective], Meta(min_length=1, max_length=16)]
    channels: Annotated[dict[Name, Channel], Meta(min_length=1, max_length=64)]
    actions: Annotated[dict[Name, Action], Meta(min_length=1, max_length=2000)]
    caps: list[Cap] = []
    cool_downs: list[CoolDown] = []
    suppress: list[Suppression] = []
    boosts: list[Boost] = []
    model: Model = field(default_factory=Model)
    exploration: Exploration = field(default_factory=Exploration)
    control: Control = field(default_factory=Control)
    fleet: Fleet | None = None
    triggers: dict[Name, Trigger] = {}
    credit: Literal["last", "first", "all"] = "last"
    fallback: list[Name] = []
    description: Text = ""


def otherwise_of(strategy: Strategy, channel: str) -> tuple[str, ...]:
    """Return through which channels a customer is tried to be reached instead, in order.

    Examples
    --------
    >>> out = Channel(direction="outbound")
    >>> strategy = Strategy(
    ...     name="tea", objectives={"sale": Objective(response="buy")},
    ...     channels={"push": out, "web": Channel(), "sms": out},
    ...     actions={"green": Action(channels=["push", "sms"])},
    ... )
    >>> otherwise_of(strategy, "push"), otherwise_of(strategy, "web")
    (('sms',), ())
    """
    channels = strategy.channels
    if channel not in channels or channels[channel].direction != "outbound":
        return ()
    named = channels[channel].otherwise
    if named is not None:
        return tuple(named)
    return tuple(n for n, c in channels.items() if c.direction == "outbound" and n != channel)
