"""What contacts leave open, named by the rule that excludes it."""

from __future__ import annotations

import numpy as np
import pytest

from nextbest.features.errors import SettingsError, StateError
from nextbest.flows.decision.contact_bytes import (
    MAX_NOTES,
    MAX_OFFERS,
    MAX_RESTS,
    Contacts,
    Rest,
    action_key,
    hashed,
)
from nextbest.flows.decision.contact_kernels import UNBOUNDED
from nextbest.flows.decision.contacts import CapRules, Reply, Update
from nextbest.flows.decision.strategy import Action, Cap, CoolDown
from tests.flows.decision.cap_cases import DAY, HOUR, NOW, strategy

RULES = CapRules.compile(strategy())


def reply(
    response: str, action: str = "green", *, at: int = NOW + HOUR, outcome: str = "o-1"
) -> Reply:
    channel = "email" if action == "cake" else "web"
    return Reply(outcome, at, response, action, channel, NOW)


def offered(*offers: tuple[str, str, int]) -> bytes:
    contacts = b""
    for action, channel, at in offers:
        contacts = RULES.offered(contacts, [action], channel, at).contacts
    return contacts


def test_a_window_ends_exactly_when_its_time_is_over() -> None:
    contacts = offered(("black", "web", NOW), ("black", "web", NOW + 1), ("cake", "web", NOW + 2))
    assert RULES.check(contacts, "web", NOW + DAY - 1).room == 0
    assert RULES.check(contacts, "web", NOW + DAY).room == 1
    assert RULES.check(contacts, "web", NOW + DAY + 2).room == 3


def test_each_rule_is_named() -> None:
    contacts = offered(("green", "web", NOW), ("black", "email", NOW + 1))
    assert RULES.check(contacts, "web", NOW + 2).reasons == {"green": "cap of action: 1 per 7d"}
    contacts = RULES.offered(contacts, ["cake"], "email", NOW + 3).contacts
    allowed, reasons, _ = RULES.check(contacts, "web", NOW + 4)
    assert not allowed.any()
    assert set(reasons.values()) == {"cap: 3 per 1d"}
    wide = CapRules.compile(strategy(caps=[]))
    assert set(wide.check(contacts, "email", NOW + 4).reasons.values()) == {
        "cap of email: 2 per 1d"
    }
    assert wide.check(contacts, "web", NOW + 4).room == UNBOUNDED


@pytest.mark.parametrize(
    ("response", "excluded"),
    [
        ("refuse", {"green": "cool-down after refuse until 2026-09-28T15:13:20Z"}),
        ("annoyed", dict.fromkeys(("green", "black"), "after annoyed until 2026-09-23T15:13:20Z")),
        ("leave", dict.fromkeys(RULES.names, "cool-down after leave until 2026-10-21T15:13:20Z")),
        ("fail", dict.fromkeys(RULES.names, "channel blocked after a failed delivery")),
        ("undelivered", {}),
        ("accept", {}),
    ],
    ids=["refuse", "annoyed", "leave", "fail", "undelivered", "accept"],
)
def test_a_response_makes_rest_what_it_should(response: str, excluded: dict[str, str]) -> None:
    contacts = RULES.responded(b"", reply(response)).contacts
    found = RULES.check(contacts, "web", NOW + HOUR + 1).reasons
    assert found.keys() == excluded.keys()
    assert all(found[name].endswith(reason) for name, reason in excluded.items())
    assert RULES.touches(response) == (response != "accept")
    assert RULES.check(contacts, "email", NOW + 40 * DAY).reasons == {}


@pytest.mark.parametrize("response", ["fail", "undelivered"])
def test_an_offer_that_did_not_arrive_does_not_count(response: str) -> None:
    contacts = offered(("green", "web", NOW), ("green", "web", NOW + 1))
    contacts = RULES.responded(contacts, reply(response)).contacts
    later = NOW + 10 * HOUR
    assert RULES.check(contacts, "web", later).room == 2
    assert RULES.check(contacts, "web", later).reasons.keys() == {"green"}
    again = RULES.responded(contacts, reply(response)).contacts
    assert again == contacts
    corrected = reply("deliver", outcome="o-2")._replace(corrects="o-1")
    contacts = RULES.responded(contacts, corrected).contacts
    assert RULES.check(contacts, "web", NOW + HOUR).room == 1


