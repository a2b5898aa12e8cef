"""A model of arms as it is served: read only, single precision, as fast as the machine adds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import arm_checks as check
from .arm_weights import MAX_EXPERTS
from .base import Belief
from .checkpoint import Arrays, Data, pack, reading, unpack
from .checks import names
from .context_encoder import ContextEncoder
from .errors import LearnerError
from .kernels import bayes_serve
from .published_levels import PublishedLevels
from .published_stamp import Stamp
from .published_stamp import checked as checked_stamp

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]

_Shared = tuple[
    Sequence[str], Sequence[str], int, ContextEncoder, tuple[Singles, Singles, Singles, Floats]
]
_KIND = "PublishedArms"
_ARRAYS = ("table", "dense", "action", "weights")

LARGEST_SERVED = bayes_serve.LARGEST
"""The largest magnitude of a number in a decision."""


class Choice(NamedTuple):
    """One arm of K, chosen by SquareCB.

    Attributes
    ----------
    arm
        Place of the chosen arm.
    propensity
        The exact probability that it was to be chosen.
    scores
        float64[K], predictive probability of reward 1.
    propensities
        float64[K], the probability of each choice; 0 where not eligible.
    """

    arm: int
    propensity: float
    scores: Floats
    propensities: Floats


class PublishedArms:
    """What `BayesianRanker` and `SegmentOfOne` publish: all that a decision needs of a model.

    A replica makes it of bytes, and serves it with a `Policy`, or with `decide` for the fastest
    way to SquareCB. Its beliefs are the live model's, to single precision: probabilities within
    2e-6, means and variances within 2e-6 of the largest weight that they add up. If it was
    published with `fold`, they are those of one Gaussian, with the mean of the ranker's belief and
    the average variance of the experts: the same with one expert, near with experts that agree. A
    propensity is exact for the scores that it comes with.

    Attributes
    ----------
    arms
        Name of the arm at each place; empty where there is none.
    live
        bool[K], which places have an arm; others are never chosen.
    version
        The model's `updates` when it was published.
    arrays
        `table`, `dense`, `action` and `weights` of `kernels.bayes_serve`; not to be changed.
    stamp
        Where it stands among others, if whoever published it said so.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker
    >>> ranker = BayesianRanker(["tea", "coffee"], contexts=["hour"])
    >>> for i in range(300):
    ...     step = ranker.learn({"hour": "morning"}, None, i % 2, float(i % 2))
    >>> choice = ranker.publish().decide({"hour": "morning"}, gamma=100.0, draw=0.5)
    >>> choice.arm, round(choice.propensity, 2)
    (1, 0.99)

    A replica, which has the model's bytes, the customer's block and a policy:

    >>> from nextbest.learners import Policy, SegmentOfOne
    >>> from nextbest.learners.policies import Greedy
    >>> one = SegmentOfOne(BayesianRanker(["tea", "coffee"], contexts=["hour"]))
    >>> ann = b""
    >>> for _ in range(30):
    ...     ann = one.learn({"hour": "morning"}, None, 0, 1.0, person=ann)
    >>> served = PublishedArms.from_bytes(one.publish().to_bytes())
    >>> policy = Policy(Greedy(), floor=0.05)
    >>> pull = policy.pull(served.of(ann), {"hour": "morning"}, decision=1)
    >>> served.arms[pull.arm], pull.version.split(".")[1]
    ('tea', '30')
    """

    def __init__(
        self,
        arms: Sequence[str],
        action_features: Sequence[str],
        version: int,
        encoder: ContextEncoder,
        arrays: tuple[Singles, Singles, Singles, Floats],
        levels: PublishedLevels | None = None,
        stamp: Stamp | None = None,
    ) -> None:
        self.arms, self.action_features = tuple(arms), tuple(action_features)
        self.live = np.array([arm != "" for arm in self.arms])
        self.version = version
        self._encoder = encoder
        self.arrays = arrays
        self._unseen = arrays[0].shape[1] - 1
        self._levels = levels
        self.stamp = stamp

    def belief(
        self,
        context: Mapping[str, Any],
        features: ArrayLike | None = None,
        person: bytes | None = None,
    ) -> Belief:
        """Return what is believed of every place.

        Parameters
        ----------
        context, features, person
            As in `BayesianRanker.belief` and `SegmentOfOne.belief`.

        Raises
        ------
        LearnerError
            If a value cannot be used, a shape is wrong or the block is damaged; or if there is a
            person, and the model has no weights of persons.
        """
        shape = (len(self.arms), len(self.action_features))
        # The kernel looks for numbers that are too large; the checks then say which.
        matrix = features if _plain(features, shape) else self._features(features, shape)
        rows, x = self._encoder.rows_and_numbers(context, self._unseen)
        out = np.empty((3, len(self.arms)))
        if not bayes_serve.serve(*self.arrays, rows, x, matrix, out):
            _single("contexts", x)
            _single("features", self._features(features, shape))
        if self._levels is not None:
            self._levels.move(context, person, out)
        elif person is not None:
            raise LearnerError("a model that was published without weights of persons got one")
        return Belief(out[0], out[1], out[2])

    def with_levels(self, levels: PublishedLevels) -> "PublishedArms":
        """Return a model with the same shared weights, and levels above them."""
        return PublishedArms(*self._shared, levels)

    def stamped(self, stamp: Stamp | None) -> "PublishedArms":
        """Return the same model with another stamp, which its bytes keep; None: without one.

        Raises
        ------
        LearnerError
            If it is no stamp.
        """
        return PublishedArms(*self._shared, self._levels, checked_stamp(stamp))

    def of(self, person: bytes | None) -> "PublishedPerson":
        """Return the model of one person, for a policy to choose with."""
        return PublishedPerson(self, person)

    def decide(
        self,
        context: Mapping[str, Any],
        features: ArrayLike | None = None,
        *,
        gamma: float,
        draw: float,
        eligible: ArrayLike | None = None,
    ) -> Choice:
        """Score all arms and choose one.

        Parameters
        ----------
        context, features
            As in `BayesianRanker.belief`.
        gamma
            How strongly SquareCB exploits: not negative, inf is greedy.
        draw
            The uniform number in [0, 1) that chooses.
        eligible
            bool[K], the arms that may be chosen; None for all.

        Raises
        ------
        LearnerError
            If no arm is eligible, a value cannot be used or a shape is wrong.
        """
        shape = (len(self.arms), len(self.action_features))
        matrix = self._features(features, shape)
        rows, x = self._encoder.rows_and_numbers(context, self._unseen)
        gammas, draws = _ranges(np.array([gamma], np.float64), np.array([draw], np.float64))
        arms, propensities, scores, chances = self._run(
            rows[None], x[None], matrix[None], self._eligible(eligible), gammas, draws
        )
        return Choice(int(arms[0]), float(propensities[0]), scores, chances)

    def decide_many(
        self,
        contexts: Mapping[str, Any],
        features: ArrayLike | None = None,
        *,
        gammas: ArrayLike,
        draws: ArrayLike,
        eligible: ArrayLike | None = None,
    ) -> tuple[NDArray[np.int64], Floats]:
        """Return the arms and the propensities of N decisions: the same bits as `decide`.

        Parameters
        ----------
        contexts
            Columns of N values by name.
        features
            float64[N, K, A]; None if the model has none.
        gammas, draws
            float64[N], as in `decide`.
        eligible
            bool[K], the same for all; None for all arms.

        Raises
        ------
        LearnerError
            As `decide`, or if lengths differ.
        """
        n = np.size(draws)
        gammas, draws = _ranges(
            check.floats("gammas", gammas, (n,)), check.floats("draws", draws, (n,))
        )
        shape = (n, len(self.arms), len(self.action_features))
        matrix = self._features(features, shape)
        rows, x = self._encoder.columns(contexts, n, self._unseen)
        mask = self._eligible(eligible)
        arms, propensities, _, _ = self._run(rows, x, matrix, mask, gammas, draws)
        return arms, propensities

    def to_bytes(self) -> bytes:
        """Return the model as bytes, of which `from_bytes` makes an equal one."""
        values: dict[str, Any] = {
            "arms": self.arms,
            "action_features": self.action_features,
            "numbers": self._encoder.numbers,
            "contexts": self._encoder.contexts,
            "version": self.version,
            "categories": self._encoder.names,
            "closed": sorted(self._encoder.closed),
            "levels": None,
        }
        if self.stamp is not None:
            values["stamp"] = self.stamp
        arrays: Arrays = dict(zip(_ARRAYS, self.arrays, strict=True))
        if self._levels is not None:
            values["levels"], more = self._levels.state()
            arrays |= more
        return pack(_KIND, values, arrays)

    @classmethod
    def from_bytes(cls, data: Data) -> Self:
        """Return the model of `to_bytes`; it decides alike, bit for bit.

        Raises
        ------
        LearnerError
            If the bytes are damaged, of another version or kind, or hold no such model.
        """
        values, arrays = unpack(data, _KIND)
        with reading(_KIND):
            arms, features = values["arms"], values["action_features"]
            names("arm", (arm for arm in arms if arm != ""))
            names("action feature", features)
            names("context", [*values["numbers"], *values["contexts"]])
            encoder = ContextEncoder(values["numbers"], values["contexts"], 1)  # it learns nothing
            encoder.restore(*check.categories(values))
            found = _checked(arrays, len(arms), len(features), encoder)
            known = values["levels"]
            levels = None if known is None else PublishedLevels.restored(known, arrays)
            if levels is not None and levels.arms != tuple(arms):
                raise LearnerError("published levels of other arms than the model's")
            stamp = checked_stamp(values.get("stamp"))
            return cls(arms, features, int(values["version"]), encoder, found, levels, stamp)

    @property
    def _shared(self) -> "_Shared":
        return self.arms, self.action_features, self.version, self._encoder, self.arrays

    def _run(
        self,
        rows: NDArray[np.int64],
        x: Floats,
        features: Floats,
        eligible: Bools,
        gammas: Floats,
        draws: Floats,
    ) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
        n, k = len(rows), len(self.arms)
        arms, propensities = np.empty(n, np.int64), np.empty(n)
        scores, chances = np.empty(k), np.empty(k)
        bayes_serve.decide_rows(
            *self.arrays, rows, _single("contexts", x), _single("features", features), eligible,
            gammas, draws, arms, propensities, scores, chances,
        )  # fmt: skip
        return arms, propensities, scores, chances

    def _features(self, values: ArrayLike | None, shape: tuple[int, ...]) -> Floats:
        return check.features(values, shape, self.action_features)

    def _eligible(self, given: ArrayLike | None) -> Bools:
        if given is None:
            mask = self.live
        else:
            array = np.asarray(given, np.bool_)
            if array.shape != self.live.shape:
                raise LearnerError(f"eligible must be bool{self.live.shape}, got {array.shape}")
            mask = array & self.live
        if not mask.any():
            raise LearnerError("no arm is eligible")
        return mask


class PublishedPerson:
    """A published model of arms for one person: what a policy asks.

    Attributes
    ----------
    arms, live, version
        As of `PublishedArms`.
    """

    def __init__(self, model: PublishedArms, person: bytes | None) -> None:
        self._model, self._person = model, person
        self.arms, self.live, self.version = model.arms, model.live, model.version

    def belief(self, context: Mapping[str, Any], features: ArrayLike | None = None) -> Belief:
        """Return what is believed of every place for this person."""
        return self._model.belief(context, features, self._person)


def _checked(
    arrays: Arrays, arms: int, features: int, encoder: ContextEncoder
) -> tuple[Singles, Singles, Singles, Floats]:
    """Return the arrays of a model as it says it is."""
    table, dense, action, weights = (arrays[name] for name in _ARRAYS)
    experts, d = len(weights), 1 + len(encoder.numbers)
    if arms < 1 or not 1 <= experts <= MAX_EXPERTS:
        raise LearnerError(f"published model of {arms} arms and {experts} experts")
    shapes = {
        "table": (experts, len(encoder.names) + 1, 2 * arms),
        "dense": (experts, d * (d + 1) // 2, 2 * arms),
        "action": (experts, 2, features),
        "weights": (experts,),
    }
    for (name, shape), array in zip(shapes.items(), (table, dense, action, weights), strict=True):
        type_ = np.float64 if name == "weights" else np.float32
        if array.shape != shape or array.dtype != type_:
            raise LearnerError(f"array {name!r} of a published model is {array.dtype}{array.shape}")
        if not np.isfinite(array).all():
            raise LearnerError(f"array {name!r} of a published model is not finite")
    if (weights < 0.0).any() or abs(float(weights.sum()) - 1.0) > 1e-6:
        raise LearnerError("published model of experts whose weights are no probabilities")
    return table, dense, action, weights


def _plain(values: object, shape: tuple[int, int]) -> TypeGuard[Floats]:
    return (
        type(values) is np.ndarray
        and values.dtype == np.float64
        and values.shape == shape
        and values.flags.c_contiguous
        and values.flags.writeable  # a read-only array is another type to a kernel
    )


def _single(what: str, values: Floats) -> Singles:
    if (np.abs(values) > LARGEST_SERVED).any():
        raise LearnerError(f"a served number of {what} must not be beyond {LARGEST_SERVED:g}")
    return values.astype(np.float32)


def _ranges(gammas: Floats, draws: Floats) -> tuple[Floats, Floats]:
    for gamma in gammas[~(gammas >= 0.0)][:1].tolist():
        raise LearnerError(f"gamma must not be negative, got {gamma!r}")
    for draw in draws[~((draws >= 0.0) & (draws < 1.0))][:1].tolist():
        raise LearnerError(f"a draw must be in [0, 1), got {draw!r}")
    return gammas, draws
