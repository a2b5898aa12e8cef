"""Logs of decisions, outcomes and events, and attribution in plain Python over the whole log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from nextbest.flows.decision.attribution import Attribution
from nextbest.flows.decision.credits import Seen
from nextbest.flows.decision.goals import Goal
from nextbest.flows.decision.loop_events import LoopEvent
from nextbest.flows.decision.open_decisions import Credit, Open
from nextbest.flows.decision.record import Offer, Record, Response

Event = LoopEvent | Seen | int  # a number: any other event, by its time
_CHANGES = msgspec.msgpack.Decoder(list[tuple[str, Open | None]])
UNSEEN = ("fail", "undelivered")
Final = dict[tuple[str, str], tuple[int, int, float, bool]]


def decided(
    name: str, at: int, *actions: str, customer: str = "ann", tags: Any = (), **more: Any
) -> LoopEvent:
    """Return a decision; ``tags`` are what it says of some actions."""
    told = dict(tags)
    offers = [
        Offer(action=a, score=0.0, propensity=1.0, draw=0.0, tags=told.get(a, {})) for a in actions
    ]
    record = Record(
        id=name, customer=customer, at=at, channel="web", strategy="5e", offers=offers, **more
    )
    return LoopEvent(name, at, customer, "web", record, "{}")


def came(
    name: str, at: int, decision: str, word: str = "accept", customer: str = "ann", **more: Any
) -> LoopEvent:
    """Return an outcome."""
    own = Response(decision_id=decision, response=word, **more)
    return LoopEvent(name, at, customer, "web", own, "{}")


def seen(name: str, at: int, customer: str = "ann", kind: str = "buy", **fields: Any) -> Seen:
    """Return an event."""
    return Seen(name, at, customer, -1, {"type": kind, **fields})


def placed(log: Sequence[Event]) -> list[Event]:
    """Return the log with its positions."""
    new: list[Event] = []
    for position, event in enumerate(log):
        if isinstance(event, LoopEvent):
            same = [getattr(event, name) for name in LoopEvent.__struct_fields__]
            same[LoopEvent.__struct_fields__.index("position")] = position
            new.append(LoopEvent(*same))
        elif isinstance(event, Seen):
            new.append(Seen(event.event_id, event.at, event.customer, position, event.fields))
        else:
            new.append(event)
    return new


def clocks_of(log: Sequence[Event], logged: Sequence[int] | None) -> list[int]:
    """Return what each event moves the clock to, given when the log took it in."""
    times = [event if isinstance(event, int) else event.at for event in log]
    return times if logged is None else [min(pair) for pair in zip(times, logged, strict=True)]


def run(
    log: Sequence[Event],
    make: Callable[[], Attribution],
    cuts: Sequence[int] = (),
    restarts: Sequence[int] = (),
    logged: Sequence[int] | None = None,
) -> tuple[list[Credit], list[tuple[str, str]], list[str]]:
    """Return credits, refusals (id, reason) and the ids accepted; the log is cut into chunks."""
    log = placed(log)
    times = clocks_of(log, logged)
    attribution = make()
    kept: list[bytes] = []
    told: list[Credit] = []
    refused: list[tuple[str, str]] = []
    accepted: list[str] = []
    ends = sorted({len(log), *(cut for cut in cuts if cut < len(log))})
    start = 0
    for end in ends:
        chunk = [event for event in log[start:end] if not isinstance(event, int)]
        newest = lambda position, start=start: max(times[start : position + 1])  # noqa: E731
        out = attribution.take(chunk, newest, max(times[start:end], default=-1))
        told += out.credits
        refused += [(each.event.event_id, each.reason) for each in out.refused]
        accepted += [event.event_id for event in out.accepted]
        kept.append(msgspec.msgpack.encode(attribution.changes()))
        if end in restarts:
            clock = attribution.newest
            attribution = make()
            for changes in kept:
                attribution.restore(clock, _CHANGES.decode(changes))
        start = end
    return told, refused, accepted


def final(told: Sequence[Credit]) -> Final:
    """Return what learning knows in the end; check that each revision follows the one before."""
    last: dict[tuple[str, str], Credit] = {}
    for credit in told:
        key = credit.objective, credit.id
        assert credit.revision == (last[key].revision + 1 if key in last else 0)
        last[key] = credit
    return {
        key: (c.time, c.position, c.reward, c.silence) for key, c in last.items() if not c.withdrawn
    }


class Twin:
    """The rules, one after the other, over the whole log."""

    def __init__(self, goals: Sequence[Goal], grace: int, credit: str, tags: Any) -> None:
        self.goals, self.credit, self.tags = goals, credit, tags
        self.keep = max(goal.window for goal in goals) + grace
        self.known: dict[str, dict[str, Any]] = {}
        self.refused: list[str] = []
        self.accepted: list[str] = []

    def final(self, log: Sequence[Event], logged: Sequence[int] | None = None) -> Final:
        """Return what learning knows in the end."""
        clock = -1
        clocks = clocks_of(log, logged)
        for position, event in enumerate(placed(log)):
            clock = max(clock, clocks[position])
            if isinstance(event, int):
                continue
            if isinstance(event, Seen):
                self._credit_it(event, position, clock)
            elif isinstance(event.own, Record):
                self._decision(event, position, clock)
            else:
                self._outcome(event, position, clock)
        found: Final = {}
        for name, decision in self.known.items():
            for rank in range(len(decision["actions"])):
                for goal in self.goals:
                    now = self._now(decision, rank, goal, clock)
                    if now is not None:
                        found[goal.name, f"{name}/{rank}"] = now
        return found

    def _decision(self, event: LoopEvent, position: int, clock: int) -> None:
        if event.at + self.keep < clock:
            self.refused.append(event.event_id)
        elif event.event_id not in self.known:
            self.accepted.append(event.event_id)
            own: Any = event.own
            self.known[event.event_id] = {
                "at": event.at, "position": position, "customer": event.customer,
                "actions": [offer.action for offer in own.offers], "learns": not own.fallback,
                "tags": [{**self.tags.get(o.action, {}), **o.tags} for o in own.offers],
                "outcomes": {}, "credited": [],
            }  # fmt: skip

    def _outcome(self, event: LoopEvent, position: int, clock: int) -> None:
        own: Any = event.own
        decision = self.known.get(own.decision_id)
        if decision is None or decision["at"] + self.keep < clock:
            self.refused.append(event.event_id)
            return
        rank = 0
        if own.action is not None and own.action in decision["actions"]:
            rank = decision["actions"].index(own.action)
        wrong = (
            decision["customer"] != event.customer
            or event.at < decision["at"]
            or not decision["actions"]
            or (own.action is not None and own.action not in decision["actions"])
        )
        outcomes = decision["outcomes"]
        if not wrong and event.event_id in outcomes:
            return
        if own.corrects is not None:
            wrong = wrong or own.corrects not in outcomes
            wrong = wrong or outcomes[own.corrects]["rank"] != rank
        if wrong:
            self.refused.append(event.event_id)
            return
        outcome = {"rank": rank, "at": event.at, "position": position, "own": own, "root": None}
        if own.corrects is not None:
            root = outcomes[own.corrects]
            root = root if root["root"] is None else root["root"]
            root["own"], outcome["root"] = own, root
        outcomes[event.event_id] = outcome
        self.accepted.append(event.event_id)

    def _credit_it(self, event: Seen, position: int, clock: int) -> None:
        for goal in self.goals:
            if goal.event != event.fields["type"]:
                continue
            value = goal.value if not isinstance(goal.value, str) else event.fields.get(goal.value)
            if value is None:
                continue
            able = []
            for decision in self.known.values():
                open_ = decision["at"] <= event.at <= decision["at"] + goal.window
                if decision["at"] + self.keep < clock or not open_ or not decision["learns"]:
                    continue
                if decision["customer"] != event.customer:
                    continue
                ranks = [
                    rank
                    for rank in range(len(decision["actions"]))
                    if not self._failed(decision, rank)
                    and (goal.where is None or goal.where(event.fields, decision["tags"][rank]))
                ]
                if ranks:
                    able.append((decision["at"], decision["position"], ranks[0], decision))
            able.sort(key=lambda each: each[:2])
            chosen = {"last": able[-1:], "first": able[:1], "all": able}[self.credit]
            for _, _, rank, decision in chosen:
                decision["credited"].append((event.at, position, value, rank, goal.name))

    def _failed(self, decision: dict[str, Any], rank: int) -> bool:
        return any(
            o["root"] is None and o["rank"] == rank and o["own"].response in UNSEEN
            for o in decision["outcomes"].values()
        )

    def _now(
        self, decision: dict[str, Any], rank: int, goal: Goal, clock: int
    ) -> tuple[int, int, float, bool] | None:
        if not decision["learns"] or (self._failed(decision, rank) and goal.response not in UNSEEN):
            return None
        end = decision["at"] + min(goal.patience or goal.window, goal.window)
        found = [
            (at, position, value)
            for at, position, value, r, name in decision["credited"]
            if r == rank and name == goal.name
        ]
        for outcome in decision["outcomes"].values():
            own = outcome["own"]
            mine = outcome["root"] is None and outcome["rank"] == rank
            in_time = outcome["at"] <= decision["at"] + goal.window
            if mine and in_time and own.response == goal.response:
                value = own.value if isinstance(goal.value, str) else goal.value
                found.append((outcome["at"], outcome["position"], value))
        if found:
            at, position, value = min(found)
            share = (value - goal.low) / (goal.high - goal.low)
            return at, position, min(max(share, 0.0), 1.0), False
        return (end, decision["position"], 0.0, True) if clock > end else None
