"""Online learners: a Bayesian classifier, a ranker of actions, and measures of both.

They know arrays and dicts only. `ADFLogisticRegression` is a River estimator; `ActionRanker`
puts it to work on contextual decisions with exact propensities; both learn one observation at
a time, the same from the same log bit for bit. `off_policy` says from the log of one policy what
another would have earned.
puts it to work on contextual decisions with exact propensities; `BayesianRanker` is a model of arms
that pool what they share and tune themselves, and a `Bandit` explores with such a model by a
`Policy`. All learn one observation at a time, the same from the same log bit for bit.
"""

from . import off_policy
from .adf import ADFLogisticRegression
from .adpredictor import AdPredictor
from .bayesian import BayesianRanker
from .columns import Columns
from .errors import LearnerError
from .files import load, save
from .journal import Example
from .logistic import LogisticRegression
from .metrics import (
    AUC,
    Brier,
    Calibration,
    Decayed,
    LogLoss,
    MeanReward,
    NormalizedEntropy,
    RecentReward,
    Reliability,
    Windowed,
    reliability,
    roc_auc,
)
from .personal import OnePerson, SegmentOfOne
from .policies import Bandit, Policy
from .published import Choice, PublishedArms
from .pull import Pull
from .ranker import ActionRanker
from .repair import RepairingLearner, Repairs
from .tabular import TabularLogisticRegression
from .teaching import learn_arm, learn_label, learn_person

__all__ = [
    "AUC",
    "ADFLogisticRegression",
    "ActionRanker",
    "AdPredictor",
    "Bandit",
    "BayesianRanker",
    "Brier",
    "Calibration",
    "Choice",
    "Columns",
    "Decayed",
    "Example",
    "LearnerError",
    "LogLoss",
    "LogisticRegression",
    "MeanReward",
    "NormalizedEntropy",
    "OnePerson",
    "Policy",
    "PublishedArms",
    "Pull",
    "RecentReward",
    "Reliability",
    "RepairingLearner",
    "Repairs",
    "SegmentOfOne",
    "TabularLogisticRegression",
    "Windowed",
    "learn_arm",
    "learn_label",
    "learn_person",
    "load",
    "off_policy",
    "reliability",
    "roc_auc",
    "save",
]
