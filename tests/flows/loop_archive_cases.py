"""An archive of decisions as a run writes it, without one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from nextbest.flows.decision.chunk_events import credits_table, decisions_table
from nextbest.flows.decision.loop_events import LoopEvent
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.record import Record, Response


def event_of(own: Record | Response, at: int, customer: str, name: str, place: int) -> LoopEvent:
    """A decision or an outcome where it stood in the log."""
    text = msgspec.json.encode(own).decode()
    return LoopEvent(name, at, customer, "web", own, text, position=place)


def decided(record: Record, place: int = 0) -> LoopEvent:
    return event_of(record, record.at, record.customer, record.id, place)


def told(
    record: Record, reward: float, *, after: int, revision: int = 0, rank: int = 0,
    objective: str = "accept", silence: bool = False, withdrawn: bool = False,
) -> Credit:  # fmt: skip
    """What an objective learns of an offer, so long after it."""
    return Credit(
        objective, f"{record.id}/{rank}", record.at + after, 5, record.customer,
        record.offers[rank].action, reward, silence, withdrawn, revision, {}, [],
    )  # fmt: skip


def put_decisions(archive: Path, number: int, events: Sequence[LoopEvent], part: int = 0) -> Path:
    return _put(archive / "decisions", number, decisions_table(events), part)


def put_credits(archive: Path, number: int, given: Sequence[Credit], part: int = 0) -> Path:
    return _put(archive / "credits", number, credits_table(given), part)


def _put(directory: Path, number: int, table: object, part: int) -> Path:
    path = directory / f"partition={part}" / f"epoch-{number:08d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)  # type: ignore[arg-type]  # it is one
    return path
