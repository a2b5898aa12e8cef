"""`nextbest evaluate`: a strategy against the decisions that were logged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ...features.catalog import Catalog
from ...features.errors import SettingsError, SourceError
from ...learners.off_policy import Report
from ...learners.off_policy.report import Method
from ..decision.control_check import Check
from ..decision.engine import Engine
from ..decision.evaluating import MOST_POSITIONS, Evaluator, Rewards
from ..decision.evaluation import Evaluation, Verdict
from ..decision.loading import Loaded
from ..decision.record import DECISION
from ..logged_records import OwnStrategies, Row, records_in
from ..settings import Settings
from ..strategy_versions import StrategyVersions

_JSON = msgspec.json.Encoder()
_ROWS = 4096
_DAMAGED = "with a damaged record"


def evaluate_strategy(
    settings: Settings,
    catalog: Catalog,
    loaded: Loaded,
    *,
    since: int | None = None,
    method: Method = "bernstein",
    alpha: float = 0.05,
) -> Evaluation:
    """Return what the archived decisions say of a strategy.

    Parameters
    ----------
    settings
        Where the archive is.
    catalog
        By which the decisions were made.
    loaded
        The strategy.
    since
        Only decisions of this time or later, microseconds.
    method, alpha
        See `learners.off_policy.evaluate`.

    Raises
    ------
    SourceError
        If no decision was archived, or a file cannot be read.
    SettingsError
        If none of them can be judged.
    """
    directory = settings.archive_dir / "decisions"
    if next(directory.glob("partition=*/epoch-*.parquet"), None) is None:
        raise SourceError(
            f"{directory}: no decision has been archived; a run with --strategy archives them"
        )
    evaluator = Evaluator(Engine(loaded, catalog))
    own = OwnStrategies(StrategyVersions(settings.archive_dir / "strategies"))
    came, clocks = _rewards(settings.archive_dir / "credits")
    for partition, part in _tables(directory, ["event_timestamp"]):
        # What stands at the newest event's own time may still be open.
        newest = max(_times(part), default=0) - 1
        clocks[partition] = max(clocks.get(partition, 0), newest)
    for partition, record in records_in(_decisions(directory, since)):
        if record is None:
            evaluator.leave_out(_DAMAGED)
            continue
        first, *below = came.get(record.id) or [{}]
        evaluator.take(record, first, clocks[partition], below=below, own=own.of(record))
    return evaluator.finish(method=method, alpha=alpha)


def _decisions(directory: Path, since: int | None) -> Iterator[Row]:
    """Yield the archived decisions, partition by partition."""
    for partition, part in _tables(directory, ["event_id", "event_timestamp", "type", "record"]):
        columns = (part[name].to_pylist() for name in ("event_id", "type", "record"))
        for at, event_id, kind, text in zip(_times(part), *columns, strict=True):
            if kind == DECISION and (since is None or at >= since):
                yield Row(partition, event_id, text)


def _rewards(directory: Path) -> tuple[dict[str, list[Rewards]], dict[str, int]]:
    """Return by decision what came of its offers, and by partition the time it reached.

    Of each objective the latest revision counts. Silence is told when its window is over: so far
    has the partition come.
    """
    found: dict[str, list[dict[str, tuple[int, float | None]]]] = {}
    clocks: dict[str, int] = {}
    names = ["objective", "example", "revision", "reward", "withdrawn", "silence"]
    for partition, part in _tables(directory, [*names, "event_timestamp"]):
        for at, objective, example, revision, reward, withdrawn, silence in zip(
            _times(part), *(part[name].to_pylist() for name in names), strict=True
        ):
            if silence:
                clocks[partition] = max(clocks.get(partition, 0), at)
            decision, _, text = example.rpartition("/")
            rank = int(text) if text.isdecimal() else MOST_POSITIONS
            if rank >= MOST_POSITIONS:
                continue
            offers = found.setdefault(decision, [])
            offers += ({} for _ in range(rank + 1 - len(offers)))
            if objective not in offers[rank] or offers[rank][objective][0] < revision:
                offers[rank][objective] = revision, None if withdrawn else reward
    rewards: dict[str, list[Rewards]] = {
        decision: [{name: reward for name, (_, reward) in of.items()} for of in offers]
        for decision, offers in found.items()
    }
    return rewards, clocks


def _times(part: Any) -> list[int]:
    """Return the times of rows, microseconds."""
    found: list[int] = part["event_timestamp"].cast(pa.int64()).to_pylist()
    return found


def _tables(directory: Path, columns: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the name of a partition and some of its rows."""
    for path in sorted(directory.glob("partition=*/epoch-*.parquet")):
        try:
            with pq.ParquetFile(path) as file:
                for part in file.iter_batches(_ROWS, columns=columns):
                    yield path.parent.name, part
        except (OSError, pa.ArrowException, KeyError) as error:
            raise SourceError(f"{path}: cannot be read: {error}") from None


def as_json(found: Evaluation) -> bytes:
    """Return an evaluation as one JSON text; a number that is none or infinite is null."""
    return _JSON.encode(
        {
            "verdict": found.verdict,
            "sentence": found.sentence(),
            "judged": found.judged,
            "left_out": found.left_out,
            "missing_overlap": found.missing,
            "missing_why": found.missing_why,
            "versions": found.versions,
            "notes": found.notes,
            "unseen": found.unseen,
            "several_offers": found.several,
            "positions": {one.rank + 1: _reported(one.report) for one in found.positions},
            "control": None if found.check is None else _checked(found.check),
            "objectives": {each.name: _plain(each) for each in found.verdicts},
        }
    )


def _plain(each: Verdict) -> dict[str, Any]:
    return {
        **_reported(each.report),
        "bootstrap": [_finite(end) for end in each.bootstrapped],
        "estimates": {
            kind: {"value": one.value, "standard_error": _finite(one.standard_error)}
            for kind, one in each.estimates.items()
        },
    }


def _reported(report: Report) -> dict[str, Any]:
    overlap = report.overlap
    return {
        "verdict": report.verdict,
        "reasons": report.reasons,
        "logged": report.logged,
        "value": report.estimate.value,
        "estimator": report.estimate.name,
        "gain": report.gain,
        "interval": [_finite(end) for end in report.interval],
        "method": report.method,
        "alpha": report.alpha,
        "effective": overlap.effective,
        "decisions": overlap.n,
        "mean_weight": overlap.mean,
        "largest_weight": overlap.largest,
        "unsupported": overlap.unsupported,
    }


def _checked(check: Check) -> dict[str, Any]:
    return {
        name: _finite(part) if isinstance(part, float) else part
        for name, part in check._asdict().items()
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def check_settings(method: str, alpha: float, methods: tuple[str, ...]) -> None:
    """Refuse settings that are none.

    Raises
    ------
    SettingsError
        Naming the one that is wrong.
    """
    if method not in methods:
        raise SettingsError(f"--method is {method!r}; there are: {', '.join(methods)}")
    if not 0.0 < alpha < 1.0:
        raise SettingsError(f"--alpha is {alpha}, not between 0 and 1")
