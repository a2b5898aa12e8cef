"""What a decision refuses.

DecisionError
├── RequestError   what was asked for cannot be decided
└── ModelError     a model, or a customer's weights, that do not fit the strategy
"""

from __future__ import annotations

from ...features.errors import NextbestError


class DecisionError(NextbestError):
    """The root of what deciding raises on purpose."""


class RequestError(DecisionError, ValueError):
    """A request that cannot be decided; ``field`` says which part of it is wrong.

    >>> str(RequestError("n", "is 0, not 1 to 100"))
    'n is 0, not 1 to 100'
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class ModelError(DecisionError):
    """A model, or a customer's weights, that cannot be used; the message names the objective."""
