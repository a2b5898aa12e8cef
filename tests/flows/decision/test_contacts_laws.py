"""Laws of contacts: as the plain way says, and never more than a cap allows in any stretch."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.flows.decision.contact_bytes import Contacts, Offered, hashed
from nextbest.flows.decision.contact_kernels import UNBOUNDED
from nextbest.flows.decision.contacts import CapRules, Reply, Update
from nextbest.flows.decision.strategy import Action, Cap, Channel, CoolDown, Strategy
from tests.flows.decision.cap_cases import HOUR, NOW, strategy
from tests.naive.contacts import NaiveContacts

RESPONSES = ("refuse", "annoyed", "leave", "fail", "undelivered", "accept")
caps = st.lists(
    st.builds(Cap, most=st.integers(0, 4), per=st.sampled_from(["1h", "3h", "1d", "7d"])),
    max_size=2,
)
tags = st.dictionaries(st.sampled_from(["kind", "size"]), st.sampled_from(["x", "y"]))
rests = st.lists(
    st.builds(
        CoolDown,
        after=st.sampled_from(["refuse", "annoyed"]),
        pause=st.sampled_from(["1h", "2d"]),
        of=st.sampled_from(["action", "all", "kind"]),
    ),
    max_size=3,
)


@st.composite
def strategies(draw: st.DrawFn) -> Strategy:
    channels = {name: Channel(caps=draw(caps), blocked_for="5h") for name in ("web", "email")}
    actions = {
        name: Action(channels=["web"], caps=draw(caps), tags=draw(tags))
        for name in "abcde"[: draw(st.integers(1, 5))]
    }
    return strategy(channels=channels, actions=actions, caps=draw(caps), cool_downs=draw(rests))


@settings(max_examples=150, deadline=None)
@given(plan=strategies(), seed=st.integers(0, 2**32))
def test_every_answer_is_as_the_plain_way_says(plan: Strategy, seed: int) -> None:
    rng = random.Random(seed)
    rules, naive = CapRules.compile(plan), NaiveContacts(plan)
    contacts, at, made = b"", NOW, []
    outcomes: list[str] = []
    offers_of: dict[str, tuple[int, str, str]] = {}
    for step in range(40):
        at += rng.choice((0, 1, HOUR // 2, HOUR, 3 * HOUR, 30 * HOUR))
        # Other replicas' clocks differ, by less than the hour that is allowed for.
        now = at - rng.choice((0, 0, rng.randrange(HOUR)))
        channel = rng.choice(("web", "email"))
        found = rules.check(contacts, channel, now)
        expected = [naive.allowed(name, channel, now) for name in rules.names]
        assert found.allowed.tolist() == expected
        assert found.reasons.keys() == {
            n for n, ok in zip(rules.names, expected, strict=True) if not ok
        }
        if any(expected):
            room = naive.room(channel, now)
            assert found.room == (UNBOUNDED if room is None else room)
            names = [name for name, ok in zip(rules.names, expected, strict=True) if ok]
            chosen = rng.sample(names, min(len(names), found.room, rng.choice((1, 1, 2))))
            contacts = rules.offered(contacts, chosen, channel, now).contacts
            new = [(now, name, channel) for name in chosen]
            naive.offers += new
            made += new
        if made and rng.random() < 0.3:
            offer = rng.choice(made[-3:])
            response = rng.choice(RESPONSES)
            corrects = rng.choice(outcomes[-3:]) if outcomes and rng.random() < 0.3 else None
            if corrects is not None:
                offer = offers_of[corrects]
            offers_of[f"o-{step}"] = offer
            naive.respond(f"o-{step}", now, response, offer, corrects)
            told = Reply(f"o-{step}", now, response, offer[1], offer[2], offer[0], corrects)
            contacts = rules.responded(contacts, told).contacts
            outcomes.append(f"o-{step}")
        assert Contacts.unpack(contacts).pack() == contacts


@settings(max_examples=100, deadline=None)
@given(plan=strategies(), seed=st.integers(0, 2**32))
def test_no_stretch_holds_more_than_a_cap_allows_where_clocks_differ(
    plan: Strategy, seed: int
) -> None:
    rng = random.Random(seed)
    rules, contacts, at = CapRules.compile(plan), b"", NOW
    made: list[tuple[int, str, str]] = []
    for _ in range(60):
        at += rng.choice((0, HOUR // 3, HOUR, 10 * HOUR))
        now = at - rng.choice((0, rng.randrange(HOUR)))
        channel = rng.choice(("web", "email"))
        found = rules.check(contacts, channel, now)
        names = [name for name, ok in zip(rules.names, found.allowed, strict=True) if ok]
        chosen = names[: min(found.room, rng.choice((1, 2, 3)))]
        contacts = rules.offered(contacts, chosen, channel, now).contacts
        made += [(now, name, channel) for name in chosen]
    naive = NaiveContacts(plan, offers=made)
    for t in {t for t, _, _ in made}:
        naive.offers = [offer for offer in made if offer[0] <= t]
        assert all(naive.left(cap, t, None, None) >= 0 for cap in plan.caps)
        for name, channel in plan.channels.items():
            assert all(naive.left(cap, t, None, name) >= 0 for cap in channel.caps)
        for name, action in plan.actions.items():
            assert all(naive.left(cap, t, name, None) >= 0 for cap in action.caps)


@settings(max_examples=100, deadline=None)
@given(plan=strategies(), seed=st.integers(0, 2**32))
def test_the_kernel_adds_offers_as_plain_code_does(plan: Strategy, seed: int) -> None:
    rng = random.Random(seed)
    rules, contacts = CapRules.compile(plan), b""
    at = NOW
    for step in range(30):
        at += rng.choice((-HOUR, 0, HOUR, 30 * HOUR))
        names = rng.choices(rules.names, k=rng.randrange(3))
        channel = rng.choice(("web", "email"))
        known = Contacts.unpack(contacts)
        known.offers += [Offered(at, hashed(name), hashed(channel)) for name in names]
        plain = rules._packed(known, at)
        fast = rules.offered(contacts, names, channel, at)
        assert Contacts.unpack(fast.contacts) == Contacts.unpack(plain.contacts)
        assert fast == plain
        contacts = fast.contacts
        if names:
            told = Reply(str(step), at, rng.choice(RESPONSES), names[0], channel, at)
            contacts = rules.responded(contacts, told).contacts


def test_offers_are_kept_in_the_order_of_time() -> None:
    rules = CapRules.compile(strategy())
    contacts = b""
    for hours in (5, 1, 4, 2, 3):
        contacts = rules.offered(contacts, ["black"], "web", NOW + hours * HOUR).contacts
    times = [offer.at for offer in Contacts.unpack(contacts).offers]
    assert len(times) == 5
    assert all(a < b for a, b in pairwise(times))


@pytest.mark.parametrize("wanted", [1, 2, 5])
def test_one_answer_has_room_for_what_the_caps_leave(wanted: int) -> None:
    rules = CapRules.compile(strategy())
    contacts = rules.offered(b"", ["black"] * wanted, "web", NOW).contacts
    assert rules.check(contacts, "web", NOW + 1).room == max(0, 3 - wanted)
    assert rules.offered(b"", [], "web", NOW) == Update(b"", 0)
