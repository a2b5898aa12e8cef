"""The objectives of a strategy as attribution needs them: what counts for which, and how much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...features.durations import microseconds
from ...features.errors import SettingsError
from ...features.events import EventSchema
from .strategy import Strategy

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
    """

    name: str
    response: str | None
    event: str | None
    window: int
    value: float | str = 1.0
    low: float = 0.0
    high: float = 1.0
    where: Where | None = None

    def reward(self, value: float) -> float:
        """Return the share of the range, in [0, 1]; what lies outside is taken for its end.

        >>> Goal("spend", None, "buy", 1, "value", 0.0, 50.0).reward(20.0)
        0.4
        """
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def worth(self, fields: Fields) -> float | None:
        """Return the value of a response or event; None if it does not say it as a number."""
        if not isinstance(self.value, str):
            return float(self.value)
        found = fields.get(self.value)
        return float(found) if isinstance(found, int | float) and found == found else None

    def admits(self, event: Fields, action: Fields) -> bool:
        """Return whether the condition holds; what it cannot be asked of does not count."""
        return self.where is None or bool(self.where(event, action))


def goals_of(
    strategy: Strategy,
    schema: EventSchema | None = None,
    conditions: Mapping[str, Where] | None = None,
) -> tuple[Goal, ...]:
    """Return a strategy's objectives, in the order of its file.

    Parameters
    ----------
    strategy
        The strategy.
    schema
        Of the users' events, to check what objectives name; None: not checked.
    conditions
        By objective: its ``where``, compiled.

    Raises
    ------
    SettingsError
        If an objective has neither response nor event or both, an empty range, a window that is
        none, a condition that was not compiled, or names what events do not have.

    Examples
    --------
    >>> from .strategy import Action, Channel, Objective
    >>> strategy = Strategy(
    ...     name="s", objectives={"sale": Objective(event="buy", value="value", range=(0.0, 50.0))},
    ...     channels={"web": Channel()}, actions={"tea": Action(channels=["web"])},
    ... )
    >>> goals_of(strategy)[0].window
    86400000000
    """
    known = conditions or {}
    goals = []
    for name, objective in strategy.objectives.items():
        what = f"{strategy.name}: objective {name!r}"
        if (objective.response is None) == (objective.event is None):
            raise SettingsError(f"{what} needs either a response or an event")
        low, high = objective.range
        if not low < high:
            raise SettingsError(f"{what}: its range is empty, [{low}, {high}]")
        if objective.where is not None and name not in known:
            raise SettingsError(f"{what}: its condition was not compiled")
        try:
            window = microseconds(objective.window)
        except ValueError as error:
            raise SettingsError(f"{what}: window: {error}") from None
        if objective.event is not None and schema is not None:
            if objective.event not in schema.types:
                raise SettingsError(f"{what}: {schema.name!r} has no event {objective.event!r}")
            if isinstance(objective.value, str) and not schema.is_numeric(objective.value):
                raise SettingsError(f"{what}: {schema.name!r} has no number {objective.value!r}")
        goals.append(
            Goal(
                name, objective.response, objective.event, window, objective.value, low, high,
                known.get(name),
            )
        )  # fmt: skip
    return tuple(goals)
