"""The segment of one: weights for all, for a segment, and for a person, each on those above."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .base import NOTHING, ArmModel, Belief, Bools, Floats, Offset, Step
from .candidates import VARIANCES, Candidates, Variances
from .checkpoint import fill, pack, reading, sound, unpack
from .checks import count
from .errors import LearnerError
from .kernels import levels
from .one_person import OnePerson
from .person import MOST_ARMS, Person, block_bytes, pack_person, unpack_person
from .published import PublishedArms
from .published_levels import PublishedLevels
from .segments import SegmentWeights

_KIND = "SegmentOfOne"


class SegmentOfOne:
    """A model of arms, and on top of it what a segment and one person differ by.

    The logit of an arm is the shared model's, plus one weight for the arm in each segment that the
    person is in, plus two weights of the person: an intercept, and one for the arm. Every weight is
    a Gaussian residual around zero, so that it stays with the level above until it has evidence of
    its own. All learn in one joint step. How far segments and persons differ is learned as well:
    each level weighs candidates for its prior variance by how well they foretold, and zero is one
    of them.

    A person's weights are a block of `person_bytes` bytes that the caller keeps, and gives to
    `belief` and `learn`. The model keeps nothing of any person.

    Parameters
    ----------
    model
        The shared level.
    segments
        Names of contexts whose categories are segments; best such that the shared model does not
        have as contexts of its own.
    segment_variance, person_variance
        Prior variance of a segment's weights and of a person's (logits squared), or candidates for
        it. 0 alone leaves the level out.
    forgetting
        The part of a residual's evidence that goes each time it is used, in [0, 1).
    person_arms
        Most arms of a person that have a weight, up to `MOST_ARMS`. When another is learned, the
        one leaves that moves its logit least.
    max_categories
        Bound of the categories of one segment's context; later ones share one.

    Raises
    ------
    LearnerError
        If a setting is out of range or a segment's name is empty or given twice.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker
    >>> one = SegmentOfOne(BayesianRanker(["tea", "coffee"]), person_variance=1.0)
    >>> ann, bob = b"", b""
    >>> for _ in range(20):
    ...     ann = one.learn({}, None, 0, 1.0, person=ann)
    ...     bob = one.learn({}, None, 0, 0.0, person=bob)
    >>> [round(float(one.belief({}, person=p).probability[0]), 1) for p in (ann, None, bob)]
    [0.9, 0.5, 0.1]
    >>> len(ann) == one.person_bytes
    True

    References
    ----------
    Gelman and Hill (2007), "Data analysis using regression and multilevel/hierarchical models",
    chapter 12 (partial pooling). Graepel et al. (2010), as in `ADFLogisticRegression`. For the
    candidates see `kernels.levels`.
    """

    def __init__(
        self,
        model: ArmModel,
        segments: Sequence[str] = (),
        *,
        segment_variance: Variances = VARIANCES,
        person_variance: Variances = VARIANCES,
        forgetting: float = 0.0,
        person_arms: int = 16,
        max_categories: int = 1000,
    ) -> None:
        self.model, self.segments = model, tuple(segments)
        # One for each segment's context, one for the persons' intercepts, one for their arms.
        self._levels = [Candidates("segment_variance", segment_variance) for _ in self.segments]
        self._levels += [Candidates("person_variance", person_variance) for _ in range(2)]
        of_segments = Candidates("segment_variance", segment_variance).variances
        if not 0.0 <= forgetting < 1.0:
            raise LearnerError(f"forgetting must be in [0, 1), got {forgetting}")
        if not 1 <= person_arms <= MOST_ARMS:
            raise LearnerError(f"person_arms must be in [1, {MOST_ARMS}], got {person_arms}")
        # Also what a snapshot restores the model from.
        self._settings: dict[str, Any] = {
            "segment_variance": of_segments.tolist(),
            "person_variance": self._levels[-1].variances.tolist(),
            "forgetting": float(forgetting),
            "person_arms": int(person_arms),
            "max_categories": int(max_categories),
        }
        self._keep, self._person_arms = 1.0 - forgetting, int(person_arms)
        self._rows = SegmentWeights(self.segments, max_categories)
        self.updates = 0
        self._rows.follow(self.model.arms)

    @property
    def arms(self) -> Sequence[str]:
        """The name of the arm at each place, as in the shared model."""
        return self.model.arms

    @property
    def live(self) -> Bools:
        """bool[K], which places have an arm."""
        return self.model.live

    @property
    def person_bytes(self) -> int:
        """The size of every person's block."""
        return block_bytes(self._person_arms)

    @property
    def spread(self) -> dict[str, float]:
        """The prior variance learned, by segment's name, of persons, and of persons and arms."""
        names = [*self.segments, "person", "person & arm"]
        return {n: level.expected for n, level in zip(names, self._levels, strict=True)}

    def belief(
        self,
        context: Mapping[str, Any],
        features: Floats | None = None,
        person: bytes | None = None,
    ) -> Belief:
        """Return what is believed of every place.

        Parameters
        ----------
        context, features
            As in `ArmModel.belief`. A segment is a string, or None.
        person
            The person's block; empty for a person of whom nothing is known yet; None for nobody in
            particular.

        Raises
        ------
        LearnerError
            If the block is damaged or a segment is not a string, or as the shared model.
        """
        known = None if person is None else unpack_person(person)
        shared = self.model.belief(context, features)
        mean, variance = self._residual(context, known)
        probability = np.empty(len(mean))
        levels.moderate(*shared, mean, variance, probability)
        return Belief(shared.mean + mean, shared.variance + variance, probability)

    def learn(
        self,
        context: Mapping[str, Any],
        features: Floats | None,
        arm: int,
        reward: float,
        person: bytes | None = None,
    ) -> bytes:
        """Learn that an arm got a reward, at all levels in one step.

        Parameters
        ----------
        context, features, arm, reward
            As in the shared model's `learn`: of a `BayesianRanker`'s features the arm's row alone
            is enough.
        person
            As in `belief`.

        Returns
        -------
        The person's new block, `person_bytes` long; empty if there was no person.

        Raises
        ------
        LearnerError
            As `belief` and the shared model's `learn`; nothing is learned then.
        """
        return self._learn(context, features, arm, reward, person, NOTHING)[1]

    def of(self, person: bytes) -> OnePerson:
        """Return the model of one person, for whoever wants a model of arms."""
        unpack_person(person)
        return OnePerson(self, person)

    def explain(
        self, context: Mapping[str, Any], arm: int, person: bytes | None = None
    ) -> list[tuple[str, float]]:
        """Return what each segment and the person add to the mean of an arm's logit.

        Raises
        ------
        LearnerError
            As `belief`, or if there is no such place.
        """
        parts = self._moments(context, arm, person)
        labels = [
            f"{name} = {self._rows.category(i, context)}" for i, name in enumerate(self.segments)
        ]
        labels += ["person", f"person & {self.arms[arm]}"]
        return [(label, mean) for label, (mean, _) in zip(labels, parts, strict=False)]

    def anew(self) -> Self:
        """Return a model with the same arms, at their places, that has learned nothing.

        What the blocks of persons say of them stays, unless the caller begins them anew too.

        Raises
        ------
        LearnerError
            If the shared model cannot begin anew.
        """
        begin = getattr(self.model, "anew", None)
        if begin is None:
            raise LearnerError(f"a {type(self.model).__name__} cannot begin anew")
        return type(self)(begin(), self.segments, **self._settings)

    def publish(self, fold: bool = False, spare: bool = False) -> PublishedArms:
        """Return a fast copy of the model, with all its levels, that no longer learns.

        Parameters
        ----------
        fold, spare
            As of `BayesianRanker.publish`.

        Raises
        ------
        LearnerError
            If the shared model cannot be published.
        """
        publish = getattr(self.model, "publish", None)
        if publish is None:
            raise LearnerError(f"a {type(self.model).__name__} has no publish")
        self._rows.follow(self.model.arms)
        most = self._settings["max_categories"]
        levels = PublishedLevels.of(self._rows, most, self._levels)
        shared: PublishedArms = publish(fold, spare)
        if shared.arms != levels.arms:
            levels = levels.arranged(shared.arms)
        return shared.with_levels(levels)

    def to_bytes(self) -> bytes:
        """Return a snapshot of all but the persons, from which `from_bytes` makes an equal model.

        Raises
        ------
        LearnerError
            If the shared model cannot be written.
        """
        write = getattr(self.model, "to_bytes", None)
        if write is None:
            raise LearnerError(f"a {type(self.model).__name__} has no to_bytes")
        rows, evidence = self._rows.state()
        values = {
            "segments": self.segments,
            "settings": self._settings,
            "rows": rows,
            "updates": self.updates,
        }
        arrays: dict[str, NDArray[Any]] = {
            "evidence": evidence,
            "weights": np.concatenate([level.weights for level in self._levels]),
            "model": np.frombuffer(write(), np.uint8),
        }
        return pack(_KIND, values, arrays)

    @classmethod
    def from_bytes(cls, data: bytes, load: Callable[[bytes], ArmModel]) -> Self:
        """Return the model of a snapshot; it continues bit for bit.

        Parameters
        ----------
        data
            As of `to_bytes`.
        load
            Makes the shared model from its bytes, such as its class's `from_bytes`.

        Raises
        ------
        LearnerError
            If the bytes are damaged, or of another version or kind.
        """
        values, arrays = unpack(data, _KIND)
        with reading(_KIND):
            one = cls(load(arrays["model"].tobytes()), values["segments"], **values["settings"])
            evidence = np.empty(arrays["evidence"].shape)
            fill(evidence, arrays, "evidence")
            one._rows.restore(values["rows"], evidence)
            one.updates = count("updates", values["updates"])
            sound("evidence", evidence[0])
            sound("evidence", evidence[1], least=0.0)
            weights = np.concatenate([level.weights for level in one._levels])
            fill(weights, arrays, "weights")
            sound("weights", weights, least=0.0)
            at = 0
            for level in one._levels:
                level.weights[:] = weights[at : at + len(level.weights)]
                at += len(level.weights)
                if abs(float(level.weights.sum()) - 1.0) > 1e-6:
                    raise LearnerError("snapshot of a level whose weights are no probabilities")
        return one

    def _learn(
        self,
        context: Mapping[str, Any],
        features: Floats | None,
        arm: int,
        reward: float,
        person: bytes | None,
        offset: Offset,
    ) -> tuple[Step, bytes]:
        self._rows.follow(self.model.arms)
        known = None if person is None else unpack_person(person)
        self._check_place(arm)
        rows = self._rows.active(context)
        evidence = [
            (self._keep * information, self._keep * precision)
            for information, precision in self._at(rows, known, arm)
        ]
        used = self._levels[: len(evidence)]
        beliefs = [level.moments(*each) for level, each in zip(used, evidence, strict=True)]
        mean = math.fsum(m for m, _ in beliefs) + offset.mean
        variance = math.fsum(v for _, v in beliefs) + offset.variance
        step = self.model.learn(context, features, arm, reward, Offset(mean, variance))

        learned = []
        for level, each, (m, v) in zip(used, evidence, beliefs, strict=True):
            if level.several:
                rest = max(step.variance + variance - v, 0.0)
                level.reweigh(*each, step.mean + mean - m, rest, reward)
            learned.append(levels.observe(*each, m, v, step.slope, step.curvature))
        for i, row in enumerate(rows):
            self._rows.put(i, row, context, arm, learned[i])
        self.updates += 1
        if known is None:
            return step, b""
        intercept, own = learned[len(rows) :]
        key, room = int(self._rows.keys[arm]), self._person_arms
        new = known.learned(intercept, key, own, self._rows.places, room)
        return step, pack_person(new, room)

    def _moments(
        self, context: Mapping[str, Any], arm: int, person: bytes | None
    ) -> list[tuple[float, float]]:
        """Return mean and variance of what each level adds to an arm's logit."""
        self._rows.follow(self.model.arms)
        self._check_place(arm)
        known = None if person is None else unpack_person(person)
        evidence = self._at(self._rows.active(context), known, arm)
        # Without a person there are fewer.
        return [level.moments(*each) for level, each in zip(self._levels, evidence, strict=False)]

    def _check_place(self, arm: int) -> None:
        if not 0 <= arm < len(self._rows.keys) or not self._rows.keys[arm]:
            raise LearnerError(f"there is no arm at place {arm!r} of {len(self._rows.keys)}")

    def _residual(self, context: Mapping[str, Any], known: Person | None) -> tuple[Floats, Floats]:
        """Return the mean and the variance of what the levels add to every place's logit."""
        self._rows.follow(self.model.arms)
        k = len(self._rows.keys)
        mean, variance = np.zeros(k), np.zeros(k)
        for i, row in enumerate(self._rows.active(context)):
            self._levels[i].add(self._rows.row(row), mean, variance)
        if known is not None:
            m, v = self._levels[-2].moments(known.information, known.precision)
            mean += m
            variance += v
            at = np.zeros((2, k))
            levels.scatter(
                np.array(known.keys, np.uint64),
                np.array((known.arm_information, known.arm_precision), np.float64),
                self._rows.keys,
                at,
            )
            self._levels[-1].add(at, mean, variance)
        return mean, variance

    def _at(self, rows: list[int], known: Person | None, arm: int) -> list[tuple[float, float]]:
        """Return the evidence on an arm at every level, of the person only if there is one."""
        found = [self._rows.at(row, arm) for row in rows]
        if known is not None:
            found.append((known.information, known.precision))
            found.append(known.at(int(self._rows.keys[arm])))
        return found
