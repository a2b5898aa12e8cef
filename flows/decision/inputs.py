"""What the models see of a customer, a moment and the actions; and the boosts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...features.catalog import Catalog
from ...features.errors import SettingsError
from ...features.kernels.layout import F64, I64, U8
from .expressions import Programs, Scope, evaluate, folded, kind_of, parse, typed
from .expressions import kernel as k
from .expressions.interpreting import fits
from .expressions.nodes import Given, Node
from .reading import Reader, concerns, reader
from .record import Value
from .strategy import Strategy

Flags = npt.NDArray[np.bool_]

_GIVEN, _OTHER, _NUMBER, _WORD, _FLAG, _PLAIN = range(6)
"""How an input is named: what the app gave, any expression, a number, or a category of a kind."""
LARGEST = 1e9
"""What a number counts as at most, for the models; they want a scale of about 1."""


_Named = tuple[str, int, int, Any]
"""A name, how it is named, its program, and what it is of."""


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
    numbers
        int64: the programs of the numbers.
    wanted
        How many programs there are of contexts, numbers and segments; they come first.
    table, constants, work
        What the kernel reads, and how many doubles of working memory it needs.
    extras
        What the expressions read that is no feature.
    """

    def __init__(self, read: Reader) -> None:
        strategy = read.strategy
        self._programs = Programs(read.catalog, read.zone)
        self.actions = tuple(strategy.actions)
        self.action_features = tuple(strategy.model.action_features)
        self._contexts = self._categories(read, strategy.model.contexts)
        self._segments = self._categories(read, strategy.model.segments)
        self._numbers: list[_Named] = [
            (name, _NUMBER, self._programs.add(_number(read, text)), None)
            for name, text in strategy.model.numbers.items()
        ]
        self.numbers: I64 = np.array([place for _, _, place, _ in self._numbers], np.int64)
        self._plan = [*self._contexts, *self._numbers, *self._segments]
        self._categorical = [*self._contexts, *self._segments]
        self._given = [entry for entry in self._categorical if entry[2] < 0]
        self.wanted = named = len(self._programs)
        self._features: I64 = np.zeros((len(self.actions), len(self.action_features)), np.int64)
        for j, text in enumerate(strategy.model.action_features.values()):
            node = _number(read, text)
            each = read.of_actions(node)
            for i, (name, action) in enumerate(strategy.actions.items()):
                self._features[i, j] = self._programs.add(each(name, action))
        self._boosts: list[list[tuple[int, int]]] = []
        for boost in strategy.boosts:
            of_action = read.each(boost.when)
            self._boosts.append(
                [
                    (i, self._programs.add(of_action(name, action)))
                    for i, (name, action) in enumerate(strategy.actions.items())
                    if concerns(boost, name, action)
                ]
            )
        self.extras = self._programs.extras
        self.table, self.constants = self._tables([boost.times for boost in strategy.boosts])
        self._first = len(self.extras)
        self._named = self._first + named
        self._end = self._first + len(self._programs)
        self.work = self._end + self._programs.depth

    def _tables(self, times: list[float]) -> tuple[I64, F64]:
        """Return the arrays of `kernel.look`."""
        tables = self._programs.tables()
        first = len(tables.constants)
        boosts = [
            (action, program, first + i)
            for i, chosen in enumerate(self._boosts)
            for action, program in chosen
        ]
        parts: list[I64] = [
            tables.code, tables.bounds, self._features.ravel(),
            np.array(boosts, np.int64).reshape(-1),
        ]  # fmt: skip
        places = k.I_END + 2 + np.cumsum([0, *map(len, parts)])
        return (
            np.concatenate([places, [self._programs.depth], *parts]),
            np.concatenate([tables.constants, times]),
        )

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
        work, features, boosts, unknown = self._run(values, state, context, channel, at_us)
        results = work[self._first : self._named].tolist()
        contexts, numbers, segments = (
            self._spelled(plan, results, unknown, context, math.inf)
            for plan in (self._contexts, self._numbers, self._segments)
        )
        return Seen(contexts, numbers, segments, features, boosts)

    def named(
        self, results: Sequence[float], unknown: Mapping[str, float], context: Mapping[str, Value]
    ) -> dict[str, Value]:
        """Return contexts, numbers and segments in one dict; numbers bounded by `LARGEST`.

        Parameters
        ----------
        results
            Of the first `wanted` programs.
        unknown
            The words that no program knows, as `extras` numbered them.
        """
        return self._spelled(self._plan, results, unknown, context, LARGEST)

    def categories_of(
        self, results: Sequence[float], unknown: Mapping[str, float], context: Mapping[str, Value]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return the contexts and the segments that `named` returns, apart."""
        return (
            self._spelled(self._contexts, results, unknown, context, math.inf),
            self._spelled(self._segments, results, unknown, context, math.inf),
        )

    def categories(self) -> list[int]:
        """Return of every context, then of every segment, its program; -1: it has none."""
        return [place for _, _, place, _ in self._categorical]

    def given(self, context: Mapping[str, Value]) -> dict[str, str]:
        """Return the contexts and segments that have no program: they follow from the context."""
        return self._spelled(self._given, (), {}, context, math.inf)

    def is_word(self, i: int) -> bool:
        """Return whether a context or segment, in the order of `categories`, is a text."""
        return self._categorical[i][1] == _WORD

    def category(self, i: int, number: float, unknown: Mapping[str, float]) -> tuple[str, str]:
        """Return the name of a context or segment, and its category by its program's result."""
        entry = self._categorical[i]
        name, _, place, _ = entry
        return name, self._spelled([entry], {place: number}, unknown, {}, math.inf)[name]

    def held(
        self, values: F64, state: U8, context: Mapping[str, Value], channel: str, at_us: int
    ) -> Flags:
        """Return bool[boosts, actions]: which boosts concern an action and hold for it."""
        results = self._run(values, state, context, channel, at_us)[0][self._first : self._end]
        found: Flags = np.zeros((len(self._boosts), len(self.actions)), np.bool_)
        for row, chosen in zip(found, self._boosts, strict=True):
            for action, program in chosen:
                row[action] = results[program] == 1.0
        return found

    def _run(
        self,
        values: F64,
        state: U8,
        context: Mapping[str, Value],
        channel: str,
        at_us: int,
    ) -> tuple[F64, F64, F64, dict[str, float]]:
        """Return working memory with all results, features, boosts, and words by number."""
        columns = self._programs.columns
        if len(values) != columns or len(state) != columns:
            raise SettingsError(
                f"a row of {len(values)} columns, where the catalog's customer has {columns}"
            )
        unknown: dict[str, float] = {}
        work: F64 = np.empty(self.work)
        features: F64 = np.empty(self._features.shape)
        boosts: F64 = np.empty(len(self.actions))
        self.extras.fill(work, context, channel, at_us, unknown)
        k.look(
            self.table, self.constants, values, state, work, math.inf, features.reshape(-1), boosts
        )
        return work, features, boosts, unknown

    def _categories(self, read: Reader, expressions: Mapping[str, str]) -> list[_Named]:
        """Return how each is named; what is of any kind has no program."""
        found: list[_Named] = []
        for name, text in expressions.items():
            node = read.node(text, "any")
            kind = kind_of(node)
            if kind != "any":
                what = {"string": _WORD, "bool": _FLAG}.get(kind, _PLAIN)
                found.append((name, what, self._programs.add(node), None))
            elif isinstance(node, Given) and node.source == "context":
                found.append((name, _GIVEN, -1, node.name))
            else:
                found.append((name, _OTHER, -1, node))
        return found

    def _spelled(
        self,
        plan: Sequence[_Named],
        results: Sequence[float] | Mapping[int, float],
        unknown: Mapping[str, float],
        context: Mapping[str, Value],
        largest: float,
    ) -> dict[str, Any]:
        """Return what is there of a plan: categories, and numbers bounded by ``largest``."""
        found: dict[str, Any] = {}
        words = self.extras.spelled
        for name, kind, place, source in plan:
            if kind == _GIVEN:
                value = context.get(source)
                if value.__class__ is str:
                    found[name] = value
                elif value is not None and fits(value, "any"):
                    found[name] = category(value)
                continue
            if kind == _OTHER:
                value = evaluate(source, Scope(context=context))
                if value is not None:
                    found[name] = category(value)
                continue
            number = results[place]
            if number != number:
                continue
            if kind == _NUMBER:
                if not -largest <= number <= largest:
                    number = largest if number > 0.0 else -largest
                found[name] = number
            elif kind == _WORD:
                known = number >= 0.0
                found[name] = words[int(number)] if known else self._programs.text(number, unknown)
            else:
                found[name] = category(bool(number) if kind == _FLAG else number)
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
