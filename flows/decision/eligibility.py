"""Which actions may be offered to whom: every condition of a strategy, compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...features.catalog import Catalog
from ...features.errors import SettingsError
from ...features.kernels.layout import F64, I64, U8
from .expressions import Programs, conjuncts
from .expressions import kernel as k
from .expressions.nodes import Constant, Node
from .instants import instant
from .reading import Reader, concerns, reader
from .record import Value
from .strategy import Strategy

Flags = npt.NDArray[np.bool_]
_NEVER, _ALWAYS = -(2**62), 2**62


class Verdicts(NamedTuple):
    """Which actions are eligible, in the order of the strategy.

    Attributes
    ----------
    eligible
        bool[actions], or bool[rows, actions].
    excluded
        uint16 of the same shape: the place in `Rules.names` of the first rule that excluded an
        action, 0 where none did.
    """

    eligible: Flags
    excluded: npt.NDArray[np.uint16]


class Rules:
    """Eligibility, suppressions, open channels and validity of a strategy.

    The rules are asked in this order, and the first that excludes an action is named: its channels,
    whether the channel is open, its validity, its own condition, the suppressions as they stand in
    the file. Caps and cool-downs are none of them: they are of contacts, not of features.

    Attributes
    ----------
    actions
        The names of the actions, in the order of the strategy.
    names
        What a person reads of a rule; the first, an empty text, stands for no rule.
    table, constants, work
        What the kernels read, and how many doubles of working memory they need.
    extras
        What the conditions read that is no feature.
    columns
        How many numbers a row has.

    Examples
    --------
    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> visits = FeatureView(name="visits", source=shop, features=[agg.count("views")])
    >>> catalog = Catalog(name="shop", views=[visits])
    >>> from nextbest.flows.decision.loading import load
    >>> loaded = load('''
    ... name: tea
    ... objectives: {buy: {response: convert}}
    ... channels: {web: {}}
    ... actions:
    ...   tea: {channels: [web], eligible: visits.views >= 2}
    ...   mug: {channels: [web], eligible: context.stock > 0}
    ... ''', catalog)
    >>> rules = Rules.compile(loaded.strategy, catalog)
    >>> values, state = np.array([3.0]), np.array([0], np.uint8)
    >>> verdicts = rules.check(values, state, {"stock": 0}, "web", 1_767_225_600_000_000)
    >>> verdicts.eligible.tolist(), [rules.names[rule] for rule in verdicts.excluded]
    ([True, False], ['', 'eligible'])
    """

    def __init__(
        self,
        actions: Sequence[str],
        names: Sequence[str],
        channels: Sequence[str],
        programs: Programs,
        table: I64,
    ) -> None:
        self.actions, self.names = tuple(actions), tuple(names)
        self._channels = {name: i for i, name in enumerate(channels)}
        self.table, self.constants = table, programs.tables().constants
        self.columns = programs.columns
        self.extras = programs.extras
        self.work = len(programs.extras) + len(programs) + programs.depth

    @classmethod
    def compile(cls, strategy: Strategy, catalog: Catalog) -> Rules:
        """Compile the rules of a strategy that was loaded with this catalog.

        Raises
        ------
        SettingsError
            If the strategy does not fit the catalog.
        """
        return _Compiler(reader(strategy, catalog)).rules()

    def check(
        self,
        values: F64,
        state: U8,
        context: Mapping[str, Value],
        channel: str,
        at_us: int,
    ) -> Verdicts:
        """Return what may be offered in one decision.

        Parameters
        ----------
        values, state
            float64[columns], uint8[columns]: the customer's features, as `features.online`
            answers them for all columns of the catalog's customer.
        context
            As the app gave it.
        channel
            One of the strategy.
        at_us
            When, microseconds since 1970.

        Raises
        ------
        SettingsError
            If there is no such channel, or the row is of another catalog.
        """
        if len(values) != self.columns or len(state) != self.columns:
            raise self._shape(len(values))
        place = self.channel(channel)
        work: F64 = np.empty(self.work, np.float64)
        self.extras.fill(work, context, channel, at_us)
        eligible: Flags = np.empty(len(self.actions), np.bool_)
        excluded = np.empty(len(self.actions), np.uint16)
        k.judge(self.table, self.constants, place, at_us, values, state, work, eligible, excluded)
        return Verdicts(eligible, excluded)

    def check_many(
        self,
        values: F64,
        state: U8,
        contexts: Mapping[str, Value] | Sequence[Mapping[str, Value]],
        channels: str | Sequence[str],
        at_us: int | I64,
    ) -> Verdicts:
        """As `check` for n rows at once.

        Parameters
        ----------
        values, state
            float64[n, columns], uint8[n, columns].
        contexts, channels, at_us
            One for all rows, or one for each.

        Raises
        ------
        SettingsError
            As `check`, or if the lengths differ.
        """
        n = len(values)
        if values.shape != (n, self.columns) or state.shape != values.shape:
            raise self._shape(values.shape[-1])
        given = [contexts] * n if isinstance(contexts, Mapping) else contexts
        names = [channels] * n if isinstance(channels, str) else channels
        times: I64 = np.empty(n, np.int64)
        if len(given) != n or len(names) != n or np.shape(at_us) not in ((), (n,)):
            raise SettingsError(f"{n} rows, but {len(given)} contexts and {len(names)} channels")
        times[:] = at_us
        extras: F64 = np.empty((n, len(self.extras)), np.float64)
        if len(self.extras):
            for row, context in enumerate(given):
                self.extras.fill(extras[row], context, names[row], int(times[row]))
        eligible: Flags = np.empty((n, len(self.actions)), np.bool_)
        excluded = np.empty((n, len(self.actions)), np.uint16)
        places: I64 = np.array([self.channel(name) for name in names], np.int64)
        k.judge_rows(
            self.table, self.constants, places, times, values, state, extras,
            np.empty(self.work), eligible, excluded,
        )  # fmt: skip
        return Verdicts(eligible, excluded)

    def channel(self, name: str) -> int:
        """Return the place of a channel.

        Raises
        ------
        SettingsError
            If there is none of that name.
        """
        found = self._channels.get(name)
        if found is None:
            raise SettingsError(f"no channel {name!r}; there are: {', '.join(self._channels)}")
        return found

    def _shape(self, columns: int) -> SettingsError:
        return SettingsError(
            f"a row of {columns} columns, where the catalog's customer has {self.columns}"
        )


class _Compiler:
    """Makes the tables of one strategy."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._programs = Programs(read.catalog, read.zone)
        self._terms: list[int] = []
        self._kept: dict[tuple[int, ...], tuple[int, int]] = {}
        self._names = ["", "not on this channel", "closed channel", "not valid yet", "expired"]

    def rules(self) -> Rules:
        strategy = self._read.strategy
        own = len(self._names)
        self._names.append("eligible")
        suppress = [(rule, self._read.each(rule.when)) for rule in strategy.suppress]
        for number, (rule, _) in enumerate(suppress, 1):
            self._names.append(f"suppress {number}" + (f": {rule.reason}" if rule.reason else ""))
        actions: list[tuple[int, int, int, int]] = []
        clauses: list[tuple[int, int, int, int]] = []
        for name, action in strategy.actions.items():
            first = len(clauses)
            if action.eligible is not None:
                clauses.append((own, 0, *self._all(self._read.each(action.eligible)(name, action))))
            for number, (rule, when) in enumerate(suppress, 1):
                if concerns(rule, name, action):
                    clauses.append((own + number, 1, *self._all(when(name, action))))
            begin, end = (
                none if text is None else instant(text, self._read.zone)
                for text, none in ((action.valid_from, _NEVER), (action.valid_until, _ALWAYS))
            )
            actions.append((begin, end, first, len(clauses)))
        opened = [
            (0, 0) if c.open is None else self._all(self._read.node(c.open))
            for c in strategy.channels.values()
        ]
        on = [[c in a.channels for a in strategy.actions.values()] for c in strategy.channels]
        tables = self._programs.tables()
        parts: list[I64] = [
            np.asarray(part, np.int64).reshape(-1)
            for part in (tables.code, tables.bounds, actions, clauses, self._terms, opened, on)
        ]
        places = k.R_DEPTH + 1 + np.cumsum([0, *map(len, parts)])
        table = np.concatenate([places, [self._programs.depth], *parts])
        names = self._names
        return Rules(
            tuple(strategy.actions), names, tuple(strategy.channels), self._programs, table
        )

    def _all(self, node: Node) -> tuple[int, int]:
        """Return where the terms are that must hold for a condition to hold."""
        terms = tuple(
            self._programs.add(term)
            for term in conjuncts(node)
            if not (isinstance(term, Constant) and term.value is True)
        )
        if terms not in self._kept:
            self._kept[terms] = (len(self._terms), len(self._terms) + len(terms))
            self._terms += terms
        return self._kept[terms]
