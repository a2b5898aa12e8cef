"""The state of a model of River as plain values and back, without pickle.

River's models are graphs of Python objects. What `copy` and `pickle` ask an object for
(`object.__reduce_ex__`) is written down as plain values, in the order that it is met. Whatever
names code must name a class or function of River, or one of the few containers and generators that
its models are made of; nothing else is looked up, imported or called.
"""

from __future__ import annotations

import copy
import copyreg
import importlib
import itertools
import random
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checkpoint import Data, pack, reading, unpack
from .errors import LearnerError

_KIND = "RiverState"
VERSION = version("river")
MOST_NODES = 400_000
"""Objects and containers in one model."""
MOST_BYTES = 64 << 20
"""Of a model's state."""
_ATOMS = (type(None), bool, int, float, str)
_OTHERS: dict[str, Any] = {
    f"{one.__module__}:{one.__qualname__}": one
    for one in (
        int, float, bool, str, tuple, list, dict, set, frozenset, Counter, OrderedDict,
        defaultdict, deque, partial, random.Random, itertools.count, copy.deepcopy,
    )
}  # fmt: skip
_ANY = random.Random(0)  # noqa: S311  # a model draws, nothing secret
_NAMES = (type, types.FunctionType, types.BuiltinFunctionType)


def to_bytes(model: object) -> bytes:
    """Return a model's state, from which `from_bytes` makes a model that goes on as this one.

    Raises
    ------
    LearnerError
        If it holds something that is not River's own, or is too large.

    Examples
    --------
    >>> from river import tree
    >>> model = tree.HoeffdingTreeClassifier()
    >>> for k in range(100):
    ...     model.learn_one({"n": k % 10}, k % 10 > 4)
    >>> again = from_bytes(to_bytes(model))
    >>> again.predict_proba_one({"n": 7}) == model.predict_proba_one({"n": 7})
    True
    """
    writer = _Writer()
    try:
        root = writer.value(model)
        writer.drain()
    except RecursionError:
        raise LearnerError(f"{type(model).__name__}: its state is nested too deep") from None
    values = {"river": VERSION, "root": root, "nodes": writer.nodes}
    data = pack(_KIND, values, {"bytes": np.frombuffer(bytes(writer.blob), np.uint8)})
    if len(data) > MOST_BYTES:
        raise LearnerError(f"{type(model).__name__}: its state has more than {MOST_BYTES} bytes")
    return data


def from_bytes(data: Data) -> Any:
    """Return the model of a state.

    Raises
    ------
    LearnerError
        If the bytes are damaged, name what is not River's, or are of another version of River.
    """
    values, arrays = unpack(data, _KIND)
    if values.get("river") != VERSION:
        raise LearnerError(f"a state of River {values.get('river')!r:.20}; this is River {VERSION}")
    with reading(_KIND):
        return _Reader(values["nodes"], arrays["bytes"]).all(values["root"])


