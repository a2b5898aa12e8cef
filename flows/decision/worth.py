"""What actions are worth to a strategy, given what the models foretell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...learners.kernels import arbitrate
from .strategy import Strategy

F64 = npt.NDArray[np.float64]


class Worth:
    """The score of every action.

    ``lever * boosts * (sum over objectives of weight * value * (low + chance * (high - low)))
    - cost``, where value is the action's (1 if it has none for an
    objective), and low and high are the objective's range.

    Examples
    --------
    >>> from nextbest.flows.decision.strategy import Action, Channel, Objective
    >>> strategy = Strategy(
    ...     name="tea",
    ...     objectives={"sale": Objective(response="accept")},
    ...     channels={"web": Channel()},
    ...     actions={"green": Action(channels=["web"], value=8.0, cost=0.5, lever=2.0)},
    ... )
    >>> Worth(strategy).of(np.array([[0.25]]), np.array([3.0])).tolist()
    [11.5]
    """

    def __init__(self, strategy: Strategy) -> None:
        objectives, actions = strategy.objectives, strategy.actions.values()
        values = np.array(
            [
                [
                    a.value if isinstance(a.value, float | int) else a.value.get(o, 1.0)
                    for a in actions
                ]
                for o in objectives
            ],
            np.float64,
        )
        weights = np.array([o.weight for o in objectives.values()])[:, None]
        low, high = (np.array([o.range[i] for o in objectives.values()])[:, None] for i in (0, 1))
        self._gains: F64 = weights * values * (high - low)
        self._base: F64 = (weights * values * low).sum(0)
        self._lever: F64 = np.array([a.lever for a in actions], np.float64)
        self._cost: F64 = np.array([a.cost for a in actions], np.float64)
        self.prices: F64 = np.array([*self._gains, self._base, self._lever, self._cost])
        """All that is needed, as `arbitrate.rank` takes it."""

    def of(self, chances: F64, boosts: F64) -> F64:
        """Return the scores, float64[actions].

        Parameters
        ----------
        chances
            float64[objectives, actions].
        boosts
            float64[actions], the product of those that hold.
        """
        out = np.empty(len(self._base))
        arbitrate.worth(chances, self._gains, self._base, self._lever, boosts, self._cost, out)
        return out
