"""Policies: how a belief about arms becomes a choice with an exact propensity.

An explorer (`SquareCB`, `Thompson`, `LinUCB`, `EpsilonGreedy`, `Greedy`, `Uniform`) turns a belief
into propensities; a `Policy` limits them and draws; a `Bandit` adds the model that believes and
learns. `BanditPolicy` and `ContextualBanditPolicy` are bandits for River's tools, and
`ClassifierArms` makes any River classifier a model of arms.
"""

from .bandit import Bandit
from .classifier_arms import ClassifierArms
from .explorers import EpsilonGreedy, Explorer, Greedy, LinUCB, SquareCB, Thompson, Uniform
from .limits import Budget, ControlGroup, Shortlist
from .policy import Policy
from .river_policy import BanditPolicy, ContextualBanditPolicy

__all__ = [
    "Bandit",
    "BanditPolicy",
    "Budget",
    "ClassifierArms",
    "ContextualBanditPolicy",
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
