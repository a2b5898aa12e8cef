"""A classifier of River that forecasts what comes of offers, beside the models that decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from . import river_state
from .checkpoint import Data, pack, reading, unpack
from .errors import LearnerError
from .river_build import Built, Stage, StageError, build

_KIND = "RiverShadow"
ARM = "action"
"""What the feature is called that tells the arms apart."""
MOST_WORDS = 65_536
"""Categories that are told apart; those that come later are all as one, `OTHER`."""
OTHER = "(other)"
_FIRST_CHECK = 1024


class RiverShadow:
    """Forecast whether an offer gets a reward, with one classifier for all arms.

    What the classifier sees is the arm, the categories and the numbers. A classifier that takes
    texts, as trees do, has categories as texts. For any other, each becomes a feature of its own
    that is 1 where it holds, and each feature comes twice: once shared by all arms, and once of the
    arm's own, ``tea|mood=up``. So a linear model has what pays where arms have little data each,
    weights that are shared and weights of each arm's own. Transformers see the numbers alone.

    Parameters
    ----------
    stages
        See `build`.

    Attributes
    ----------
    learned
        How many examples.
    takes_texts
        Whether categories are given as texts.

    Raises
    ------
    StageError
        If the declaration is wrong, or the classifier tells no probabilities or cannot be kept.

    Examples
    --------
    >>> shadow = RiverShadow([
    ...     Stage("river.preprocessing.StandardScaler"),
    ...     Stage("river.linear_model.LogisticRegression", {"l2": 0.001}),
    ... ])
    >>> for k in range(200):
    ...     shadow.learn({"mood": "up" if k % 2 else "down"}, {"n": k % 3}, "tea", k % 2 == 1)
    >>> shadow.forecast({"mood": "up"}, {"n": 1.0}, "tea") > 0.6
    True
    >>> again = RiverShadow.from_bytes(shadow.to_bytes(), shadow.stages)
    >>> again.to_bytes() == shadow.to_bytes()
    True
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self.learned = 0
        self._words: dict[str, None] = {}
        self.takes_texts = _tried(self.stages)
        self._built = build(self.stages)

    def forecast(self, words: Mapping[str, str], numbers: Mapping[str, float], arm: str) -> float:
        """Return the probability of a reward; 0.5 where the classifier tells none.

        Parameters
        ----------
        words, numbers
            Categories and finite numbers by name; what is missing is left out.
        arm
            What was offered.

        Raises
        ------
        LearnerError
            If the classifier fails.
        """
        try:
            x = self._shown(words, numbers, arm, learn=None)
            return _probability(self._built.classifier.predict_proba_one(x))
        except Exception as error:  # a class of River, which may raise anything
            raise _failed("forecast", error) from error

    def learn(
        self, words: Mapping[str, str], numbers: Mapping[str, float], arm: str, happened: bool
    ) -> None:
        """Learn whether there was a reward.

        Raises
        ------
        LearnerError
            If the classifier fails, or has become too large; it is of no use from then on.
        """
        try:
            x = self._shown(words, numbers, arm, learn=bool(happened))
            self._built.classifier.learn_one(x, bool(happened))
        except Exception as error:  # a class of River, which may raise anything
            raise _failed("learn", error) from error
        self.learned += 1
        if self.learned >= _FIRST_CHECK and self.learned & (self.learned - 1) == 0:
            self.to_bytes()

    def to_bytes(self) -> bytes:
        """Return a snapshot, from which `from_bytes` makes an equal one.

        Raises
        ------
        LearnerError
            If the classifier's state cannot be kept, or is too large.
        """
        state = river_state.to_bytes([*self._built.transformers, self._built.classifier])
        values = {"learned": self.learned, "words": list(self._words)}
        return pack(_KIND, values, {"state": np.frombuffer(state, np.uint8)})

    @classmethod
    def from_bytes(cls, data: Data, stages: Sequence[Stage]) -> Self:
        """Return the shadow of a snapshot; it goes on as that one would.

        Raises
        ------
        LearnerError
            If the bytes are damaged, or of another version of River.
        """
        values, arrays = unpack(data, _KIND)
        made = cls(stages)
        found = river_state.from_bytes(arrays["state"].tobytes())
        with reading(_KIND):
            *before, classifier = found
            made._built = Built(tuple(before), classifier)
            made.learned = int(values["learned"])
            made._words = dict.fromkeys(map(str, values["words"]))
        return made

    def _shown(
        self, words: Mapping[str, str], numbers: Mapping[str, float], arm: str,
        learn: bool | None,
    ) -> dict[Any, Any]:  # fmt: skip
        """Return what the classifier sees; transformers learn it first where ``learn`` is given."""
        shown: dict[Any, Any] = dict(numbers)
        for one in self._built.transformers:
            if learn is not None:
                if getattr(one, "_supervised", False):
                    one.learn_one(shown, learn)
                else:
                    one.learn_one(shown)
            shown = one.transform_one(shown)
        known = {name: self._word(name, word, learn is not None) for name, word in words.items()}
        arm = self._word(ARM, arm, learn is not None)
        if self.takes_texts:
            return {**shown, **known, ARM: arm}
        shared = {**shown, **{f"{name}={word}": 1.0 for name, word in known.items()}}
        own = {f"{arm}|{name}": value for name, value in shared.items()}
        return {**shared, f"{ARM}={arm}": 1.0, **own}

    def _word(self, name: str, word: str, learn: bool) -> str:
        key = f"{name}={word}"
        if key not in self._words:
            if len(self._words) >= MOST_WORDS:
                return OTHER
            if learn:
                self._words[key] = None
        return word


def _tried(stages: Sequence[Stage]) -> bool:
    """Return whether a declared classifier takes texts, after trying what it will have to do."""
    problem: Exception | None = None
    for texts in (True, False):
        one = RiverShadow.__new__(RiverShadow)
        one.stages, one.learned, one._words, one.takes_texts = tuple(stages), 0, {}, texts
        one._built = build(stages)
        try:
            for k in range(24):
                seen = {"word": "ab"[k % 2]}, {"number": float(k % 5)}, "xyz"[k % 3]
                answer = one._built.classifier.predict_proba_one(one._shown(*seen, learn=None))
                one.learn(*seen, k % 2 == 0)
            if not isinstance(answer, dict) or answer.keys().isdisjoint((True, False)):
                break
            river_state.from_bytes(
                river_state.to_bytes([*one._built.transformers, one._built.classifier])
            )
        except NotImplementedError:
            break
        except Exception as error:  # a class of River, which may raise anything
            problem = error
        else:
            return texts
    else:
        raise StageError((), f"it cannot learn: {type(problem).__name__}: {problem}")
    raise StageError(
        (len(stages) - 1,),
        f"{stages[-1].name} tells no probabilities, so its forecasts cannot be compared",
    )


def _probability(answer: Any) -> float:
    found = float(answer.get(True, 0.0 if answer else 0.5))
    return found if 0.0 <= found <= 1.0 else 0.5


def _failed(what: str, error: Exception) -> LearnerError:
    if isinstance(error, LearnerError):
        return error
    return LearnerError(f"it cannot {what}: {type(error).__name__}: {error}"[:300])
