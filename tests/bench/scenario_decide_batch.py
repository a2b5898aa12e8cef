"""``decide-batch``: a batch of 1,000 customers from stored rows to encoded records."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from nextbest.flows.decision.record import event_of, events_of
from nextbest.flows.decision.request import Row

from .decide_world import AT, World
from .harness import Result
from .scenario_decide_inprocess import Ours

BATCH = 1000


def run(*, quick: bool) -> Result:
    """Measure; see the module's text.

    The decisions of `decide-inprocess`: 30 actions, 50 features, two objectives, a person's own
    weights in every second one. The rows are decoded, decided with `Engine.decide_many` and encoded
    with `events_of`, at once; the reference does the same with `decide_one`, `Engine.decide` and
    `event_of`, one after the other. Both make the same bytes. Time is the thread's processor time.
    """
    runs = 7 if quick else 15
    batch = Batch()
    assert batch.together() == batch.apart()
    rates: list[float] = []
    reference: list[float] = []
    ratios: list[float] = []
    for _ in range(runs):  # interleaved, so that both see the same machine
        together, apart = _seconds(batch.together), _seconds(batch.apart)
        rates.append(BATCH / together)
        reference.append(BATCH / apart)
        ratios.append(apart / together)
    events = batch.together()
    return Result(
        "decide-batch",
        figures={
            "per_s": statistics.median(rates),
            "ratio_one_by_one": statistics.median(ratios),
        },
        detail={
            "best_per_s": max(rates),
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

    def together(self) -> list[bytes]:
        """Decide for all at once."""
        rows = self.decoder.decode(self.rows, AT)
        return events_of(
            self.engine.decide_many(self.requests, rows, self.contacts, self.persons, AT, self.ids)
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
