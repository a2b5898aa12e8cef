"""Whether a strategy would have done better than the one that made the log, and how sure that is.

Of each logged decision the first action of the answer is judged: its propensity is known exactly,
and what came of it is known once its window is over. Rewards are shares of the objectives'
ranges; the weighted score is what the strategy in question says they are worth, less the action's
cost, levers and boosts left out: both policies are measured by the same rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ...features.durations import microseconds
from ...features.errors import SettingsError, StateError
from ...learners.off_policy import (
    Estimate,
    Interval,
    Report,
    Rules,
    Sample,
    bootstrap,
    dm,
    dr,
    dros,
    ips,
    sndr,
    snips,
    switch_dr,
)  # fmt: skip
from ...learners.off_policy.report import Method, judge
from .engine import Engine
from .errors import ModelError, RequestError
from .judging import Judge, worth_of
from .record import Record

SCORE = "weighted score"
"""The name of what all objectives together are worth."""
SWITCH, SHRINKAGE = 10.0, 100.0
"""The largest weight that `switch_dr` trusts, and how `dros` shrinks."""

_MANY, _FEW, _MANY_ROWS = 2000, 200, 50_000
"""Replicates of a bootstrap, and of how many rows on it has fewer."""

_DAMAGED = "damaged, or of another catalog"
_OPEN = "still open: their windows are not over"

Rewards = Mapping[str, float | None]
"""By objective, what came of a decision's first offer; None: withdrawn, it was never seen."""


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


