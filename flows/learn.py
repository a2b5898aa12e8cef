"""Deciding and learning in the stream, in log order.

Decisions, rewards and closings of all customers come together here; a decision is made from the
features of its own moment, waits for its outcome, and teaches the model when it is resolved:
predict, then learn. Knows no dataflow engine.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..features.errors import StateError
from ..learners import ActionRanker, LogLoss, MeanReward, RecentReward
from ..learners.kernels.limits import LARGEST
from .decisions import CLOSE, REWARD, TRIGGER, DecisionPoint, Script
from .featurize import ReadFeatures

PUBLISH_SECONDS = 1.0
PATIENCE = 2
"""A silent customer's decision is given up after so many windows, told by others' events."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Resolved decisions with what they were made from: training examples."""

    table: pa.Table


@dataclass(frozen=True, slots=True)
class Model:
    """The model as it stands: to be published."""

    data: bytes


LearnOutput: TypeAlias = Examples | Model


@dataclass(slots=True)
class Progress:
    """Progressive measures: every decision was scored before it was learned from."""

    decisions: int = 0
    resolved: int = 0
    expired: int = 0
    reward: MeanReward = field(default_factory=MeanReward)
    recent: RecentReward = field(default_factory=lambda: RecentReward(half_life=5000.0))
    logloss: LogLoss = field(default_factory=LogLoss)


@dataclass(slots=True)
class _Open:
    """A decision that waits for its outcome."""

    decision_id: str
    position: int
    time: int
    context: dict[str, str | None]
    features: npt.NDArray[np.float64]
    arm: int
    propensity: float
    score: float


