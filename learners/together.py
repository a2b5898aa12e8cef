"""Published models of the same arms and inputs, asked at once."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .context import MISSING, OTHER
from .errors import LearnerError
from .kernels import together as kernels
from .person import MAGIC, VERSION, arm_key, unpack_person
from .published import LARGEST_SERVED, PublishedArms

Floats = NDArray[np.float64]

_HEADER = struct.Struct("<2sBBIIff")
_NO_KEYS, _NO_EVIDENCE = np.zeros(0, np.uint64), np.zeros((2, 0), np.float32)
_Rows = tuple[int, ...]


class Together:
    """What several published models foretell of the same arms: one pass instead of one each.

    Parameters
    ----------
    models
        Of the same arms, numbers, contexts, action features and, where they have levels, segments.

    Raises
    ------
    LearnerError
        If there is none, or they differ in these.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker, SegmentOfOne
    >>> one = SegmentOfOne(BayesianRanker(["tea", "coffee"], contexts=["hour"]))
    >>> for i in range(100):
    ...     block = one.learn({"hour": "noon"}, None, i % 2, float(i % 2))
    >>> both = Together([one.publish(), one.publish()])
    >>> both.probabilities({"hour": "noon"}, None, [b"", b""]).round(1).tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """

    def __init__(self, models: Sequence[PublishedArms]) -> None:
        self.models = tuple(models)
        if not self.models:
            raise LearnerError("there is no model")
        first = self.models[0]
        self._numbers, self._contexts = first._encoder.numbers, first._encoder.contexts
        leveled = [model._levels for model in self.models if model._levels is not None]
        self._segments = leveled[0]._rows.names if leveled else ()
        mine = first.arms, first.action_features, self._numbers, self._contexts
        for model in self.models:
            theirs = (
                model.arms,
                model.action_features,
                model._encoder.numbers,
                model._encoder.contexts,
            )
            if theirs != mine:
                raise LearnerError("the models are of different arms or inputs")
        if any(levels._rows.names != self._segments for levels in leveled):
            raise LearnerError("the models are of different segments")
        self.leveled = len(leveled) == len(self.models)
        """Whether all of them have weights of persons."""
        self._shape = len(first.arms), len(first.action_features)
        self._features = np.empty((self._shape[0], 0))
        self._lookups = self._find_rows()
        self._arrays = self._stacked()
        self._nobody = np.zeros((len(self.models), 2))
        self._no_ends = np.zeros(len(self.models), np.int64)

    def probabilities(
        self,
        context: Mapping[str, Any],
        features: Floats | None,
        persons: Sequence[bytes] | None = None,
    ) -> Floats:
        """Return the probability of reward 1, float64[models, arms].

        The same bits as each model's `belief`.

        Parameters
        ----------
        context, features
            As in `PublishedArms.belief`.
        persons
            For each model the person's block, empty for one of whom nothing is known yet; None for
            nobody in particular.

        Raises
        ------
        LearnerError
            As `PublishedArms.belief`.
        """
        rows: list[int] = []
        for name, known, default in self._lookups:
            value = context.get(name)
            if value is None:
                value = MISSING
            elif not isinstance(value, str):
                raise LearnerError(f"context {name!r} must be a string or None, got {value!r}")
            rows += known.get(value, default)
        x = [1.0]
        for name in self._numbers:
            number = context.get(name)
            if number is None:
                number = 0.0
            if isinstance(number, (str, bytes)) or not abs(number) <= LARGEST_SERVED:
                raise LearnerError(f"context {name!r} cannot be served: {number!r:.80}")
            x.append(number)
        matrix = self._features if features is None else features
        if matrix.shape != self._shape or matrix.dtype.char != "d":
            raise LearnerError(f"features must be float64{self._shape}, got {matrix.shape}")
        n = len(self.models)
        own = self._nobody, self._no_ends, _NO_KEYS, _NO_EVIDENCE
        if persons is not None:
            if not self.leveled:
                raise LearnerError("a model that was published without weights of persons got one")
            if any(persons):
                own = _persons(persons)
        out = np.empty((n, self._shape[0]))
        arguments: Any = (
            *self._arrays, np.array(rows, np.int64).reshape(-1, n), np.array(x, np.float32),
            matrix, LARGEST_SERVED, persons is not None, *own, out,
        )  # fmt: skip
        refused = kernels.probabilities(*arguments)
        if refused == kernels.BAD_FEATURES:
            raise LearnerError(f"a served number of features must not be beyond {LARGEST_SERVED:g}")
        if refused == kernels.BAD_PERSON:
            for block in persons or ():
                unpack_person(block)  # says what is wrong
        return out

    def _find_rows(self) -> list[tuple[str, dict[str, _Rows], _Rows]]:
        """Return for every context and segment the rows of each category in the models."""
        found = []
        for c, name in enumerate(self._contexts):
            known, others = [], []
            for model in self.models:
                rows = model._encoder._rows[c]
                closed = c in model._encoder.closed
                known.append(rows)
                others.append(rows.get(OTHER, model._unseen) if closed else model._unseen)
            found.append((name, *_merged(known, others)))
        for s, name in enumerate(self._segments):
            known, others = [], []
            for model in self.models:
                rows = {} if model._levels is None else model._levels._rows._blocks[s]._first[name]
                full = model._levels is not None and len(rows) >= model._levels._max
                known.append(rows)
                others.append(rows.get(OTHER, -1) if full else -1)
            found.append((name, *_merged(known, others)))
        return found

    def _stacked(self) -> tuple[NDArray[Any], ...]:
        k = self._shape[0]
        places, segments, moments, unseen, candidates = [], [], [], [], []
        experts = rows = moment = 0
        most = max(
            [m._levels._persons.shape[2] for m in self.models if m._levels is not None], default=1
        )
        for model in self.models:
            table, _, _, weights = model.arrays
            places.append((experts, len(weights), rows, table.shape[1], moment))
            experts += len(weights)
            rows += table.shape[0] * table.shape[1]
            padded = np.zeros((2, 2, most))
            if model._levels is None:
                segments.append(-1)
                unseen.append(np.zeros(len(self._segments)))
            else:
                own = model._levels._moments
                segments.append(own.shape[1])
                moments.append(own.reshape(-1, k))
                moment += 2 * own.shape[1]
                unseen.append(model._levels._unseen)
                padded[:, :, : model._levels._persons.shape[2]] = model._levels._persons
            candidates.append(padded)
        parts = list(zip(*(model.arrays for model in self.models), strict=True))
        none = np.zeros((0, k), np.float32)
        return (
            np.concatenate([table.reshape(-1, 2 * k) for table in parts[0]]),
            np.concatenate([dense.reshape(-1, 2 * k) for dense in parts[1]]),
            np.concatenate(parts[2]),
            np.concatenate(parts[3]),
            np.concatenate([*moments, none]),
            np.array(places, np.int64),
            np.array(segments, np.int64),
            np.array(unseen).reshape(len(self.models), len(self._segments)),
            np.array(candidates),
            np.array([arm_key(arm) if arm else 0 for arm in self.models[0].arms], np.uint64),
        )


def inputs_of(model: PublishedArms) -> dict[str, tuple[str, ...]]:
    """Return the names of what a model sees: numbers, contexts, action features and segments."""
    return {
        "numbers": model._encoder.numbers,
        "contexts": model._encoder.contexts,
        "action_features": model.action_features,
        "segments": () if model._levels is None else model._levels._rows.names,
    }


def _merged(known: Sequence[Mapping[str, int]], others: Sequence[int]) -> tuple[Any, _Rows]:
    """Return by category its rows in all models, and those of any other category."""
    categories = dict.fromkeys(category for rows in known for category in rows)
    merged = {
        category: tuple(
            rows.get(category, other) for rows, other in zip(known, others, strict=True)
        )
        for category in categories
    }
    return merged, tuple(others)


def _persons(
    blocks: Sequence[bytes],
) -> tuple[Floats, NDArray[np.int64], NDArray[np.uint64], NDArray[np.float32]]:
    """Return intercepts, ends, keys and evidence of a person's blocks, as the kernel takes them."""
    intercepts: list[float] = []
    ends: list[int] = []
    keys: list[bytes] = []
    information: list[bytes] = []
    precision: list[bytes] = []
    end = 0
    for block in blocks:
        n, mean, weight = 0, 0.0, 0.0
        if block:
            room, odd = divmod(len(block) - _HEADER.size, 16)
            if room < 0 or odd:
                unpack_person(block)  # says what is wrong
            magic, version, n, checksum, _, mean, weight = _HEADER.unpack_from(block)
            known = magic == MAGIC and version == VERSION and n <= room
            if not known or checksum != zlib.crc32(block[8:], zlib.crc32(block[:4])):
                unpack_person(block)
            first = _HEADER.size + 8 * room
            middle = first + 4 * room
            keys.append(block[_HEADER.size : _HEADER.size + 8 * n])
            information.append(block[first : first + 4 * n])
            precision.append(block[middle : middle + 4 * n])
            end += n
        intercepts += mean, weight
        ends.append(end)
    evidence = np.frombuffer(b"".join(information + precision), np.float32)
    return (
        np.array(intercepts).reshape(-1, 2),
        np.array(ends, np.int64),
        np.frombuffer(b"".join(keys), np.uint64),
        evidence.reshape(2, end),
    )
