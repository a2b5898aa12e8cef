"""The step of the dataflow that runs the references; only an adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import bytewax.operators as op
from bytewax.operators import StatefulBatchLogic

from ..decisions import DecisionPoint, Script
from .yardsticks import Standing, Yardsticks


class _Step(StatefulBatchLogic[Script, Any, bytes]):
    def __init__(self, logic: Yardsticks) -> None:
        self._logic = logic

    def on_batch(self, values: list[Script]) -> tuple[list[Any], bool]:
        self._logic.on_scripts(values)
        return [], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        return self._logic.snapshot()


def add_yardsticks(point: DecisionPoint, report: Callable[[Standing], None], scripts: Any) -> Any:
    """Add the step to the scripts of a dataflow (as `build_flow` takes it); emits nothing."""
    logic = partial(_make, point, report)
    return op.flat_map("yardsticks_end", op.stateful_batch("yardsticks", scripts, logic), _nothing)


def _make(point: DecisionPoint, report: Callable[[Standing], None], state: bytes | None) -> _Step:
    return _Step(Yardsticks(point, state, report))


def _nothing(item: Any) -> Iterator[Any]:
    return iter(())
