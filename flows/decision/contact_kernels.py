"""Which actions a customer's contacts leave open, and what an offer makes of them."""

from __future__ import annotations

import numpy as np

from ...features.kernels._jit import inline, kernel, kernel_of
from ...features.kernels.layout import I64, Int
from ...learners.kernels import crc
from .contact_bytes import ALL, FORMAT, HEAD, MAX_OFFERS, MAX_RESTS, OFFER, REST

UNBOUNDED = 1 << 30
"""The room where no cap bounds the number of offers."""
ACTION = 3
"""Words of an action in the rules: its hash, and where its caps and its keys end."""
RULES = 5
"""Words before the rules' caps: channel's hash and key, caps of all actions, shared caps, K."""
_ALL, _FORMAT, _HEAD, _OFFER, _REST = ALL, FORMAT, HEAD, OFFER, REST
_MAX_OFFERS, _MAX_RESTS = MAX_OFFERS, MAX_RESTS
_COUNT = (1 << 24) - 1
_LOW, _HIGH = np.uint64(0xFFFFFFFF), np.uint64(32)
_begin, _take = crc.BEGIN, crc.take
NO_CONTACTS: I64 = np.zeros(HEAD, np.int64)
"""As one who has none is read."""


@inline
def _sum(words: I64, start: Int, end: Int) -> np.int64:
    """Return the checksum of packed contacts."""
    found = _begin
    for i in range(start, end):
        if i != start + 1:  # the checksum itself
            word = np.uint64(words[i])
            found = _take(_take(found, word & _LOW), word >> _HIGH)
    return np.int64(found ^ _begin)


@inline
def whole(words: I64, start: Int, end: Int) -> bool:
    """Return whether packed contacts, the words from ``start`` to ``end``, can be read.

    What `contact_bytes.check` says of their bytes.
    """
    if end - start < _HEAD:
        return False
    first = words[start]
    entries = _OFFER * (first & _COUNT) + _REST * ((first >> 24) & _COUNT)
    if first >> 48 != _FORMAT or end - start != _HEAD + entries:
        return False
    same: bool = _sum(words, start, end) == words[start + 1]
    return same


@inline
def _left(words: I64, offers: Int, rules: I64, cap: Int, column: Int, name: Int, at: Int) -> Int:
    """How much a cap leaves; of all offers, or of those with `name` in a column."""
    after = at - rules[cap + 1]
    if 0 < words[2] > after:
        return 0  # what is forgotten may have been offered then
    left: Int = rules[cap]
    for b in range(_HEAD, _HEAD + _OFFER * offers, _OFFER):
        if words[b] > after and (column == 0 or words[b + column] == name):
            left -= 1
    return left


@kernel
def open_actions(words: I64, rules: I64, at: Int, slack: Int, codes: I64) -> Int:
    """Find what excludes each action; return how many offers one answer may have.

    Parameters
    ----------
    words
        int64[n], packed contacts, checked; at least a head.
    rules
        int64: `RULES` words; most and microseconds of each shared cap; of each action `ACTION`
        words; the actions' caps, and then by what each rests.
    at, slack
        When, and how far behind the newest clock that may be; microseconds.
    codes
        int64[K + 1], receives 0: open; ``-1 - r``: rest r; ``1 + i``: shared cap i;
        ``1 + g + i``: cap i of the actions. The last receives how many are not open.
    """
    offers = words[0] & _COUNT
    rests = (words[0] >> 24) & _COUNT
    behind = at + slack < words[3]
    first_rest = _HEAD + _OFFER * offers
    end = first_rest + _REST * rests
    shared = rules[3]
    actions = rules[4]
    common = 0
    for b in range(first_rest, end, _REST):
        if common == 0 and words[b + 2] > at and (words[b] == _ALL or words[b] == rules[1]):
            common = -1 - (b - first_rest) // _REST
    room: Int = UNBOUNDED
    for i in range(shared):
        column = 0 if i < rules[2] else 2
        left = 0 if behind else _left(words, offers, rules, RULES + 2 * i, column, rules[0], at)
        if left <= 0 and common == 0:
            common = 1 + i
        room = min(room, left)
    if common != 0:
        codes[:actions] = common
        codes[actions] = actions
        return 0
    closed = 0
    base = RULES + 2 * shared
    caps = base + ACTION * actions
    cap = caps
    key = rules[base + ACTION * (actions - 1) + 1]
    for k in range(actions):
        a = base + ACTION * k
        code = 0
        for b in range(first_rest, end, _REST):
            if code == 0 and words[b + 2] > at:
                for j in range(key, rules[a + 2]):
                    if rules[j] == words[b]:
                        code = -1 - (b - first_rest) // _REST
        for i in range(cap, rules[a + 1], 2):
            left = 0 if behind else _left(words, offers, rules, i, 1, rules[a], at)
            if left <= 0 and code == 0:
                code = 1 + shared + (i - caps) // 2
        cap = rules[a + 1]
        key = rules[a + 2]
        codes[k] = code
        closed += code != 0
    codes[actions] = closed
    return room


