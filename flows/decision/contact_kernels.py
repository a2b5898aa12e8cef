"""Which actions a customer's contacts leave open, over the packed words."""

from __future__ import annotations

import numpy as np

from ...features.kernels._jit import kernel
from ...features.kernels.layout import I64, Int
from .contact_bytes import ALL, HEAD, OFFER, REST

UNBOUNDED = 1 << 30
"""The room where no cap bounds the number of offers."""
_ALL, _HEAD, _OFFER, _REST = ALL, HEAD, OFFER, REST
_COUNT = (1 << 24) - 1
_NOTHING = 0


@kernel
def open_actions(
    words: I64,
    at: Int,
    slack: Int,
    channel: I64,
    shared: I64,
    general: Int,
    actions: I64,
    ends: I64,
    caps: I64,
    keys: I64,
    codes: I64,
) -> Int:
    """Find what excludes each action; return how many offers one answer may have.

    Parameters
    ----------
    words
        int64[n], packed contacts, checked; at least a head.
    at, slack
        When, and how far behind the newest clock that may be; microseconds.
    channel
        int64[2]: the hash of the channel, and the key by which it rests.
    shared
        int64[g, 2]: most and microseconds of the caps of all actions, then of the channel.
    general
        How many of them are of all actions.
    actions
        int64[K], the hash of each action.
    ends
        int64[2, K]: where in `caps` and in `keys` those of each action end.
    caps
        int64[c, 2], as `shared`, of the actions one after the other.
    keys
        int64[k], by what each action rests.
    codes
        int64[K], receives 0: open; ``-1 - r``: rest r; ``1 + i``: shared cap i;
        ``1 + g + i``: cap i of an action.
    """
    offers = words[0] & _COUNT
    rests = (words[0] >> 24) & _COUNT
    forgotten = words[2]
    behind = at + slack < words[3]
    rest = _HEAD + _OFFER * offers
    common = _NOTHING
    for r in range(rests):
        what = words[rest + _REST * r]
        if words[rest + _REST * r + 2] > at and (what == _ALL or what == channel[1]):
            common = -1 - r
            break
    room = UNBOUNDED
    for i in range(len(shared)):
        after = at - shared[i, 1]
        left = shared[i, 0]
        if behind or 0 < forgotten > after:
            left = 0
        for o in range(offers):
            b = _HEAD + _OFFER * o
            if words[b] > after and (i < general or words[b + 2] == channel[0]):
                left -= 1
        if left <= 0 and common == _NOTHING:
            common = 1 + i
        room = min(room, left)
    if common != _NOTHING:
        codes[:] = common
        return 0
    cap = 0
    key = 0
    for k in range(len(actions)):
        code = _NOTHING
        for r in range(rests):
            b = rest + _REST * r
            if words[b + 2] > at and code == _NOTHING:
                for j in range(key, ends[1, k]):
                    if keys[j] == words[b]:
                        code = -1 - r
        for i in range(cap, ends[0, k]):
            after = at - caps[i, 1]
            left = caps[i, 0]
            if behind or 0 < forgotten > after:
                left = 0
            for o in range(offers):
                b = _HEAD + _OFFER * o
                if words[b] > after and words[b + 1] == actions[k]:
                    left -= 1
            if left <= 0 and code == _NOTHING:
                code = 1 + len(shared) + i
        cap = ends[0, k]
        key = ends[1, k]
        codes[k] = code
    return max(np.int64(room), np.int64(0))
