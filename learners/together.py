"""Published models of the same arms and inputs, asked at once."""

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from .context import MISSING, OTHER
from .errors import LearnerError
from .kernels import together as kernels
from .kernels.together_layout import MOST
from .person import HEAD, MAGIC, VERSION, arm_key, unpack_person
from .published import LARGEST_SERVED, PublishedArms

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]
Words = NDArray[np.uint32]

_KNOWN = MAGIC + bytes([VERSION])
_CHECKSUM = Struct("<I")
_NO_WORDS = np.frombuffer(b"", np.uint32)
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
        self.lookups = self._find_rows()
        """Of every context, then of every segment: its name, the rows of each category in the
        models, and those of any other category. A missing one is the category `MISSING`."""
        self.arrays = self._stacked()
        """What `kernels.believe` takes first."""
        self.scratch = kernels.scratch(self._shape[0], int(self.arrays[0][MOST]))
        """How many singles and doubles of working memory it needs."""

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
        for name, known, default in self.lookups:
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
        where, words = [-1, 0] * n, _NO_WORDS
        if persons is not None:
            where, words = self.blocks([persons])
        singles, doubles = self.scratch
        out: Floats = np.empty((1, n, self._shape[0]))
        refused = kernels.believe(
            *self.arrays, np.array([rows], np.int64), np.array([x], np.float32),
            matrix.reshape(1, -1), LARGEST_SERVED, persons is not None,
            np.array([where], np.int64), words, np.empty(singles, np.float32), np.empty(doubles),
            out,
        )  # fmt: skip
        if refused == kernels.BAD_FEATURES:
            raise LearnerError(f"a served number of features must not be beyond {LARGEST_SERVED:g}")
        if refused == kernels.BAD_PERSON:
            for block in persons or ():
                unpack_person(block)  # says what is wrong
        found: Floats = out[0]
        return found

    def blocks(self, persons: Sequence[Sequence[bytes] | None]) -> tuple[list[int], Words]:
        """Return where n persons' blocks are, and the blocks, as the kernels take them.

        Parameters
        ----------
        persons
            Each one's blocks, of each model; None where nothing is known of the person.

        Returns
        -------
        Of each person and model the first word of the block, and for how many arms it has room; all
        blocks end to end, as uint32.

        Raises
        ------
        LearnerError
            If a block is damaged, or the models have no weights of persons.
        """
        if not self.leveled:
            raise LearnerError("a model that was published without weights of persons got one")
        where: list[int] = []
        found: list[bytes] = []
        nobody = (-1, 0) * len(self.models)
        start = 0
        for blocks in persons:
            if blocks is None:
                where += nobody
                continue
            for block in blocks:
                if not block:
                    where += (-1, 0)
                    continue
                room, odd = divmod(len(block) - HEAD, 16)
                if (
                    odd
                    or room < 0
                    or block[:3] != _KNOWN
                    or block[3] > room
                    or _CHECKSUM.unpack_from(block, 4)[0] != crc32(block[8:], crc32(block[:4]))
                ):
                    unpack_person(block)  # says what is wrong
                where += (start, room)
                start += len(block) // 4
                found.append(block)
        return where, np.frombuffer(b"".join(found), np.uint32) if found else _NO_WORDS

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

    def _stacked(self) -> tuple[Indices, Singles, Floats]:
        """Return table, singles and doubles of `kernels.believe`."""
        k, features = self._shape
        first = self.models[0]
        most = max(
            [m._levels._persons.shape[2] for m in self.models if m._levels is not None], default=1
        )
        singles: list[Singles] = []
        doubles: list[Floats] = []
        places: list[int] = []
        for model in self.models:
            table, dense, action, weights = model.arrays
            levels, experts = model._levels, len(weights)
            unseen, persons = np.zeros(len(self._segments)), np.zeros((2, 2, most))
            moments, height = np.zeros(0, np.float32), -1
            if levels is not None:
                unseen, moments, height = levels._unseen, levels._moments, levels._moments.shape[1]
                persons[:, :, : levels._persons.shape[2]] = levels._persons
            parts = (
                *(rows.reshape(experts, -1, 2, k).transpose(1, 2, 0, 3) for rows in (table, dense)),
                action,
                moments,
            )
            more = weights, unseen, persons
            places += (experts, *_lay(singles, parts), height, *_lay(doubles, more))
        keys = np.array([arm_key(arm) if arm else 0 for arm in first.arms], np.uint64)
        slots = _hashed(keys.view(np.int64))
        head = (
            k, 1 + len(self._numbers), len(self._contexts), len(self._segments), features, most,
            len(slots) // 2, max(len(model.arrays[3]) for model in self.models),
        )  # fmt: skip
        return (
            np.concatenate([np.array([*head, *places], np.int64), slots]),
            np.concatenate(singles),
            np.concatenate(doubles),
        )


def _lay(parts: list[Any], more: Sequence[NDArray[Any]]) -> list[int]:
    """Lay arrays behind others, flat; return where each begins."""
    at = sum(map(len, parts))
    begins = []
    for part in more:
        begins.append(at)
        at += part.size
        parts.append(part.reshape(-1))
    return begins


def _hashed(keys: Indices) -> Indices:
    """Return a hash table of keys, as `kernels.together` reads it; 0 is no key."""
    size = 2
    while size < 2 * len(keys):
        size *= 2
    table = np.zeros((2, size), np.int64)
    for place, key in enumerate(keys.tolist()):
        slot = key & (size - 1)
        while key and table[0, slot]:
            slot = (slot + 1) & (size - 1)
        if key:
            table[:, slot] = key, place
    return table.reshape(-1)


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
