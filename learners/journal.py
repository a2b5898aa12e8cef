"""Examples in the order of their keys, each once: what a learner can take back and do again."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .base import Floats
from .errors import LearnerError

MAX_ID = 256
"""The most characters of an example's id."""

Order = tuple[int, int, str]


class Example(NamedTuple):
    """What is learned from one decision.

    Attributes
    ----------
    id
        The decision's name; of all examples with one id, one is learned.
    time, position
        The event time (integer microseconds) and the log position of what gave the reward: the
        order in which examples are learned. The id orders those of one event.
    context, features, arm, reward
        As in `ArmModel.learn`. Values of a context are numbers, strings, booleans or None.
    silence
        Whether the reward stands for "no response". A response with the same id takes its place,
        whichever came first; of two responses the earlier one in order counts.
    customer
        Whose weights learn too; None if nobody's.
    revision
        Of the examples with one id, one of a higher revision counts rather than any of a lower.
    withdrawn
        Whether nothing is to be learned after all: it takes a place, and teaches nothing.
    """

    id: str
    time: int
    position: int
    context: Mapping[str, Any]
    features: Floats | None = None
    arm: int = 0
    reward: float = 0.0
    silence: bool = False
    customer: str | None = None
    revision: int = 0
    withdrawn: bool = False

    @property
    def order(self) -> Order:
        """Where the example belongs."""
        return self.time, self.position, self.id

    def beats(self, other: "Example") -> bool:
        """Return whether this one is to be learned rather than another with its id."""
        return self._rank() < other._rank()

    def _rank(self) -> tuple[Any, ...]:
        place = self.time, self.position
        return -self.revision, self.silence, *place, -self.reward, self.arm


_ORDER = attrgetter("order")


class Journal:
    """A sorted list of examples with distinct ids; edits can be undone until they are kept."""

    def __init__(self) -> None:
        self.examples: list[Example] = []
        self.customers: Counter[str] = Counter()
        self._by_id: dict[str, Example] = {}
        self._edits: list[tuple[bool, Example]] = []

    def __len__(self) -> int:
        return len(self.examples)

    def get(self, name: str) -> Example | None:
        """Return the example with an id."""
        return self._by_id.get(name)

    def index(self, order: Order) -> int:
        """Return how many examples come before an order."""
        if not self.examples or self.examples[-1].order < order:  # most come in order
            return len(self.examples)
        return bisect_left(self.examples, order, key=_ORDER)

    def insert(self, example: Example) -> int:
        """Put an example at its place and return the place; its id must be new."""
        at = self._insert(example)
        self._edits.append((True, example))
        return at

    def remove(self, example: Example) -> int:
        """Take an example out and return where it was."""
        at = self._remove(example)
        self._edits.append((False, example))
        return at

    def keep(self) -> None:
        """Let the edits stand."""
        self._edits.clear()

    def undo(self) -> None:
        """Take all edits back that do not stand yet."""
        for inserted, example in reversed(self._edits):
            if inserted:
                self._remove(example)
            else:
                self._insert(example)
        self._edits.clear()

    def cut(self, n: int) -> list[Example]:
        """Take the first n examples out for good and return them."""
        gone = self.examples[:n]
        del self.examples[:n]
        for example in gone:
            del self._by_id[example.id]
            self._count(example, -1)
        return gone

    def _insert(self, example: Example) -> int:
        at = self.index(example.order)
        self.examples.insert(at, example)
        self._by_id[example.id] = example
        self._count(example, 1)
        return at

    def _remove(self, example: Example) -> int:
        at = self.index(example.order)
        del self.examples[at], self._by_id[example.id]
        self._count(example, -1)
        return at

    def _count(self, example: Example, by: int) -> None:
        name = example.customer
        if name is not None:
            self.customers[name] += by
            if not self.customers[name]:
                del self.customers[name]


def checked(example: Example) -> Example:
    """Return an example with plain values of its own.

    Raises
    ------
    LearnerError
        If a field is not what `Example` says; the message names it.
    """
    name = example.id
    if not isinstance(name, str) or not 0 < len(name) <= MAX_ID:
        raise LearnerError(f"an example's id must have 1 to {MAX_ID} characters, got {name!r:.300}")
    for field in ("time", "position", "arm", "revision"):
        value = getattr(example, field)
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise LearnerError(f"example {name!r}: {field} must be an integer, got {value!r}")
        if not -(2**63) <= value < 2**63:
            raise LearnerError(f"example {name!r}: {field} is beyond 64 bits: {value!r}")
    if not isinstance(example.context, Mapping):
        raise LearnerError(f"example {name!r}: a context must be a mapping")
    customer = example.customer
    if customer is not None and not isinstance(customer, str):
        raise LearnerError(f"example {name!r}: a customer must be a string, got {customer!r}")
    try:
        features = None if example.features is None else np.array(example.features, np.float64)
        reward = float(example.reward)
    except (TypeError, ValueError) as error:
        raise LearnerError(f"example {name!r}: features and reward are numbers: {error}") from None
    if not math.isfinite(reward):
        raise LearnerError(f"example {name!r}: reward must be finite, got {reward}")
    if features is not None and features.ndim > 2:
        raise LearnerError(f"example {name!r}: features have {features.ndim} dimensions")
    return Example(
        name,
        int(example.time),
        int(example.position),
        {key: _plain(name, key, value) for key, value in example.context.items()},
        features,
        int(example.arm),
        reward,
        bool(example.silence),
        customer,
        int(example.revision),
        bool(example.withdrawn),
    )


def _plain(name: str, key: object, value: object) -> object:
    if not isinstance(key, str):
        raise LearnerError(f"example {name!r}: a context's name must be a string, got {key!r}")
    if isinstance(value, np.generic):
        value = value.item()
    if value is not None and not isinstance(value, str | int | float):
        raise LearnerError(f"example {name!r}: context {key!r} is neither number nor string")
    return value


def pack_examples(examples: list[Example]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the values and arrays from which `unpack_examples` makes them again."""
    features = [e.features for e in examples]
    values = {
        "ids": [e.id for e in examples],
        "contexts": [dict(e.context) for e in examples],
        "customers": [e.customer for e in examples],
        "shapes": [None if f is None else list(f.shape) for f in features],
        "revisions": [[e.revision, e.withdrawn] for e in examples],
    }
    whole = [[e.time, e.position, e.arm, int(e.silence)] for e in examples]
    arrays: dict[str, NDArray[Any]] = {
        "whole": np.array(whole, np.int64).reshape(-1, 4),
        "rewards": np.array([e.reward for e in examples], np.float64),
        "features": np.concatenate([np.zeros(0), *(f.ravel() for f in features if f is not None)]),
    }
    return values, arrays


def unpack_examples(
    values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> Iterator[Example]:
    """Yield the examples that `pack_examples` was given."""
    at = 0
    rewards, whole = arrays["rewards"].tolist(), arrays["whole"].tolist()
    names = ("ids", "contexts", "customers", "shapes")
    revisions = values.get("revisions") or [(0, False)] * len(values["ids"])
    columns = zip(*(values[name] for name in names), revisions, rewards, whole, strict=True)
    for name, context, customer, shape, revision, reward, whole_numbers in columns:
        time, position, arm, silence = whole_numbers
        features = None
        if shape is not None:
            size = math.prod(shape)
            features = arrays["features"][at : at + size].reshape(shape)
            at += size
        same = name, time, position, context, features, arm, reward, bool(silence), customer
        yield Example(*same, *revision)
