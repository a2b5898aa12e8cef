"""What a log says of a strategy, in numbers and in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...learners.off_policy import Estimate, Interval, Report, Rules
from ...learners.off_policy.report import Verdict as Word
from .control_check import Check

SCORE = "weighted score"
"""The name of what all objectives together are worth."""
_MOST_TIMES = 20
"""An interval that so many times the decisions would still hold 0 says that the gain is noise."""
_SAME = 1e-9
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """One objective, or the weighted score.

    Attributes
    ----------
    name
        Of the objective, or `SCORE`.
    report
        The verdict and why; numbers are in units of the reward.
    estimates
        By estimator.
    bootstrapped
        The bootstrap's interval of the gain by `dr`.
    """

    name: str
    report: Report
    estimates: dict[str, Estimate]
    bootstrapped: Interval


@dataclass(frozen=True, slots=True)
class Position:
    """An offer below the first: its rank, from 1, and what the log says of its weighted score."""

    rank: int
    report: Report


@dataclass(slots=True)
class Evaluation:
    """What the log says of a strategy.

    Attributes
    ----------
    verdicts
        The weighted score of the first offer, then each objective's.
    judged
        How many decisions that was.
    left_out
        Why → how many decisions were not judged.
    missing, missing_why
        Action → the share of the strategy's choices that the log could never make, and why not.
        ``(nothing)``: it would offer nothing.
    several
        How many of the judged decisions had more than one offer.
    positions
        Of those offers, by rank.
    versions
        Version of the strategy → how many of the judged decisions it made.
    notes
        What else is to be known of some of them → how many.
    check
        Against the control group; None: there was none.
    rules
        When a log is fit for a verdict.
    unseen
        Rules of the strategy that need contacts which were not kept → of how many decisions.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    judged: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)
    missing_why: dict[str, str] = field(default_factory=dict)
    several: int = 0
    positions: list[Position] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    check: Check | None = None
    rules: Rules = field(default_factory=Rules)
    unseen: dict[str, int] = field(default_factory=dict)

    @property
    def verdict(self) -> Word:
        """Of the weighted score.

        ``cannot tell`` also if the control group contradicts the log, or rules of the strategy
        need to know more of customers than was kept.
        """
        contradicted = self.check is not None and self.check.said == "differs"
        if contradicted or self._blind:
            return "cannot tell"
        return self.verdicts[0].report.verdict

    @property
    def _blind(self) -> bool:
        return sum(self.unseen.values()) > self.rules.max_unsupported * self.judged

    def sentence(self) -> str:
        """Say it plainly."""
        found = self.verdicts[0].report
        if self.verdict == "cannot tell":
            return f"Cannot tell whether it is better, because {'; and '.join(self._why())}."
        how = (
            f"{found.estimate.value:.4g} a decision instead of {found.logged:.4g} by the {SCORE}, "
            f"a gain of {found.gain:+.4g} "
            f"({100 * (1 - found.alpha):g}%: {found.interval.lower:+.4g} to "
            f"{found.interval.upper:+.4g})"
        )
        word = found.verdict.capitalize()
        return f"{word}: it would have earned {how}."

    def _why(self) -> list[str]:
        """Say what stands in the way of a verdict, and what would help."""
        found, why = self.verdicts[0].report, []
        check = self.check
        if check is not None and check.said == "differs":
            why.append(
                f"the log contradicts itself: its control group earned {check.earned:.4g} "
                f"±{check.error:.2g}, where the other decisions foretell {check.foretold:.4g} "
                f"±{check.foretold_error:.2g}; propensities or outcomes are not as logged"
            )
        if self._blind:
            named = "; ".join(self.unseen)
            why.append(
                f"it has {named}, for which the strategies of the log kept no contacts: what "
                "they would leave out is not known, and the figures are without them"
            )
        if found.verdict != "cannot tell" or self._blind:
            return why
        rules, covered = self.rules, found.overlap
        never = sum(self.missing.values()) > rules.max_unsupported
        if never:
            why.append(self._never())
        if covered.effective < rules.min_effective:
            why.append(
                f"too few of the log's decisions are such as it would make: they are worth "
                f"{covered.effective:,.0f}, and {rules.min_effective:g} are needed"
            )
        if not never:
            why += [reason for reason in found.reasons if reason.startswith("the mean weight")]
        if not why and covered.largest <= 1.0 + _SAME and covered.effective >= covered.n - _SAME:
            why.append("it would have chosen as the log did, each action with the same chance")
        if not why:
            low, high = found.interval
            why += [self._too_near()] if low <= 0.0 <= high < math.inf else found.reasons
        return why

    def _never(self) -> str:
        """Name what the log could not choose, and why not."""
        share = sum(self.missing.values())
        named = [
            f"{action} ({part:.1%}: {self.missing_why.get(action, 'unknown')})"
            for action, part in list(self.missing.items())[:_NAMED]
        ]
        more = len(self.missing) - len(named)
        rest = f" and {more} more" if more else ""
        return (
            f"{share:.1%} of what it would choose was never possible where the log decided: "
            f"{', '.join(named)}{rest}; what nobody tried, no log knows: offer it now and then, "
            "and look again"
        )

    def _too_near(self) -> str:
        found = self.verdicts[0].report
        low, high = found.interval
        said = (
            f"the gain is somewhere from {low:+.4g} to {high:+.4g}, which the log's "
            f"{found.overlap.n:,} decisions leave open"
        )
        half, gain = (high - low) / 2, abs(found.gain)
        times = (half / gain) ** 2 if gain > 0.0 else math.inf
        if not times <= _MOST_TIMES:
            return f"{said}; as estimated, it hardly makes a difference"
        needed = math.ceil(times * found.overlap.n / 100) * 100
        return f"{said}; if it is {found.gain:+.4g} as estimated, about {needed:,} would tell"
