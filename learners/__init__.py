"""Online learners: a Bayesian classifier, a ranker of actions, and measures of both.

They know arrays and dicts only. `ADFLogisticRegression` is a River estimator; `ActionRanker`
puts it to work on contextual decisions with exact propensities; both learn one observation at
a time, the same from the same log bit for bit.
"""

from .adf import ADFLogisticRegression
from .adpredictor import AdPredictor
from .columns import Columns
from .errors import LearnerError
from .logistic import LogisticRegression
from .metrics import LogLoss, MeanReward, RecentReward
from .pull import Pull
from .ranker import ActionRanker
from .tabular import TabularLogisticRegression

__all__ = [
    "ADFLogisticRegression",
    "ActionRanker",
    "AdPredictor",
    "Columns",
    "LearnerError",
    "LogLoss",
    "LogisticRegression",
    "MeanReward",
    "Pull",
    "RecentReward",
    "TabularLogisticRegression",
]