class _Writer:
    """Nodes in the order that they are met; a value is itself, or ``[what, ...]``."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.blob = bytearray()
        self._places: dict[int, int] = {}
        self._alive: list[Any] = []  # an id is told apart as long as its object is there
        self._waiting: deque[tuple[int, Any]] = deque()

    def value(self, one: Any) -> Any:
        kind = type(one)
        if kind in _ATOMS:
            return one
        if kind is tuple:
            return ["t", *map(self.value, one)]
        if kind is bytes:
            return ["b", *self._put(one)]
        if isinstance(one, np.generic):
            return ["g", one.dtype.str, *self._put(one.tobytes())]
        if isinstance(one, _NAMES):
            return ["c", _named(one)]
        if kind is types.MethodType:
            return ["m", self.value(one.__self__), one.__func__.__name__]
        place = self._places.get(id(one))
        if place is None:
            place = self._places[id(one)] = len(self.nodes)
            if place >= MOST_NODES:
                raise LearnerError(f"a model of more than {MOST_NODES} parts")
            self._alive.append(one)
            self.nodes.append(None)
            self._waiting.append((place, one))
        return ["r", place]

    def drain(self) -> None:
        while self._waiting:
            place, one = self._waiting.popleft()
            self.nodes[place] = self._node(one)

    def _node(self, one: Any) -> list[Any]:
        kind, value = type(one), self.value
        if kind is dict:
            return ["dict", *([value(k), value(v)] for k, v in one.items())]
        if kind is list:
            return ["list", *map(value, one)]
        if kind in (set, frozenset):
            try:
                one = sorted(one)  # their own order is not the same in each process
            except TypeError:
                one = list(one)
            return [kind.__name__, *map(value, one)]
        if kind is np.ndarray:
            if one.dtype.kind not in "biuf":
                raise LearnerError(f"an array of {one.dtype} cannot be kept")
            return ["array", one.dtype.str, list(one.shape), *self._put(one.tobytes())]
        if one is _ANY:
            return ["object", False, "random:Random", [0], None, [], []]
        if kind is np.random.RandomState:
            return ["draws", value(one.get_state())]
        return self._object(one)

    def _object(self, one: Any) -> list[Any]:
        try:
            reduced = one.__reduce_ex__(2)
        except (TypeError, AttributeError) as error:
            raise LearnerError(f"{type(one).__name__} cannot be kept: {error}") from None
        if isinstance(reduced, str):
            raise LearnerError(f"{type(one).__name__} cannot be kept: it is only a name")
        make, args, state, items, pairs = (*reduced, None, None, None)[:5]
        new = make is copyreg.__newobj__  # type: ignore[attr-defined]
        if new:
            make, args = args[0], args[1:]
        if state == {}:
            state = None  # whether an object without attributes has a place for them
        elif type(state) is dict and state.get("seed", 0) is None:
            # Begun at random, so that nobody can count on what it draws: it is not kept.
            state = {k: _ANY if type(v) is random.Random else v for k, v in state.items()}
        value = self.value
        return [
            "object", new, _named(make), [value(arg) for arg in args], value(state),
            [value(item) for item in items or ()], [[value(k), value(v)] for k, v in pairs or ()],
        ]  # fmt: skip

    def _put(self, some: bytes) -> tuple[int, int]:
        at = len(self.blob)
        self.blob += some
        if len(self.blob) > MOST_BYTES:
            raise LearnerError(f"a model's state of more than {MOST_BYTES} bytes")
        return at, len(some)


class _Reader:
    """Makes each node when it is first asked for, and fills it later: there may be rings."""

    def __init__(self, nodes: list[Any], blob: NDArray[np.uint8]) -> None:
        self._nodes, self._blob = nodes, blob.tobytes()
        self._made: dict[int, Any] = {}
        self._filled: set[int] = set()

    def all(self, root: Any) -> Any:
        for place in range(len(self._nodes)):
            self._one(place)
        # What was met later is part of what was met before.
        for place in range(len(self._nodes) - 1, -1, -1):
            self._fill(place)
        return self.value(root)

    def value(self, said: Any, *, whole: bool = False) -> Any:
        if not isinstance(said, list):
            return said
        match said:
            case ["r", int(place)]:
                made = self._one(place)
                if whole:
                    self._fill(place)
                return made
            case ["t", *rest]:
                return tuple(self.value(each, whole=whole) for each in rest)
            case ["b", int(at), int(size)]:
                return self._blob[at : at + size]
            case ["g", str(code), int(at), int(size)]:
                return np.frombuffer(self._blob[at : at + size], np.dtype(code))[0]
            case ["c", str(name)]:
                return _code(name)
            case ["m", own, str(name)]:
                return getattr(self.value(own), name)
        raise LearnerError(f"a state with {said!r:.60}")

    def _one(self, place: int) -> Any:
        if place not in self._made:
            self._made[place] = self._make(self._nodes[place])
        return self._made[place]

    def _make(self, node: Any) -> Any:
        match node:
            case ["dict", *_]:
                return {}
            case ["list", *_]:
                return []
            case ["set", *_]:
                return set()
            case ["frozenset", *rest]:
                return frozenset(self.value(each, whole=True) for each in rest)
            case ["array", str(code), list(shape), int(at), int(size)]:
                flat = np.frombuffer(self._blob[at : at + size], np.dtype(code))
                return flat.reshape(shape).copy()
            case ["draws", state]:
                made = np.random.RandomState()
                made.set_state(self.value(state, whole=True))
                return made
            case ["object", bool(new), str(name), list(args), _, _, _]:
                make = _code(name)
                given = [self.value(arg, whole=True) for arg in args]
                return make.__new__(make, *given) if new else make(*given)
        raise LearnerError(f"a state with {node!r:.60}")

    def _fill(self, place: int) -> None:
        if place in self._filled:
            return
        self._filled.add(place)
        node, made, value = self._nodes[place], self._one(place), self.value
        match node:
            case ["dict", *pairs]:
                made.update({value(k, whole=True): value(v) for k, v in pairs})
            case ["list", *rest]:
                made.extend([value(each) for each in rest])
            case ["set", *rest]:
                made.update([value(each, whole=True) for each in rest])
            case ["object", _, _, _, state, items, pairs]:
                for item in items:
                    made.append(value(item))
                for k, v in pairs:
                    made[value(k, whole=True)] = value(v)
                if state is not None:
                    own = hasattr(made, "__setstate__")
                    _restore(made, value(state, whole=own), own=own)


def _restore(made: Any, state: Any, *, own: bool) -> None:
    if own:
        made.__setstate__(state)
        return
    slots: Mapping[str, Any] = {}
    if isinstance(state, tuple):
        state, slots = state
    # Not all of it may be there yet: only what it is called is looked at.
    if state:
        made.__dict__.update(state)
    for name, each in (slots or {}).items():
        object.__setattr__(made, name, each)


def _named(one: Any) -> str:
    name = f"{getattr(one, '__module__', None)}:{getattr(one, '__qualname__', '')}"
    try:
        found = _code(name)
    except LearnerError:
        found = None
    if found is not one:
        raise LearnerError(f"{name} is not a class or function of River's: it cannot be kept")
    return name


def _code(name: str) -> Any:
    if name in _OTHERS:
        return _OTHERS[name]
    within, _, steps = name.partition(":")
    found: Any = None
    if within.split(".")[0] == "river":
        try:
            found = importlib.import_module(within)
            for step in steps.split("."):
                found = getattr(found, step)
        except (ImportError, AttributeError):
            found = None
    # What River itself imported from elsewhere is not its own.
    if not isinstance(found, _NAMES) or getattr(found, "__module__", None) != within:
        raise LearnerError(f"a state that names {name!r:.80}")
    return found
