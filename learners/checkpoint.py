"""Models as bytes: named arrays and plain values, with a version and a checksum.

Version 2 of the layout, all numbers little-endian:

    0       `NBCP`
    4       the version: a byte for the major, a byte for the minor number
    6       uint64, the length of the header
    14      the header, UTF-8 JSON filled up with spaces, so that what follows is aligned
    ...     the arrays in C order, each at a multiple of 64 bytes from the start
    -16     BLAKE2b checksum of all before it

The header names the kind of model, its plain values, and `name`, `type`, `shape` and `at` (bytes
from the first array) of each array. Nothing in it is ever executed. The checksum finds damage; it
does not prove who wrote the bytes, so every length, shape and type is checked before it is used.

What later versions may do. A minor number adds: keys of the header, keys of an array's
description, arrays that say `"optional": true`. This code reads all of that and leaves out what it
does not know. A major number changes what is there, and is refused. Version 1, with its arrays
not aligned and of float64 and int64 only, is read for ever.
"""

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from .errors import LearnerError

MAGIC = b"NBCP"
VERSION = (2, 0)
"""The version that `pack` writes: major, minor."""
ALIGNMENT = 64
"""Bytes; of every array, as seen from the first byte of the snapshot."""
LARGEST_HEADER = 128 << 20
"""Bytes of the header."""
MOST_VALUES = 1 << 22
"""Values in the header, told by its commas and brackets: in memory they are below a gigabyte."""
MOST_ARRAYS = 4096
MOST_DIMENSIONS = 16
DEEPEST = 64
"""How deep lists and dicts may be nested in the values."""

Data: TypeAlias = bytes | bytearray | memoryview
Arrays: TypeAlias = dict[str, NDArray[Any]]

_PREFIX = struct.Struct("<4sBBQ")
_DIGEST = 16
_LARGEST_SHAPE = 1 << 48
_TYPES = {
    "<f8": "float64",
    "<f4": "float32",
    "<i8": "int64",
    "<i4": "int32",
    "<u8": "uint64",
    "|u1": "uint8",
    "|b1": "bool",
}
_TYPES_OF_1 = ("<f8", "<i8")
_CONTAINERS = (dict, list, tuple)


