"""Off-policy evaluation: what a policy would have earned, from the log of another one.

`evaluate` gives a plain verdict; `Log.under` a `Sample`, from which every estimator takes its
`Estimate`; `bootstrap` and the confidence sequences say how sure one may be.
"""

from .bounded import BernsteinSequence, BettingSequence
from .coverage import Overlap, overlap
from .estimators import Estimate, dm, dr, dros, ips, sndr, snips, switch_dr
from .report import Report, Rules, evaluate, judge
from .resampling import Interval, bootstrap
from .sample import Log, Sample
from .sequences import AsymptoticSequence, ConfidenceSequence

__all__ = [
    "AsymptoticSequence",
    "BernsteinSequence",
    "BettingSequence",
    "ConfidenceSequence",
    "Estimate",
    "Interval",
    "Log",
    "Overlap",
    "Report",
    "Rules",
    "Sample",
    "bootstrap",
    "dm",
    "dr",
    "dros",
    "evaluate",
    "ips",
    "judge",
    "overlap",
    "sndr",
    "snips",
    "switch_dr",
]
