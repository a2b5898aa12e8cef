"""From events that a strategy's triggers name to the decisions that are to be made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...features.catalog import Catalog
from ...features.durations import microseconds
from ...features.kernels.layout import I64
from ...features.rows import FeatureRows
from .eligibility import Flags
from .ids import id_of_cause
from .occasions import Triggers
from .record import Value
from .request import Row, row_of
from .strategy import Strategy, otherwise_of

MOST_AHEAD_US = 60_000_000
"""How far an event may be ahead of our clock: clocks differ."""


class Marked(NamedTuple):
    """Events at which a strategy may decide: m of them, in the order of the log.

    Attributes
    ----------
    kinds
        int64[m]: which of `trigger_events` each is.
    times
        int64[m], microseconds.
    event_ids, customers
        Of each.
    """

    kinds: I64
    times: I64
    event_ids: list[str]
    customers: list[str]


class Occasions(NamedTuple):
    """Marked events, and what is known right after each.

    Attributes
    ----------
    marked
        m events.
    rows
        Features of their customers right after them, as of their times.
    kept
        bool[m]: which are no duplicates.
    """

    marked: Marked
    rows: FeatureRows
    kept: Flags


class Task(NamedTuple):
    """A decision that is to be made.

    Attributes
    ----------
    id
        Of the decision; the same whenever it is to be made again.
    customer, at, cause, trigger
        As in the record.
    channels
        Through which the customer is tried to be reached, in order.
    row
        The features; None: they cannot be had.
    fault
        Why not.
    wanted, context
        As in the record.
    rerouted
        Whether it takes the place of one that was not delivered. If not, all channels but the
        first are for when that one is closed or blocked.
    """

    id: str
    customer: str
    at: int
    cause: str
    trigger: str
    channels: tuple[str, ...]
    row: Row | None
    fault: str = ""
    wanted: int = 1
    context: dict[str, Value] = {}  # noqa: RUF012  # never changed
    rerouted: bool = False


class Found(NamedTuple):
    """The decisions to be made, how many there would be, and how many of these are too late."""

    tasks: list[Task]
    triggered: int
    late: int


def trigger_events(strategy: Strategy) -> tuple[str, ...]:
    """Return the types of the events that triggers name, each once."""
    return tuple(dict.fromkeys(trigger.event for trigger in strategy.triggers.values()))


def timely(at: int, now: int, within: int) -> bool:
    """Whether something may still be decided at an event: caps would not know of times to come.

    >>> timely(7, 10, 3), timely(6, 10, 3), timely(10 + MOST_AHEAD_US, 10, 3)
    (True, False, True)
    """
    return -MOST_AHEAD_US <= now - at <= within


class Triggering:
    """A strategy's triggers.

    Parameters
    ----------
    strategy, catalog
        The strategy was loaded with the catalog.
    """

    def __init__(self, strategy: Strategy, catalog: Catalog) -> None:
        self._triggers = Triggers.compile(strategy, catalog)
        types = trigger_events(strategy)
        self._kinds = np.array([types.index(event) for event in self._triggers.events], np.int64)
        self._all: list[tuple[str, int, tuple[str, ...]]] = [
            (
                name,
                microseconds(trigger.within),
                (trigger.channel, *otherwise_of(strategy, trigger.channel)),
            )
            for name, trigger in strategy.triggers.items()
        ]

    def find(self, occasions: Sequence[Occasions], now: int) -> Found:
        """Return what is to be decided, in the order of the log and then of the triggers.

        Parameters
        ----------
        occasions
            What came.
        now
            The clock, microseconds. What happened longer ago than a trigger's ``within`` is past;
            nor is anything decided for a time to come.
        """
        tasks: list[Task] = []
        triggered = late = 0
        for marked, rows, kept in occasions:
            held = self._triggers.check_many(rows.values, rows.state, marked.times)
            held &= (marked.kinds[:, None] == self._kinds) & kept[:, None]
            for i, t in np.argwhere(held).tolist():
                triggered += 1
                name, within, channels = self._all[t]
                at = int(marked.times[i])
                if not timely(at, now, within):
                    late += 1
                    continue
                customer, cause = marked.customers[i], marked.event_ids[i]
                decision = id_of_cause(at, customer, cause, name)
                tasks.append(Task(decision, customer, at, cause, name, channels, row_of(rows, i)))
        return Found(tasks, triggered, late)
