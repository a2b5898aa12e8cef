"""What the engine's recovery store holds, read and replaced through the engine itself.

A dataflow of the same steps that reads no log is told by the engine where each step would go on.
What its steps then answer is what they go on from next: all of it at the engine's next commit, or,
if the process dies before, none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from ..features.errors import StateError
from ..features.manifest import Manifest
from ..features.plans import Plans
from .disk import recovery_errors
from .entities import entity_keys
from .routing import shard_keys
from .run import prepare_recovery, run_engine
from .settings import Settings
from .shard import CUSTOMERS, Snapshot

Item = tuple[str, Any]
_EPOCH_SECONDS = 3600.0  # all is done in one
_FLOW = "nextbest"  # as are the steps' names, that of the run's dataflow
_UNKNOWN_PART = "routing map"
_NOBODY = "-"
_LEARNERS = ("learn", "attribute", "align_loop", "learn_loop")


@dataclass(slots=True)
class Recovered:
    """Where a run would go on.

    Attributes
    ----------
    shards
        The last snapshot of each shard, by entity (`CUSTOMERS` for customers) and number.
    archived
        By partition of the log: the number of the archive's next file. Files from there on were
        never committed, and their events will come again.
    credited
        As `archived`, of the archive of what was learned, by the names of its partitions.
    learners
        What the states of learners consist of, by their step: a decision point's, a strategy's
        attribution, and its learning.
    """

    shards: dict[tuple[str, int], Snapshot] = field(default_factory=dict)
    archived: dict[int, int] = field(default_factory=dict)
    credited: dict[str, int] = field(default_factory=dict)
    learners: dict[str, list[Manifest]] = field(
        default_factory=lambda: {step: [] for step in _LEARNERS}
    )


def read_recovered(settings: Settings, partitions: Iterable[int], declaration: int) -> Recovered:
    """Read where a run would go on; a snapshot that names no declaration is given one.

    Parameters
    ----------
    settings
        Whose data directory; the caller works in it alone (`working_in`).
    partitions
        Of which the archive has a directory.
    declaration
        `Plans.schema_id` of the last run.

    Raises
    ------
    StateError
        As `prepare_recovery`; if the archive lacks a partition that events were archived of.
    """
    found = Recovered()

    def shard(resumed: Snapshot | None) -> _Kept:
        assert resumed is not None  # there are no items
        found.shards[resumed["entity"], int(resumed["shard"])] = resumed
        named = resumed.get("declaration") is not None
        return _Kept(resumed if named else {**resumed, "declaration": declaration})

    def learner(step: str, resumed: Manifest | None) -> _Kept:
        assert resumed is not None  # as above
        found.learners[step].append(resumed)
        return _Kept(resumed)

    flow = Dataflow(_FLOW)
    items = op.input("nothing_to_read", flow, _Items([]))
    archived: dict[str, int] = {}
    sink = _Numbers([str(number) for number in sorted(partitions)], archived)
    streams = [
        op.stateful_batch("featurize", items, shard),
        op.stateful_batch("entities", items, shard),
        *(op.stateful_batch(step, items, partial(learner, step)) for step in _LEARNERS),
    ]
    nothing = op.merge("nothing", *streams)
    op.output("archive", nothing, sink)
    credits_ = settings.archive_dir / "credits"
    credited = sorted(p.name.partition("=")[2] for p in credits_.glob("partition=*"))
    if credited:
        op.output("archive_credits", nothing, _Numbers(credited, found.credited))
    try:
        _run(flow, settings)
    except BaseException as error:
        if _UNKNOWN_PART not in str(error).lower():
            raise
        raise StateError(
            f"{settings.archive_dir / 'events'}: lacks a partition that events were archived of"
        ) from None
    found.archived = {int(name): number for name, number in archived.items()}
    return found


def replace_recovered(
    settings: Settings,
    plans: Plans,
    snapshots: Mapping[tuple[str, int], Snapshot],
    *,
    forgotten: Sequence[str] = (),
    learned: Mapping[str, Item] | None = None,
) -> None:
    """Have the next run's shards go on from other snapshots, all of them or, in a crash, none.

    Parameters
    ----------
    settings
        As `read_recovered`.
    plans
        Of the declaration that the snapshots are of; shards of entities that it does not have are
        forgotten.
    snapshots
        One for each shard of each entity.
    forgotten
        The steps of learners that begin anew; the others go on.
    learned
        By step, the key and state of learners that go on from another one.

    Raises
    ------
    StateError
        As `prepare_recovery`; what would have been gone on from then still is.
    """
    keys = {CUSTOMERS: shard_keys(settings.shards), **entity_keys(plans, settings.shards)}
    named: dict[str, list[Item]] = {"featurize": [], "entities": []}
    for (entity, shard), snapshot in snapshots.items():
        step = "featurize" if entity == CUSTOMERS else "entities"
        named[step].append((keys[entity][shard], snapshot))
    named |= {step: [] for step in forgotten}
    named |= {step: [item] for step, item in (learned or {}).items()}
    flow = Dataflow(_FLOW)
    streams = []
    for step, items in named.items():
        # The engine tells a step of the end only if it had an item.
        fed = op.input(f"for_{step}", flow, _Items(items or [(_NOBODY, None)]))
        streams.append(op.stateful_batch(step, fed, _Replaced))
    op.output("nothing", op.merge("all", *streams), _Numbers(["0"], {}))
    _run(flow, settings)


def _run(flow: Dataflow, settings: Settings) -> None:
    with recovery_errors(settings.recovery_dir):
        run_engine(flow, _EPOCH_SECONDS, prepare_recovery(settings))


class _Kept(StatefulBatchLogic[Any, Any, Any]):
    """Goes on as it is."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        return [], StatefulBatchLogic.RETAIN

    def snapshot(self) -> Any:
        return self._state


class _Replaced(StatefulBatchLogic[Any, Any, Any]):
    """Goes on from what it is given; who is given nothing is forgotten."""

    def __init__(self, resumed: Any) -> None:
        self._state = resumed
        self._given = False

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        self._state = values[-1]
        self._given = self._state is not None
        return [], StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Any], bool]:
        retain, discard = StatefulBatchLogic.RETAIN, StatefulBatchLogic.DISCARD
        return [], retain if self._given else discard

    def snapshot(self) -> Any:
        return self._state


class _Items(DynamicSource[Item]):
    """A source of so many items, of which nothing is kept."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _ItemsOnce:
        return _ItemsOnce(self._items)


class _ItemsOnce(StatelessSourcePartition[Item]):
    def __init__(self, items: Sequence[Item]) -> None:
        self._left = [items] if items else []

    def next_batch(self) -> Sequence[Item]:
        if not self._left:
            raise StopIteration
        return self._left.pop()


class _Numbers(FixedPartitionedSink[Any, Any]):
    """A sink that tells what its partitions go on from, and leaves it at that."""

    def __init__(self, parts: Sequence[str], numbers: dict[str, int]) -> None:
        self._parts = list(parts)
        self._numbers = numbers

    def list_parts(self) -> list[str]:
        return self._parts

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _Number:
        self._numbers[for_part] = resume_state or 0
        return _Number(resume_state or 0)


class _Number(StatefulSinkPartition[Any, Any]):
    def __init__(self, number: Any) -> None:
        self._number = number

    def write_batch(self, items: list[Any]) -> None:
        pass

    def snapshot(self) -> Any:
        return self._number
