"""A strategy's caps and rests as tables for the kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...features.durations import microseconds
from ...features.errors import SettingsError
from .contact_bytes import ALL, action_key, channel_key, hashed, tag_key
from .contact_kernels import ACTION, RULES
from .strategy import Action, Cap, Strategy

LONGEST_US = 36_525 * 86_400_000_000


def _resting_keys(name: str, action: Action) -> list[int]:
    """By what an action rests."""
    return [ALL, action_key(name), *(tag_key(tag, value) for tag, value in action.tags.items())]


def kernel_rules(strategy: Strategy, channel: str) -> npt.NDArray[np.int64]:
    """The rules for a channel as the kernel reads them."""
    shared = [*strategy.caps, *strategy.channels[channel].caps]
    actions = strategy.actions
    words = [hashed(channel), channel_key(channel), len(strategy.caps), len(shared), len(actions)]
    assert len(words) == RULES
    words += _pairs(shared)
    caps = [_pairs(action.caps) for action in actions.values()]
    keys = [_resting_keys(name, action) for name, action in actions.items()]
    first_cap = len(words) + ACTION * len(actions)
    cap_ends = np.cumsum([len(some) for some in caps]) + first_cap
    key_ends = np.cumsum([len(some) for some in keys]) + int(cap_ends[-1])
    for name, cap_end, key_end in zip(actions, cap_ends, key_ends, strict=True):
        words += (hashed(name), int(cap_end), int(key_end))
    return np.array(words + [word for some in (*caps, *keys) for word in some], np.int64)


def _pairs(caps: Sequence[Cap]) -> list[int]:
    return [word for cap in caps for word in (cap.most, span("cap", cap.per))]


def rule_name(name: str, cap: Cap) -> str:
    """What a cap is called where it excludes an action.

    >>> rule_name("cap of email", Cap(most=3, per="1 d"))
    'cap of email: 3 per 1d'
    """
    return f"{name}: {cap.most} per {''.join(cap.per.split())}"


def longest(caps: Sequence[Cap]) -> int:
    """For how long an offer counts for any of some caps, microseconds."""
    return max((span("cap", cap.per) for cap in caps), default=0)


def span(of: str, duration: str) -> int:
    """Return a duration in microseconds.

    Raises
    ------
    SettingsError
        If it is none, or longer than a hundred years.
    """
    try:
        us = microseconds(duration)
    except ValueError as error:
        raise SettingsError(f"{of}: {error}") from None
    if us > LONGEST_US:
        raise SettingsError(
            f"{of}: {duration!r:.40} is longer than {LONGEST_US // 86_400_000_000}d"
        )
    return us
