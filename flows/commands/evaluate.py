"""`nextbest evaluate`: a strategy against the decisions that were logged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...features.catalog import Catalog
from ...features.errors import SettingsError, SourceError
from ...learners.off_policy.report import Method
from ..decision.engine import Engine
from ..decision.evaluating import Evaluation, Evaluator, Rewards, Verdict
from ..decision.loading import Loaded
from ..decision.record import DECISION, Record
from ..settings import Settings

_RECORD = msgspec.json.Decoder(Record)
_JSON = msgspec.json.Encoder()
_SHOWN = 5
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
    came, clocks = _rewards(settings.archive_dir / "credits")
    for partition, part in _tables(directory, ["event_timestamp"]):
        # What stands at the newest event's own time may still be open.
        newest = max(_times(part), default=0) - 1
        clocks[partition] = max(clocks.get(partition, 0), newest)
    seen: set[str] = set()
    for partition, event_id, text in _decisions(directory, since):
        if event_id in seen:
            continue
        seen.add(event_id)
        try:
            record = _RECORD.decode(text)
        except msgspec.DecodeError:  # also of wrong types
            evaluator.leave_out(_DAMAGED)
            continue
        evaluator.take(record, came.get(record.id, {}), clocks[partition])
    return evaluator.finish(method=method, alpha=alpha)


def _decisions(directory: Path, since: int | None) -> Iterator[tuple[str, str, str]]:
    """Yield partition, id and record of each archived decision, partition by partition."""
    for partition, part in _tables(directory, ["event_id", "event_timestamp", "type", "record"]):
        columns = (part[name].to_pylist() for name in ("event_id", "type", "record"))
        for at, event_id, kind, text in zip(_times(part), *columns, strict=True):
            if kind == DECISION and (since is None or at >= since):
                yield partition, event_id, text


def _rewards(directory: Path) -> tuple[dict[str, Rewards], dict[str, int]]:
    """Return by decision what came of its first offer, and by partition the time it reached.

    Of each objective the latest revision counts. Silence is told when its window is over: so far
    has the partition come.
    """
    found: dict[str, dict[str, tuple[int, float | None]]] = {}
    clocks: dict[str, int] = {}
    names = ["objective", "example", "revision", "reward", "withdrawn", "silence"]
    for partition, part in _tables(directory, [*names, "event_timestamp"]):
        for at, objective, example, revision, reward, withdrawn, silence in zip(
            _times(part), *(part[name].to_pylist() for name in names), strict=True
        ):
            if silence:
                clocks[partition] = max(clocks.get(partition, 0), at)
            decision, _, rank = example.rpartition("/")
            if rank != "0":
                continue
            of = found.setdefault(decision, {})
            if objective not in of or of[objective][0] < revision:
                of[objective] = revision, None if withdrawn else reward
    rewards: dict[str, Rewards] = {
        decision: {objective: reward for objective, (_, reward) in of.items()}
        for decision, of in found.items()
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


def print_evaluation(console: Console, found: Evaluation) -> None:
    """Print a sentence, a table and what was left out."""
    console.print(escape(found.sentence()), soft_wrap=True)
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "logged", "this", "gain", "interval", "worth", ""):
        table.add_column(column, justify="right" if column else "left")
    for each in found.verdicts:
        report = each.report
        table.add_row(
            each.name,
            f"{report.logged:.4g}",
            f"{report.estimate.value:.4g}",
            f"{report.gain:+.4g}",
            f"{report.interval.lower:+.4g} to {report.interval.upper:+.4g}",
            f"{report.overlap.effective:.0f} of {report.overlap.n}",
            report.verdict,
        )
    console.print(table)
    score = found.verdicts[0]
    estimates = ", ".join(
        f"{kind} {estimate.value:.4g} ±{estimate.standard_error:.2g}"
        for kind, estimate in score.estimates.items()
    )
    console.print(f"\nestimators of the {score.name}: {estimates}", soft_wrap=True)
    console.print(
        f"judged: the first action of {found.judged} decisions, by contacts as the log made them",
        soft_wrap=True,
    )
    for why, count in found.left_out.items():
        console.print(f"left out: {count} {why}", soft_wrap=True)
    for action, share in list(found.missing.items())[:_SHOWN]:
        console.print(
            f"missing overlap: {escape(action)}, {share:.1%} of its choices, "
            "which the log could never make",
            soft_wrap=True,
        )
    if len(found.missing) > _SHOWN:
        console.print(f"missing overlap: {len(found.missing) - _SHOWN} more actions")


def as_json(found: Evaluation) -> bytes:
    """Return an evaluation as one JSON text; a number that is none or infinite is null."""
    return _JSON.encode(
        {
            "verdict": found.verdicts[0].report.verdict,
            "sentence": found.sentence(),
            "judged": found.judged,
            "left_out": found.left_out,
            "missing_overlap": found.missing,
            "objectives": {each.name: _plain(each) for each in found.verdicts},
        }
    )


def _plain(each: Verdict) -> dict[str, Any]:
    report, overlap = each.report, each.report.overlap
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
        "bootstrap": [_finite(end) for end in each.bootstrapped],
        "effective": overlap.effective,
        "decisions": overlap.n,
        "mean_weight": overlap.mean,
        "largest_weight": overlap.largest,
        "unsupported": overlap.unsupported,
        "estimates": {
            kind: {"value": one.value, "standard_error": _finite(one.standard_error)}
            for kind, one in each.estimates.items()
        },
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
