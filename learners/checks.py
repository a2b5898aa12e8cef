"""What settings are refused, with an error that names them."""

from collections.abc import Iterable

from .errors import LearnerError


def names(what: str, given: Iterable[str]) -> None:
    """Refuse what is not a name, and a name that is given twice."""
    seen: set[str] = set()
    for i, name in enumerate(given):
        if not isinstance(name, str) or not name:
            raise LearnerError(f"{what} {i} must be a name, got {name!r}")
        if name in seen:
            raise LearnerError(f"{what} {name!r} is given twice")
        seen.add(name)


def count(name: str, value: object) -> int:
    """Return how many there are; refuse what is no int from 0 to below 2^63."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise LearnerError(f"{name} must be a count, got {value!r:.40}")
    return value


def within(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside of [low, high], which are finite; NaN is."""
    if not low <= value <= high:
        raise LearnerError(f"{name} must be in [{low:g}, {high:g}], got {value!r}")
