"""What the models see of a customer, a moment and the actions; and the boosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ...features.catalog import Catalog
from ...features.errors import SettingsError
from ...features.kernels.layout import F64, I64, U8
from .expressions import Node, Programs, Scope, evaluate, folded, kind_of, parse, typed
from .expressions import kernel as k
from .reading import Reader, concerns, reader
from .record import Value
from .strategy import Strategy


class Seen(NamedTuple):
    """What the models see in one decision.

    Attributes
    ----------
    contexts, segments
        Name → category; what is missing is not in it.
    numbers
        Name → number; what is missing is not in it.
    features
        float64[actions, action features]; NaN where one is missing.
    boosts
        float64[actions]: what each score is multiplied by.
    """

    contexts: dict[str, str]
    numbers: dict[str, float]
    segments: dict[str, str]
    features: F64
    boosts: F64


class Inputs:
    """The expressions of a strategy's `model` and `boosts`, compiled.

    A category that is a number is written without needless digits, ``3`` or ``0.5``; one that is a
    condition as ``true`` or ``false``.

    Attributes
    ----------
    actions, action_features
        The names of the rows and columns of `Seen.features`.
    """

    def __init__(self, read: Reader) -> None:
        strategy = read.strategy
        self._programs = Programs(read.catalog, read.zone)
        self.actions = tuple(strategy.actions)
        self.action_features = tuple(strategy.model.action_features)
        self._contexts = self._categories(read, strategy.model.contexts)
        self._segments = self._categories(read, strategy.model.segments)
        self._numbers = [
            (name, self._programs.add(_number(read, text)))
            for name, text in strategy.model.numbers.items()
        ]
        self._features: I64 = np.zeros((len(self.actions), len(self.action_features)), np.int64)
        for j, text in enumerate(strategy.model.action_features.values()):
            node = _number(read, text)
            each = read.of_actions(node)
            for i, (name, action) in enumerate(strategy.actions.items()):
                self._features[i, j] = self._programs.add(each(name, action))
        self._boosts: list[tuple[I64, I64, float]] = []
        for boost in strategy.boosts:
            of_action = read.each(boost.when)
            chosen = [
                (i, self._programs.add(of_action(name, action)))
                for i, (name, action) in enumerate(strategy.actions.items())
                if concerns(boost, name, action)
            ]
            places: I64 = np.array(chosen, np.int64).reshape(-1, 2)
            self._boosts.append((places[:, 0].copy(), places[:, 1].copy(), boost.times))
        self._extras = self._programs.extras
        self._tables = self._programs.tables()

    @classmethod
    def compile(cls, strategy: Strategy, catalog: Catalog) -> Inputs:
        """Compile the inputs of a strategy that was loaded with this catalog.

        Raises
        ------
        SettingsError
            If the strategy does not fit the catalog.
        """
        return cls(reader(strategy, catalog))

    def read(
        self, values: F64, state: U8, context: Mapping[str, Value], channel: str, at_us: int
    ) -> Seen:
        """Return all that the models see in one decision; arguments as `Rules.check`.

        Raises
        ------
        SettingsError
            If the row is of another catalog.
        """
        results, unknown = self._run(values, state, context, channel, at_us)
        return Seen(
            self._named(self._contexts, results, unknown, context),
            self._present(results),
            self._named(self._segments, results, unknown, context),
            results[self._features],
            self._times(results),
        )

    def contexts(
        self, values: F64, state: U8, context: Mapping[str, Value], channel: str, at_us: int
    ) -> dict[str, str]:
        """Return the contexts only."""
        results, unknown = self._run(values, state, context, channel, at_us)
        return self._named(self._contexts, results, unknown, context)

    def numbers(
        self, values: F64, state: U8, context: Mapping[str, Value], channel: str, at_us: int
    ) -> dict[str, float]:
        """Return the numbers only."""
        return self._present(self._run(values, state, context, channel, at_us)[0])

    def segments(
        self, values: F64, state: U8, context: Mapping[str, Value], channel: str, at_us: int
    ) -> dict[str, str]:
        """Return the segments only."""
        results, unknown = self._run(values, state, context, channel, at_us)
        return self._named(self._segments, results, unknown, context)

    def features(
        self, values: F64, state: U8, context: Mapping[str, Value], channel: str, at_us: int
    ) -> F64:
        """Return float64[actions, action features]; NaN where one is missing."""
        found: F64 = self._run(values, state, context, channel, at_us)[0][self._features]
        return found

    def boosts(
        self, values: F64, state: U8, context: Mapping[str, Value], channel: str, at_us: int
    ) -> F64:
        """Return float64[actions]: what each score is multiplied by."""
        return self._times(self._run(values, state, context, channel, at_us)[0])

    def _run(
        self, values: F64, state: U8, context: Mapping[str, Value], channel: str, at_us: int
    ) -> tuple[F64, dict[str, float]]:
        programs = self._programs
        if len(values) != programs.columns or len(state) != programs.columns:
            raise SettingsError(
                f"a row of {len(values)} columns, where the catalog's customer has "
                f"{programs.columns}"
            )
        unknown: dict[str, float] = {}
        extras: F64 = np.empty(len(self._extras), np.float64)
        self._extras.fill(extras, context, channel, at_us, unknown)
        results: F64 = np.empty(len(programs), np.float64)
        k.run_all(self._tables, values, state, extras, np.empty(programs.depth), results)
        return results, unknown

    def _categories(
        self, read: Reader, expressions: Mapping[str, str]
    ) -> list[tuple[str, str, int, Node]]:
        """Return name, kind, program and expression; what is of any kind has no program."""
        found: list[tuple[str, str, int, Node]] = []
        for name, text in expressions.items():
            node = read.node(text, "any")
            kind = kind_of(node)
            place = -1 if kind == "any" else self._programs.add(node)
            found.append((name, kind, place, node))
        return found

    def _named(
        self,
        categories: list[tuple[str, str, int, Node]],
        results: F64,
        unknown: Mapping[str, float],
        context: Mapping[str, Value],
    ) -> dict[str, str]:
        found = {}
        for name, kind, place, node in categories:
            if kind == "any":
                value = evaluate(node, Scope(context=context))
            elif kind == "string":
                value = self._programs.text(float(results[place]), unknown)
            else:
                number = float(results[place])
                value = None if number != number else bool(number) if kind == "bool" else number
            if value is not None:
                found[name] = category(value)
        return found

    def _present(self, results: F64) -> dict[str, float]:
        found = {name: float(results[place]) for name, place in self._numbers}
        return {name: number for name, number in found.items() if number == number}

    def _times(self, results: F64) -> F64:
        found: F64 = np.ones(len(self.actions), np.float64)
        for actions, programs, times in self._boosts:
            found[actions] *= np.where(results[programs] == 1.0, times, 1.0)
        return found


def category(value: str | float | bool) -> str:
    """Return a value as a category.

    >>> category("web"), category(3.0), category(0.5), category(True)
    ('web', '3', '0.5', 'true')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(int(value)) if value == int(value) else repr(float(value))


def _number(read: Reader, text: str) -> Node:
    """Return an expression whose value is a number; a condition is 1 or 0."""
    node = parse(text)
    kind = kind_of(typed(node, "any", read.names))
    return folded(typed(node, "bool" if kind == "bool" else "number", read.names))
