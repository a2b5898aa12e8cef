"""Decision points: when the stream must choose an action, and what counts as its reward.

A *script* is the part of the log that decisions and outcomes are made of, in log order. It
travels beside the events, so that the order of learning is that of the log and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..features.durations import microseconds
from ..features.errors import DeclarationError
from ..features.events import EventSchema

TRIGGER, REWARD, CLOSE = 1, 2, 3
_KINDS = np.array([TRIGGER, REWARD, CLOSE, 0], np.int8)

ActionFeatures = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
"""From a customer's feature values (float64[columns]) to those of each action (float64[K, D])."""


@dataclass(frozen=True, kw_only=True)
class DecisionPoint:
    """Choose one of K actions at every event of one type.

    Attributes
    ----------
    name
        An identifier; names the model.
    trigger
        The event type that asks for a decision.
    arms
        The K actions.
    contexts
        String properties of the trigger event that the model sees.
    action_features, action_feature_names
        How a customer's streamed features become D features of each action, and their names.
    reward_type, reward_property
        A decision earns 1 when an event of this type names the chosen arm in this property.
    close_type
        An event of this type resolves the customer's open decision: without reward by then, it
        was no response.
    window
        A decision still open after this long, in event time, is resolved likewise.

    Raises
    ------
    DeclarationError
        If one event type stands for two things, or the window is no duration.
    """

    name: str
    trigger: str
    arms: tuple[str, ...]
    contexts: tuple[str, ...]
    action_features: ActionFeatures
    action_feature_names: tuple[str, ...]
    reward_type: str
    reward_property: str
    close_type: str
    window: str = "1h"

    def __post_init__(self) -> None:
        if len({self.trigger, self.reward_type, self.close_type}) < 3:
            raise DeclarationError(
                self.name, "trigger, reward_type and close_type must be three event types"
            )
        try:
            _ = self.window_us
        except ValueError as error:
            raise DeclarationError(self.name, f"window: {error}") from None

    def check(self, schema: EventSchema) -> None:
        """Raise DeclarationError unless events of a schema can carry what is asked for."""
        for word in (self.trigger, self.reward_type, self.close_type):
            if word not in schema.types:
                raise DeclarationError(self.name, f"{schema.name!r} has no event type {word!r}")
        for column in (*self.contexts, self.reward_property):
            if not schema.has(column) or schema.is_numeric(column):
                raise DeclarationError(self.name, f"{schema.name!r} has no strings {column!r}")

    @property
    def window_us(self) -> int:
        """The attribution window, microseconds."""
        return microseconds(self.window)

    def triggers(self, events: pa.Table) -> npt.NDArray[np.bool_]:
        """bool[n]: which events ask for a decision."""
        asked: npt.NDArray[np.bool_] = codes_of(events["type"], [self.trigger]) == 0
        return asked


@dataclass(frozen=True, slots=True)
class Script:
    """What one chunk of the log means for decisions.

    Attributes
    ----------
    seq
        Which chunk.
    parts
        How many `ReadFeatures` belong to it.
    positions, times, kinds, arms
        int64[m] log positions; int64[m] event times, microseconds; int8[m] TRIGGER, REWARD or
        CLOSE; int32[m] the arm that a REWARD names.
    customers, event_ids
        Of each of the m entries.
    contexts
        Of each entry that is a TRIGGER, else None.
    """

    seq: int
    parts: int
    positions: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int8]
    arms: npt.NDArray[np.int32]
    customers: list[str]
    event_ids: list[str]
    contexts: list[dict[str, str | None] | None]


def write_script(
    point: DecisionPoint,
    seq: int,
    parts: int,
    events: pa.Table,
    positions: npt.NDArray[np.int64],
) -> Script:
    """Extract the script of a chunk from its decoded events."""
    n = events.num_rows
    kinds = np.zeros(n, np.int8)
    arms = np.full(n, -1, np.int32)
    if n:
        kinds = _KINDS[
            codes_of(events["type"], [point.trigger, point.reward_type, point.close_type])
        ]
        arms = codes_of(events[point.reward_property], point.arms)
        kinds[(kinds == REWARD) & (arms < 0)] = 0
    rows = np.flatnonzero(kinds)
    chosen = events.take(rows) if n else events
    contexts: list[dict[str, str | None] | None] = [None] * len(rows)
    if n:
        at = np.flatnonzero(kinds[rows] == TRIGGER)
        asked = chosen.take(at).select(list(point.contexts)).to_pylist()
        for i, context in zip(at.tolist(), asked, strict=True):
            contexts[i] = context
    return Script(
        seq=seq,
        parts=parts,
        positions=positions[rows],
        times=_column(chosen, "event_timestamp").cast(pa.int64()).to_numpy() if n else positions,
        kinds=kinds[rows],
        arms=arms[rows],
        customers=_column(chosen, "customer_id").to_pylist() if n else [],
        event_ids=_column(chosen, "event_id").to_pylist() if n else [],
        contexts=contexts,
    )


def _column(table: pa.Table, name: str) -> Any:
    return table[name].combine_chunks()


def codes_of(column: Any, words: Sequence[str]) -> npt.NDArray[np.int32]:
    """int32[n]: which of the words each row has, or -1."""
    if not column.num_chunks:
        return np.zeros(0, np.int32)
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        return _index_in(array, words)
    # Words are compared once for each in the dictionary; -1 finds what is appended.
    codes = np.append(_index_in(array.dictionary, words), np.int32(-1))
    result: npt.NDArray[np.int32] = codes[array.indices.fill_null(-1).to_numpy()]
    return result


def _index_in(array: Any, words: Sequence[str]) -> npt.NDArray[np.int32]:
    found = pc.index_in(array, value_set=pa.array(words, array.type)).fill_null(-1)
    result: npt.NDArray[np.int32] = found.to_numpy(zero_copy_only=False)
    return result
