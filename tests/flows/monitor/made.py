"""A log with decisions and outcomes in it, as a service in a simulated world would leave it."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path

import msgspec

from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.goals import goals_of
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.learning import Learning
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.loop_events import LoopEvent
from nextbest.flows.decision.record import Response, event_of, outcome_event
from nextbest.flows.decision.request import Request, row_of
from nextbest.flows.simulate.catalog import catalog
from nextbest.flows.simulate.policies import Ours
from nextbest.flows.simulate.sessions import events_of, rows_of
from nextbest.flows.simulate.strategy import text_of
from nextbest.flows.simulate.within import _attribution, _Log
from nextbest.flows.simulate.world import CHANNELS, DAY, World

DELAY, LATE = 900_000_000, 25
"""How many microseconds the events of every so many-th visit come behind their time."""
CATALOG = "nextbest.flows.simulate.catalog:catalog"


def strategy_text(world: World, control: float = 0.2) -> str:
    """The world's strategy, with a control group and a second objective."""
    window = f"{world.setting.window_us // 1000}ms"
    refusal = f"  refusal: {{response: refuse, window: {window}, weight: -0.1}}\n"
    text = text_of(world).replace("channels:\n", f"{refusal}channels:\n", 1)
    return f"{text}control: {{share: {control}}}\n"


class Chooser(Ours):
    """Our policy, with the strategy of `strategy_text`."""

    def __init__(self, world: World, control: float) -> None:
        super().__init__(world)
        self.loaded = load(strategy_text(world, control), catalog)
        self.engine = Engine(self.loaded, catalog)
        spans = {goal.name: goal.window + DAY for goal in goals_of(self.loaded.strategy, catalog)}
        self.learning = Learning(self.loaded.strategy.model, spans)


def log_of(world: World, control: float = 0.2) -> Iterator[bytes]:
    """Yield the lines of a log in the order of time: what was seen, decided and answered."""
    policy = Chooser(world, control)
    log, rows = _Log(_attribution(policy), policy), rows_of(world)
    waiting: list[tuple[int, int, bytes]] = []
    n = 0

    def put(at: int, line: bytes) -> None:
        nonlocal n
        n += 1
        heappush(waiting, (at, n, line))

    for visit in range(len(world)):
        at = int(world.at[visit])
        events = events_of(world, visit)
        for event in events:
            behind = DELAY if visit % LATE == 0 else 0  # it comes when others have been there
            put(event["event_timestamp"] + behind, msgspec.json.encode(event))
        log.until(at)
        customer = world.customers[world.who[visit]]
        channel = CHANNELS[world.channel[visit]]
        request = Request(customer=customer, channel=channel, context=world.context(visit))
        name = id_of_cause(at, customer, f"{world.seed}-{visit}")
        record = policy.decide(request, row_of(rows, visit), at, name)
        put(at, event_of(record))
        log.add(LoopEvent(name, at, customer, channel, record, "{}"))
        answer = world.answer(visit, world.actions.index(record.offers[0].action))
        if answer is not None or world.refuses[visit]:
            word = "refuse" if answer is None else "accept"
            after = at + (1000 if answer is None else answer.after_us)
            own = Response(decision_id=name, response=word)
            log.later(LoopEvent(f"answer-{visit}", after, customer, channel, own, "{}"))
            put(after, outcome_event(f"answer-{visit}", after, customer, channel, own))
        while waiting and waiting[0][0] < at - DAY:
            yield heappop(waiting)[2] + b"\n"
    while waiting:
        yield heappop(waiting)[2] + b"\n"


def write_log(directory: Path, world: World, control: float = 0.2) -> tuple[Path, Path]:
    """Write the log and the strategy; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    log, strategy = directory / "log.ndjson", directory / "strategy.yaml"
    strategy.write_text(strategy_text(world, control))
    with log.open("wb") as file:
        file.writelines(log_of(world, control))
    return log, strategy