def test_a_correction_takes_a_rest_back_and_no_other() -> None:
    contacts = RULES.responded(b"", reply("refuse")).contacts
    contacts = RULES.responded(contacts, reply("refuse", "black", outcome="o-2")).contacts
    corrected = reply("accept", outcome="o-3")._replace(corrects="o-1")
    contacts = RULES.responded(contacts, corrected).contacts
    assert RULES.check(contacts, "web", NOW + HOUR).reasons.keys() == {"black"}
    assert RULES.touches("accept", "o-1")


@pytest.mark.parametrize("last", ["o-1", "o-2", "o-3"])
@pytest.mark.parametrize("response", ["refuse", "fail"])
def test_what_is_corrected_again_is_taken_back_whole(response: str, last: str) -> None:
    """Whichever of them the last correction names."""
    contacts = offered(("green", "web", NOW))
    for outcome, corrects in (("o-1", None), ("o-2", "o-1"), ("o-3", "o-1")):
        told = reply(response, outcome=outcome)._replace(corrects=corrects)
        contacts = RULES.responded(contacts, told).contacts
        assert RULES.responded(contacts, told).contacts == contacts
    assert RULES.check(contacts, "web", NOW + HOUR).reasons
    corrected = reply("accept", outcome="o-4")._replace(corrects=last)
    contacts = RULES.responded(contacts, corrected).contacts
    found = RULES.check(contacts, "web", NOW + HOUR)
    assert (found.reasons, found.room) == (
        RULES.check(offered(("green", "web", NOW)), "web", NOW + HOUR)[1:]
    )
    again = reply(response, outcome="o-3")._replace(corrects="o-1")
    assert RULES.responded(contacts, again).contacts == contacts


def test_what_is_ahead_of_the_clock_counts_as_now() -> None:
    contacts = offered(("black", "web", NOW), ("black", "web", NOW + DAY), ("cake", "web", NOW))
    assert set(RULES.check(contacts, "web", NOW + 1).reasons.values()) == {"cap: 3 per 1d"}
    assert RULES.check(contacts, "web", NOW + DAY + 1).room == 2


