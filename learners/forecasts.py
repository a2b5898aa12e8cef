"""Which of two forecasts the better one, at all times: log losses of the same examples."""

import math
from dataclasses import dataclass
from typing import Literal

from .checks import within
from .kernels.trial import log_evidence
from .off_policy.resampling import Interval
from .trial import Evidence, Trial

LEAST = 0.001
"""Probabilities are moved into [LEAST, 1 - LEAST] first, so that losses are bounded."""
SPAN = math.log((1.0 - LEAST) / LEAST)
"""By how much two log losses of one example can differ, in nats."""

Verdict = Literal["forecasts better", "forecasts worse", "cannot tell"]


def score(probability: float, happened: bool) -> float:
    """Return how good a forecast was, in [0, 1]: 1 less the log loss, by its range.

    Examples
    --------
    >>> score(0.0, False), score(0.0, True), round(score(0.5, True), 3)
    (1.0, 0.0, 0.9)
    """
    p = min(max(probability, LEAST), 1.0 - LEAST)
    given = p if happened else 1.0 - p
    return min(max(math.log(given / LEAST) / SPAN, 0.0), 1.0)


@dataclass(slots=True)
class ForecastTrial:
    """Whether a challenger's forecasts are better than a champion's, of the same examples.

    What is counted is by how much the challenger's log loss is less, example by example. The
    interval holds the mean of what these differences were expected to be, given all before each,
    at all times with probability 1 - 2 alpha, alpha on each side. Nothing is asked of the
    examples: they may depend on each other, and what is expected may change.

    Parameters
    ----------
    trial
        What was counted, and the level.

    References
    ----------
    Choe and Ramdas (2024), "Comparing sequential forecasters", section 4, theorem 2 (empirical
    Bernstein) with differences that are predicted as 0, and its e-process. The mixture of
    bets is `Trial`'s.

    Examples
    --------
    >>> one = ForecastTrial()
    >>> for k in range(400):
    ...     one.update(0.8 if k % 4 else 0.3, 0.75, happened=k % 4 > 0)
    >>> one.verdict, [round(end, 3) for end in one.interval()]
    ('forecasts better', [0.101, 0.51])
    """

    trial: Trial

    def __init__(self, trial: Trial | None = None) -> None:
        self.trial = trial or Trial()

    def update(self, challenger: float, champion: float, *, happened: bool) -> None:
        """Count what both foretold of an example.

        Raises
        ------
        LearnerError
            If one is NaN or not in [0, 1]; then nothing is counted.
        """
        within("challenger", challenger, 0.0, 1.0)
        within("champion", champion, 0.0, 1.0)
        self.trial.update(score(challenger, happened), score(champion, happened))

    @property
    def verdict(self) -> Verdict:
        """What the evidence says by now."""
        if self.trial.better:
            return "forecasts better"
        return "forecasts worse" if self.trial.worse else "cannot tell"

    def interval(self) -> Interval:
        """Return where the mean difference lies, in nats an example: above 0 is better."""
        n, width = self.trial.pairs, SPAN
        if n:
            width = min(self._width() / n, 1.0) * SPAN
        mean = self._mean()
        return Interval(max(mean - width, -SPAN), min(mean + width, SPAN))

    def evidence(self) -> Evidence:
        """Return all of it: mean and interval in nats an example."""
        one = self.trial
        low, high = self.interval()
        return Evidence(one.pairs, one.differing, self._mean(), low, high, one.log_e, one.alpha)

    def _mean(self) -> float:
        return self.trial.total / self.trial.pairs * SPAN if self.trial.pairs else 0.0

    def _width(self) -> float:
        """Return how large the sum of differences has to be to be evidence enough."""
        one = self.trial
        low, high = 0.0, float(one.pairs)
        limit = -math.log(one.alpha)
        for _ in range(60):
            middle = 0.5 * (low + high)
            if log_evidence(one.pairs, middle, one.squares, 0.0) >= limit:
                high = middle
            else:
                low = middle
        return high
