"""Policies: how a belief about arms becomes a choice with an exact propensity.

An explorer (`SquareCB`, `Thompson`, `LinUCB`, `EpsilonGreedy`, `Greedy`, `Uniform`) turns a belief
into propensities; a `Policy` limits them and draws; a `Bandit` adds the model that believes and
learns. `ClassifierArms` makes any River classifier a model of arms. Bandits for River's tools are
in `river_policy`, a module of its own: what it imports takes seconds to load.
"""

from .bandit import Bandit
from .classifier_arms import ClassifierArms
from .explorers import EpsilonGreedy, Explorer, Greedy, LinUCB, SquareCB, Thompson, Uniform
from .limits import Budget, ControlGroup, Shortlist
from .policy import Policy

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
