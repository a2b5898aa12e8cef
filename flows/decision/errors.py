"""What is wrong with a strategy, all of it, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...features.errors import SettingsError


class Fault(NamedTuple):
    """One thing that is wrong in a strategy's file.

    Attributes
    ----------
    line
        Of the file, from 1.
    path
        ``actions.tea.eligible``; empty for the whole file.
    reason
        What is wrong.
    """

    line: int
    path: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.path + ': ' if self.path else ''}{self.reason}"


class StrategyError(SettingsError):
    """A strategy that cannot be used; `faults` has every reason, in the order of the file.

    >>> print(StrategyError([Fault(3, "zone", "no time zone 'Mars'"), Fault(9, "", "is empty")]))
    2 faults in the strategy
    line 3: zone: no time zone 'Mars'
    line 9: is empty
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
        many = f"{len(self.faults)} faults" if len(self.faults) > 1 else "a fault"
        super().__init__("\n".join([f"{many} in the strategy", *map(str, self.faults)]))


class ExpressionError(SettingsError):
    """An expression that means nothing; ``at`` is the place in its text, from 1.

    >>> str(ExpressionError(7, "a number is expected"))
    'at 7: a number is expected'
    """

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(f"at {at}: {reason}")
        self.at = at
        self.reason = reason