@inline
def _need(needs: I64, action: Int, channel: Int) -> Int:
    found: Int = needs[0]
    middle = 3 + 2 * needs[1]
    for i in range(3, middle, 2):
        if needs[i] == channel:
            found = max(found, needs[i + 1])
    for i in range(middle, middle + 2 * needs[2], 2):
        if needs[i] == action:
            found = max(found, needs[i + 1])
    return found


@kernel
def add_offers(words: I64, needs: I64, at: Int, slack: Int, new: I64, out: I64) -> Int:
    """Write contacts with offers added and without what cannot matter; return until when they can.

    Parameters
    ----------
    words
        int64[n], packed contacts, checked; at least a head.
    needs
        int64: for how long every offer counts, channels, actions; then the hash of each channel and
        for how long its offers count, and the same of each action. Microseconds.
    at, slack
        See `open_actions`.
    new
        int64[m], the words of the new offers.
    out
        int64[n + m], receives the contacts; of the head not the checksum. The counts in its first
        word say how long they are.

    Returns
    -------
    int
        Microseconds; 0: there is nothing to keep; -1: there are too many, nothing is written.
    """
    offers = words[0] & _COUNT
    rests = (words[0] >> 24) & _COUNT
    first_rest = _HEAD + _OFFER * offers
    if offers + len(new) // _OFFER > _MAX_OFFERS or rests > _MAX_RESTS:
        return -1
    out[2] = words[2]
    out[3] = words[3]
    last = 0
    size = _HEAD
    for turn in range(2):
        some = words if turn == 0 else new
        begin = _HEAD if turn == 0 else 0
        stop = first_rest if turn == 0 else len(new)
        for b in range(begin, stop, _OFFER):
            need = _need(needs, some[b + 1], some[b + 2])
            if need == 0:
                continue
            if some[b] + need + slack <= at:
                out[3] = max(out[3], at)
                continue
            last = max(last, some[b] + need)
            place = size
            while place > _HEAD and _before(some, b, out, place - _OFFER):
                for i in range(_OFFER):
                    out[place + i] = out[place - _OFFER + i]
                place -= _OFFER
            for i in range(_OFFER):
                out[place + i] = some[b + i]
            size += _OFFER
    kept = (size - _HEAD) // _OFFER
    some_rests = 0
    for b in range(first_rest, first_rest + _REST * rests, _REST):
        if words[b + 2] + slack > at:
            last = max(last, words[b + 2])
            for i in range(_REST):
                out[size + i] = words[b + i]
            size += _REST
            some_rests += 1
    out[0] = (_FORMAT << 48) | (some_rests << 24) | kept
    return last


@inline
def _before(some: I64, b: Int, out: I64, c: Int) -> bool:
    """Whether the offer at `b` belongs before the one at `c`."""
    for i in range(_OFFER):
        if some[b + i] != out[c + i]:
            return bool(some[b + i] < out[c + i])
    return False


@kernel_of(crc.__file__)
def add_many(
    words: I64, ends: I64, needs: I64, at: I64, slack: Int, new: I64, out: I64, kept: I64
) -> Int:
    """Do as `add_offers` for N customers, one after the other, and seal what is written.

    Parameters
    ----------
    words, new
        All contacts end to end, of one who has none no words; all new offers.
    ends
        int64[N, 2], where each customer's words end, and where their new offers do.
    at
        int64[N].
    out
        Receives the contacts; those of a customer begin as many words after the ones of who comes
        before as that one had words, old and new, and at least a head more.
    kept
        int64[N, 2], receives until when they matter, as of `add_offers`, and how many words.

    Returns
    -------
    The first customer whose contacts are damaged, -1 if there is none.
    """
    start, first, to = 0, 0, 0
    for i in range(ends.shape[0]):
        end, last = ends[i, 0], ends[i, 1]
        contacts = words[start:end]
        if start == end:
            contacts = NO_CONTACTS[:]
        elif not whole(words, start, end):
            return i
        more = new[first:last]
        own = out[to : to + end - start + _HEAD + last - first]
        kept[i, 0] = add_offers(contacts, needs, at[i], slack, more, own)
        kept[i, 1] = 0
        if kept[i, 0] > 0:
            size = _HEAD + _OFFER * (own[0] & _COUNT) + _REST * ((own[0] >> 24) & _COUNT)
            own[1] = _sum(own, 0, size)
            kept[i, 1] = size
        to += len(own)
        start, first = end, last
    return -1
