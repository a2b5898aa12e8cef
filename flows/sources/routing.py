"""Which partition of a log an event belongs to: that of its customer's shard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from ...features.kernels.hashing import hash_strings
from .chunk import BLANK


class _Who(msgspec.Struct):
    customer_id: str


_DECODER = msgspec.json.Decoder(_Who)
_NOBODY = ""


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
        except (msgspec.DecodeError, UnicodeDecodeError):
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
    texts = [customer.encode() for customer in customers]
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    halves = np.zeros((2, len(texts)), np.uint64)
    hash_strings(np.frombuffer(b"".join(texts), np.uint8), offsets, halves[0], halves[1])
    found: npt.NDArray[np.int64]
    found = (halves[0] % np.uint64(shards) % np.uint64(partitions)).astype(np.int64)
    found[offsets[1:] == offsets[:-1]] = 0
    return found


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
