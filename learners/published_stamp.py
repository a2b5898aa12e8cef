"""Where a published model stands among those that were published before and after it."""

import re
from typing import Any, NamedTuple

from .errors import LearnerError

_TIMELINE = re.compile("[0-9a-f]{16}")
_LARGEST = (1 << 63) - 1


class Stamp(NamedTuple):
    """The place of a published model in what one learner learned.

    Attributes
    ----------
    timeline
        Which learner, 16 hexadecimal digits. One that goes on from a snapshot keeps them; one that
        began anew has others.
    sequence
        How much it had been told: more in a model of the same timeline that is newer.

    Examples
    --------
    >>> Stamp("00000000000000aa", 7).is_older(Stamp("00000000000000aa", 8))
    True
    >>> Stamp("00000000000000aa", 7).is_older(Stamp("00000000000000bb", 8))
    False
    """

    timeline: str
    sequence: int

    def is_older(self, other: "Stamp | None") -> bool:
        """Return whether this one is known to come before another."""
        return other is not None and self.timeline == other.timeline and self < other


def checked(given: Any) -> Stamp | None:
    """Return a stamp as it was read; None: there is none.

    Raises
    ------
    LearnerError
        If it is no stamp.
    """
    if given is None:
        return None
    fits = isinstance(given, list | tuple) and len(given) == 2
    timeline, sequence = given if fits else (None, None)
    if not isinstance(timeline, str) or not _TIMELINE.fullmatch(timeline):
        raise LearnerError(f"a published model's timeline must be 16 hex digits, got {given!r:.80}")
    if type(sequence) is not int or not 0 <= sequence <= _LARGEST:
        raise LearnerError(f"a published model's sequence must be a count, got {sequence!r:.80}")
    return Stamp(timeline, sequence)
