"""Running measures of a policy or a classifier: streaming, mergeable, right at low base rates.

`MeanReward` and `RecentReward` measure rewards. `LogLoss`, `NormalizedEntropy`, `Brier`, `AUC` and
`Calibration` measure predicted probabilities, one at a time or a column at once; `Windowed` and
`Decayed` make recent ones of them. `roc_auc` and `reliability` measure a column exactly.
"""

from .base import Measure
from .calibration import Calibration, Reliability, reliability
from .losses import Brier, LogLoss, NormalizedEntropy
from .ranking import AUC, roc_auc
from .recent import Decayed, Windowed
from .rewards import MeanReward, RecentReward

__all__ = [
    "AUC",
    "Brier",
    "Calibration",
    "Decayed",
    "LogLoss",
    "MeanReward",
    "Measure",
    "NormalizedEntropy",
    "RecentReward",
    "Reliability",
    "Windowed",
    "reliability",
    "roc_auc",
]
