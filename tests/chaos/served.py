"""Decisions and outcomes that a service takes in, while the store that has them is killed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from nextbest.flows.decision.commit import Committed, Committer, Conflict, Log
from nextbest.flows.decision.contacts import CapRules, Reply
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.record import Offer, Record, Response, record_of
from nextbest.flows.decision.strategy import Strategy

from .declared import ARMS

KEYS = Keys("chaos", "offers")
CUSTOMERS = tuple(f"served-{n}" for n in range(10))
SECOND = 1_000_000
_RESPONSES = ("accept", "accept", "refuse", "refuse", "fail", "undelivered", "deliver")


class Asked(NamedTuple):
    """A request for a decision: the actions in the order of their scores."""

    record: Record
    ranked: list[str]


class Answered(NamedTuple):
    """What a customer did after the last decision that they got, if they got one."""

    id: str
    customer: str
    after_us: int
    response: Response


Call = Asked | Answered


def calls(rng: random.Random, number: int, now: int) -> list[Call]:
    """Return what is asked of the service now, with a decision's id still to be filled in."""
    customer = rng.choice(CUSTOMERS)
    if rng.random() < 0.5:
        inputs = {"channel": "web", "stock": rng.random(), "mood": rng.choice(("up", "down"))}
        record = Record(
            id=f"s{number}", customer=customer, at=now, channel="web", strategy="5e", inputs=inputs
        )
        return [Asked(record, rng.sample(ARMS, len(ARMS)))]
    own = Response(
        decision_id="",
        response=rng.choice(_RESPONSES),
        value=rng.randrange(100) / 1,
        corrects="the last" if rng.random() < 0.3 else None,
    )
    return [Answered(f"t{number}", customer, rng.randrange(900) * SECOND, own)]


class Service:
    """Takes calls in; a call that failed may be made again, and counts once.

    Parameters
    ----------
    url, log
        Where decisions, contacts and the log are.
    strategy
        Its caps and cool-downs.
    """

    def __init__(self, url: str, log: Log, strategy: Strategy) -> None:
        self._committer = Committer(url, KEYS, log)
        self._rules = CapRules.compile(strategy)
        self._last: dict[str, Record] = {}
        self._outcomes: dict[str, str] = {}

    def take(self, call: Call) -> None:
        """Decide, or take an answer in.

        Raises
        ------
        StoreError
            The store is away: it may have been done.
        """
        if isinstance(call, Asked):
            self._decide(call)
            return
        record = self._last.get(call.customer)
        if record is None:
            return
        earlier = self._outcomes.get(record.id)
        own = msgspec.structs.replace(
            call.response,
            decision_id=record.id,
            corrects=earlier if call.response.corrects else None,
        )
        self._committer.respond(call.id, record.at + call.after_us, own, self._rules, record)
        self._outcomes[record.id] = call.id

    def close(self) -> None:
        """Leave no connection."""
        self._committer.close()

    def _decide(self, call: Asked) -> None:
        kept = self._committer.kept(call.record.id)
        if kept is not None:  # it was done, and the store was killed before it said so
            self._last[call.record.customer] = kept.record
            return
        record = call.record
        contacts = self._committer.contacts(record.customer)
        while True:
            checked = self._rules.check(contacts, record.channel, record.at)
            allowed = dict(zip(self._rules.names, checked.allowed.tolist(), strict=True))
            names = [name for name in call.ranked if allowed[name]][: min(1, checked.room)]
            made = msgspec.structs.replace(
                record,
                contacts=contacts,
                excluded=checked.reasons,
                offers=[
                    Offer(action=name, score=0.5, propensity=0.5, draw=0.5, features=[0.5])
                    for name in names
                ],
            )
            update = self._rules.offered(contacts, names, record.channel, record.at)
            done = self._committer.commit(made, update)
            if isinstance(done, Committed):
                break
            assert isinstance(done, Conflict)
            contacts = done.contacts
        if names:
            self._last[record.customer] = made


class _Event(msgspec.Struct):
    event_id: str
    event_timestamp: int
    customer_id: str
    type: str
    properties: dict[str, Any] = {}


def contacts_of(
    lines: Iterable[bytes], strategy: Strategy
) -> tuple[dict[str, bytes], Counter[str]]:
    """Return what contacts a log makes, by customer, and how often what stood in their way.

    Each decision and outcome of a served customer stands in the log once, and each decision was
    made from the contacts that all before it had left.
    """
    rules = CapRules.compile(strategy)
    found: dict[str, bytes] = {}
    records: dict[str, Record] = {}
    met: Counter[str] = Counter()
    known: set[str] = set()
    for line in lines:
        if b'"served-' not in line:
            continue
        event = msgspec.json.decode(line, type=_Event)
        assert event.event_id not in known, f"{event.event_id} is in the log twice"
        known.add(event.event_id)
        before = found.get(event.customer_id, b"")
        if event.type == "decision":
            record = records[event.event_id] = record_of(line)
            assert record.contacts == before, record.id
            names = [offer.action for offer in record.offers]
            after = rules.offered(before, names, record.channel, record.at).contacts
            met.update(reason.split(" until ")[0] for reason in record.excluded.values())
        else:
            own = msgspec.convert(event.properties["nextbest"], Response)
            record = records[own.decision_id]
            reply = Reply(
                event.event_id, event.event_timestamp, own.response, record.offers[0].action,
                record.channel, record.at, own.corrects,
            )  # fmt: skip
            after = before
            if rules.touches(own.response, own.corrects):
                after = rules.responded(before, reply).contacts
            met["corrected"] += own.corrects is not None
        found[event.customer_id] = after
    return {name: contacts for name, contacts in found.items() if contacts}, met


def stored_contacts(store: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the contacts in the store, by customer."""
    prefix = KEYS.contacts("")
    return {key[len(prefix) :]: v for key, v in store.items() if key.startswith(prefix)}


def is_service(key: str) -> bool:
    """Whether a key is written by the service, not by the stream."""
    kinds = ("contacts:", "decision:", "outcome:")
    return key.startswith(tuple(KEYS.prefix + kind for kind in kinds))
