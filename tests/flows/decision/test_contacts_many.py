"""Offers that are counted for many customers at once are those that are counted for each."""

import numpy as np
import pytest

from nextbest.features.errors import SettingsError, StateError
from nextbest.flows.decision.contact_bytes import MAX_OFFERS, Contacts, Offered, hashed
from nextbest.flows.decision.contacts import CapRules, Reply, Update
from tests.flows.decision.cap_cases import DAY, HOUR, NOW, strategy

RULES = CapRules.compile(strategy())
ACTIONS, CHANNELS = tuple(strategy().actions), tuple(strategy().channels)
FULL = Contacts(
    [Offered(NOW - i, hashed("green"), hashed("web")) for i in range(MAX_OFFERS)][::-1]
).pack()


def histories(rng, n):
    """Contacts of some customers: none, some, old ones, rests, as many as are kept."""
    found = []
    for _ in range(n):
        contacts = b""
        for _ in range(rng.integers(5)):
            at = NOW - int(rng.integers(0, 30 * DAY))
            names = [ACTIONS[rng.integers(len(ACTIONS))]]
            channel = CHANNELS[rng.integers(len(CHANNELS))]
            contacts = RULES.offered(contacts, names, channel, at).contacts
            if rng.random() < 0.3:
                reply = Reply(f"o-{at}", at + HOUR, "fail", names[0], channel, at)
                contacts = RULES.responded(contacts, reply).contacts
        found.append(FULL if rng.random() < 0.1 else contacts)
    return found


@pytest.mark.parametrize("n", [0, 1, 200])
def test_they_are_those_of_each(n):
    rng = np.random.default_rng(n)
    contacts = histories(rng, n)
    actions = [ACTIONS[: rng.integers(3)] for _ in range(n)]
    channels = [CHANNELS[rng.integers(len(CHANNELS))] for _ in range(n)]
    times = [NOW + int(rng.integers(0, 40 * DAY)) for _ in range(n)]
    given = contacts, actions, channels, times
    expected = [RULES.offered(*each) for each in zip(*given, strict=True)]
    assert RULES.offered_many(*given) == expected
    if n == 200:
        assert Update(b"", 0) in expected
        assert FULL in contacts
        assert {bool(own) for own in contacts} == {True, False}


@pytest.mark.parametrize(
    "damaged",
    [FULL[:-1], FULL[:-8], FULL[:-1] + b"\7", bytes(32), b"rubbish!"],
    ids=["a-byte-short", "a-word-short", "another-byte", "nothing", "rubbish"],
)
def test_damage_is_refused_with_the_same_words(damaged):
    with pytest.raises(StateError) as expected:
        RULES.offered(damaged, [ACTIONS[0]], CHANNELS[0], NOW)
    with pytest.raises(StateError) as said:
        RULES.offered_many([b"", damaged, FULL], [[ACTIONS[0]]] * 3, [CHANNELS[0]] * 3, [NOW] * 3)
    assert str(said.value) == str(expected.value)


def test_an_action_that_there_is_not_is_refused():
    with pytest.raises(SettingsError, match="'no' is no action"):
        RULES.offered_many([b""] * 2, [[ACTIONS[0]], ["no"]], [CHANNELS[0]] * 2, [NOW] * 2)
