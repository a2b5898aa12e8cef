"""How well what was learned does: rewards, forecasts and exploration over time and by group."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...learners import RewardDrop
from ...learners.metrics.calibration import reliability
from .decided import Decided
from .intervals import Mean, clustered_mean, difference, mean_of_groups, wilson
from .newest import Table
from .taken import CONTROL, LEARNED
from .windows import Windows, moments

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
OTHERS = "(others)"
_TINY = 1e-15
_ROUNDING = 1e-12
_ONE = 0.3173
"""The chance to lie outside of one standard error."""
_IN_WINDOW = 40
"""Decisions that a window is to have on average."""


class Gap(NamedTuple):
    """What the learned policy earns, what the control group earns, and the difference."""

    learned: Mean
    control: Mean
    gain: Mean


class Series(NamedTuple):
    """The values of a column that are worth a line of their own, and whose each row is.

    Attributes
    ----------
    names
        The most frequent first; `OTHERS` last if there are more.
    places
        int64[n], places in ``names``.
    """

    names: list[str]
    places: I64


def series_of(table: Table, by: str, most: int = 8) -> Series:
    """Return the most frequent values of a column; all others together are one more.

    Examples
    --------
    >>> table = pa.table({"arm": ["tea", "pie", "tea", "jam"]})
    >>> series_of(table, "arm", most=2)
    Series(names=['tea', '(others)'], places=array([0, 1, 0, 1]))
    """
    column = table[by].cast(pa.string()).combine_chunks().fill_null("(none)").dictionary_encode()
    words, codes = column.dictionary.to_pylist(), column.indices.to_numpy()
    counts = np.bincount(codes, minlength=len(words))
    order = np.argsort(-counts, kind="stable")
    kept = order if len(order) <= most else order[: most - 1]
    new = np.full(len(words), len(kept), np.int64)
    new[kept] = np.arange(len(kept))
    names = [words[place] for place in kept]
    return Series(names if len(kept) == len(words) else [*names, OTHERS], new[codes])


def by_value(decided: Decided, objective: str, by: str, most: int = 20) -> Table:
    """Return what decisions earned by the values of a column.

    Parameters
    ----------
    decided
        The decisions; those whose reward is not known are left out.
    objective
        Of which.
    by
        One of `Decided.fields`.
    most
        Rows at most; the rarest values are put together.

    Returns
    -------
    pyarrow.Table
        ``value``, ``n`` decisions, ``customers``, ``mean`` reward with ``low`` and ``high``,
        ``foretold`` (its mean) and ``logloss``; the most frequent first.

    Raises
    ------
    SettingsError
        If there is no such objective.
    """
    own = _Own.of(decided, objective)
    series = series_of(own.table, by, most)
    rows = []
    for place, name in enumerate(series.names):
        rows.append({"value": name, **own.measured(series.places == place)})
    return _table(rows, "value", pa.string())


def course(
    decided: Decided, objective: str, by: str = "group", *, most: int = 6, windows: int = 40,
    cumulative: bool = False,
) -> Table:  # fmt: skip
    """Return what decisions earned window by window.

    Parameters
    ----------
    decided, objective, by
        As of `by_value`.
    most
        Lines at most.
    windows
        Windows of time at most.
    cumulative
        Whether each row is about all decisions up to its window's end: the progressive measure.

    Returns
    -------
    pyarrow.Table
        As of `by_value`, with ``series`` in place of ``value``, and ``at``, the window's middle.
        Windows without decisions are missing.
    """
    own = _Own.of(decided, objective)
    cut = Windows.of(own.at, _some(len(own.at), windows))
    places, series = cut.places(own.at), series_of(own.table, by, most)
    rows, middles = [], cut.middles
    for line, name in enumerate(series.names):
        in_line = series.places == line
        running = _Running(own)
        for window in range(cut.size):
            chosen = in_line & (places == window)
            if not chosen.any():
                continue
            found = running.add(chosen) if cumulative else own.measured(chosen)
            rows.append({"at": int(middles[window]), "series": name, **found})
    return _table(rows, "series", pa.string(), at=True)


def window(decided: Decided, objective: str, windows: int = 40) -> str:
    """Return in words how long a window of `course` is."""
    at = decided.settled(objective)["at"].to_numpy()
    return Windows.of(at, _some(len(at), windows)).name


def gap(decided: Decided, objective: str) -> Gap | None:
    """Return what learning earns over the control group; None: one of both has no outcomes."""
    own = _Own.of(decided, objective)
    groups = own.table["group"].cast(pa.string()).to_numpy(zero_copy_only=False)
    means = [own.mean(groups == name) for name in (LEARNED, CONTROL)]
    if any(np.isnan(one.value) for one in means):
        return None
    return Gap(means[0], means[1], difference(*map(_unsure, means)))


def calibration(
    decided: Decided, objective: str, bins: int = 10, *, group: str | None = None
) -> Table:
    """Return how often happened what was foretold, in bins of about as many decisions each.

    What a policy chooses is what its model thinks too much of more often than what it thinks too
    little of; the control group's lot does not choose by forecasts.

    Parameters
    ----------
    decided, objective
        As of `by_value`.
    bins
        How many, at most.
    group
        Only the decisions of this one, such as ``control``; None: all.

    Returns
    -------
    pyarrow.Table
        ``foretold`` and ``observed`` (means), ``low`` and ``high`` around what was observed,
        ``n`` decisions, and ``from``, ``to``: the least and the largest forecast of the bin.
    """
    own = _Own.of(decided, objective)
    known = ~np.isnan(own.foretold)
    if group is not None:
        known &= own.table["group"].cast(pa.string()).to_numpy(zero_copy_only=False) == group
    y, p = own.reward[known], own.foretold[known]
    if not len(y):
        names = ("foretold", "observed", "low", "high", "n", "from", "to")
        return pa.table({name: pa.array([], pa.float64()) for name in names})
    # A reward of 0.3 counts as 0.3 of a yes and 0.7 of a no.
    happened, twice = np.repeat([1.0, 0.0], len(y)), np.concatenate([p, p])
    weights = np.concatenate([y, 1.0 - y])
    some = weights > 0.0
    found = reliability(happened[some], twice[some], weights[some], bins=bins)
    low, high = wilson(np.clip(found.observed, 0.0, 1.0), found.weight)
    return pa.table(
        {
            "foretold": found.predicted, "observed": found.observed, "low": low, "high": high,
            "n": found.weight, "from": found.lower, "to": found.upper,
        }
    )  # fmt: skip


def calibration_error(table: Table) -> float:
    """Return the mean distance of foretold and observed of a table of `calibration`."""
    n = table["n"].to_numpy()
    if not len(n):
        return float("nan")
    gaps = np.abs(table["foretold"].to_numpy() - table["observed"].to_numpy())
    return float(n @ gaps / n.sum())


def exploration(decided: Decided, windows: int = 40) -> Table:
    """Return how decisions were chosen, window by window.

    Returns
    -------
    pyarrow.Table
        ``at``, ``kind`` (``best``: what had the highest score; ``explored``: something else that
        the learned policy drew; ``control``, ``fallback``; ``not known``), ``n``, and ``share`` of
        the window's decisions.
    """
    table = decided.table
    at = table["at"].to_numpy()
    cut = Windows.of(at, _some(len(at), windows))
    groups = table["group"].cast(pa.string()).to_numpy(zero_copy_only=False)
    best = table["best"].to_pylist()
    kinds = np.array(
        [
            group if group != LEARNED else "not known" if top is None else
            "best" if top else "explored"
            for group, top in zip(groups, best, strict=True)
        ],
        object,
    )  # fmt: skip
    order = ["best", "explored", CONTROL, "fallback", "not known"]
    return _shares(cut, cut.places(at), kinds, [name for name in order if (kinds == name).any()])


def choices(decided: Decided, by: str = "arm", windows: int = 40, most: int = 8) -> Table:
    """Return what the learned policy offered, window by window; as of `exploration`."""
    table = decided.table
    groups = table["group"].cast(pa.string()).to_numpy(zero_copy_only=False)
    table = table.filter(pa.array(groups == LEARNED))
    at, series = table["at"].to_numpy(), series_of(table, by, most)
    cut = Windows.of(at, _some(len(at), windows))
    names = np.array(series.names, object)
    return _shares(cut, cut.places(at), names[series.places], series.names)


def alarms(decided: Decided, objective: str) -> list[int]:
    """Return when rewards of the learned policy dropped below what was foretold, microseconds.

    The detector is `learners.RewardDrop` with its defaults, in the order of decisions.
    """
    own = _Own.of(decided, objective)
    groups = own.table["group"].cast(pa.string()).to_numpy(zero_copy_only=False)
    chosen = (groups == LEARNED) & ~np.isnan(own.foretold)
    drop = RewardDrop()
    rows = zip(
        own.at[chosen].tolist(), own.reward[chosen].tolist(), own.foretold[chosen].tolist(),
        strict=True,
    )  # fmt: skip
    return [at for at, reward, foretold in rows if drop.update(reward, foretold)]


def _some(n: int, most: int) -> int:
    """Return into how many windows so many decisions are cut: one needs some to say anything."""
    return min(most, max(3, n // _IN_WINDOW))


class _Own(NamedTuple):
    """The decisions whose reward is known, as arrays."""

    table: Table
    at: I64
    reward: F64
    foretold: F64
    customer: I64

    @classmethod
    def of(cls, decided: Decided, objective: str) -> _Own:
        table = decided.settled(objective)
        customers = table["customer"].cast(pa.string()).combine_chunks().dictionary_encode()
        foretold = np.full(table.num_rows, np.nan)
        if f"foretold.{objective}" in table.column_names:
            foretold = np.clip(table[f"foretold.{objective}"].to_numpy(), 0.0, 1.0)
        reward = np.clip(table[f"reward.{objective}"].to_numpy(), 0.0, 1.0)
        places = customers.indices.to_numpy().astype(np.int64)
        return cls(table, table["at"].to_numpy(), reward, foretold, places)

    def mean(self, chosen: npt.NDArray[np.bool_]) -> Mean:
        return clustered_mean(self.reward[chosen], self.customer[chosen])

    def losses(self, chosen: npt.NDArray[np.bool_]) -> F64:
        y, p = self.reward[chosen], self.foretold[chosen]
        known = ~np.isnan(p)
        y, p = y[known], np.clip(p[known], _TINY, 1.0 - _TINY)
        found: F64 = -(y * np.log(p) + (1.0 - y) * np.log1p(-p))
        return found

    def measured(self, chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
        loss, foretold = self.losses(chosen), self.foretold[chosen]
        foretold = foretold[~np.isnan(foretold)]
        return _row(
            int(chosen.sum()), len(np.unique(self.customer[chosen])), self.mean(chosen),
            (float(foretold.sum()), len(foretold)), float(loss.sum()),
        )  # fmt: skip


class _Running:
    """Sums over all windows so far."""

    def __init__(self, own: _Own) -> None:
        size = int(own.customer.max()) + 1 if len(own.customer) else 0
        self._own, self._n = own, 0
        self._sums, self._counts = np.zeros(size), np.zeros(size)
        self._foretold, self._known, self._loss = 0.0, 0, 0.0

    def add(self, chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
        own = self._own
        customers, foretold = own.customer[chosen], own.foretold[chosen]
        self._n += len(customers)
        np.add.at(self._sums, customers, own.reward[chosen])
        np.add.at(self._counts, customers, 1.0)
        self._foretold += float(np.nansum(foretold))
        self._known += int((~np.isnan(foretold)).sum())
        self._loss += float(own.losses(chosen).sum())
        mean = mean_of_groups(self._sums, self._counts)
        people = int((self._counts > 0).sum())
        return _row(self._n, people, mean, (self._foretold, self._known), self._loss)


def _row(
    n: int, customers: int, mean: Mean, foretold: tuple[float, int], loss: float
) -> dict[str, Any]:
    total, known = foretold
    low, high = mean.low, mean.high
    if low == high:  # all alike, which with few decisions says little
        low, high = (float(end[0]) for end in wilson([mean.value], [n]))
    return {
        "n": n, "customers": customers, "mean": mean.value,
        "low": max(low, 0.0) if low == low else low,
        "high": min(high, 1.0) if high == high else high,
        "foretold": total / known if known else np.nan,
        "logloss": loss / known if known else np.nan,
    }  # fmt: skip


def _unsure(mean: Mean) -> Mean:
    """Return a mean of customers who were all alike with the error of a share of so many."""
    if not mean.error <= _ROUNDING:
        return mean
    low, high = (float(end[0]) for end in wilson([mean.value], [mean.freedom + 1.0], alpha=_ONE))
    return mean._replace(error=max(mean.value - low, high - mean.value))


def _table(rows: list[dict[str, Any]], name: str, kind: Any, *, at: bool = False) -> Table:
    columns: dict[str, Any] = {}
    if at:
        columns["at"] = moments([row["at"] for row in rows])
    columns[name] = pa.array([row[name] for row in rows], kind)
    columns |= {each: pa.array([row[each] for row in rows], pa.int64()) for each in _COUNTS}
    columns |= {
        each: pa.array([row[each] for row in rows], pa.float64(), from_pandas=True)
        for each in _MEASURES
    }
    return pa.table(columns)


_COUNTS = ("n", "customers")
_MEASURES = ("mean", "low", "high", "foretold", "logloss")


def _shares(cut: Windows, places: I64, kinds: npt.NDArray[Any], order: list[str]) -> Table:
    totals = np.bincount(places, minlength=cut.size)
    some = np.flatnonzero(totals)
    columns: dict[str, list[Any]] = {"kind": [], "n": [], "share": []}
    times: list[int] = []
    for name in order:
        counts = np.bincount(places[kinds == name], minlength=cut.size)[some]
        times += cut.middles[some].tolist()
        columns["kind"] += [name] * len(some)
        columns["n"] += counts.tolist()
        columns["share"] += (counts / totals[some]).tolist()
    return pa.table(
        {
            "at": moments(times), "kind": pa.array(columns["kind"], pa.string()),
            "n": pa.array(columns["n"], pa.int64()),
            "share": pa.array(columns["share"], pa.float64()),
        }
    )  # fmt: skip
