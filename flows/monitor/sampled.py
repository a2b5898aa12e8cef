"""Features of customers at moments that are drawn from the archive, and how late events came."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...features.catalog import Catalog
from ...features.errors import SettingsError
from ...features.online.answer import STATES, Layout
from ...features.replay import backfill
from .drifting import counts_of, detections, edges_of, stability
from .newest import Newest, Table, times_of
from .windows import Windows, moments

DEFAULT_EVENTS = 200_000
"""Events that moments are drawn from, unless told: the newest."""
DEFAULT_MOMENTS, MOST_MOMENTS = 4_000, 200_000
MOST_COLUMNS = 500
"""Columns of features that are looked at; the first of the catalog."""

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class EventLog:
    """Reads when the newest events happened, and whose they are, while a run may add to them.

    Parameters
    ----------
    archive
        ``archive`` in a data directory.
    most
        Events at most.

    Examples
    --------
    >>> EventLog(Path("/no/such/archive")).read().num_rows
    0
    """

    def __init__(self, archive: Path, most: int = DEFAULT_EVENTS) -> None:
        names = ("event_timestamp", "customer_id", "type", "position", "late")
        self._newest = Newest(archive / "events", names, _taken, most)
        self.complete = True

    def read(self) -> Table:
        """Return ``at``, ``customer``, ``type``, ``position``, ``late``, ``partition``."""
        found = self._newest.read()
        self.complete = found.complete
        return found.table if found.table.num_rows else _NOTHING


def _taken(rows: Any) -> Table:
    return pa.table(
        {
            "at": times_of(rows),
            "customer": rows["customer_id"].cast(pa.string()).dictionary_encode(),
            "type": rows["type"].cast(pa.string()).dictionary_encode(),
            "position": rows["position"],
            "late": rows["late"],
        }
    )


_NOTHING: Table = pa.table(
    {
        "at": pa.array([], pa.int64()), "customer": pa.array([], pa.string()),
        "type": pa.array([], pa.string()), "position": pa.array([], pa.int64()),
        "late": pa.array([], pa.bool_()), "partition": pa.array([], pa.string()),
    }
)  # fmt: skip


class Sampled(NamedTuple):
    """Features as of moments.

    Attributes
    ----------
    at
        int64[n], ascending, microseconds: the times of drawn events.
    columns
        ``view:column``.
    values
        float64[n, columns], NaN unless present; a word is its place in the vocabulary.
    state
        uint8[n, columns], see `FeatureRows`.
    layout
        What the columns are.
    drawn_from
        How many events there were to draw from.
    """

    at: I64
    columns: tuple[str, ...]
    values: F64
    state: npt.NDArray[np.uint8]
    layout: Layout
    drawn_from: int

    def split(self, share: float) -> int:
        """Return where the second period begins: after so much of the time.

        Raises
        ------
        SettingsError
            If the share is not between 0 and 1.
        """
        if not 0.0 < share < 1.0:
            raise SettingsError(f"share={share}: between 0 and 1")
        if not len(self.at):
            return 0
        border = self.at[0] + share * float(self.at[-1] - self.at[0])
        return int(np.searchsorted(self.at, border, side="right"))


def sample(
    catalog: Catalog,
    archive: Path,
    events: Table,
    *,
    most: int = DEFAULT_MOMENTS,
    features: Sequence[str] | None = None,
    seed: int = 0,
) -> Sampled:
    """Return customers' features as of the times of events that are drawn evenly.

    The archive is replayed from its beginning; memory is bounded, the time it takes is not.

    Parameters
    ----------
    catalog
        The declarations; they may be newer than the archive.
    archive
        ``archive/events`` in a data directory.
    events
        Of `EventLog.read`.
    most
        Moments at most, 2 to `MOST_MOMENTS`.
    features
        ``view:feature`` or ``view``; default: the first of the catalog, to `MOST_COLUMNS`.
    seed
        Of the drawing.

    Raises
    ------
    SettingsError
        If ``most`` is out of range.
    NextbestError
        If the archive cannot be read.
    """
    if not 2 <= most <= MOST_MOMENTS:
        raise SettingsError(f"most={most}: from 2 to {MOST_MOMENTS:,} moments")
    own = catalog.of(next((e.name for e in catalog.entities if e.is_customer), catalog.entity.name))
    chosen = tuple(own.features()) if features is None else own.select(features)
    kept, width = [], 0
    for view, feature in chosen:
        width += len(feature.columns)
        if width > MOST_COLUMNS:
            break
        kept.append((view, feature))
    n = events.num_rows
    drawn = np.sort(np.random.default_rng(seed).permutation(n)[:most])
    picked = events.take(pa.array(drawn))
    at = picked["at"].to_numpy()
    names = [f"{view.name}:{feature.name}" for view, feature in kept]
    layout = Layout(kept, [own.entity.name], 0)
    if not n:
        empty = np.empty((0, len(layout.columns)))
        return Sampled(at, layout.columns, empty, empty.astype(np.uint8), layout, 0)
    ids = picked["customer"].cast(pa.string()).to_pylist()
    rows = backfill(own, archive, ids, at, features=names, threads=1)
    return Sampled(at, layout.columns, rows.values, rows.state, layout, n)


def states(sampled: Sampled) -> Table:
    """Return the shares of present, missing and expired: ``column``, ``state``, ``share``."""
    rows: list[dict[str, Any]] = []
    for place, column in enumerate(sampled.columns):
        counts = np.bincount(sampled.state[:, place], minlength=len(STATES))
        for state, name in STATES.items():
            share = float(counts[state]) / max(1, len(sampled.at))
            rows.append({"column": column, "state": name, "share": share})
    kinds: Any = {"column": pa.string(), "state": pa.string(), "share": pa.float64()}
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def drift(sampled: Sampled, share: float = 0.5) -> Table:
    """Return how far the features of the later period are from those of the earlier one.

    Parameters
    ----------
    sampled
        The features.
    share
        Of the time that is the earlier period.

    Returns
    -------
    pyarrow.Table
        ``column``, ``psi``, ``noise``, ``verdict`` (see `Stability`), the means ``before`` and
        ``after`` (null for words), ``without_before``, ``without_after`` (shares without a value);
        the farthest apart first.
    """
    cut = sampled.split(share)
    rows: list[dict[str, Any]] = []
    for place, column in enumerate(sampled.columns):
        before, after = sampled.values[:cut, place], sampled.values[cut:, place]
        psi, noise, verdict = stability(before, after)
        words = sampled.layout.details[place].feature.dtype == "string"
        rows.append(
            {
                "column": column, "psi": psi, "noise": noise, "verdict": verdict,
                "before": None if words else _mean(before),
                "after": None if words else _mean(after),
                "without_before": _without(before), "without_after": _without(after),
            }
        )  # fmt: skip
    rows.sort(key=lambda row: -row["psi"] if row["psi"] == row["psi"] else 0.0)
    numbers = ("psi", "noise", "before", "after", "without_before", "without_after")
    kinds: Any = {
        "column": pa.string(),
        "verdict": pa.string(),
        **dict.fromkeys(numbers, pa.float64()),
    }
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def drift_course(sampled: Sampled, columns: Sequence[str], share: float = 0.5) -> Table:
    """Return the stability index of each window of time against the earlier period.

    Returns
    -------
    pyarrow.Table
        ``at`` (a window's middle), ``series`` (a column), ``psi``, ``noise``, ``n``.
    """
    cut = sampled.split(share)
    windows = Windows.of(sampled.at, max(3, min(24, len(sampled.at) // 100)))
    places = windows.places(sampled.at)
    rows: list[dict[str, Any]] = []
    for column in columns:
        values = sampled.values[:, sampled.columns.index(column)]
        for window in range(windows.size):
            own = values[places == window]
            if len(own) < _LEAST:
                continue
            psi, noise, _ = stability(values[:cut], own)
            row = {"at": int(windows.middles[window]), "series": column, "psi": psi}
            rows.append({**row, "noise": noise, "n": len(own)})
    return pa.table(
        {
            "at": moments([row["at"] for row in rows]),
            "series": pa.array([row["series"] for row in rows], pa.string()),
            "psi": pa.array([row["psi"] for row in rows], pa.float64()),
            "noise": pa.array([row["noise"] for row in rows], pa.float64()),
            "n": pa.array([row["n"] for row in rows], pa.int64()),
        }
    )


_LEAST = 20
"""Moments that a window needs to be compared."""


def detected(sampled: Sampled, columns: Sequence[str], share: float = 0.5) -> Table:
    """Return when a streaming detector noticed a change: ``at``, ``series``; see `detections`."""
    cut = sampled.split(share)
    rows: list[tuple[int, str]] = []
    for column in columns:
        values = sampled.values[:, sampled.columns.index(column)]
        rows += [(int(sampled.at[place]), column) for place in detections(values, values[:cut])]
    return pa.table(
        {
            "at": moments([at for at, _ in rows]),
            "series": pa.array([name for _, name in rows], pa.string()),
        }
    )


def distribution(sampled: Sampled, column: str, share: float = 0.5) -> Table:
    """Return how a feature is distributed in both periods.

    Returns
    -------
    pyarrow.Table
        ``bin`` (text), ``order``, ``period`` (``before``, ``after``), ``n`` and ``share``; the last
        bin has what is without a value.
    """
    place, cut = sampled.columns.index(column), sampled.split(share)
    values, feature = sampled.values[:, place], sampled.layout.details[place].feature
    edges = edges_of(values)
    names = _names(values, edges, feature)
    rows = []
    for period, own in (("before", values[:cut]), ("after", values[cut:])):
        for order, n in enumerate(counts_of(own, edges).tolist()):
            row = {"bin": names[order], "order": order, "period": period, "n": int(n)}
            rows.append({**row, "share": n / max(1, len(own))})
    return pa.Table.from_pylist(rows)


def lateness(events: Table, windows: int = 40) -> Table:
    """Return how far events were behind the newest one that had come before, window by window.

    The log does not keep when an event arrived; what its newest event says is how late it was at
    least. Partitions have clocks of their own.

    Returns
    -------
    pyarrow.Table
        ``at``, ``p50``, ``p99`` and ``most`` (seconds), ``n``, ``late`` (share beyond what is
        allowed, for which sessions were closed).
    """
    at, behind = events["at"].to_numpy(), np.zeros(events.num_rows)
    names, parts = events["partition"].cast(pa.string()).to_numpy(zero_copy_only=False), {}
    for name in np.unique(names.astype(str)):
        own = np.flatnonzero(names == name)
        own = own[np.argsort(events["position"].to_numpy()[own], kind="stable")]
        parts[name] = own
        behind[own] = (np.maximum.accumulate(at[own]) - at[own]) / 1e6
    late = events["late"].to_numpy()
    cut = Windows.of(at, max(3, min(windows, len(at) // 50)))
    places = cut.places(at)
    rows = []
    for window in np.unique(places).tolist():
        own = places == window
        p50, p99 = np.quantile(behind[own], (0.5, 0.99)).tolist()
        rows.append((int(cut.middles[window]), p50, p99, float(behind[own].max()),
                     int(own.sum()), float(late[own].mean())))  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [()] * 6
    kinds = (pa.float64(), pa.float64(), pa.float64(), pa.int64(), pa.float64())
    return pa.table(
        [moments(np.array(columns[0], np.int64)),
         *(pa.array(list(c), k) for c, k in zip(columns[1:], kinds, strict=True))],
        names=["at", "p50", "p99", "most", "n", "late"],
    )  # fmt: skip


def _names(values: F64, edges: F64, feature: Any) -> list[str]:
    if feature.dtype == "string":
        known = np.unique(values[~np.isnan(values)]).astype(int).tolist()
        words = [feature.vocabulary[code] for code in known]
        if len(words) == len(edges) + 1:
            return [*words, "(no value)"]
    known = np.unique(values[~np.isnan(values)])
    if len(known) == len(edges) + 1:
        return [*(f"{value:g}" for value in known.tolist()), "(no value)"]
    ends = [f"{edge:.3g}" for edge in edges.tolist()]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(ends)]
    if not ends:
        return ["all", "(no value)"]
    return [f"below {ends[0]}", *between, f"from {ends[-1]}", "(no value)"]


def _mean(values: F64) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _without(values: F64) -> float | None:
    return float(np.isnan(values).mean()) if len(values) else None


def verdict_counts(table: Table) -> dict[str, int]:
    """Return how many features of a table of `drift` have which verdict."""
    found: dict[str, int] = {}
    for word in table["verdict"].to_pylist():
        found[word] = found.get(word, 0) + 1
    return found
