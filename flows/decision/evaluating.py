"""Whether a strategy would have done better than the one that made the log, and how sure that is.

Of each logged decision the first action of the answer is judged: its propensity is known exactly,
and what came of it is known once its window is over. Rewards are shares of the objectives'
ranges; the weighted score is what the strategy in question says they are worth, less the action's
cost, levers and boosts left out: both policies are measured by the same rule.

Offers below the first are judged rank by rank, as if what comes of an offer depended on it and on
those above it only (the cascade): a decision then says of rank r what its weight is, the product
of the ratios of the propensities down to r.

References
----------
McInerney, Brost, Chandar, Mehrotra, Carterette (2020), "Counterfactual evaluation of slate
recommendations with sequential reward interactions", section 4, for the ranks below the first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ...features.durations import microseconds
from ...features.errors import SettingsError, StateError
from ...learners.off_policy import (
    Estimate,
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
from .control_check import ControlCheck
from .engine import Engine
from .errors import ModelError, RequestError
from .evaluation import SCORE, Evaluation, Position, Verdict
from .judging import Considered, Judge, worth_of
from .record import Record
from .strategy import Strategy
from .terms import Terms, terms

SWITCH, SHRINKAGE = 10.0, 100.0
"""The largest weight that `switch_dr` trusts, and how `dros` shrinks."""
MOST_POSITIONS = 5
"""So many offers of an answer are judged."""

_MANY, _FEW, _MANY_ROWS = 2000, 200, 50_000
"""Replicates of a bootstrap, and of how many rows on it has fewer."""
_LEAST_CHANCE = 1e-9
"""Of all offers down to a rank; a decision of less says nothing of the rank."""

_DAMAGED = "damaged, or of another catalog"
_OPEN = "still open: their windows are not over"
_NOTHING = "(nothing)"

Rewards = Mapping[str, float | None]
"""By objective, what came of a decision's first offer; None: withdrawn, it was never seen."""


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
        self._positions: defaultdict[int, list[tuple[float, float, float]]] = defaultdict(list)
        self._several = 0
        self._unsupported = np.zeros(len(engine.actions))
        self._why_not: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._nothing = 0.0
        objectives = engine.loaded.strategy.objectives.values()
        self._window = max(microseconds(each.window) for each in objectives)
        self._terms: dict[str, Terms | None] = {engine.loaded.version: None}
        self._check = ControlCheck()
        self._unseen: Counter[tuple[str, ...]] = Counter()
        self._versions: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self._fault = ""

    def leave_out(self, why: str) -> None:
        """Count a decision that cannot be judged."""
        self._left[why] += 1

    def take(
        self,
        record: Record,
        rewards: Rewards,
        until: int | None = None,
        *,
        below: Sequence[Rewards] = (),
        own: Strategy | None = None,
    ) -> None:
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
        below
            What came of its other offers, in order.
        own
            The version of the strategy that decided; None: if it is not the one in question, it
            is not known, and taken to mean the same by its objectives.
        """
        read, window = self._read_by(record, own)
        why = self._unfit(record, rewards)
        if not why and until is not None and record.at + window > until:
            why = _OPEN
        if why:
            self.leave_out(why)
            return
        try:
            found = self._judge.consider(record, read)
        except RequestError:
            self.leave_out("on a channel that the strategy has not")
            return
        except (StateError, ModelError, SettingsError) as error:
            self._fault = self._fault or str(error)
            self.leave_out(_DAMAGED)
            return
        first = record.offers[0]
        place = self._judge.place(first.action)
        if place < 0:
            self.leave_out("of an action that the strategy has not")
            return
        seen = self._seen(rewards, read)
        worths, worth = self._worths(found.chances), worth_of(self._engine, place, seen)
        self._miss(record, found)
        row = [first.propensity, float(found.propensities[place])]
        for predicted, reward in (
            (worths, worth),
            *zip(found.chances, seen.values(), strict=True),
        ):
            row += (reward, float(found.propensities @ predicted), float(predicted[place]))
        self._rows.append(tuple(row))
        self._versions[record.strategy] += 1
        if own is None and record.strategy == self._engine.loaded.version:
            own = self._engine.loaded.strategy
        if own is not None:
            self._check.take(record, own, worth)
        else:
            self._notes["of a version whose text is not kept: read as if it meant the same"] += 1
        for name in () if read is None else read.otherwise:
            self._notes[f"when {name!r} was another event or window: counted as it was then"] += 1
        if read is not None and read.unseen:
            self._unseen[read.unseen] += 1
        if len(record.offers) > 1:
            self._several += 1
            self._take_below(record, found, row[:2], below, read)

    def _read_by(self, record: Record, own: Strategy | None) -> tuple[Terms | None, int]:
        """Return the terms of the version that decided, and its longest window."""
        version = record.strategy
        if version not in self._terms and own is not None:
            self._terms[version] = terms(own, self._engine.loaded.strategy)
        read = self._terms.get(version)
        return read, self._window if read is None else read.window

    def _seen(self, rewards: Rewards, read: Terms | None) -> dict[str, float]:
        """Return rewards in the strategy's own terms; those that are not resolved are missing."""
        names = self._engine.objectives
        shares = np.array([[rewards[name] or 0.0] for name in names])
        if read is not None:
            shares = read.read(shares)
        return dict(zip(names, shares[:, 0].tolist(), strict=True))

    def _miss(self, record: Record, found: Considered) -> None:
        """Note what the strategy would choose and the log could not, and why it could not."""
        outside = np.where(found.supported, 0.0, found.propensities)
        self._unsupported += outside
        self._nothing += 1.0 - min(1.0, float(found.propensities.sum()))
        for place in np.flatnonzero(outside > 0.0).tolist():
            name = self._engine.actions[place]
            if name in record.excluded:
                why = f"excluded there by the rule {record.excluded[name]!r}"
            elif name in record.eligible:
                why = "another one was certain there"
            else:
                why = "the log's strategy did not have it"
            self._why_not[name][why] += 1

    def _take_below(
        self,
        record: Record,
        found: Considered,
        first: Sequence[float],
        below: Sequence[Rewards],
        read: Terms | None,
    ) -> None:
        """Take in the offers below the first, as far as is known what came of them."""
        logged, target = first
        for rank, (rewards, chance) in enumerate(
            zip(below[: MOST_POSITIONS - 1], self._judge.below(record, found), strict=False), 1
        ):
            offer = record.offers[rank]
            place = self._judge.place(offer.action)
            if place < 0 or not 0.0 < offer.propensity <= 1.0:
                return
            logged, target = logged * offer.propensity, target * chance
            if logged < _LEAST_CHANCE or any(
                rewards.get(name) is None for name in self._engine.objectives
            ):
                return
            worth = worth_of(self._engine, place, self._seen(rewards, read))
            self._positions[rank].append((worth, logged, target))

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
            missing[_NOTHING] = self._nothing / n
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
        why_not = {name: each.most_common(1)[0][0] for name, each in self._why_not.items()}
        why_not[_NOTHING] = "only decisions with an offer are judged"
        return Evaluation(
            verdicts,
            n,
            dict(self._left.most_common()),
            ordered,
            {name: why_not[name] for name in ordered},
            self._several,
            self._judged_below(method, alpha, rules),
            dict(self._versions.most_common()),
            dict(self._notes.most_common()),
            self._check.finish(),
            Rules() if rules is None else rules,
            {" and ".join(names): count for names, count in self._unseen.most_common()},
        )

    def _judged_below(self, method: Method, alpha: float, rules: Rules | None) -> list[Position]:
        low, high = self._range()
        found = []
        for rank, rows in sorted(self._positions.items()):
            sample = Sample(*np.array(rows).T)
            report = judge(sample, alpha=alpha, method=method, low=low, high=high, rules=rules)
            found.append(Position(rank, report))
        return found

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
