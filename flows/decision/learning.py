"""What is learned from credited offers: one model an objective, and each customer's own weights.

The weights are a function of the examples in the order of (time, position, name), each once: a
response that comes late, one that is corrected or withdrawn, and partitions that arrive in another
order, all end at the same bits as if everything had come in that order. This holds as long as
nothing is older than what the learners can still take back (`Learning.refused` counts what is), and
as there are no more customers than are kept.

Knows no dataflow engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ...features.errors import StateError
from ...learners import BayesianRanker, Example, LearnerError, RepairingLearner, SegmentOfOne
from ...learners.kernels.limits import LARGEST
from ...learners.published import PublishedArms
from .fleet_state import champion_state
from .inputs import category
from .models import load_model, new_learner, publish
from .open_decisions import Credit
from .sharing import Sharing
from .strategy import Model

APART_US = 86_400_000_000
"""How far apart in event time the partitions of a log may be without an example being refused."""
MOST_PEOPLE = 1_000_000
"""Customers whose own weights are kept, by objective; those who learned longest ago leave."""
FORMAT = 1

_ACTION = ":action"  # in an example's context; no name of a strategy begins like this

_Batches = list[list[Credit]]
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(_Batches)


class _Learner(msgspec.Struct, array_like=True):
    learner: bytes
    people: dict[str, bytes]


class _State(msgspec.Struct, array_like=True):
    format: int
    shape: list[Any]
    objectives: dict[str, _Learner]
    told: int = 0


_STATES = msgspec.msgpack.Decoder(_State)


@dataclass
class _Objective:
    repairing: RepairingLearner[SegmentOfOne]
    people: dict[str, bytes] = field(default_factory=dict)


class Learning:
    """The learners of a strategy's objectives.

    Parameters
    ----------
    model
        What the models see.
    spans
        By objective: how late an example may be, microseconds of event time before the newest.
    full, changes
        What `to_bytes` and, after it, `change` returned elsewhere. If the strategy's model has
        changed since, new models learn what the journals still hold.
    most_people
        Bound of memory.
    settings
        Of the `BayesianRanker`, where its defaults are not wanted.

    Attributes
    ----------
    refused
        How many examples came too late to be learned.
    told
        How often objectives were told something: it never falls, but where a state is resumed.

    Raises
    ------
    StateError
        If the bytes are damaged or of another format.

    Examples
    --------
    >>> learning = Learning(Model(), {"sale": 0})
    >>> credit = Credit("sale", "d/0", 7, 1, "ann", "tea", 1.0, False, False, 0, {}, [])
    >>> learning.learn([credit])
    >>> learning.versions, list(learning.changed_people())
    ({'sale': 1}, ['ann'])
    """

    def __init__(
        self,
        model: Model,
        spans: Mapping[str, int],
        full: bytes | None = None,
        changes: Sequence[bytes] = (),
        *,
        most_people: int = MOST_PEOPLE,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._model, self._most_people = model, most_people
        self._settings = dict(settings or {})
        self._numbers, self._segments = tuple(model.numbers), tuple(model.segments)
        self._words = (*model.contexts, *model.segments)
        self._width = len(model.action_features)
        self._shared = Sharing()
        self._objectives = {name: _Objective(self._fresh(span)) for name, span in spans.items()}
        self._batches: _Batches = []
        self._models: dict[str, None] = dict.fromkeys(self._objectives)
        self._people: dict[str, None] = {}
        self.told = 0
        try:
            if full is not None:
                self._restore(_STATES.decode(champion_state(full)))
            for change in changes:
                for batch in _DECODER.decode(change):
                    self._learn(batch)
        except (msgspec.DecodeError, LearnerError) as error:
            raise StateError(f"the learners' state is damaged: {error}") from error

    @property
    def versions(self) -> dict[str, int]:
        """By objective: how many outcomes its model has learned."""
        return {name: each.repairing.model.updates for name, each in self._objectives.items()}

    @property
    def kept(self) -> dict[str, int]:
        """By objective: how many examples can still be taken back."""
        return {name: each.repairing.pending for name, each in self._objectives.items()}

    @property
    def refused(self) -> int:
        """How many examples came too late to be learned."""
        return sum(each.repairing.refused for each in self._objectives.values())

    def learn(self, credits_: Sequence[Credit], *, keep: bool = True) -> None:
        """Learn what objectives are told; of objectives that there are no more, nothing.

        Parameters
        ----------
        credits_
            In any order.
        keep
            Whether `change` is to tell of it.
        """
        if credits_:
            if keep:
                self._batches.append(list(credits_))
            self._learn(credits_)

    def adopt(self, other: Learning, wanted: Callable[[str], bool]) -> None:
        """Learn those examples that another can still take back, and whose names are wanted."""
        for name, each in other._objectives.items():
            self._teach(name, [one for one in each.repairing.examples if wanted(one.id)])

    def change(self) -> bytes | None:
        """Return what was learned since this was called last; None: nothing."""
        batches, self._batches = self._batches, []
        return _ENCODER.encode(batches) if batches else None

    def to_bytes(self) -> bytes:
        """Return everything."""
        objectives = {
            name: _Learner(each.repairing.to_bytes(), each.people)
            for name, each in self._objectives.items()
        }
        return _ENCODER.encode(_State(FORMAT, self._shape, objectives, self.told))

    def changed_models(self) -> dict[str, PublishedArms]:
        """Return the models that changed since this was called last, as they are served."""
        names, self._models = self._models, {}
        return {name: publish(self._objectives[name].repairing.model) for name in names}

    def model(self, objective: str) -> bytes:
        """Return an objective's model as it learns: `SegmentOfOne.to_bytes`."""
        return self._objectives[objective].repairing.model.to_bytes()

    def changed_people(self) -> dict[str, bytes]:
        """Return what customers' own weights changed to: msgpack of blocks by objective."""
        return {name: self.person(name) for name in self.changed_names()}

    def person(self, customer: str) -> bytes:
        """Return a customer's own weights as they are published."""
        return _ENCODER.encode(self.blocks(customer))

    def blocks(self, customer: str) -> dict[str, bytes]:
        """Return a customer's own weights by objective."""
        blocks = {name: each.people.get(customer) for name, each in self._objectives.items()}
        return {name: block for name, block in blocks.items() if block}

    def changed_names(self) -> list[str]:
        """Return the customers whose own weights changed since this was called last."""
        names, self._people = self._people, {}
        return list(names)

    def publish_again(self, *, people: bool = True) -> None:
        """Have everything count as changed, or the models alone."""
        self._models.update(dict.fromkeys(self._objectives))
        for each in self._objectives.values() if people else ():
            self._people.update(dict.fromkeys(each.people))

    @property
    def models_wait(self) -> bool:
        """Whether a model changed that was not asked for."""
        return bool(self._models)

    @property
    def people_wait(self) -> bool:
        """Whether a customer's own weights changed that were not asked for."""
        return bool(self._people)

    @property
    def _shape(self) -> list[Any]:
        m = self._model
        names = [[*m.contexts], [*m.numbers], [*m.action_features], [*m.segments]]
        return [*names, m.personal]

    def _fresh(self, span: int) -> RepairingLearner[SegmentOfOne]:
        return RepairingLearner(
            new_learner(self._model, **self._settings), window=span, learn=learn_action,
            save=SegmentOfOne.to_bytes, load=load_model, snapshots=8, remember=span,
        )  # fmt: skip

    def _restore(self, state: _State) -> None:
        if state.format != FORMAT:
            raise StateError(f"the learners' state is of format {state.format}, not {FORMAT}")
        self.told = state.told
        for name, saved in state.objectives.items():
            each = self._objectives.get(name)
            if each is None:
                continue
            learner = RepairingLearner.from_bytes(
                saved.learner, learn=learn_action, save=SegmentOfOne.to_bytes, load=load_model
            )
            if state.shape == self._shape:
                learner.window = learner.remember = each.repairing.window
                each.repairing, each.people = learner, saved.people
            else:
                self._teach(name, [self._as_now(example) for example in learner.examples])

    def _learn(self, credits_: Sequence[Credit]) -> None:
        self.told += len(credits_)
        by: dict[str, list[Example]] = {}
        for credit in credits_:
            if credit.objective in self._objectives:
                by.setdefault(credit.objective, []).append(self._example(credit))
        for name, examples in by.items():
            self._teach(name, examples)

    def _teach(self, name: str, examples: list[Example]) -> None:
        each = self._objectives[name]
        done = each.repairing.learn_many(examples, each.people)
        if done.learned or done.replayed:
            self._models[name] = None
        for customer, block in done.people.items():
            if each.people.pop(customer, None) != block:  # learned again, most come out as before
                self._people[customer] = None
            if block:
                each.people[customer] = block
        while len(each.people) > self._most_people:
            del each.people[next(iter(each.people))]

    def _example(self, credit: Credit) -> Example:
        features = [np.nan if value is None else value for value in credit.features]
        return Example(
            credit.id, credit.time, credit.position,
            {**self._context(credit.inputs), _ACTION: self._shared(credit.action)},
            self._features(features), 0, credit.reward, credit.silence,
            self._shared(credit.customer) if self._model.personal else None,
            credit.revision, credit.withdrawn,
        )  # fmt: skip

    def _as_now(self, example: Example) -> Example:
        """Return an example of another shape of the model; what it lacks is missing."""
        context = {**self._context(example.context), _ACTION: example.context[_ACTION]}
        features = [] if example.features is None else example.features.tolist()
        return example._replace(
            context=context,
            features=self._features(features),
            customer=example.customer if self._model.personal else None,
        )

    def _context(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the model can use; of anything else it is as if it were missing."""
        context: dict[str, Any] = {}
        for name in self._words:
            word = _category(inputs.get(name))
            context[name] = None if word is None else self._shared(word)
        for name in self._numbers:
            value = inputs.get(name)
            fits = isinstance(value, int | float) and abs(value) <= LARGEST
            context[name] = float(value) if fits and value is not None else None
        return context

    def _features(self, values: Sequence[float]) -> npt.NDArray[np.float64] | None:
        if not self._width:
            return None
        array = np.full(self._width, np.nan)
        if len(values) == self._width:
            array[:] = values
            array[~(np.abs(array) <= LARGEST)] = np.nan
        return array


def learn_action(one: SegmentOfOne, example: Example, person: bytes | None) -> bytes | None:
    """Teach an example to a model whose arms are the actions, in the order that they are learned.

    An action that there is no room for is not learned.
    """
    action = example.context[_ACTION]
    ranker = one.model
    assert isinstance(ranker, BayesianRanker)
    if not action:  # the name of a place without an arm
        return person
    if action in ranker.arms:
        place = ranker.place(action)
    else:
        try:
            place = ranker.add_arm(action)
        except LearnerError:
            return person
    some = example.features is not None and example.features.size > 0
    features = example.features if some else None
    new = one.learn(example.context, features, place, example.reward, person=person)
    return None if person is None else new


def _category(value: str | float | bool | None) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value is None else category(value)
