"""A policy: an explorer, what limits it, and draws that a log can make again."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..base import Belief
from ..errors import LearnerError
from ..kernels import explore, squarecb
from ..pull import Pull
from .asking import Believer, Eligible, mask, matrix
from .explorers import Explorer, check
from .limits import Budget, ControlGroup, Shortlist

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FREE = Budget()


class _Plan(NamedTuple):
    """The propensities of a decision, and what is needed to say where a choice came from."""

    propensities: Floats
    wanted: Floats
    floor: float
    listed: Bools
    control: bool


class Policy:
    """Choose among arms of which something is believed, with exact propensities.

    The steps of a decision, in this order:

    1. A customer of the control group gets what the group declares; nothing else applies.
    2. The shortlist, where there are arms enough, leaves few of them to the explorer.
    3. The explorer gives every arm its propensity.
    4. The floor: of E eligible arms each gets at least `min(floor, 1 / E)`. Arms below are lifted
       to it, the others give way in proportion to what they have above it.
    5. The budget shrinks what arms other than the best have above the floor. The floor holds even
       where it costs more than the budget.
    6. One uniform number, a function of the seed and the decision's number, chooses.

    A policy has no state: equal arguments give an equal choice, bit for bit.

    Parameters
    ----------
    explorer
        For example `SquareCB` or `Thompson`.
    floor
        The least propensity of an eligible arm, in [0, 1].
    budget, control, shortlist
        None for none.
    seed
        Seed of the draws, in [0, 2**63).

    Raises
    ------
    LearnerError
        If a setting is out of range.

    Examples
    --------
    >>> from nextbest.learners.policies import Greedy
    >>> belief = Belief(np.array([-1.0, 0.5]), np.array([0.4, 0.1]), np.array([0.28, 0.62]))
    >>> policy = Policy(Greedy(), floor=0.1, seed=7)
    >>> pull = policy.choose(belief, np.array([True, True]), decision=1)
    >>> pull.arm, pull.propensities.tolist(), pull.floored
    (1, [0.1, 0.9], False)
    """

    def __init__(
        self,
        explorer: Explorer,
        *,
        floor: float = 0.0,
        budget: Budget | None = None,
        control: ControlGroup | None = None,
        shortlist: Shortlist | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(explorer, Explorer):
            raise LearnerError(f"explorer must be an Explorer, got {explorer!r}")
        if not 0.0 <= floor <= 1.0:
            raise LearnerError(f"floor must be in [0, 1], got {floor}")
        if not 0 <= seed < 2**63:
            raise LearnerError(f"seed must be in [0, 2**63), got {seed}")
        self.explorer, self.floor, self.seed = explorer, float(floor), int(seed)
        self.budget, self.control, self.shortlist = budget, control, shortlist
        text = json.dumps(self.settings, sort_keys=True).encode()
        self.version = hashlib.blake2b(text, digest_size=4).hexdigest()
        """Eight hexadecimal digits, which change with any setting."""

    @property
    def settings(self) -> dict[str, Any]:
        """All settings, as JSON can hold them: what a log needs to make decisions again."""
        parts = {"budget": self.budget, "control": self.control, "shortlist": self.shortlist}
        return {
            "explorer": self.explorer.settings,
            "floor": self.floor,
            "seed": self.seed,
            **{name: None if part is None else asdict(part) for name, part in parts.items()},
        }

    def propensities(
        self,
        belief: Belief,
        eligible: Bools,
        decision: int = 1,
        *,
        customer: str | None = None,
        arms: Sequence[str] = (),
    ) -> Floats:
        """Return the exact probability that `choose` chooses each arm, float64[K].

        That is over all draws; the other arguments, and what is raised, are those of `choose`.
        """
        return self._plan(belief, eligible, decision, customer, arms).propensities

    def choose(
        self,
        belief: Belief,
        eligible: Bools,
        decision: int,
        *,
        customer: str | None = None,
        arms: Sequence[str] = (),
        version: str | None = None,
        exploration: int | None = None,
    ) -> Pull:
        """Choose an arm.

        Parameters
        ----------
        belief
            float64[K] each; of a customer's own weights too, if there are such.
        eligible
            bool[K], the arms that may be chosen.
        decision
            The number of the decision, from 1, which sets the draw.
        customer
            Their id; needed where there is a control group.
        arms
            The names of the arms, for a control group with fixed ones.
        version
            What the pull names; None for the policy's own.
        exploration
            The number of the decision, from 1, that sets the exploration, where that began anew
            since the first; None for the same as the draw's.

        Raises
        ------
        LearnerError
            If no arm is eligible, shapes differ, an eligible arm's belief is not finite or no
            probability, the decision's number is below 1, or the customer is missing.
        """
        _check_number(decision)
        explored = decision if exploration is None else exploration
        plan = self._plan(belief, eligible, explored, customer, arms)
        draw = squarecb.uniform(self.seed, decision)
        arm, floored = explore.choose(plan.propensities, plan.wanted, plan.floor, draw)
        scores = belief.probability.copy()
        scores.flags.writeable = plan.propensities.flags.writeable = False  # for the log
        return Pull(
            arm,
            explore.order(scores, plan.listed),
            scores,
            plan.propensities,
            float(plan.propensities[arm]),
            draw,
            decision,
            plan.control,
            floored,
            self.version if version is None else version,
            explored,
        )

    def pull(
        self,
        model: Believer,
        context: Mapping[str, Any],
        features: ArrayLike | None = None,
        eligible: Eligible | None = None,
        *,
        decision: int,
        customer: str | None = None,
        version: str | None = None,
        exploration: int | None = None,
    ) -> Pull:
        """Choose an arm by what a model believes.

        Parameters
        ----------
        model
            Of the arms; one that is published will do, and so will that of one person (`of`).
        context, features
            As the model takes them.
        eligible
            The arms that may be chosen, bool[K] or names; None for all there are. Places without
            an arm never are.
        decision, customer, exploration
            As of `choose`.
        version
            What the pull names; None for the policy's own, with the model's `version` behind a dot
            if it has one.

        Raises
        ------
        LearnerError
            If an arm is unknown, or as the model and `choose` raise.

        Examples
        --------
        >>> from nextbest.learners import BayesianRanker
        >>> from nextbest.learners.policies import Uniform
        >>> served = BayesianRanker(["tea", "coffee"]).publish()
        >>> Policy(Uniform()).pull(served, {}, decision=1).propensities.tolist()
        [0.5, 0.5]
        """
        if version is None and hasattr(model, "version"):
            version = f"{self.version}.{model.version}"
        chosen = mask(model, eligible)
        belief = model.belief(context, matrix(features))
        arms = model.arms if self.control is not None else ()
        return self.choose(
            belief,
            chosen,
            decision,
            customer=customer,
            arms=arms,
            version=version,
            exploration=exploration,
        )

    def _plan(
        self,
        belief: Belief,
        eligible: Bools,
        decision: int,
        customer: str | None,
        arms: Sequence[str],
    ) -> _Plan:
        check(belief, eligible)
        _check_number(decision)
        wanted = np.empty(eligible.shape[0])
        if self.control is not None and self.control.holds(customer):  # type: ignore[arg-type]
            self.control.write(arms, eligible, wanted)
            return _Plan(wanted, wanted, 0.0, eligible, True)
        listed, reach = eligible, eligible
        short = self.shortlist
        if short is not None and np.count_nonzero(eligible) > short.above:
            listed = np.empty_like(eligible)
            explore.shortlist(
                belief.probability, belief.variance, eligible, short.best, short.uncertain, listed
            )
            reach = eligible if short.floor_others else listed
        self.explorer.write(belief, listed, decision, wanted)
        if self.floor == 0.0 and self.budget is None:
            return _Plan(wanted, wanted, 0.0, listed, False)
        out = np.empty_like(wanted)
        budget = self.budget or _FREE
        floor = explore.limit(
            belief.probability, reach, wanted, self.floor, budget.share, budget.cost, out
        )
        return _Plan(out, wanted, floor, listed, False)


def _check_number(decision: int) -> None:
    if not 1 <= decision < 2**63:
        raise LearnerError(f"decisions are numbered from 1, got {decision}")
