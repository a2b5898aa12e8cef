"""Which events are an objective's, and at which of them we decide by ourselves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...features.catalog import Catalog
from ...features.kernels.layout import F64, I64, U8
from .eligibility import Flags
from .expressions import Names, Programs, Scope, folded, holds, parse, typed
from .expressions import kernel as k
from .expressions.nodes import Node
from .reading import action_values, reader, tags_of
from .record import Value
from .strategy import Strategy


class Triggers:
    """The conditions of a strategy's triggers, compiled.

    Attributes
    ----------
    names
        Of the triggers, in the order of the strategy.
    events
        The event type of each.
    """

    def __init__(self, strategy: Strategy, catalog: Catalog) -> None:
        read = reader(strategy, catalog)
        self.names = tuple(strategy.triggers)
        self.events = tuple(trigger.event for trigger in strategy.triggers.values())
        programs = Programs(read.catalog, read.zone)
        self._places = [
            programs.add(read.node(trigger.when or "true"))
            for trigger in strategy.triggers.values()
        ]
        self._programs, self._tables = programs, programs.tables()

    @classmethod
    def compile(cls, strategy: Strategy, catalog: Catalog) -> Triggers:
        """Compile the triggers of a strategy that was loaded with this catalog."""
        return cls(strategy, catalog)

    def check_many(self, values: F64, state: U8, at_us: I64) -> Flags:
        """Return bool[n, triggers]: which conditions hold for n rows, each as of its time.

        Parameters
        ----------
        values, state
            float64[n, columns], uint8[n, columns]: features right after an event.
        at_us
            int64[n]: its time.
        """
        extras: F64 = np.empty((len(values), len(self._programs.extras)), np.float64)
        if len(self._programs.extras):
            for row, at in enumerate(at_us.tolist()):
                self._programs.extras.fill(extras[row], {}, "", at)
        out: F64 = np.empty((len(values), len(self._programs)), np.float64)
        k.run_rows(self._tables, values, state, extras, np.empty(self._programs.depth), out)
        held: Flags = out[:, self._places] == 1.0
        return held


class Responses:
    """Which events show what an objective is to bring about.

    Examples
    --------
    >>> from nextbest.flows.decision.loading import load
    >>> loaded = load('''
    ... name: tea
    ... objectives: {buy: {event: purchase, where: event.category == action.category}}
    ... channels: {web: {}}
    ... actions:
    ...   tea: {channels: [web], tags: {category: tea}}
    ... ''')
    >>> responses = Responses(loaded.strategy)
    >>> responses.of("purchase")
    ('buy',)
    >>> responses.holds("buy", "tea", {"category": "tea"})
    True
    """

    def __init__(self, strategy: Strategy, catalog: Catalog | None = None) -> None:
        names = Names(frozenset({"event", "action"}), catalog, (), tags_of(strategy.actions))
        self._actions = strategy.actions
        self._types: dict[str, tuple[str, ...]] = {}
        self._where: dict[str, Node | None] = {}
        self._folded: dict[tuple[str, str], Node] = {}
        for name, one in strategy.objectives.items():
            if one.event is not None:
                self._types[one.event] = (*self._types.get(one.event, ()), name)
                self._where[name] = (
                    None if one.where is None else typed(parse(one.where), "bool", names)
                )

    def of(self, event_type: str) -> tuple[str, ...]:
        """Return the objectives that events of a type can show."""
        return self._types.get(event_type, ())

    def holds(self, objective: str, action: str, event: Mapping[str, Value]) -> bool:
        """Does an event count for an objective of `of`, of an offer of this action?

        Parameters
        ----------
        event
            Its properties, and ``type`` and ``channel``. What is of no kind is missing.
        action
            Its name; of one that the strategy no longer has only ``action.id`` is known.
        """
        where = self._where[objective]
        if where is None:
            return True
        key = objective, action
        if key not in self._folded:
            known = self._actions.get(action)
            values = {"id": action} if known is None else action_values(action, known)
            if len(self._folded) >= 100_000:
                self._folded.clear()
            self._folded[key] = folded(where, values)
        return holds(self._folded[key], Scope(event=event))
