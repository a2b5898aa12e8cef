"""What is kept of the rows of an archive, batch by batch: small tables of what monitoring needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..decision.record import DECISION, Value
from .newest import Table, times_of

LEARNED, CONTROL, FALLBACK = "learned", "control", "fallback"
"""Who chose: the learned policy, the control group's lot, or the declared fallback."""
REWARD = "reward"
"""The objective of a decision point, which has one only."""
MOST_FIELDS = 32
"""So many fields of what models saw become columns."""


class _Offer(msgspec.Struct, frozen=True):
    action: str
    score: float
    propensity: float
    chances: dict[str, float] = {}


class _Record(msgspec.Struct, frozen=True):
    """What is needed of a `Record`."""

    id: str
    channel: str
    strategy: str
    policy: str = ""
    inputs: dict[str, Value] = {}
    offers: list[_Offer] = []
    eligible: list[str] = []
    scores: bytes = b""
    control: bool = False
    fallback: str = ""
    trigger: str = ""


_RECORD = msgspec.json.Decoder(_Record)


def decisions_of(rows: Any) -> Table:
    """Return the decisions of a batch of the archive of decisions; see `Decided.table`."""
    rows = rows.filter(pc.equal(rows["type"], pa.scalar(DECISION)))
    records: list[_Record | None] = []
    for text in rows["record"].to_pylist():
        try:
            records.append(_RECORD.decode(text))
        except msgspec.DecodeError:  # also of wrong types
            records.append(None)
    return _decisions(times_of(rows), rows["customer_id"], records)


def _decisions(at: Any, customers: Any, records: list[_Record | None]) -> Table:
    known = [_NOBODY if record is None else record for record in records]
    first = [record.offers[0] if record.offers else None for record in known]
    columns: dict[str, Any] = {
        "at": at,
        "damaged": pa.array([record is None for record in records], pa.bool_()),
        "id": pa.array([record.id or None for record in known], pa.string()),
        "customer": _words(customers.to_pylist()),
        "channel": _words(record.channel for record in known),
        "trigger": _words(record.trigger or "(asked)" for record in known),
        "arm": _words(None if offer is None else offer.action for offer in first),
        "propensity": _numbers(None if offer is None else offer.propensity for offer in first),
        "score": _numbers(None if offer is None else offer.score for offer in first),
        "best": pa.array(map(_is_best, known), pa.bool_()),
        "eligible": pa.array([len(record.eligible) for record in known], pa.int64()),
        "group": _words(
            FALLBACK if r.fallback else CONTROL if r.control else LEARNED for r in known
        ),
        "version": _words(record.strategy for record in known),
    }
    names = dict.fromkeys(name for offer in first if offer is not None for name in offer.chances)
    for name in names:
        chances = (None if offer is None else offer.chances.get(name) for offer in first)
        columns[f"foretold.{name}"] = _numbers(chances)
    fields = dict.fromkeys(
        name for r in known for name, value in r.inputs.items() if isinstance(value, str)
    )
    for name in list(fields)[:MOST_FIELDS]:
        values = (record.inputs.get(name) for record in known)
        columns[f"input.{name}"] = _words(v if isinstance(v, str) else None for v in values)
    return pa.table(columns)


_NOBODY = _Record("", "", "")


def _is_best(record: _Record) -> bool | None:
    scores = np.frombuffer(record.scores[: len(record.scores) // 8 * 8], "<f8")
    if not record.offers or record.fallback or len(scores) != len(record.eligible):
        return None
    action = record.offers[0].action
    if action not in record.eligible:
        return None
    return bool(scores[record.eligible.index(action)] >= scores.max())


def credits_of(rows: Any) -> Table:
    """Return what objectives were told of first offers, of a batch of the archive of credits."""
    first = pc.ends_with(rows["example"], "/0")  # of the first offer
    rows = rows.filter(first)
    reward = pc.if_else(rows["withdrawn"], pa.scalar(None, pa.float64()), rows["reward"])
    return pa.table(
        {
            "at": times_of(rows),
            "objective": rows["objective"].dictionary_encode(),
            "example": pc.utf8_slice_codeunits(rows["example"], 0, -2),
            "revision": rows["revision"],
            "reward": reward,
            "silence": rows["silence"],
        }
    )


def examples_of(rows: Any) -> Table:
    """Return a batch of a decision point's examples as decisions, with their ``reward``."""
    n = rows.num_rows
    contexts = [dict(pairs or ()) for pairs in rows["context"].to_pylist()]
    names = list(dict.fromkeys(name for context in contexts for name in context))[:MOST_FIELDS]
    return pa.table(
        {
            "at": times_of(rows),
            "id": rows["decision_id"],
            "customer": rows["customer_id"].dictionary_encode(),
            "channel": _same(n, "(none)"),
            "trigger": _same(n, "(asked)"),
            "arm": rows["arm"].dictionary_encode(),
            "propensity": rows["propensity"],
            "score": rows["score"],
            "best": pa.nulls(n, pa.bool_()),
            "eligible": pa.nulls(n, pa.int64()),
            "group": _same(n, LEARNED),
            "version": _same(n, "(decision point)"),
            f"foretold.{REWARD}": rows["score"],
            "reward": rows["reward"],
            **{f"input.{name}": _words(each.get(name) for each in contexts) for name in names},
        }
    )


def _same(n: int, text: str) -> Any:
    return _words([text] * n)


def _words(values: Iterable[str | None]) -> Any:
    return pa.array(values, pa.string()).dictionary_encode()


def _numbers(values: Iterable[float | None]) -> Any:
    return pa.array(values, pa.float64(), from_pandas=True)


NO_DECISIONS = _decisions(pa.array([], pa.int64()), pa.array([], pa.string()), [])
"""The table of no decision."""
