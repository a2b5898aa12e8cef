"""Policies: how a belief about arms becomes a choice with an exact propensity.

An explorer (`SquareCB`, `Thompson`, `LinUCB`, `EpsilonGreedy`, `Greedy`, `Uniform`) turns a belief
into propensities; a `Policy` limits them and draws; a `Bandit` adds the model that believes and
learns. `ClassifierArms` makes any River classifier a model of arms. Bandits for River's tools are
in `river_policy`, a module of its own: what it imports takes seconds to load.
"""

from typing import TYPE_CHECKING, Any

from .bandit import Bandit
from .explorers import EpsilonGreedy, Explorer, Greedy, LinUCB, SquareCB, Thompson, Uniform
from .limits import Budget, ControlGroup, Shortlist
from .policy import Policy

if TYPE_CHECKING:
    from .classifier_arms import ClassifierArms

__all__ = [
    "Bandit",
    "Budget",
    "ClassifierArms",
    "ControlGroup",
    "EpsilonGreedy",
    "Explorer",
    "Greedy",
    "LinUCB",
    "Policy",
    "Shortlist",
    "SquareCB",
    "Thompson",
    "Uniform",
]


def __getattr__(name: str) -> Any:
    if name != "ClassifierArms":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .classifier_arms import ClassifierArms  # not before: it needs River

    return ClassifierArms
