"""What a log says of a strategy, for a person to read."""

from __future__ import annotations

import math

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..decision.control_check import Check
from ..decision.evaluating import MOST_POSITIONS
from ..decision.evaluation import Evaluation

_SHOWN = 5


def print_evaluation(console: Console, found: Evaluation) -> None:
    """Print a sentence, a table, how far the log can be relied on, and what was left out."""
    _say(console, found.sentence())
    console.print()
    _table(console, found)
    console.print()
    _basis(console, found)
    _positions(console, found)
    if found.check is not None:
        _control(console, found.check)
    for note, count in found.notes.items():
        _say(console, f"note: {count:,} of them {note}")
    for why, count in found.left_out.items():
        _say(console, f"left out: {count:,} {why}")
    for action, share in list(found.missing.items())[:_SHOWN]:
        _say(
            console,
            f"missing overlap: {action}, {share:.1%} of its choices, which the log could never "
            f"make: {found.missing_why[action]}",
        )
    if len(found.missing) > _SHOWN:
        _say(console, f"missing overlap: {len(found.missing) - _SHOWN} more actions")
    score = found.verdicts[0]
    estimates = ", ".join(
        f"{kind} {estimate.value:.4g} ±{estimate.standard_error:.2g}"
        for kind, estimate in score.estimates.items()
    )
    _say(console, f"estimators of the {score.name}: {estimates}")


def _table(console: Console, found: Evaluation) -> None:
    sure = f"{100 * (1 - found.verdicts[0].report.alpha):g}% sure"
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("a decision", "the log earned", "this would", "gain", sure, "verdict"):
        table.add_column(column, justify="left" if column in ("a decision", "verdict") else "right")
    for each in found.verdicts:
        report = each.report
        table.add_row(
            each.name,
            f"{report.logged:.4g}",
            f"{report.estimate.value:.4g}",
            f"{report.gain:+.4g}",
            f"{report.interval.lower:+.4g} to {report.interval.upper:+.4g}",
            found.verdict if each is found.verdicts[0] else report.verdict,
        )
    console.print(table)


def _basis(console: Console, found: Evaluation) -> None:
    """Say what was judged, and how much that is worth."""
    covered = found.verdicts[0].report.overlap
    _say(
        console,
        f"judged: the first action of {found.judged:,} decisions, by contacts as the log made them",
    )
    _say(
        console,
        f"overlap: they are worth {covered.effective:,.0f} decisions of this strategy itself; the "
        f"largest counts {covered.largest:.1f} times",
    )
    if len(found.versions) > 1:
        made = ", ".join(f"{version} {n:,}" for version, n in list(found.versions.items())[:_SHOWN])
        more = len(found.versions) - _SHOWN
        _say(console, f"versions: made by {made}{f' and {more} more' if more > 0 else ''}")


def _positions(console: Console, found: Evaluation) -> None:
    """Say what is known of the offers below the first."""
    if not found.several:
        return
    _say(
        console,
        f"positions: {found.several:,} of them had more than one offer; what is below the first, "
        f"to the {MOST_POSITIONS}th, is judged as if what comes of an offer depended on it and on "
        "those above it only",
    )
    for one in found.positions:
        report, covered = one.report, one.report.overlap
        _say(
            console,
            f"  {one.rank + 1}. the log earned {report.logged:.4g}, this would "
            f"{report.estimate.value:.4g} ({report.gain:+.4g}; {report.interval.lower:+.4g} to "
            f"{report.interval.upper:+.4g}; {covered.n:,} worth {covered.effective:,.0f}): "
            f"{report.verdict}",
        )


def _control(console: Console, check: Check) -> None:
    group = f"its {check.decisions:,} decisions earned {check.earned:.4g} ±{check.error:.2g}"
    _say(
        console,
        f"control group: {group}, those of all others {check.others:.4g} "
        f"({check.others - check.earned:+.4g})",
    )
    if math.isnan(check.foretold):
        _say(console, "  too few to check the log by it")
        return
    agrees = "agrees: the log can be relied on" if check.said == "agrees" else "contradicts it"
    _say(
        console,
        f"  the log of the others foretells {check.foretold:.4g} ±{check.foretold_error:.2g} of "
        f"the group, which {agrees}",
    )


def _say(console: Console, text: str) -> None:
    console.print(escape(text), soft_wrap=True)
