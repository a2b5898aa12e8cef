"""Strategies judged by the newest decisions that were logged: would they have earned more?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from ...features.catalog import Catalog
from ...features.errors import NextbestError, SettingsError
from ...learners.off_policy.report import Method
from ..decision.engine import Engine
from ..decision.evaluating import Evaluator, Rewards
from ..decision.evaluation import Evaluation
from ..decision.loading import Loaded, load
from ..decision.record import DECISION, Record
from ..logged_records import OwnStrategies, Row, records_in
from ..strategy_versions import StrategyVersions
from .decided import clocks_of
from .newest import MOST_ROWS, Newest, Table, times_of
from .taken import credits_of

DEFAULT_ROWS, MOST_DECISIONS = 5_000, 200_000
"""Decisions that are judged, unless told, and at most."""
MOST_CANDIDATES = 12
_CREDITS = ("event_timestamp", "objective", "example", "revision", "reward", "silence", "withdrawn")


class Logged(NamedTuple):
    """Decisions with what came of their first offers.

    Attributes
    ----------
    records
        The newest, in the order of time.
    rewards
        Of each, by objective; None: it was not delivered.
    until
        Of each: how far its partition of the log has come, microseconds.
    complete
        Whether these are all decisions of the archive.
    damaged
        How many records could not be read.
    """

    records: list[Record]
    rewards: list[Rewards]
    until: list[int]
    complete: bool
    damaged: int = 0


class RecordLog:
    """Reads the newest decisions whole, again and again while a run adds to them.

    Parameters
    ----------
    archive
        ``archive`` in a data directory.
    most
        Decisions at most, 1 to `MOST_DECISIONS`; each takes some kilobytes.

    Raises
    ------
    SettingsError
        If ``most`` is out of range.

    Examples
    --------
    >>> RecordLog(Path("/no/such/archive")).read().records
    []
    """

    def __init__(self, archive: Path, most: int = DEFAULT_ROWS) -> None:
        if not 1 <= most <= MOST_DECISIONS:
            raise SettingsError(f"most={most}: from 1 to {MOST_DECISIONS:,} decisions")
        names = ("event_timestamp", "event_id", "type", "record")
        self._decisions = Newest(archive / "decisions", names, _texts, most)
        told = min(MOST_ROWS, 16 * most)
        self._credits = Newest(archive / "credits", _CREDITS, credits_of, told)

    def read(self) -> Logged:
        """Return what there is now."""
        found = self._decisions.read()
        if not found.table.num_rows:
            return Logged([], [], [], True)
        credits_ = self._credits.read(since=found.since)
        came = _rewards(credits_.table) if credits_.table.num_rows else {}
        clocks = clocks_of(found, credits_.table) if came else found.reached
        logged = Logged([], [], [], found.complete)
        damaged = 0
        columns = (found.table[n].to_pylist() for n in ("partition", "event_id", "record"))
        for partition, record in records_in(map(Row, *columns)):
            if record is None:
                damaged += 1
                continue
            logged.records.append(record)
            logged.rewards.append(came.get(record.id, {}))
            logged.until.append(clocks[partition])
        return logged._replace(damaged=damaged)


class Candidate(NamedTuple):
    """A strategy that is judged: its checked form, or why it has none."""

    loaded: Loaded | None
    fault: str = ""

    @classmethod
    def of(cls, text: str, catalog: Catalog) -> Candidate:
        """Return the candidate of a YAML text.

        Examples
        --------
        >>> from nextbest.flows.simulate.catalog import catalog
        >>> Candidate.of("name: [", catalog).loaded is None
        True
        """
        try:
            return cls(load(text, catalog, look_up=False))
        except NextbestError as error:
            return cls(None, str(error))


def variants(text: str) -> dict[str, str]:
    """Return ways to choose that are worth a look, of a strategy's text: name to YAML.

    ``best only``: always the highest score; ``by lot``: every eligible action equally often;
    ``5 % by lot``: the highest score, and now and then any.

    Examples
    --------
    >>> list(variants("name: tea"))
    ['best only', '5 % by lot', 'by lot']
    """
    plain = yaml.safe_load(text)
    if not isinstance(plain, dict):
        return {}
    ways = {
        "best only": {"method": "greedy"},
        "5 % by lot": {"method": "epsilon", "epsilon": 0.05},
        "by lot": {"method": "epsilon", "epsilon": 1.0},
    }
    return {
        name: yaml.safe_dump({**plain, "exploration": way}, sort_keys=False, allow_unicode=True)
        for name, way in ways.items()
    }


def newest_text(archive: Path, logged: Logged) -> str:
    """Return the text of the version that made the newest decision; empty if it is not kept."""
    versions = StrategyVersions(archive / "strategies")
    for record in reversed(logged.records):
        try:
            return versions.text(record.strategy) or ""
        except SettingsError:
            return ""
    return ""


def judge(
    logged: Logged, archive: Path, catalog: Catalog, candidates: Mapping[str, Candidate], *,
    method: Method = "bernstein", alpha: float = 0.05,
) -> dict[str, Evaluation | str]:  # fmt: skip
    """Return by candidate what the log says of it, or one sentence that says why it says nothing.

    The first offer of each decision is judged; see `Evaluator`.

    Parameters
    ----------
    logged
        Of `RecordLog.read`.
    archive
        ``archive`` in a data directory: it has the versions that decided.
    catalog
        By which the decisions were made.
    candidates
        At most `MOST_CANDIDATES`, by name.
    method, alpha
        See `learners.off_policy.evaluate`.

    Raises
    ------
    SettingsError
        If there are too many candidates.
    """
    if len(candidates) > MOST_CANDIDATES:
        raise SettingsError(f"{len(candidates)} candidates; the most are {MOST_CANDIDATES}")
    own = OwnStrategies(StrategyVersions(archive / "strategies"))
    found: dict[str, Evaluation | str] = {}
    for name, candidate in candidates.items():
        if candidate.loaded is None:
            found[name] = candidate.fault
            continue
        try:
            evaluator = Evaluator(Engine(candidate.loaded, catalog))
            for record, rewards, until in zip(
                logged.records, logged.rewards, logged.until, strict=True
            ):
                evaluator.take(record, rewards, until, own=own.of(record))
            found[name] = evaluator.finish(method=method, alpha=alpha)
        except NextbestError as error:
            found[name] = str(error)
    return found


def verdicts(judged: Mapping[str, Evaluation | str], objective: str) -> Table:
    """Return a row for each candidate that could be judged.

    Parameters
    ----------
    judged
        Of `judge`.
    objective
        The name of one, or ``SCORE`` of `evaluation`: what all together are worth.

    Returns
    -------
    pyarrow.Table
        ``candidate``, ``verdict``, ``logged`` and ``value`` (a decision), ``gain`` with ``low`` and
        ``high`` (null: without an end), ``effective`` (how many decisions of its own the log is
        worth), ``n``, ``mean_weight``, ``largest``, ``unsupported``.
    """
    rows = []
    for name, found in judged.items():
        if isinstance(found, str):
            continue
        one = next((each for each in found.verdicts if each.name == objective), None)
        if one is None:
            continue
        report, covered = one.report, one.report.overlap
        verdict = found.verdict if one is found.verdicts[0] else report.verdict
        rows.append(
            {
                "candidate": name, "verdict": verdict, "logged": report.logged,
                "value": report.estimate.value, "gain": report.gain,
                "low": _finite(report.interval.lower), "high": _finite(report.interval.upper),
                "effective": covered.effective, "n": covered.n, "mean_weight": covered.mean,
                "largest": covered.largest, "unsupported": covered.unsupported or 0.0,
            }
        )  # fmt: skip
    kinds: Any = {
        "candidate": pa.string(), "verdict": pa.string(), "logged": pa.float64(),
        "value": pa.float64(), "gain": pa.float64(), "low": pa.float64(), "high": pa.float64(),
        "effective": pa.float64(), "n": pa.int64(), "mean_weight": pa.float64(),
        "largest": pa.float64(), "unsupported": pa.float64(),
    }  # fmt: skip
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def estimates(judged: Mapping[str, Evaluation | str], objective: str) -> Table:
    """Return every estimator's value: ``candidate``, ``estimator``, ``value``, ``low``, ``high``.

    Ends are two standard errors away.
    """
    rows = []
    for name, found in judged.items():
        if isinstance(found, str):
            continue
        for each in found.verdicts:
            if each.name != objective:
                continue
            for kind, one in each.estimates.items():
                error = _finite(one.standard_error)
                wide = None if error is None else 2.0 * error
                rows.append(
                    {
                        "candidate": name, "estimator": kind, "value": one.value,
                        "low": None if wide is None else one.value - wide,
                        "high": None if wide is None else one.value + wide,
                    }
                )  # fmt: skip
    kinds: Any = {"candidate": pa.string(), "estimator": pa.string(), "value": pa.float64(),
                  "low": pa.float64(), "high": pa.float64()}  # fmt: skip
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def _texts(rows: Any) -> Table:
    rows = rows.filter(pc.equal(rows["type"], pa.scalar(DECISION)))
    columns = {"at": times_of(rows), "event_id": rows["event_id"], "record": rows["record"]}
    return pa.table(columns)


def _rewards(told: Table) -> dict[str, dict[str, float | None]]:
    """Return by decision and objective what the highest revision says."""
    order = told.take(pc.sort_indices(told, [("revision", "ascending")]))
    found: dict[str, dict[str, float | None]] = {}
    for decision, objective, reward in zip(
        *(order[name].to_pylist() for name in ("example", "objective", "reward")), strict=True
    ):
        found.setdefault(decision, {})[objective] = reward
    return found


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