def pack(kind: str, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a model as bytes.

    Parameters
    ----------
    kind
        What the bytes are a snapshot of; `unpack` asks for it.
    values
        What JSON can hold, with strings for keys. Floats keep all their bits (but NaN becomes the
        ordinary NaN), tuples become lists.
    arrays
        float64, float32, int64, int32, uint64, uint8 or bool arrays by name; they keep all their
        bits, those of NaN too.

    Raises
    ------
    LearnerError
        If an array is of another type, a value is not plain, or there is more than `unpack`
        reads: `LARGEST_HEADER` bytes and `MOST_VALUES` of names and values, `DEEPEST` deep,
        `MOST_ARRAYS` arrays of `MOST_DIMENSIONS`.

    Examples
    --------
    >>> data = pack("demo", {"n": 2}, {"mean": np.array([0.5, 1.0])})
    >>> len(data), unpack(data, "demo")[1]["mean"].tolist()
    (160, [0.5, 1.0])
    """
    _check_values(kind, values)
    if len(arrays) > MOST_ARRAYS:
        raise LearnerError(f"a snapshot holds up to {MOST_ARRAYS} arrays, got {len(arrays)}")
    described: list[dict[str, Any]] = []
    parts: list[Data] = []
    at = 0
    for name, array in arrays.items():
        code = _code(name, array)
        gap = -at % ALIGNMENT
        part = np.ascontiguousarray(array, dtype=code).reshape(-1).view(np.uint8)
        described.append({"name": name, "type": code, "shape": list(array.shape), "at": at + gap})
        parts += (bytes(gap), part.data)
        at += gap + part.nbytes
    try:
        header = json.dumps({"kind": kind, "values": dict(values), "arrays": described}).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise LearnerError(f"the values of a {kind!r} are not plain: {error}") from None
    header += b" " * (-(_PREFIX.size + len(header)) % ALIGNMENT)
    if len(header) > LARGEST_HEADER:
        raise LearnerError(
            f"names and values of a {kind!r} need {len(header)} bytes; "
            f"a snapshot holds {LARGEST_HEADER}: keep what is long in arrays"
        )
    if _count(header) > MOST_VALUES:
        raise LearnerError(
            f"a {kind!r} has more than {MOST_VALUES} names and values: keep what is long in arrays"
        )
    parts = [_PREFIX.pack(MAGIC, *VERSION, len(header)), header, *parts]
    checksum = hashlib.blake2b(digest_size=_DIGEST)
    for piece in parts:
        checksum.update(piece)
    return b"".join([*parts, checksum.digest()])


def unpack(data: Data, kind: str, *, copy: bool = True) -> tuple[dict[str, Any], Arrays]:
    """Return the values and the arrays that `pack` wrote.

    Parameters
    ----------
    data
        The snapshot; any bytes-like object in one piece, such as a mapped file.
    kind
        What it must be a snapshot of.
    copy
        Whether the arrays are copied. False: they are read-only and lie in ``data`` wherever it
        holds them aligned (as `pack` writes them).

    Raises
    ------
    LearnerError
        If the bytes are not a snapshot, were damaged, or are of another version or kind.

    Examples
    --------
    >>> data = pack("demo", {}, {"count": np.arange(3)})
    >>> view = unpack(data, "demo", copy=False)[1]["count"]
    >>> view.tolist(), view.flags.writeable, view.flags.owndata
    ([0, 1, 2], False, False)
    """
    try:
        view = memoryview(data).cast("B")
    except TypeError as error:
        raise LearnerError(f"not a model snapshot: {error}") from None
    if len(view) < _PREFIX.size + _DIGEST or view[:4] != MAGIC:
        raise LearnerError("not a model snapshot: it does not start as one")
    _, major, minor, length = _PREFIX.unpack_from(view)
    if not 1 <= major <= VERSION[0]:
        raise LearnerError(
            f"model snapshot of version {major}.{minor}; this code reads 1 to {VERSION[0]}: "
            "upgrade nextbest to the version that wrote it, or a later one"
        )
    body = view[:-_DIGEST]
    if _checksum(body) != view[-_DIGEST:]:
        raise LearnerError(f"model snapshot of {len(view)} bytes is damaged: wrong checksum")
    if length > min(len(body) - _PREFIX.size, LARGEST_HEADER):
        raise LearnerError(f"model snapshot with a header of {length} bytes, which cannot be")
    first = _PREFIX.size + length
    found, values, described = _header(bytes(body[_PREFIX.size : first]))
    if found != kind:
        raise LearnerError(f"model snapshot of a {found!r:.100}, expected a {kind!r}")
    if major == 1:
        described = _with_places(described)
    newer = (major, minor) > VERSION
    return values, _arrays(body[first:], described, _TYPES_OF_1 if major == 1 else _TYPES,
                           newer, copy)  # fmt: skip


@contextmanager
def reading(kind: str) -> Iterator[None]:
    """Raise what goes wrong while a model is made of a snapshot's values as a `LearnerError`.

    Examples
    --------
    >>> with reading("demo"):
    ...     {}["arms"]
    Traceback (most recent call last):
    ...
    nextbest.learners.errors.LearnerError: the model snapshot of a 'demo' lacks 'arms'
    """
    try:
        yield
    except LearnerError:
        raise
    except KeyError as error:
        raise LearnerError(f"the model snapshot of a {kind!r} lacks {error}") from None
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        message = f"the model snapshot of a {kind!r} holds no such model: {error}"
        raise LearnerError(message) from None


def fill(target: NDArray[Any], arrays: Mapping[str, NDArray[Any]], name: str) -> None:
    """Copy a snapshot's array into a model's, which must be of the same type and shape.

    Raises
    ------
    LearnerError
        If it is missing, or of another type or shape: it would be converted or repeated silently.

    Examples
    --------
    >>> mean = np.zeros(2)
    >>> fill(mean, {"mean": np.array([0.5, 1.0])}, "mean")
    >>> mean.tolist()
    [0.5, 1.0]
    """
    array = arrays.get(name)
    if array is None:
        raise LearnerError(f"the model snapshot lacks the array {name!r}")
    if array.dtype != target.dtype or array.shape != target.shape:
        raise LearnerError(
            f"array {name!r} of the model snapshot is {array.dtype}{array.shape}, "
            f"expected {target.dtype}{target.shape}"
        )
    target[...] = array


def sound(name: str, array: NDArray[np.float64], least: float = -math.inf) -> None:
    """Refuse weights of a snapshot that nothing that was learned can lead to.

    Raises
    ------
    LearnerError
        If a number is not finite, or below `least`.

    Examples
    --------
    >>> sound("mean", np.array([0.5, np.nan]))
    Traceback (most recent call last):
    ...
    nextbest.learners.errors.LearnerError: array 'mean' of the model snapshot holds nan
    """
    for value in array[~(np.isfinite(array) & (array >= least))][:1].tolist():
        raise LearnerError(f"array {name!r} of the model snapshot holds {value!r}")


def _check_values(kind: str, values: Mapping[str, Any]) -> None:
    """Refuse what JSON would change without a word, or nest deeper than it can be read."""
    level: list[Any] = [dict(values)]
    for _ in range(DEEPEST):
        children: list[Any] = []
        for container in level:
            if isinstance(container, dict):
                for key in container:
                    if type(key) is not str:
                        raise LearnerError(
                            f"the values of a {kind!r} have the key {key!r}, which is no string"
                        )
                container = container.values()
            children += (child for child in container if isinstance(child, _CONTAINERS))
        if not children:
            return
        level = children
    raise LearnerError(f"the values of a {kind!r} are nested more than {DEEPEST} deep")


def _code(name: str, array: NDArray[Any]) -> str:
    if not isinstance(name, str):
        raise LearnerError(f"the name of an array must be a string, got {name!r}")
    if not isinstance(array, np.ndarray):
        raise LearnerError(f"array {name!r} must be an array, got {type(array).__name__}")
    code = array.dtype.newbyteorder("<").str
    if code not in _TYPES:
        known = ", ".join(_TYPES.values())
        raise LearnerError(f"array {name!r} must be one of {known}, got {array.dtype}")
    if array.ndim > MOST_DIMENSIONS:
        raise LearnerError(f"array {name!r} has {array.ndim} dimensions of {MOST_DIMENSIONS}")
    return code


def _count(header: bytes) -> int:
    return sum(header.count(sign) for sign in (b",", b"[", b"{"))


def _header(header: bytes) -> tuple[str, dict[str, Any], list[Any]]:
    if _count(header) > MOST_VALUES:
        raise LearnerError(f"model snapshot with a header of more than {MOST_VALUES} values")
    try:
        parsed = json.loads(str(header, "utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise LearnerError("model snapshot whose header is nested too deep") from None
    except ValueError as error:
        raise LearnerError(f"model snapshot whose header is no JSON: {error}") from None
    wanted: dict[str, type] = {"kind": str, "values": dict, "arrays": list}
    for key, type_ in wanted.items():
        if not isinstance(parsed, dict) or not isinstance(parsed.get(key), type_):
            raise LearnerError(f"model snapshot whose header has no {key!r} as it should be")
    if len(parsed["arrays"]) > MOST_ARRAYS:
        raise LearnerError(f"model snapshot of more than {MOST_ARRAYS} arrays")
    return parsed["kind"], parsed["values"], parsed["arrays"]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is given twice")
    return made


def _with_places(described: list[Any]) -> list[Any]:
    """Describe the arrays of version 1, one right after the other, as version 2 does."""
    made: list[Any] = []
    at = 0
    for entry in described:
        if not isinstance(entry, list) or len(entry) != 3 or not _is_shape(entry[2]):
            raise LearnerError(f"model snapshot with an array described as {entry!r:.100}")
        made.append({"name": entry[0], "type": entry[1], "shape": entry[2], "at": at})
        at += 8 * math.prod(entry[2])
    return made


def _is_shape(shape: object) -> TypeGuard[list[int]]:
    return (
        isinstance(shape, list)
        and len(shape) <= MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size <= _LARGEST_SHAPE for size in shape)
        # Of an array with nothing in it too, or its strides overflow.
        and math.prod(max(size, 1) for size in shape) <= _LARGEST_SHAPE
    )


def _arrays(
    body: memoryview, described: list[Any], types: Mapping[str, str] | tuple[str, ...],
    newer: bool, copy: bool,
) -> Arrays:  # fmt: skip
    arrays: Arrays = {}
    end = 0  # no two share bytes, or a small snapshot could become large arrays
    for entry in described:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise LearnerError(f"model snapshot with an array described as {entry!r:.100}")
        code, shape, at = (entry.get(key) for key in ("type", "shape", "at"))
        if name in arrays:
            raise LearnerError(f"model snapshot with two arrays {name!r:.100}")
        if not isinstance(code, str) or code not in types:
            if newer and entry.get("optional") is True:
                continue
            hint = "; it is of a later version: upgrade nextbest" if newer else ""
            raise LearnerError(f"model snapshot with {name!r:.100} of type {code!r:.20}{hint}")
        if not _is_shape(shape) or type(at) is not int:
            raise LearnerError(f"model snapshot with {name!r:.100} of a shape that cannot be")
        size = math.prod(shape) * np.dtype(code).itemsize
        if not end <= at <= at + size <= len(body):
            raise LearnerError(f"model snapshot with {name!r:.100} outside of its place")
        end = at + size
        arrays[name] = _array(name, body[at:end], code, shape, copy)
    return arrays


def _array(name: str, part: memoryview, code: str, shape: list[int], copy: bool) -> NDArray[Any]:
    array: NDArray[Any] = np.frombuffer(part, np.uint8)
    if code == "|b1" and array.size and array.max() > 1:
        raise LearnerError(f"model snapshot with {name!r:.100} of bool that is neither 0 nor 1")
    array = array.view(code).reshape(shape)
    native = array.dtype.newbyteorder("=")
    if copy or native != array.dtype or not array.flags.aligned:
        array = array.astype(native, copy=True)
    if not copy:
        array.flags.writeable = False
    return array


def _checksum(body: Data) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()
