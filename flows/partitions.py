"""Where in a log an event belongs, and where it then is.

It belongs to the partition of its customer's shard. There its position counts what the log's server
counts too, entries of a stream or offsets of a topic, so that a producer learns it with the answer:

    position = ordinal of the entry << 20 | ordinal of the event in the entry
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec
import numpy as np
import numpy.typing as npt

from ..features.event_check import BLANK
from ..features.kernels.hashing import hash_strings

LINE_BITS = 20
MAX_LINES = 1 << LINE_BITS
"""The most lines that an entry may have."""
NO_TIME = 1 << 62
"""Where a log does not say when it took an entry in."""
BLOB_BYTES = 1 << 16
"""How large an entry of several events may become; a receipt costs the server a look at one."""
FIELD = b"events"
"""Of a stream's entry, where its lines are."""


class _Who(msgspec.Struct):
    customer_id: str


_DECODER = msgspec.json.Decoder(_Who)
_NOBODY = ""


def stream_keys(stream: str, partitions: int | None) -> list[str]:
    """The keys of a log's partitions, in order.

    >>> stream_keys("events", 2), stream_keys("events", None)
    (['events:0', 'events:1'], ['events'])
    """
    return [stream] if partitions is None else [f"{stream}:{p}" for p in range(partitions)]


def customers_of(lines: Iterable[bytes]) -> list[str]:
    """The customer of each event; of a line that cannot be read, the empty text.

    >>> customers_of([b'{"customer_id":"c-7"}', b"{", b'{"customer_id":7}'])
    ['c-7', '', '']
    """
    decode = _DECODER.decode
    found = []
    for line in lines:
        try:
            found.append(decode(line).customer_id)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found.append(_NOBODY)
    return found


def partitions_of(customers: Sequence[str], partitions: int, shards: int) -> npt.NDArray[np.int64]:
    """The partition of each customer: ``stable_hash(customer_id) % shards % partitions``.

    Parameters
    ----------
    customers
        As `customers_of` gives them. The empty text belongs to partition 0, so that an event that
        cannot be read becomes a dead letter there.
    partitions
        How many partitions the log has.
    shards
        How many shards its workers have: `Settings.shards`.

    Examples
    --------
    >>> partitions_of(["c-7", "c-8", ""], partitions=4, shards=16).tolist()
    [1, 0, 0]
    """
    return partitions_of_hashes(hashes_of(customers), customers, partitions, shards)


def hashes_of(customers: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return uint64[n]: the first half of each customer id's hash."""
    texts = [customer.encode() for customer in customers]
    ends = accumulate(map(len, texts), initial=0)
    offsets = np.fromiter(ends, np.int64, len(texts) + 1)
    halves = np.empty((2, len(texts)), np.uint64)
    hash_strings(np.frombuffer(b"".join(texts), np.uint8), offsets, halves[0], halves[1])
    first: npt.NDArray[np.uint64] = halves[0]
    return first


def partitions_of_hashes(
    hashes: npt.NDArray[np.uint64], customers: Sequence[str], partitions: int, shards: int
) -> npt.NDArray[np.int64]:
    """As `partitions_of`, of customers whose `hashes_of` are known."""
    found: npt.NDArray[np.int64]
    found = (hashes % np.uint64(shards) % np.uint64(partitions)).astype(np.int64)
    found[[not customer for customer in customers]] = 0
    return found


def packed(
    events: Sequence[bytes], numbers: Sequence[int], partitions: int
) -> list[list[list[int]]]:
    """Share events out among blobs of at most `BLOB_BYTES`; return each partition's.

    A blob is the ordinals of its events, which are in their order. A larger event is one alone.

    >>> packed([b"a", b"b", b"c"], [0, 1, 0], 2)
    [[[0, 2]], [[1]]]
    """
    blobs: list[list[list[int]]] = [[] for _ in range(partitions)]
    room = [0] * partitions
    for ordinal, (event, number) in enumerate(zip(events, numbers, strict=True)):
        if room[number] <= len(event):
            blobs[number].append([])
            room[number] = BLOB_BYTES
        blobs[number][-1].append(ordinal)
        room[number] -= len(event) + 1
    return blobs


def events_in(lines: bytes | Iterable[bytes]) -> Iterable[bytes]:
    """Each event's line, without its end; blank lines are none.

    >>> list(events_in(b'{"a":1}\\n\\n{"a":2}'))
    [b'{"a":1}', b'{"a":2}']
    """
    several = lines.split(b"\n") if isinstance(lines, bytes) else lines
    for line in several:
        event = line.strip(BLANK + b"\n")
        if event:
            yield event