def test_a_clock_behind_finds_what_another_dropped_or_full_caps() -> None:
    contacts = offered(("green", "web", NOW), ("black", "web", NOW + 7 * DAY + HOUR // 2))
    assert "green" in RULES.check(contacts, "web", NOW + 7 * DAY - 1).reasons
    contacts = RULES.offered(contacts, [], "web", NOW + 7 * DAY + HOUR).contacts
    assert len(Contacts.unpack(contacts).offers) == 1
    assert RULES.check(contacts, "web", NOW + 7 * DAY).reasons == {}
    assert RULES.check(contacts, "web", NOW + 7 * DAY - 1).room == 0


def test_another_strategy_reads_what_one_wrote() -> None:
    contacts = offered(("green", "web", NOW), ("cake", "web", NOW))
    contacts = RULES.responded(contacts, reply("refuse", "black")).contacts
    actions = {"new": Action(channels=["web"]), "cake": Action(channels=["web"])}
    actions["black"] = Action(channels=["web"])
    other = CapRules.compile(strategy(actions=actions, caps=[Cap(most=3, per="2d")], cool_downs=[]))
    found = other.check(contacts, "web", NOW + HOUR)
    assert found.room == 1
    assert found.reasons == {"black": "cool-down until 2026-09-28T15:13:20Z"}


def test_what_nobody_needs_is_not_kept() -> None:
    rules = CapRules.compile(strategy(caps=[]))
    assert rules.offered(b"", ["black"], "web", NOW) == Update(b"", 0)
    contacts, keep_ms = rules.offered(b"", ["green"], "web", NOW)
    assert keep_ms == (7 * DAY + HOUR) // 1000
    assert rules.offered(contacts, [], "web", NOW + 7 * DAY + HOUR) == Update(b"", 0)


def test_no_cap_is_exceeded_where_offers_are_too_many_to_keep() -> None:
    caps = {name: Action(channels=["web"], caps=[Cap(most=1, per="7d")]) for name in "ab"}
    rules = CapRules.compile(strategy(caps=[], actions=caps))
    contacts = rules.offered(b"", ["a"], "web", NOW).contacts
    # Offers that no cap stopped, as a strategy before this one made them.
    contacts = rules.offered(contacts, ["b"] * MAX_OFFERS, "web", NOW + 1).contacts
    known = Contacts.unpack(contacts)
    assert (len(known.offers), known.forgotten) == (MAX_OFFERS, NOW)
    assert not rules.check(contacts, "web", NOW + 7 * DAY - 1).allowed.any()
    assert rules.check(contacts, "web", NOW + 7 * DAY).reasons.keys() == {"b"}


def test_nothing_that_rests_is_offered_where_rests_are_too_many_to_keep() -> None:
    contacts = b""
    for number in range(MAX_RESTS + 10):
        told = reply("refuse", at=NOW + number, outcome=f"o-{number}")
        contacts = RULES.responded(contacts, told).contacts
    known = Contacts.unpack(contacts)
    assert len(known.rests) == MAX_RESTS
    assert known.rests[0] == Rest(known.rests[0].what, NOW + 10, NOW + 10 + 7 * DAY, 0, 0)
    assert not RULES.check(contacts, "web", NOW + 7 * DAY).allowed.any()
    assert RULES.check(contacts, "web", NOW + 7 * DAY + 10).reasons.keys() == {"green"}


def test_notes_of_many_failures_stop_nothing() -> None:
    contacts = b""
    for number in range(MAX_RESTS):
        at = NOW + number * 2 * HOUR
        contacts = RULES.offered(contacts, ["green"], "web", at).contacts
        told = Reply(f"o-{number}", at + 1, "undelivered", "green", "web", at)
        contacts = RULES.responded(contacts, told).contacts
    assert len(Contacts.unpack(contacts).rests) == MAX_NOTES
    assert RULES.check(contacts, "web", at + 2).allowed.all()


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda raw: raw[:-1], "cut off"),
        (lambda raw: raw[:-8], "not what 1 . 0 entries need"),
        (lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:], "checksum"),
        (lambda raw: raw[:6] + b"\x02\x43" + raw[8:], "unknown format 0x4302"),
        (lambda raw: b"no", "cut off"),
    ],
    ids=["byte", "word", "bit", "format", "short"],
)
def test_damage_is_told(damage: object, match: str) -> None:
    raw = damage(offered(("green", "web", NOW)))  # type: ignore[operator]
    with pytest.raises(StateError, match=match):
        RULES.check(raw, "web", NOW)
    with pytest.raises(StateError, match=match):
        RULES.offered(raw, [], "web", NOW)
    with pytest.raises(StateError, match=match):
        Contacts.unpack(raw)


@pytest.mark.parametrize(
    ("channel", "action", "at", "match"),
    [
        ("radio", "green", NOW, "'radio' is no channel"),
        ("web", "coal", NOW, "'coal' is no action"),
        ("web", "green", 0, "0 is no time"),
        ("web", "green", 1 << 62, "is no time"),
    ],
    ids=["channel", "action", "no-time", "far-time"],
)
def test_what_is_not_in_the_strategy_is_told(
    channel: str, action: str, at: int, match: str
) -> None:
    with pytest.raises(SettingsError, match=match):
        RULES.offered(b"", [action], channel, at)


@pytest.mark.parametrize("per", ["0d", "99999999w", "9999999999999d"], ids=["none", "long", "over"])
def test_durations_are_checked(per: str) -> None:
    with pytest.raises(SettingsError):
        CapRules.compile(strategy(caps=[Cap(most=1, per=per)]))
    with pytest.raises(SettingsError):
        CapRules.compile(strategy(cool_downs=[CoolDown(pause=per)]))


def test_the_bytes_are_the_format_that_is_stated() -> None:
    contacts = offered(("green", "web", NOW))
    contacts = RULES.responded(contacts, reply("refuse")).contacts
    words = np.frombuffer(contacts, "<i8").tolist()
    assert words[0] == 0x4301 << 48 | 1 << 24 | 1
    assert words[2:4] == [0, 0]
    assert words[4:7] == [NOW, hashed("green"), hashed("web")]
    began = NOW + HOUR
    rest = [action_key("green"), began, began + 7 * DAY, hashed("refuse"), hashed("o-1")]
    assert words[7:] == rest