class LearnLogic:
    """One decision point's policy and its open decisions.

    Parameters
    ----------
    point
        The decision point.
    state
        What `snapshot` returned; None: begin.
    ranker
        The policy to begin with; default: an `ActionRanker` for the point's arms.
    on_progress
        Called with the running measures after each chunk, and at once on resume.
    """

    def __init__(
        self,
        point: DecisionPoint,
        state: bytes | None = None,
        *,
        ranker: ActionRanker | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.point = point
        self.progress = Progress()
        self.ranker = ranker or ActionRanker(point.arms, point.action_feature_names, point.contexts)
        self._open: OrderedDict[str, _Open] = OrderedDict()  # in log order
        self._next_seq: int | None = None
        self._scripts: dict[int, Script] = {}
        self._parts: dict[int, list[ReadFeatures]] = {}
        self._resolved: list[tuple[_Open, str, float, str]] = []
        self._published = 0.0
        self._unpublished = False
        self._on_progress = on_progress
        if state is not None:
            self._load(state)
            self._report()

    def on_items(self, items: list[Script | ReadFeatures]) -> Iterator[LearnOutput]:
        """Take what has come; work through every chunk that is complete, in log order."""
        for item in items:
            if isinstance(item, Script):
                self._scripts[item.seq] = item
            else:
                self._parts.setdefault(item.seq, []).append(item)
        if self._next_seq is None and self._scripts:
            self._next_seq = min(self._scripts)
        while self._next_seq is not None and self._is_complete(self._next_seq):
            script = self._scripts.pop(self._next_seq)
            self._play(script, self._parts.pop(self._next_seq, []))
            self._next_seq += 1
            self._report()
        if self._resolved:
            yield Examples(self._take_examples())
        if self.publish_at() == 0.0:
            yield from self.publish()

    def publish(self) -> Iterator[LearnOutput]:
        """Yield the model, if it has learned since it was last published."""
        if self._unpublished:
            self._published, self._unpublished = time.monotonic(), False
            yield Model(self.ranker.to_bytes())

    def publish_again(self) -> None:
        """Have the model published once more, as it stands."""
        self._unpublished = True

    def publish_at(self) -> float | None:
        """Seconds from now at which the model should be published; None if it has been."""
        if not self._unpublished:
            return None
        return max(0.0, self._published + PUBLISH_SECONDS - time.monotonic())

    def snapshot(self) -> bytes:
        """Return everything that the next `LearnLogic` needs to go on, as bytes.

        Raises
        ------
        StateError
            In the middle of a chunk: what has come of it would be lost.
        """
        if self._scripts or self._parts:
            waiting_for = min({*self._scripts, *self._parts})
            raise StateError(f"{self.point.name}: chunk {waiting_for} of the log is incomplete")
        waiting = [
            (customer, o.decision_id, o.position, o.time, o.context, o.features.tobytes(),
             o.arm, o.propensity, o.score)
            for customer, o in self._open.items()
        ]  # fmt: skip
        return msgspec.msgpack.encode(
            {
                "ranker": self.ranker.to_bytes(),
                "progress": asdict(self.progress),
                "open": waiting,
                "next_seq": self._next_seq,
            }
        )

    def _load(self, state: bytes) -> None:
        saved: dict[str, Any] = msgspec.msgpack.decode(state)
        self.ranker = ActionRanker.from_bytes(saved["ranker"])
        p = saved["progress"]
        self.progress = Progress(
            p["decisions"], p["resolved"], p["expired"],
            MeanReward(**p["reward"]), RecentReward(**p["recent"]), LogLoss(**p["logloss"]),
        )  # fmt: skip
        shape = (len(self.point.arms), len(self.point.action_feature_names))
        for customer, decision_id, position, when, context, features, *rest in saved["open"]:
            array = np.frombuffer(features, np.float64).reshape(shape)
            self._open[customer] = _Open(decision_id, position, when, context, array, *rest)
        self._next_seq = saved["next_seq"]
        self._unpublished = True

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.progress)

    def _is_complete(self, seq: int) -> bool:
        script = self._scripts.get(seq)
        return script is not None and len(self._parts.get(seq, ())) == script.parts

    def _play(self, script: Script, parts: list[ReadFeatures]) -> None:
        values = {
            position: row
            for part in parts
            for position, row in zip(part.positions.tolist(), part.rows.values, strict=True)
        }
        dropped = {position for part in parts for position in part.dropped.tolist()}
        entries = zip(
            script.positions.tolist(), script.times.tolist(), script.kinds.tolist(),
            script.arms.tolist(), script.customers, script.event_ids, script.contexts, strict=True,
        )  # fmt: skip
        window = self.point.window_us
        for position, when, kind, arm, customer, event_id, context in entries:
            if position in dropped:
                continue
            self._give_up(when - PATIENCE * window)
            waiting = self._open.get(customer)
            if waiting is not None and when - waiting.time > window:
                self._resolve(customer, 0.0, "no response in time")
                waiting = None
            if kind == TRIGGER:
                if waiting is not None:
                    self._resolve(customer, 0.0, "no response")
                assert context is not None
                self._decide(customer, event_id, position, when, context, values[position])
            elif waiting is None or when < waiting.time:
                continue  # what happened before a decision is no answer to it
            elif kind == REWARD and arm == waiting.arm:
                self._resolve(customer, 1.0, "response")
            elif kind == CLOSE:
                self._resolve(customer, 0.0, "no response")

    def _give_up(self, before: int) -> None:
        """Resolve the oldest decisions, if they were made before that time.

        At most two at a time: enough for the open ones to be bounded, and one event with a time
        in the future cannot end them all.
        """
        for _ in range(2):
            customer = next(iter(self._open), None)
            if customer is None or self._open[customer].time >= before:
                return
            self._resolve(customer, 0.0, "no response in time")

    def _decide(
        self,
        customer: str,
        decision_id: str,
        position: int,
        when: int,
        context: dict[str, str | None],
        row: npt.NDArray[np.float64],
    ) -> None:
        features = self.point.action_features(row)
        # A sum may overflow or nearly; to the model that is a feature it does not know.
        features = np.where(np.abs(features) > LARGEST, np.nan, features)
        pull = self.ranker.pull(context, features)
        self._open[customer] = _Open(
            decision_id, position, when, context, features, pull.arm, pull.propensity,
            float(pull.scores[pull.arm]),
        )  # fmt: skip
        self.progress.decisions += 1

    def _resolve(self, customer: str, reward: float, outcome: str) -> None:
        decision = self._open.pop(customer)
        progress = self.progress
        progress.resolved += 1
        progress.expired += outcome == "no response in time"
        progress.reward.update(reward)
        progress.recent.update(reward)
        progress.logloss.update(reward > 0.5, decision.score)
        self.ranker.update(decision.context, decision.features, decision.arm, reward)
        self._resolved.append((decision, customer, reward, outcome))
        self._unpublished = True

    def _take_examples(self) -> pa.Table:
        resolved, self._resolved = self._resolved, []
        decisions = [decision for decision, _, _, _ in resolved]
        return pa.table(
            {
                "decision_id": [d.decision_id for d in decisions],
                "event_timestamp": pa.array(
                    [d.time for d in decisions], pa.timestamp("us", tz="UTC")
                ),
                "position": [d.position for d in decisions],
                "customer_id": [customer for _, customer, _, _ in resolved],
                "arm": [self.point.arms[d.arm] for d in decisions],
                "propensity": [d.propensity for d in decisions],
                "score": [d.score for d in decisions],
                "context": pa.array(
                    [list(d.context.items()) for d in decisions], pa.map_(pa.string(), pa.string())
                ),
                "features": pa.array(
                    [d.features[d.arm].tolist() for d in decisions], pa.list_(pa.float64())
                ),
                "reward": [reward for _, _, reward, _ in resolved],
                "outcome": [outcome for _, _, _, outcome in resolved],
            }
        )
