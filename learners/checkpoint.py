"""Models as bytes: named arrays and plain values, with a version and a checksum.

The layout is `NBCP`, a little-endian uint16 version, a uint64 length of the header, the header
(UTF-8 JSON: the kind of model, its plain values, and name, type and shape of each array), the
arrays one after the other (little-endian, C order), and a BLAKE2b checksum (16 bytes) of all
before it. Nothing in it is ever executed.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import LearnerError

MAGIC = b"NBCP"
VERSION = 1
_PREFIX = struct.Struct("<4sHQ")
_DIGEST = 16
_TYPES = ("<f8", "<i8", "|u1")


def pack(kind: str, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a model as bytes.

    Parameters
    ----------
    kind
        What the bytes are a snapshot of; `unpack` asks for it.
    values
        What JSON can hold; floats keep all their bits.
    arrays
        float64, int64 or uint8 arrays by name.

    Raises
    ------
    LearnerError
        If an array is of another type.

    Examples
    --------
    >>> data = pack("demo", {"n": 2}, {"mean": np.array([0.5, 1.0])})
    >>> len(data), unpack(data, "demo")[1]["mean"].tolist()
    (116, [0.5, 1.0])
    """
    described, parts = [], []
    for name, array in arrays.items():
        code = array.dtype.newbyteorder("<").str
        if code not in _TYPES:
            raise LearnerError(f"array {name!r} must be float64, int64 or uint8, got {array.dtype}")
        described.append([name, code, list(array.shape)])
        parts.append(np.ascontiguousarray(array, dtype=code).tobytes())
    header = json.dumps({"kind": kind, "values": dict(values), "arrays": described}).encode()
    body = b"".join([_PREFIX.pack(MAGIC, VERSION, len(header)), header, *parts])
    return body + _checksum(body)


def unpack(data: bytes, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the values and the arrays that `pack` wrote.

    Raises
    ------
    LearnerError
        If the bytes are not a snapshot, were damaged, or are of another version or kind.
    """
    if len(data) < _PREFIX.size + _DIGEST or data[:4] != MAGIC:
        raise LearnerError("not a model snapshot: it does not start as one")
    _, version, length = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise LearnerError(f"model snapshot of version {version}; this code reads {VERSION}")
    body = data[:-_DIGEST]
    if _checksum(body) != data[-_DIGEST:]:
        raise LearnerError(f"model snapshot of {len(data)} bytes is damaged: wrong checksum")
    header = json.loads(body[_PREFIX.size : _PREFIX.size + length])
    if header["kind"] != kind:
        raise LearnerError(f"model snapshot of a {header['kind']!r}, expected a {kind!r}")
    arrays: dict[str, NDArray[Any]] = {}
    at = _PREFIX.size + length
    for name, code, shape in header["arrays"]:
        size = math.prod(shape)
        array = np.frombuffer(body, code, size, at).reshape(shape)
        arrays[name] = array.astype(array.dtype.newbyteorder("="))
        at += size * array.itemsize
    return header["values"], arrays


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()
