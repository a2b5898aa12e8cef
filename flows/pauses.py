"""How long to wait between two tries to reach a server that went away."""

from __future__ import annotations

import random
from collections.abc import Iterator

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 2.0


def pauses() -> Iterator[float]:
    """Yield seconds for ever, each up to twice the last and at most two.

    They are spread, so that the workers of a cluster do not come back all at once.

    Examples
    --------
    >>> import itertools
    >>> [0.5 <= pause / most <= 1 for pause, most in zip(pauses(), (0.05, 0.1, 0.2, 0.4))]
    [True, True, True, True]
    >>> 1 <= max(itertools.islice(pauses(), 20)) <= 2
    True
    """
    pause = _FIRST_SECONDS
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311  # guards nothing
        pause = min(2 * pause, _LONGEST_SECONDS)
