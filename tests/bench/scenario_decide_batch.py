"""``decide-batch``: a batch of 1,000 customers from stored rows to encoded records."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from nextbest.features.receipts import Receipt
from nextbest.features.rows import FeatureRows
from nextbest.flows.decision.contacts import Update
from nextbest.flows.decision.drafts import draft_many
from nextbest.flows.decision.making import BLOCK
from nextbest.flows.decision.offered import left_by_many
from nextbest.flows.decision.record import Record, event_of, events_of
from nextbest.flows.decision.request import Request, Row
from nextbest.flows.service.batch_lines import AnswerLines
from nextbest.flows.service.batch_wire import BatchDecision, State
from nextbest.flows.service.decide import explored, offers_of
from nextbest.flows.service.live import Decided

from .decide_world import AT, World
from .harness import Result
from .scenario_decide_inprocess import CONTEXT, Ours

BATCH = 1000
Written = tuple[list[bytes], list[Update], list[bytes]]
"""Events, contacts, and lines of the answer."""


def run(*, quick: bool) -> Result:
    """Measure; see the module's text.

    The decisions of `decide-inprocess`: 30 actions, 50 features, two objectives, a person's own
    weights in every second one. The rows are decoded, decided with `Engine.decide_many` and encoded
    with `events_of`, at once; the reference does the same with `decide_one`, `Engine.decide` and
    `event_of`, one after the other. Both make the same bytes. Time is the thread's processor time.

    A dry run (``dry_per_s``) goes from the same rows to the lines of its answer, all customers in
    one context as of one request over HTTP: `Engine.answer_many` and `AnswerLines`. Its reference
    makes the same lines from the records of `Engine.decide_many`.

    A committed one (``logged_per_s``) goes from the same rows to all that is written of it: events,
    contacts and the lines of the answer, with `draft_many` and `AnswerLines`; its reference, from
    records.
    """
    runs = 7 if quick else 15
    batch = Batch()
    assert batch.together() == batch.apart()
    assert batch.dry() == batch.dry_by_records()
    assert batch.logged() == batch.logged_by_records()
    rates: list[float] = []
    logged_rates: list[float] = []
    logged_ratios: list[float] = []
    dry_rates: list[float] = []
    dry_ratios: list[float] = []
    reference: list[float] = []
    ratios: list[float] = []
    for _ in range(runs):  # interleaved, so that both see the same machine
        together, apart = _seconds(batch.together), _seconds(batch.apart)
        rates.append(BATCH / together)
        reference.append(BATCH / apart)
        ratios.append(apart / together)
        dry, by_records = _seconds(batch.dry), _seconds(batch.dry_by_records)
        dry_rates.append(BATCH / dry)
        dry_ratios.append(by_records / dry)
        logged, by_records = _seconds(batch.logged), _seconds(batch.logged_by_records)
        logged_rates.append(BATCH / logged)
        logged_ratios.append(by_records / logged)
    events = batch.together()
    return Result(
        "decide-batch",
        figures={
            "per_s": statistics.median(rates),
            "ratio_one_by_one": statistics.median(ratios),
            "dry_per_s": statistics.median(dry_rates),
            "ratio_dry_by_records": statistics.median(dry_ratios),
            "logged_per_s": statistics.median(logged_rates),
            "ratio_logged_by_records": statistics.median(logged_ratios),
        },
        detail={
            "best_per_s": max(rates),
            "best_dry_per_s": max(dry_rates),
            "best_logged_per_s": max(logged_rates),
            "one_by_one_per_s": statistics.median(reference),
            "batch": BATCH,
            "record_bytes": sum(map(len, events)) / len(events),
            "runs": runs,
            "time": "processor time of one thread",
        },
    )


class Batch:
    """A thousand decisions of the benchmark's shop."""

    def __init__(self) -> None:
        world = World()
        one = Ours(world)
        places = [i % len(one.asked) for i in range(BATCH)]
        self.engine, self.decoder = world.engine, world.decoder
        self.requests = [one.asked[place] for place in places]
        self.ids = [one.ids[place] for place in places]
        self.rows = [world.rows[request.customer] for request in self.requests]
        self.contacts = [one.contacts] * BATCH
        self.persons = [world.persons if i % 2 else b"" for i in range(BATCH)]
        self.asked = [
            Request(customer=request.customer, channel="web", context=CONTEXT)
            for request in self.requests
        ]
        self.lines = AnswerLines(world.loaded.strategy)
        self.receipts = [Receipt(3, i << 20, i) for i in range(BLOCK)]

    def together(self) -> list[bytes]:
        """Decide for all at once."""
        rows = self.decoder.decode(self.rows, AT)
        return events_of(
            self.engine.decide_many(self.requests, rows, self.contacts, self.persons, AT, self.ids)
        )

    def dry(self) -> bytes:
        """Return the lines of a dry run."""
        rows = self.decoder.decode(self.rows, AT)
        answers = self.engine.answer_many(
            self.asked, rows, self.contacts, self.persons, AT, self.ids
        )
        return self.lines.dry(self.asked, AT, answers)

    def dry_by_records(self) -> bytes:
        """Return the same lines, from records."""
        rows = self.decoder.decode(self.rows, AT)
        records = self.engine.decide_many(
            self.asked, rows, self.contacts, self.persons, AT, self.ids
        )
        return msgspec.json.encode([self._told(record, "dry") for record in records])[1:-1]

    def logged(self) -> Written:
        """Return what is written of decisions that are committed."""
        found: Written = [], [], []
        for part in self._parts():
            requests, rows, contacts, persons, ids = part
            drafts = draft_many(self.engine, requests, rows, contacts, persons, AT, ids)
            assert drafts is not None
            receipts = self.receipts[: len(ids)]
            found[0].extend(drafts.lines)
            found[1].extend(drafts.updates)
            found[2].extend(self.lines.logged(requests, ids, AT, drafts.answers, receipts))
        return found

    def logged_by_records(self) -> Written:
        """Return the same, from records."""
        found: Written = [], [], []
        for requests, rows, contacts, persons, ids in self._parts():
            records = self.engine.decide_many(requests, rows, contacts, persons, AT, ids)
            found[0].extend(events_of(records))
            found[1].extend(left_by_many(self.engine.caps, records))
            for record, receipt in zip(records, self.receipts, strict=False):
                told = self._told(record, "logged", record.id, str(receipt))
                found[2].append(msgspec.json.encode(told))
        return found

    def _parts(self) -> Iterator[tuple[list[Request], FeatureRows, list[bytes], list[bytes], Any]]:
        for begin in range(0, BATCH, BLOCK):
            part = slice(begin, begin + BLOCK)
            rows = self.decoder.decode(self.rows[part], AT)
            yield self.asked[part], rows, self.contacts[part], self.persons[part], self.ids[part]

    def _told(
        self, record: Record, state: State, name: str | None = None, receipt: str | None = None
    ) -> BatchDecision:
        return BatchDecision(
            record.customer,
            state,
            offers_of(self.engine, Decided(record, None, False), explain=False),
            name,
            AT,
            record.control,
            explored(record),
            receipt=receipt,
        )

    def apart(self) -> list[bytes]:
        """Decide for one after the other."""
        return [
            event_of(
                self.engine.decide(
                    request, Row(*self.decoder.decode_one(row, AT)), contacts, persons, AT, name
                )
            )
            for request, row, contacts, persons, name in zip(
                self.requests, self.rows, self.contacts, self.persons, self.ids, strict=True
            )
        ]


def _seconds(step: Callable[[], object]) -> float:
    began = time.thread_time()
    step()
    return time.thread_time() - began
