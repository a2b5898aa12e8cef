"""Online learners: a Bayesian classifier, a ranker of actions, and measures of both.

They know arrays and dicts only. `ADFLogisticRegression` is a River estimator; `ActionRanker`
puts it to work on contextual decisions with exact propensities; `BayesianRanker` is a model of arms
that pool what they share and tune themselves. All learn one observation at a time, the same from
the same log bit for bit.
"""

from .adf import ADFLogisticRegression
from .bayesian import BayesianRanker
from .errors import LearnerError
from .metrics import LogLoss, MeanReward, RecentReward
from .published import Choice, PublishedArms
from .pull import Pull
from .ranker import ActionRanker

__all__ = [
    "ADFLogisticRegression",
    "ActionRanker",
    "BayesianRanker",
    "Choice",
    "LearnerError",
    "LogLoss",
    "MeanReward",
    "PublishedArms",
    "Pull",
    "RecentReward",
]
