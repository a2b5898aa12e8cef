"""What segments and persons differ by, as it is served with a published model: read only."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .candidates import MOST, Candidates
from .checkpoint import Arrays
from .errors import LearnerError
from .kernels import levels
from .person import unpack_person, view_person
from .segments import SegmentWeights

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


class PublishedLevels:
    """The levels of a `SegmentOfOne` above its shared model.

    The weights of segments are kept as mean and variance, in single precision. A person's block
    comes from outside; it is weighed as the live model would weigh it, in double precision.

    Parameters
    ----------
    names, max_categories
        As of `SegmentWeights`.
    places
        Arms, owners and categories, as of `SegmentWeights.state`.
    moments
        float32[2, R, K], mean and variance of every segment's weights.
    unseen
        float64[S], the variance of a segment's weight of which nothing is known.
    persons
        float64[2, 2, C]: variances, then weights, of the candidates for the variance of a person's
        intercept and of a person's arm.

    Raises
    ------
    LearnerError
        If the parts do not fit together, or are no moments.
    """

    def __init__(
        self,
        names: Sequence[str],
        max_categories: int,
        places: Mapping[str, Any],
        moments: Singles,
        unseen: Floats,
        persons: Floats,
    ) -> None:
        self._rows = SegmentWeights(names, max_categories)
        # Only of the same shape: what is served are the moments.
        self._rows.restore(places, np.broadcast_to(0.0, moments.shape))
        if unseen.shape != (len(self._rows.names),):
            raise LearnerError(f"unseen{unseen.shape} is not of {len(self._rows.names)} segments")
        if persons.shape[:2] != (2, 2) or not 1 <= persons.shape[2] <= MOST:
            raise LearnerError(
                f"candidates must be float64(2, 2, 1 to {MOST}), not {persons.shape}"
            )
        for array in (moments, unseen, persons):
            if not np.isfinite(array).all():
                raise LearnerError("published levels with numbers that are not finite")
        if (moments[1] < 0.0).any() or (unseen < 0.0).any() or (persons < 0.0).any():
            raise LearnerError("published levels with a variance or a weight below zero")
        self._max, self._moments, self._unseen = max_categories, moments, unseen
        self._persons = persons

    @classmethod
    def of(cls, rows: SegmentWeights, max_categories: int, found: Sequence[Candidates]) -> Self:
        """Return those of a live model's levels: one a segment, then two of persons."""
        places, evidence = rows.state()
        moments = np.zeros(evidence.shape)
        for level, categories in zip(found, places["categories"], strict=False):
            for *_, row in categories:
                level.add(evidence[:, row], moments[0, row], moments[1, row])
        unseen = [level.moments(0.0, 0.0)[1] for level in found[: len(rows.names)]]
        persons = [
            [level.variances for level in found[-2:]],
            [level.weights for level in found[-2:]],
        ]
        return cls(
            rows.names,
            max_categories,
            places,
            moments.astype(np.float32),
            np.array(unseen, np.float64),
            np.array(persons, np.float64),
        )

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of the arms that they are of."""
        return tuple(self._rows.state()[0]["arms"])

    def arranged(self, arms: Sequence[str]) -> Self:
        """Return the levels of other arms; of one that is not known here nothing is known."""
        known = {name: place for place, name in enumerate(self.arms) if name}
        take = np.array([known.get(name, -1) for name in arms], np.int64)
        places = self._rows.state()[0]
        moments = np.ascontiguousarray(self._moments[:, :, take])
        for unseen, categories in zip(self._unseen, places["categories"], strict=True):
            for *_, row in categories:
                moments[0, row, take < 0] = 0.0
                moments[1, row, take < 0] = unseen
        names = [*arms]
        return type(self)(
            self._rows.names,
            self._max,
            {"arms": names, "owners": names, "categories": places["categories"]},
            moments,
            self._unseen,
            self._persons,
        )

    def move(self, context: Mapping[str, Any], person: bytes | None, out: Floats) -> None:
        """Move a shared model's belief, float64[3, K], in place.

        Raises
        ------
        LearnerError
            If the block is damaged or a segment is not a string.
        """
        rows = np.array(self._rows.active(context), np.int64)
        if not levels.move(
            self._moments, rows, self._unseen, self._rows.keys, person is not None,
            *view_person(person or b""), self._persons[0], self._persons[1], out,
        ):  # fmt: skip
            unpack_person(person or b"")  # says what is wrong with it

    def reasons(
        self, context: Mapping[str, Any], person: bytes | None, arm: int
    ) -> list[tuple[str, float]]:
        """Return what each segment and the person add to the mean of an arm's logit.

        Raises
        ------
        LearnerError
            As `move`.
        """
        parts = []
        for i, row in enumerate(self._rows.active(context)):
            label = f"{self._rows.names[i]} = {self._rows.category(i, context)}"
            parts.append((label, float(self._moments[0, row, arm]) if row >= 0 else 0.0))
        if person:
            known = unpack_person(person)
            evidence = (known.information, known.precision), known.at(int(self._rows.keys[arm]))
            variances, weights = self._persons
            labels = "person", f"person & {self.arms[arm]}"
            for i, (label, each) in enumerate(zip(labels, evidence, strict=True)):
                parts.append((label, levels.mixture(*each, variances[i], weights[i])[0]))
        return parts

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what `restored` needs: plain values and arrays."""
        values = {
            "segments": self._rows.names,
            "max_categories": self._max,
            "places": self._rows.state()[0],
        }
        arrays: Arrays = {
            "moments": self._moments, "unseen": self._unseen, "persons": self._persons
        }  # fmt: skip
        return values, arrays

    @classmethod
    def restored(cls, values: Mapping[str, Any], arrays: Arrays) -> Self:
        """Return the levels of which `state` gave values and arrays.

        Raises
        ------
        LearnerError
            If the arrays are of other types or do not fit together.
        """
        wanted = {"moments": np.float32, "unseen": np.float64, "persons": np.float64}
        for (name, type_), ndim in zip(wanted.items(), (3, 1, 3), strict=True):
            if arrays[name].dtype != type_ or arrays[name].ndim != ndim:
                raise LearnerError(f"array {name!r} of published levels is {arrays[name].dtype}")
        found = (arrays[name] for name in wanted)
        return cls(values["segments"], values["max_categories"], values["places"], *found)
