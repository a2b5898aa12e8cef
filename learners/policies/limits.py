"""What a policy lays over its explorer: a budget, a control group, a shortlist."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LearnerError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Budget:
    """A bound of what exploring may cost, in every decision and so over any run of them.

    Both bounds hold for each decision's propensities, not for what happens to be drawn.

    Parameters
    ----------
    share
        The most that all arms but the one of the highest predicted reward may have together,
        in [0, 1].
    cost
        The most that a decision may expect to lose against always taking the best arm, as a
        share of that arm's predicted reward, in [0, 1].

    Raises
    ------
    LearnerError
        If a bound is out of range.
    """

    share: float = 1.0
    cost: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("share", self.share), ("cost", self.cost)):
            if not 0.0 <= value <= 1.0:
                raise LearnerError(f"{name} of a budget must be in [0, 1], got {value}")


@dataclass(frozen=True)
class ControlGroup:
    """Customers who never meet the learned policy, so that its worth can be measured.

    A customer is in the group if the hash of their id and the salt falls into its share: always
    or never, in every process, whatever the order of decisions.

    Parameters
    ----------
    share
        Of all customers, in [0, 1].
    salt
        Another salt makes an independent group.
    fixed
        Arms in order of preference: a control customer gets the first that is eligible. If none
        is, or none is named, all eligible arms are equally likely.

    Raises
    ------
    LearnerError
        If the share is out of range, or a name is empty or given twice.

    Examples
    --------
    >>> group = ControlGroup(share=0.02, salt="spring")
    >>> sum(group.holds(f"customer-{i}") for i in range(10_000))
    191
    """

    share: float
    salt: str = ""
    fixed: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise LearnerError(f"share of a control group must be in [0, 1], got {self.share}")
        if isinstance(self.fixed, str):
            raise LearnerError(f"fixed must be a sequence of arms, got {self.fixed!r}")
        object.__setattr__(self, "fixed", tuple(self.fixed))
        for i, name in enumerate(self.fixed):
            if not isinstance(name, str) or not name or name in self.fixed[:i]:
                raise LearnerError(f"fixed arm {i} must be a name of its own, got {name!r}")
        object.__setattr__(self, "_below", math.ceil(self.share * 2**64))
        object.__setattr__(self, "_key", hashlib.blake2b(self.salt.encode()).digest())

    def holds(self, customer: str) -> bool:
        """Return whether a customer is in the group.

        Raises
        ------
        LearnerError
            If the customer is no non-empty string.
        """
        if not isinstance(customer, str) or not customer:
            raise LearnerError(f"a control group needs the customer's id, got {customer!r}")
        key: bytes = self._key  # type: ignore[attr-defined]
        digest = hashlib.blake2b(customer.encode(), digest_size=8, key=key).digest()
        within: bool = int.from_bytes(digest, "little") < self._below  # type: ignore[attr-defined]
        return within

    def holds_many(self, customers: Iterable[str]) -> list[bool]:
        """Return what `holds` does of each of many customers, non-empty strings all of them.

        Examples
        --------
        >>> ControlGroup(share=0.5, salt="spring").holds_many(["ann", "ben", "cid"])
        [True, True, False]
        """
        key, digest = self._key, hashlib.blake2b  # type: ignore[attr-defined]
        below, number = self._below, int.from_bytes  # type: ignore[attr-defined]
        return [
            number(digest(name.encode(), digest_size=8, key=key).digest(), "little") < below
            for name in customers
        ]

    def write(self, arms: Sequence[str], eligible: Bools, out: Floats) -> None:
        """Write the propensities of a control customer to `out`, float64[K]."""
        out[:] = 0.0
        for name in self.fixed:
            if name in arms and eligible[(place := list(arms).index(name))]:
                out[place] = 1.0
                return
        out[eligible] = 1.0 / np.count_nonzero(eligible)


@dataclass(frozen=True)
class Shortlist:
    """Few of many arms, which alone are explored: the best and the least known.

    Where more than `above` arms are eligible, the explorer sees only the `best` arms of the
    highest predicted reward and the `uncertain` others of the highest variance. All others have
    propensity 0: what is logged tells nothing of a policy that chooses them in that
    decision. With `floor_others` they keep the policy's floor, and any policy can be judged by the
    log, at the price of E times the floor.

    Raises
    ------
    LearnerError
        If a number is out of range.
    """

    best: int = 48
    uncertain: int = 16
    above: int = 500
    floor_others: bool = False

    def __post_init__(self) -> None:
        if self.best < 1 or self.uncertain < 0:
            raise LearnerError(
                f"a shortlist needs at least 1 best and 0 uncertain arms, "
                f"got {self.best} and {self.uncertain}"
            )
        if self.above < self.best + self.uncertain:
            raise LearnerError(
                f"above must be at least best + uncertain = {self.best + self.uncertain}, "
                f"got {self.above}"
            )
