"""The objectives of a strategy as attribution needs them: what counts for which, and how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from ...features.catalog import Catalog
from ...features.durations import microseconds
from ...features.errors import SettingsError
from .expressions import Names, Scope, holds, parse, typed
from .expressions.nodes import Node
from .reading import tags_of
from .strategy import Objective, Strategy

Fields = Mapping[str, Any]
Where = Callable[[Fields, Fields], bool]
"""A condition over ``event.*`` (type, channel and properties) and ``action.*`` (its tags)."""


@dataclass(frozen=True, slots=True)
class Goal:
    """An objective.

    Attributes
    ----------
    name
        Its name.
    response, event
        What counts: a response's word, or a type of events; the other is None.
    window
        For how long after the decision, microseconds.
    value
        What one is worth: a number, or the property that says it.
    low, high
        The range of values.
    where
        Which of them count; None: all.
    meaning
        A hash of all that says what counts and how much; another one is another objective.
    patience
        How long after the decision silence is told, microseconds; None: when the window ends.
    """

    name: str
    response: str | None
    event: str | None
    window: int
    value: float | str = 1.0
    low: float = 0.0
    high: float = 1.0
    where: Where | None = None
    meaning: str = ""
    patience: int | None = None

    @property
    def silent(self) -> int:
        """How long after the decision silence is told, microseconds."""
        return self.window if self.patience is None else min(self.patience, self.window)

    @property
    def key(self) -> str:
        """Its name and meaning."""
        return f"{self.name}:{self.meaning}"

    def reward(self, value: float) -> float:
        """Return the share of the range, in [0, 1]; what lies outside is taken for its end.

        >>> Goal("spend", None, "buy", 1, "value", 0.0, 50.0).reward(20.0)
        0.4
        """
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def worth(self, fields: Fields, given: float | None = None) -> float | None:
        """Return the value of a response or event; None if it does not say it as a number.

        A response says it as ``given``, its value, if it has no such property.
        """
        if not isinstance(self.value, str):
            return float(self.value)
        found = fields.get(self.value, given)
        if not isinstance(found, int | float) or found != found:
            return None
        try:
            return float(found)
        except OverflowError:  # an integer beyond all floats
            return None

    def admits(self, event: Fields, action: Fields) -> bool:
        """Return whether the condition holds; what it cannot be asked of does not count."""
        return self.where is None or bool(self.where(event, action))


def goals_of(strategy: Strategy, catalog: Catalog | None = None) -> tuple[Goal, ...]:
    """Return a strategy's objectives, in the order of its file.

    Parameters
    ----------
    strategy
        The strategy.
    catalog
        Of the events that objectives name; None: those are not checked.

    Raises
    ------
    SettingsError
        If an objective has neither response nor event or both, an empty range, a window that is
        none, a condition that means nothing, or names what events do not have.

    Examples
    --------
    >>> from .strategy import Action, Channel, Objective
    >>> sale = Objective(event="buy", where="event.value > 5", window="1m")
    >>> strategy = Strategy(
    ...     name="s", objectives={"sale": sale}, channels={"web": Channel()},
    ...     actions={"tea": Action(channels=["web"])},
    ... )
    >>> goal = goals_of(strategy)[0]
    >>> goal.window, [goal.admits({"value": n}, {}) for n in (3.0, 9.0, None)]
    (60000000, [False, True, False])
    """
    tags = tags_of(strategy.actions)
    goals = []
    for name, objective in strategy.objectives.items():
        what = f"{strategy.name}: objective {name!r}"
        if (objective.response is None) == (objective.event is None):
            raise SettingsError(f"{what} needs either a response or an event")
        low, high = objective.range
        if not low < high:
            raise SettingsError(f"{what}: its range is empty, [{low}, {high}]")
        _check_event(what, objective, catalog)
        where = None
        after = objective.silence_after
        try:
            window = microseconds(objective.window)
            patience = None if after is None else microseconds(after)
            if objective.where is not None:
                names = Names(frozenset({"event", "action"}), catalog, (), tags)
                where = _condition(typed(parse(objective.where), "bool", names))
        except (ValueError, SettingsError) as error:
            raise SettingsError(f"{what}: {error}") from None
        goals.append(
            Goal(
                name,
                objective.response,
                objective.event,
                window,
                objective.value,
                low,
                high,
                where,
                _meaning(objective, window),
                patience,
            )
        )
    return tuple(goals)


def longest_window(strategy: Strategy) -> int:
    """Return for how long after a decision something may come of it, microseconds."""
    return max(microseconds(each.window) for each in strategy.objectives.values())


def _meaning(objective: Objective, window: int) -> str:
    o = objective
    said = (o.response, o.event, o.where, o.value, o.range, window)
    return sha256(msgspec.json.encode(said)).hexdigest()[:8]


def _condition(node: Node) -> Where:
    return lambda event, action: holds(node, Scope(event=event, action=action))


def _check_event(what: str, objective: Objective, catalog: Catalog | None) -> None:
    if objective.event is None or catalog is None:
        return
    schema = catalog.source
    if objective.event not in schema.types:
        raise SettingsError(f"{what}: {schema.name!r} has no event {objective.event!r}")
    if isinstance(objective.value, str) and not schema.is_numeric(objective.value):
        raise SettingsError(f"{what}: {schema.name!r} has no number {objective.value!r}")
