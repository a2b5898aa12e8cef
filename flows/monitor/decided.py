"""Decisions with what came of them, one row each: the table that learning is judged by."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...features.durations import microseconds
from ...features.errors import SettingsError
from ..strategy_versions import StrategyVersions
from .newest import MOST_ROWS, Found, Newest, Table
from .taken import (
    NO_DECISIONS,
    REWARD,
    credits_of,
    decisions_of,
    examples_of,
)

DEFAULT_ROWS = 100_000
"""Decisions that are looked at, unless told."""
_REVISIONS = 8
"""Rows of credits that are read for each decision, at most."""


_CREDITS = (
    "event_timestamp", "customer_id", "objective", "example", "revision", "reward", "silence",
    "withdrawn",
)  # fmt: skip


class Decided(NamedTuple):
    """Decisions, the newest ones.

    Attributes
    ----------
    table
        A row a decision that offered something, in the order of time: ``at`` (int64 microseconds),
        ``id``, ``customer``, ``channel``, ``trigger``, ``arm`` (what was offered first),
        ``propensity``, ``score``, ``best`` (whether nothing eligible had a higher score; null: not
        known), ``eligible`` (how many there were), ``group`` (`LEARNED`, `CONTROL` or `FALLBACK`),
        ``version`` of the strategy; by objective ``foretold.NAME`` and ``reward.NAME``, shares of
        its range, the reward null as long as the window is open or if nothing was delivered; and
        ``input.NAME``, texts that the models saw.
    objectives
        Their names.
    complete
        Whether these are all decisions of the archive.
    nothing
        How many decisions offered nothing.
    damaged
        How many records could not be read.
    faults
        What was wrong with files that could not be read.
    """

    table: Table
    objectives: tuple[str, ...]
    complete: bool
    nothing: int = 0
    damaged: int = 0
    faults: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def fields(self) -> list[str]:
        """The columns by which decisions can be told apart, as far as they differ."""
        names = ["arm", "channel", "group", "version", "trigger"]
        names += [name for name in self.table.column_names if name.startswith("input.")]
        return [name for name in names if len(self.table[name].unique()) > 1]

    def settled(self, objective: str) -> Table:
        """Return the decisions whose reward is known.

        Raises
        ------
        SettingsError
            If there is no such objective.
        """
        if objective not in self.objectives:
            raise SettingsError(
                f"no objective {objective!r} in these decisions, which have "
                f"{', '.join(self.objectives) or 'none'}"
            )
        return self.table.filter(self.table[f"reward.{objective}"].is_valid())


class DecisionLog:
    """Reads the newest decisions of a data directory, again and again while a run adds to them.

    Parameters
    ----------
    archive
        ``archive`` in a data directory: of a strategy, or of a decision point's examples.
    most
        So many decisions at most.
    customer
        Only theirs.

    Raises
    ------
    SettingsError
        If ``most`` is out of range.

    Examples
    --------
    >>> DecisionLog(Path("/no/such/archive")).read().table.num_rows
    0
    """

    def __init__(
        self, archive: Path, most: int = DEFAULT_ROWS, *, customer: str | None = None
    ) -> None:
        self._windows: dict[str, dict[str, int]] = {}
        self._versions = StrategyVersions(archive / "strategies")
        whose = partial(_of, customer)
        self._decisions = Newest(
            archive / "decisions", ("event_timestamp", "customer_id", "type", "record"),
            partial(whose, decisions_of), most,
        )  # fmt: skip
        told = min(MOST_ROWS, most * _REVISIONS)
        self._credits = Newest(archive / "credits", _CREDITS, partial(whose, credits_of), told)
        self._examples = Newest(
            archive / "examples",
            ("decision_id", "event_timestamp", "customer_id", "arm", "propensity", "score",
             "context", "reward"),
            partial(whose, examples_of), most,
        )  # fmt: skip

    def read(self) -> Decided:
        """Return them; an empty table if there are none yet."""
        found = self._decisions.read()
        if not found.table.num_rows:
            examples = self._examples.read()
            if examples.table.num_rows:
                table = examples.table.append_column(f"reward.{REWARD}", examples.table["reward"])
                return Decided(
                    _once(table.drop_columns(["reward"])), (REWARD,), examples.complete,
                    faults=tuple(examples.faults),
                )  # fmt: skip
            return Decided(NO_DECISIONS, (), True, faults=(*found.faults, *examples.faults))
        table = found.table.filter(pc.is_valid(found.table["id"]))
        table = _once(table)
        damaged = pc.sum(found.table["damaged"].cast(pa.int64())).as_py() or 0
        some = table.filter(table["arm"].is_valid())
        credits_ = self._credits.read(since=found.since)
        some, objectives = self._rewarded(some, found, credits_)
        nothing = table.num_rows - some.num_rows
        faults = (*found.faults, *credits_.faults)
        return Decided(some, objectives, found.complete, nothing, damaged, faults)

    def _rewarded(
        self, table: Table, found: Found, credits_: Found
    ) -> tuple[Table, tuple[str, ...]]:
        """Add the rewards of the decisions whose windows are over."""
        told = credits_.table
        foretold = [n.partition(".")[2] for n in table.column_names if n.startswith("foretold.")]
        if not told.num_rows:
            for name in foretold:
                empty = pa.nulls(table.num_rows, pa.float64())
                table = table.append_column(f"reward.{name}", empty)
            return table, tuple(foretold)
        clocks = clocks_of(found, told)
        objectives = sorted({*foretold, *told["objective"].unique().to_pylist()})
        ids = pa.array(table["id"].combine_chunks())
        at = table["at"].to_numpy()
        clock = np.array([clocks[name] for name in table["partition"].to_pylist()], np.int64)
        versions = table["version"].to_pylist()
        for name in objectives:
            own = told.filter(pc.equal(told["objective"], name))
            own = own.take(pc.sort_indices(own, [("revision", "ascending")]))
            places = pc.index_in(own["example"], ids).combine_chunks()
            known = places.is_valid().to_numpy(zero_copy_only=False)
            where = places.drop_null().to_numpy()
            reward = np.full(len(at), np.nan)
            reward[where] = own["reward"].to_numpy()[known]  # of one decision the last one stays
            silent = own["silence"].to_numpy()[known]
            waits = (own["at"].to_numpy()[known] - at[where])[silent]
            window = self._window(name, versions, int(waits.max()) if len(waits) else None)
            reward[at + window > clock] = np.nan
            column = pa.array(reward, pa.float64(), from_pandas=True)
            table = table.append_column(f"reward.{name}", column)
        return table, tuple(objectives)

    def _window(
        self, objective: str, versions: list[str], seen: int | None
    ) -> npt.NDArray[np.int64]:
        """Return how long each decision's outcome may take: as its strategy says, or was seen."""
        never = 2**60
        by_version = {}
        for version in set(versions):
            known = self._declared(version).get(objective)
            by_version[version] = known if known is not None else never if seen is None else seen
        return np.array([by_version[version] for version in versions], np.int64)

    def _declared(self, version: str) -> dict[str, int]:
        if version not in self._windows:
            with contextlib.suppress(SettingsError):
                loaded = self._versions.loaded(version, None)
                if loaded is None:
                    return {}  # it may be kept later
                objectives = loaded.strategy.objectives.items()
                self._windows[version] = {n: microseconds(each.window) for n, each in objectives}
        return self._windows.get(version, {})


def _of(customer: str | None, take: Callable[[Any], Table], rows: Any) -> Table:
    if customer is not None:
        rows = rows.filter(pc.equal(rows["customer_id"], pa.scalar(customer)))
    return take(rows)


def clocks_of(found: Found, told: Table) -> dict[str, int]:
    """Return how far each partition of the log has come: silence is told at a window's end."""
    clocks = {name: newest - 1 for name, newest in found.reached.items()}
    silent = told.filter(told["silence"])
    if silent.num_rows:
        last = silent.group_by("partition").aggregate([("at", "max")])
        for name, at in zip(last["partition"].to_pylist(), last["at_max"].to_pylist(), strict=True):
            clocks[name] = max(clocks.get(name, -1), at)
    return clocks


def _once(table: Table) -> Table:
    """Leave out what was archived twice."""
    ids = table["id"].to_numpy()
    first = np.sort(np.unique(ids.astype(str), return_index=True)[1])
    return table if len(first) == len(ids) else table.take(pa.array(first))
