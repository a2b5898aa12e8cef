"""A strategy with every kind of cap and rest, and decisions made from nothing but caps."""

from __future__ import annotations

from nextbest.flows.decision.commit import Committed, Committer, Conflict
from nextbest.flows.decision.contacts import CapRules
from nextbest.flows.decision.keys import Keys, decision_id
from nextbest.flows.decision.record import Offer, Record
from nextbest.flows.decision.strategy import Action, Cap, Channel, CoolDown, Objective, Strategy

KEYS = Keys("shop", "tea")
HOUR = 3_600_000_000
DAY = 24 * HOUR
NOW = 1_790_000_000_000_000


def strategy(**changes: object) -> Strategy:
    """All caps are 3 a day, of email 2 a day, of `green` 1 a week."""
    parts: dict[str, object] = {
        "name": "tea",
        "objectives": {"sale": Objective(response="accept")},
        "channels": {
            "web": Channel(),
            "email": Channel(direction="outbound", caps=[Cap(most=2, per="1d")], blocked_for="6h"),
        },
        "actions": {
            "green": Action(channels=["web"], caps=[Cap(most=1, per="7d")], tags={"kind": "tea"}),
            "black": Action(channels=["web", "email"], tags={"kind": "tea"}),
            "cake": Action(channels=["web", "email"], tags={"kind": "food"}),
        },
        "caps": [Cap(most=3, per="1d")],
        "cool_downs": [
            CoolDown(after="refuse", pause="7d"),
            CoolDown(after="annoyed", pause="2d", of="kind"),
            CoolDown(after="leave", pause="30d", of="all"),
        ],
    }
    return Strategy(**(parts | changes))  # type: ignore[arg-type]


def record(customer: str, at: int, number: int, actions: list[str], contacts: bytes) -> Record:
    """A decision that offers `actions`."""
    offers = [Offer(action=a, score=1.0, propensity=1.0, draw=0.5) for a in actions]
    return Record(
        id=decision_id(at, customer, number),
        customer=customer,
        at=at,
        channel="web",
        wanted=len(actions),
        strategy="0123456789abcdef",
        contacts=contacts,
        offers=offers,
    )


def decide(
    committer: Committer, rules: CapRules, customer: str, at: int, number: int, *, wanted: int = 1
) -> tuple[Committed, int]:
    """Offer the first that are allowed until it is committed; return also the conflicts."""
    contacts = committer.contacts(customer)
    conflicts = 0
    while True:
        found = rules.check(contacts, "web", at)
        actions = [name for name, open_ in zip(rules.names, found.allowed, strict=True) if open_]
        actions = actions[: min(wanted, found.room)]
        made = record(customer, at, number, actions, contacts)
        done = committer.commit(made, rules.offered(contacts, actions, "web", at))
        if not isinstance(done, Conflict):
            return done, conflicts
        contacts, conflicts = done.contacts, conflicts + 1
