"""Online learners: classifiers, models of arms, policies that explore, and measures of them all.

They know arrays and dicts only, and learn one observation at a time: the same from the same log,
bit for bit, in micro-batches too.

* Classifiers are River estimators: `LogisticRegression`, `TabularLogisticRegression` and
  `AdPredictor` are equal to River's, `ADFLogisticRegression` needs no learning rate.
* Models of arms: `BayesianRanker` pools what arms share and tunes itself, `SegmentOfOne` adds
  weights of a segment and of a person.
* A `Bandit` explores with such a model by a `Policy`, with exact propensities; `off_policy` says
  from its log what another policy would have earned. `RepairingLearner` takes in late rewards.
* `RewardDrop` notices when what was learned no longer earns. A `Fleet` tries challengers against
  a champion, in a `Trial` that may be looked at all the time.
* `ActionRanker` is the smallest ranker: one diagonal model and SquareCB.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import off_policy
from .bayesian import BayesianRanker
from .columns import Columns
from .drift import RewardDrop
from .errors import LearnerError
from .files import load, save
from .fleet import Fleet
from .fleet_parts import FleetSettings
from .journal import Example
from .one_person import OnePerson
from .personal import SegmentOfOne
from .policies import Bandit, Policy
from .published import Choice, PublishedArms
from .published_stamp import Stamp
from .pull import Pull
from .repair import RepairingLearner, Repairs
from .teaching import learn_arm, learn_label, learn_person
from .trial import Evidence, Trial

if TYPE_CHECKING:
    from .adf import ADFLogisticRegression
    from .adpredictor import AdPredictor
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
    from .ranker import ActionRanker
    from .tabular import TabularLogisticRegression

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
    "Evidence",
    "Example",
    "Fleet",
    "FleetSettings",
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
    "RewardDrop",
    "SegmentOfOne",
    "Stamp",
    "TabularLogisticRegression",
    "Trial",
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

# What needs River is imported when it is asked for: whoever only serves has no use for it.
_WITH_RIVER = {
    "ADFLogisticRegression": "adf",
    "ActionRanker": "ranker",
    "AdPredictor": "adpredictor",
    "LogisticRegression": "logistic",
    "TabularLogisticRegression": "tabular",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WITH_RIVER.get(name, 'metrics')}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