@dataclass(slots=True)
class Evaluation:
    """What the log says of a strategy.

    Attributes
    ----------
    verdicts
        The weighted score, then each objective.
    judged
        How many decisions that was.
    left_out
        Why → how many decisions were not judged.
    missing
        Action → the share of the strategy's choices that the log could never make. ``(nothing)``:
        it would offer nothing.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    judged: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    missing: dict[str, float] = field(default_factory=dict)

    def sentence(self) -> str:
        """Say it plainly."""
        found = self.verdicts[0].report
        how = (
            f"{found.estimate.value:.4g} a decision instead of {found.logged:.4g} by the {SCORE}, "
            f"a gain of {found.gain:+.4g} "
            f"({100 * (1 - found.alpha):g}%: {found.interval.lower:+.4g} to "
            f"{found.interval.upper:+.4g})"
        )
        if found.verdict == "cannot tell":
            return f"Cannot tell whether it is better: {'; '.join(found.reasons)}."
        word = found.verdict.capitalize()
        return f"{word}: it would have earned {how}; {'; '.join(found.reasons)}."


class Evaluator:
    """Takes in logged decisions with what came of them, then judges.

    Parameters
    ----------
    engine
        Of the strategy in question.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._judge = engine, Judge(engine)
        self._rows: list[tuple[float, ...]] = []
        self._unsupported = np.zeros(len(engine.actions))
        self._nothing = 0.0
        objectives = engine.loaded.strategy.objectives.values()
        self._window = max(microseconds(each.window) for each in objectives)
        self._left: Counter[str] = Counter()
        self._fault = ""

    def leave_out(self, why: str) -> None:
        """Count a decision that cannot be judged."""
        self._left[why] += 1

    def take(self, record: Record, rewards: Rewards, until: int | None = None) -> None:
        """Take in one decision.

        Parameters
        ----------
        record
            As it was logged.
        rewards
            What came of its first offer; objectives that are not resolved are missing.
        until
            The newest time that the log has reached, microseconds; None: past all windows. A
            decision whose windows end later is left out though it may have a response: those
            without one are not known yet, and the others alone would promise too much.
        """
        why = self._unfit(record, rewards)
        if not why and until is not None and record.at + self._window > until:
            why = _OPEN
        if why:
            self.leave_out(why)
            return
        try:
            found = self._judge.consider(record)
        except RequestError:
            self.leave_out("on a channel that the strategy has not")
            return
        except (StateError, ModelError, SettingsError) as error:
            self._fault = self._fault or str(error)
            self.leave_out(_DAMAGED)
            return
        first = record.offers[0]
        place = self._judge.place(first.action)
        seen = {name: float(rewards[name] or 0.0) for name in self._engine.objectives}
        if place < 0:
            self.leave_out("of an action that the strategy has not")
            return
        worths = self._worths(found.chances)
        outside = np.where(found.supported, 0.0, found.propensities)
        self._unsupported += outside
        self._nothing += 1.0 - min(1.0, float(found.propensities.sum()))
        row = [first.propensity, float(found.propensities[place])]
        for predicted, reward in (
            (worths, worth_of(self._engine, place, seen)),
            *zip(found.chances, seen.values(), strict=True),
        ):
            row += (reward, float(found.propensities @ predicted), float(predicted[place]))
        self._rows.append(tuple(row))

    def _unfit(self, record: Record, rewards: Rewards) -> str:
        if record.fallback:
            return "answered by the fallback"
        if not record.offers:
            return "without an offer"
        first = record.offers[0]
        if first.action not in record.eligible or not 0.0 < first.propensity <= 1.0:
            return _DAMAGED
        wanted = self._engine.objectives
        for name in wanted:
            if name not in record.chances:
                return f"made without the objective {name!r}"
        if any(rewards.get(name, 0.0) is None for name in wanted):
            return "not delivered"
        if any(name not in rewards for name in wanted):
            return _OPEN
        return ""

    def _worths(self, chances: np.ndarray) -> np.ndarray:
        prices, n = self._engine.worth.prices, len(chances)
        found: np.ndarray = prices[n] + (prices[:n] * chances).sum(0) - prices[n + 2]
        return found

    def finish(
        self, *, method: Method = "bernstein", alpha: float = 0.05, rules: Rules | None = None
    ) -> Evaluation:
        """Judge.

        Parameters
        ----------
        method, alpha, rules
            See `learners.off_policy.evaluate`.

        Raises
        ------
        SettingsError
            If no decision can be judged; the message says why.
        """
        n = len(self._rows)
        if not n:
            why = "; ".join(f"{count} {what}" for what, count in self._left.most_common())
            first = f" (the first fault: {self._fault})" if self._fault else ""
            raise SettingsError(f"no decision can be judged: {why or 'there is none'}{first}")
        table = np.array(self._rows).T
        shares = self._unsupported / n
        missing = {
            name: share
            for name, share in zip(self._engine.actions, shares.tolist(), strict=True)
            if share > 0.0
        }
        if self._nothing / n > 1e-9:
            missing["(nothing)"] = self._nothing / n
        unsupported = min(1.0, sum(missing.values()))
        verdicts = []
        for i, name in enumerate((SCORE, *self._engine.objectives)):
            rewards, expected, predicted = table[2 + 3 * i : 5 + 3 * i]
            sample = Sample(rewards, table[0], table[1], expected, predicted, unsupported)
            low, high = self._range() if name == SCORE else (0.0, 1.0)
            report = judge(sample, alpha=alpha, method=method, low=low, high=high, rules=rules)
            gain = dr(sample).minus(rewards)
            verdicts.append(
                Verdict(
                    name,
                    report,
                    _estimates(sample),
                    bootstrap(gain, alpha=alpha, replicates=_FEW if n > _MANY_ROWS else _MANY),
                )
            )
        ordered = dict(sorted(missing.items(), key=lambda one: -one[1]))
        return Evaluation(verdicts, n, dict(self._left.most_common()), ordered)

    def _range(self) -> tuple[float, float]:
        """Return the least and the most that an action can turn out to be worth."""
        *gains, base, _, cost = self._engine.worth.prices
        none, parts = base - cost, np.array(gains)
        low = float((none + np.minimum(parts, 0.0).sum(0)).min())
        high = float((none + np.maximum(parts, 0.0).sum(0)).max())
        slack = 1e-9 * max(1.0, abs(low), abs(high))  # sums in another order
        return low - slack, high + slack


def _estimates(sample: Sample) -> dict[str, Estimate]:
    found = [ips(sample), dm(sample), dr(sample)]
    if sample.weights.any():  # else there is nothing to normalise by
        found += [snips(sample), sndr(sample)]
    found += [switch_dr(sample, SWITCH), dros(sample, SHRINKAGE)]
    return {estimate.name: estimate for estimate in found}
