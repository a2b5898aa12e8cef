"""Off-policy evaluation: what a policy would have earned, from the log of another one."""

from .bootstrap import Interval, bootstrap
from .estimators import Estimate, dm, dr, dros, ips, sndr, snips, switch_dr
from .sample import Log, Sample

__all__ = [
    "Estimate",
    "Interval",
    "Log",
    "Sample",
    "bootstrap",
    "dm",
    "dr",
    "dros",
    "ips",
    "sndr",
    "snips",
    "switch_dr",
]
