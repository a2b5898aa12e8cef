"""Online learners: a Bayesian classifier, a ranker of actions, and measures of both.

They know arrays and dicts only. `ADFLogisticRegression` is a River estimator; `ActionRanker`
puts it to work on contextual decisions with exact propensities; both learn one observation at
a time, the same from the same log bit for bit.
"""

from .adf import ADFLogisticRegression
from .columns import Columns
from .errors import LearnerError
from .metrics import LogLoss, MeanReward, RecentReward
from .pull import Pull
from .ranker import ActionRanker

__all__ = [
    "ADFLogisticRegression",
    "ActionRanker",
    "Columns",
    "LearnerError",
    "LogLoss",
    "MeanReward",
    "Pull",
    "RecentReward",
]
