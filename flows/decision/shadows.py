"""Shadows of a fleet: models of River that learn the same examples, and forecast, and never decide.

A model of River cannot take back what it has learned. So an example counts when nothing more can
come of it (`settling`): in the order of decisions it is forecast, with what a model could know by
the decision's time, and it is learned in the order of outcomes once a later decision settles, as
in progressive validation with delayed labels (Grzenda, Gomes and Bifet 2020, "Delayed labelling
evaluation for data streams"). What is compared with it is what the champion said when it decided.
All this is a function of the log, whatever order its partitions are read in.

Knows no dataflow engine.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ...features.errors import StateError
from ...learners import LearnerError, Trial
from ...learners.kernels.limits import LARGEST
from .errors import RequestError
from .ids import parse_id
from .inputs import category
from .open_decisions import Credit
from .shadow_checks import followed, stages_of
from .strategy import Strategy

if TYPE_CHECKING:
    from ...learners.forecasts import ForecastTrial
    from ...learners.shadow import RiverShadow
    from ...learners.trial import Evidence

MOST_WAITING = 200_000
"""Examples; of more, the oldest settle before their time."""

_log = logging.getLogger("nextbest.run")


_Placed = tuple[int, int, str, str, int, Credit]


class Entry(NamedTuple):
    """What is to be noted of a shadow: as `learners.fleet_parts.Change` has it."""

    at: int
    what: str
    member: str
    by: str
    note: str
    evidence: Evidence | None = None


class Standing(NamedTuple):
    """How a shadow stands in an objective."""

    learned: int
    evidence: Evidence
    verdict: str


Standings = tuple[int, dict[str, Any], dict[str, Standing]]
"""Of a shadow: since when, what it is made of, and by objective how it stands."""


class _Saved(msgspec.Struct, array_like=True):
    spec: dict[str, Any]
    since: int
    alpha: float
    models: dict[str, bytes]
    trials: dict[str, dict[str, Any]]
    judged: list[str]


class _State(msgspec.Struct, array_like=True):
    champion: str
    waiting: list[Credit]
    learning: list[Credit]
    shadows: dict[str, _Saved]
    gone: dict[str, dict[str, Any]]


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(_State)


class _Shadow:
    """A shadow: its models and trials by objective."""

    def __init__(self, spec: Mapping[str, Any], since: int, alpha: float) -> None:
        self.spec, self.since, self.alpha = dict(spec), since, alpha
        self.models: dict[str, RiverShadow] = {}
        self.trials: dict[str, ForecastTrial] = {}
        self.judged: set[str] = set()

    def begin(self, objectives: Iterable[str]) -> None:
        """Have a model and a trial of each objective."""
        from ...learners.shadow import RiverShadow

        for name in objectives:
            if name not in self.models:
                self.models[name] = RiverShadow(stages_of(self.spec))
        self.try_anew(only_new=True)

    def try_anew(self, *, only_new: bool = False) -> None:
        """Begin the trials: against another champion what was seen before says nothing."""
        from ...learners.forecasts import ForecastTrial

        for name in self.models:
            if not only_new or name not in self.trials:
                self.trials[name] = ForecastTrial(Trial(self.alpha))
        if not only_new:
            self.judged.clear()


class Shadows:
    """The shadows of a strategy's fleet.

    Parameters
    ----------
    strategy
        With a fleet.
    wait
        After how much event time nothing more comes of a decision, microseconds.
    state
        What `to_bytes` returned; empty: there are none.

    Raises
    ------
    StateError
        If the bytes are damaged.
    """

    def __init__(self, strategy: Strategy, wait: int, state: bytes = b"") -> None:
        self._model, self._wait = strategy.model, wait
        self._followed = followed(strategy)
        self._champion = ""
        self._waiting: dict[tuple[str, str], Credit] = {}
        self._due: list[tuple[int, str, str]] = []
        self._learning: list[_Placed] = []
        self._shadows: dict[str, _Shadow] = {}
        self._gone: dict[str, dict[str, Any]] = {}
        if state:
            try:
                self._restore(_DECODER.decode(state))
            except (msgspec.DecodeError, LearnerError, TypeError) as error:
                raise StateError(f"the shadows' state is damaged: {error}") from error

    def __contains__(self, name: object) -> bool:
        return name in self._shadows

    @property
    def standings(self) -> dict[str, Standings]:
        """By name: how each stands."""
        return {
            name: (one.since, one.spec, {
                objective: Standing(
                    one.models[objective].learned, trial.evidence(), trial.verdict
                )
                for objective, trial in one.trials.items()
            })
            for name, one in self._shadows.items()
        }  # fmt: skip

    def check(self, specs: Mapping[str, Mapping[str, Any]]) -> None:
        """Refuse shadows that are to be made of something else than they were.

        Raises
        ------
        LearnerError
            If there is one.
        """
        were = {**self._gone, **{name: one.spec for name, one in self._shadows.items()}}
        for name, spec in specs.items():
            if name in were and were[name] != dict(spec):
                raise LearnerError(
                    f"shadow {name!r} was made of {were[name]}, not {dict(spec)}: "
                    "what is made of something else needs another name"
                )

    def declare(self, specs: Mapping[str, Mapping[str, Any]], alpha: float, at: int) -> list[Entry]:
        """Take over what is declared now; who left stays away."""
        self.check(specs)
        done = [
            self._leave(name, at, "declared", "not declared any more")
            for name in list(self._shadows)
            if name not in specs
        ]
        for name, spec in specs.items():
            if name in self._shadows or name in self._gone:
                continue
            one = self._shadows[name] = _Shadow(spec, at, alpha)
            done.append(Entry(at, "add", name, "declared", "as a shadow"))
            try:
                one.begin(self._followed)
            except LearnerError as error:  # of another version of River than it was checked with
                done.append(self._leave(name, at, "failure", str(error)))
        return done

    def retire(self, name: str, at: int, note: str) -> list[Entry]:
        """Let a shadow go because a person says so."""
        return [self._leave(name, at, "order", note)]

    def take(self, credit: Credit, newest: int) -> None:
        """Take in what an objective is told of an offer, after what was told until a time."""
        if not self._shadows or credit.objective not in self._followed:
            return
        at, key = _at(credit), (credit.id, credit.objective)
        old = self._waiting.get(key)
        if old is None:
            if at + self._wait < newest:
                return  # counted by `Settling`
            heappush(self._due, (at, *key))
        if old is None or credit.revision >= old.revision:
            self._waiting[key] = credit

    def settle(self, newest: int, champion: str, until: int | None = None) -> list[Entry]:
        """Forecast and learn what settles now, in the order of decisions.

        Parameters
        ----------
        newest
            The newest time told, microseconds.
        champion
            Whose forecasts are compared.
        until
            Only decisions up to this time; None: all that nothing more can come of.
        """
        done: list[Entry] = []
        while self._due:
            at, name, objective = self._due[0]
            full = len(self._waiting) > MOST_WAITING
            if (at + self._wait >= newest and not full) or (until is not None and at > until):
                break
            heappop(self._due)
            credit = self._waiting.pop((name, objective))
            while self._learning and self._learning[0][0] <= at:
                done += self._learn(heappop(self._learning)[-1], at)
            if credit.withdrawn or credit.reward not in (0.0, 1.0):
                continue
            if champion != self._champion:
                self._champion = champion
                for one in self._shadows.values():
                    one.try_anew()
            if credit.member == champion and credit.chance is not None:
                done += self._compare(credit, credit.chance, at)
            if self._shadows:
                heappush(self._learning, _in_order(credit))
        return done

    def to_bytes(self) -> bytes:
        """Return everything; empty if there never was a shadow."""
        if not self._shadows and not self._gone:
            return b""
        saved = {
            name: _Saved(
                one.spec, one.since, one.alpha,
                {objective: _bytes(model) for objective, model in one.models.items()},
                {objective: asdict(each.trial) for objective, each in one.trials.items()},
                sorted(one.judged),
            )
            for name, one in self._shadows.items()
        }  # fmt: skip
        waiting = [self._waiting[key] for key in sorted(self._waiting)]
        learning = [each[-1] for each in sorted(self._learning, key=lambda each: each[:5])]
        return _ENCODER.encode(_State(self._champion, waiting, learning, saved, self._gone))

    def _compare(self, credit: Credit, chance: float, at: int) -> Iterable[Entry]:
        for name, one in list(self._shadows.items()):
            trial = one.trials[credit.objective]
            try:
                told = one.models[credit.objective].forecast(*self._seen(credit))
            except LearnerError as error:
                yield self._leave(name, at, "failure", str(error))
                continue
            champion = min(max(chance, 0.0), 1.0)
            trial.update(told, champion, happened=credit.reward == 1.0)
            verdict = trial.verdict
            mark = f"{credit.objective}: {verdict}"
            if verdict != "cannot tell" and mark not in one.judged:
                one.judged.add(mark)
                yield Entry(at, "judge", name, "evidence", mark, trial.evidence())

    def _learn(self, credit: Credit, at: int) -> Iterable[Entry]:
        for name, one in list(self._shadows.items()):
            try:
                one.models[credit.objective].learn(*self._seen(credit), credit.reward == 1.0)
            except LearnerError as error:
                yield self._leave(name, at, "failure", str(error))

    def _seen(self, credit: Credit) -> tuple[dict[str, str], dict[str, float], str]:
        model, inputs = self._model, credit.inputs
        given = {name: inputs.get(name) for name in (*model.contexts, *model.segments)}
        words = {
            name: category(value)
            for name, value in given.items()
            if value is not None and _is_finite(value)
        }
        told = {name: inputs.get(name) for name in model.numbers}
        if len(credit.features) == len(model.action_features):
            told |= zip(model.action_features, credit.features, strict=True)
        numbers = {
            name: float(value)
            for name, value in told.items()
            if isinstance(value, int | float) and abs(value) <= LARGEST
        }
        return words, numbers, credit.action

    def _leave(self, name: str, at: int, by: str, note: str) -> Entry:
        self._gone[name] = self._shadows.pop(name).spec
        if not self._shadows:
            self._waiting.clear()
            self._due.clear()
            self._learning.clear()
        return Entry(at, "retire", name, by, note)

    def _restore(self, state: _State) -> None:
        from ...learners.forecasts import ForecastTrial
        from ...learners.shadow import RiverShadow

        self._champion, self._gone = state.champion, state.gone
        self._waiting = {(one.id, one.objective): one for one in state.waiting}
        self._due = [(_at(one), one.id, one.objective) for one in state.waiting]
        heapify(self._due)
        self._learning = [_in_order(one) for one in state.learning]
        heapify(self._learning)
        for name, saved in state.shadows.items():
            one = self._shadows[name] = _Shadow(saved.spec, saved.since, saved.alpha)
            one.judged = set(saved.judged)
            for objective in self._followed:
                try:
                    data = saved.models.get(objective, b"")
                    if data:
                        one.models[objective] = RiverShadow.from_bytes(data, stages_of(saved.spec))
                        trial = Trial(**saved.trials[objective])
                        one.trials[objective] = ForecastTrial(trial)
                except LearnerError as error:
                    _log.warning("shadow %s begins anew: %s", name, error)
            one.begin(self._followed)


def _in_order(credit: Credit) -> _Placed:
    """Return where an example belongs among those that are learned, and itself."""
    place = credit.time, credit.position, credit.id, credit.objective
    return *place, credit.revision, credit


def _at(credit: Credit) -> int:
    """Return the time of an offer's decision; of one that no engine of ours made, the outcome's."""
    try:
        return parse_id(credit.id.rpartition("/")[0]).at
    except RequestError:
        return credit.time


def _bytes(model: RiverShadow) -> bytes:
    try:
        return model.to_bytes()
    except LearnerError as error:  # it grew since it was looked at last
        _log.warning("a shadow's model will begin anew when the run is resumed: %s", error)
        return b""


def _is_finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
