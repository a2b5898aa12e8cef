"""A customer's own weights of all objectives, as one value of the store.

It is msgpack of the objectives' names and blocks; every block has a checksum of its own
(see `learners.person`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .errors import ModelError

MOST_BYTES = 1 << 17
"""Of one customer."""

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(dict[str, bytes])


def pack_persons(blocks: Mapping[str, bytes]) -> bytes:
    """Return the blocks of a customer's weights, by objective, as bytes.

    Examples
    --------
    >>> unpack_persons(pack_persons({"convert": b"NP"}))
    {'convert': b'NP'}
    """
    return _ENCODER.encode(dict(blocks))


def unpack_persons(data: bytes) -> dict[str, bytes]:
    """Return the blocks by objective; of no bytes, none.

    Raises
    ------
    ModelError
        If the bytes are not such blocks.
    """
    if not data:
        return {}
    if len(data) > MOST_BYTES:
        raise ModelError(f"a customer's weights of {len(data)} bytes; the most are {MOST_BYTES}")
    try:
        return _DECODER.decode(data)
    except msgspec.DecodeError as error:
        raise ModelError(
            f"a customer's weights of {len(data)} bytes are damaged: {error}"
        ) from None
