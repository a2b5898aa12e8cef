"""A checked strategy's expressions, read again, with what each action puts in their places."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from ...features.catalog import Catalog
from .expressions import Names, folded, leaves, parse, typed
from .expressions.nodes import Feature, Given, Kind, Node
from .record import Value
from .strategy import Action, Strategy


def action_values(name: str, action: Action) -> dict[str, Value]:
    """Return what expressions can read of an action: its tags, ``id``, ``value`` and ``cost``.

    An action with a value for each objective has no ``value``.
    """
    value = action.value if isinstance(action.value, float | int) else None
    return {**action.tags, "id": name, "value": value, "cost": action.cost}


def tags_of(actions: Mapping[str, Action]) -> dict[str, frozenset[str]]:
    """Return every tag with the values that actions give it; ``id`` is one of them."""
    found: dict[str, set[str]] = {"id": set(actions)}
    for action in actions.values():
        for tag, value in action.tags.items():
            found.setdefault(tag, set()).add(value)
    return {tag: frozenset(values) for tag, values in found.items()}


def tags_told(strategy: Strategy) -> dict[str, dict[str, Value]]:
    """Return by action what the conditions of objectives read of it, where it has that."""
    read = {
        leaf.name
        for objective in strategy.objectives.values()
        for leaf in leaves(parse(objective.where or "true"))
        if isinstance(leaf, Given) and leaf.source == "action"
    }
    return {
        name: {tag: value for tag, value in action_values(name, action).items() if tag in read}
        for name, action in strategy.actions.items()
    }


def concerns(rule: Any, name: str, action: Action) -> bool:
    """Is a suppression or a boost of this action?"""
    if not rule.actions and not rule.tags:
        return True
    tagged = bool(rule.tags) and all(action.tags.get(tag) == v for tag, v in rule.tags.items())
    return name in rule.actions or tagged


@dataclass(frozen=True)
class Reader:
    """Reads the expressions of a strategy that `load` has checked.

    Attributes
    ----------
    strategy
        Checked.
    catalog
        The views of the customer only.
    """

    strategy: Strategy
    catalog: Catalog

    @property
    def zone(self) -> ZoneInfo:
        """Of ``now``."""
        return ZoneInfo(self.strategy.zone)

    @cached_property
    def names(self) -> Names:
        """What conditions of actions may read."""
        strategy = self.strategy
        return Names(
            catalog=self.catalog,
            channels=tuple(strategy.channels),
            tags=tags_of(strategy.actions),
        )

    def node(self, text: str, wanted: Kind = "bool") -> Node:
        """Return an expression with its types."""
        return folded(typed(parse(text), wanted, self.names))

    def each(self, text: str, wanted: Kind = "bool") -> Callable[[str, Action], Node]:
        """Return what gives an expression for an action."""
        return self.of_actions(self.node(text, wanted))

    def of_actions(self, node: Node) -> Callable[[str, Action], Node]:
        """As `each`; where no action is read it is the same for all."""
        if any(
            leaf.tag if isinstance(leaf, Feature) else leaf.source == "action"
            for leaf in leaves(node)
        ):
            return lambda name, action: folded(node, action_values(name, action))
        return lambda name, action: node


def reader(strategy: Strategy, catalog: Catalog) -> Reader:
    """Return what reads a strategy's expressions over the customer's features of a catalog."""
    customers = next((e.name for e in catalog.entities if e.is_customer), "customer")
    return Reader(strategy, catalog.of(customers))
