"""Which worker the engine sends a key to, and keys that it sends where we want them.

The engine hashes a key's text (SipHash-1-3 without a secret, a byte 0xFF after the text) and takes
the remainder by the number of workers. That is stable between runs and machines; a test compares it
with the engine itself.
"""

from __future__ import annotations

from functools import lru_cache

_WORD = (1 << 64) - 1
_ALIGNED = 64
"""The most workers (a power of two) up to which shard `s` goes to worker ``s % workers``."""


def worker_of(key: str, workers: int) -> int:
    """Return the number of the worker that holds a key.

    >>> [worker_of(key, 4) for key in ("learner", "a", "b")]
    [2, 3, 2]
    """
    return _hash(key.encode() + b"\xff") % workers


@lru_cache(maxsize=64)
def shard_keys(shards: int, prefix: str = "s") -> tuple[str, ...]:
    """Return each shard's key in the dataflow: the same for ever, whatever the number of workers.

    Several kinds of shards have prefixes of their own.

    With 2, 4, ... 64 workers shard ``s`` goes to worker ``s % workers``, where the sources put the
    partitions that its events come from; with another number the shards are spread evenly, and
    events travel between processes.

    >>> [worker_of(key, 4) for key in shard_keys(6)]
    [0, 1, 2, 3, 0, 1]
    """
    return tuple(_key(prefix, shard) for shard in range(shards))


def _key(prefix: str, shard: int) -> str:
    salt = 0
    while worker_of(f"{prefix}{shard}-{salt}", _ALIGNED) != shard % _ALIGNED:
        salt += 1
    return f"{prefix}{shard}-{salt}"


def _hash(data: bytes) -> int:
    v0, v1 = 0x736F6D6570736575, 0x646F72616E646F6D
    v2, v3 = 0x6C7967656E657261, 0x7465646279746573
    whole = len(data) & ~7
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ word)
        v0 ^= word
    v2 ^= 0xFF
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _WORD
    v1 = _turned(v1, 13) ^ v0
    v2 = (v2 + v3) & _WORD
    v3 = _turned(v3, 16) ^ v2
    v2 = (v2 + v1) & _WORD
    v0 = (_turned(v0, 32) + v3) & _WORD
    return v0, _turned(v1, 17) ^ v2, _turned(v2, 32), _turned(v3, 21) ^ v0


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _WORD
