"""Models of River in a fleet: they learn, are compared, and end at the same bits; none decides."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from nextbest.features import SettingsError
from nextbest.flows.decision.fleet_learning import FleetLearning
from nextbest.flows.decision.fleet_orders import order_credit
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.record import Order
from nextbest.flows.decision.roster import Roster, Shadow, read_roster
from tests.flows.decision.fleet_cases import TEXT, WINDOW, learning

SHADOWED = TEXT.replace(
    "  share: 0.5",
    """    pipe:
      river:
        - river.preprocessing.StandardScaler
        - {river: river.linear_model.LogisticRegression, with: {intercept_lr: 0.05}}
    tree:
      river: river.tree.HoeffdingTreeClassifier
      with: {grace_period: 20, leaf_prediction: mc}
  share: 0.5""",
)
STRATEGY = load(SHADOWED).strategy


def log_of(n: int, start: int = 0) -> list[Credit]:
    """Return decisions each 0.1 s whose champion foretells 0.5, where the mood tells it all."""
    rng = random.Random(start + 3)
    told = []
    for k in range(n):
        at, name = start + 100_000 * k, f"c{start + 100_000 * k}"
        mood, member = rng.choice(["up", "down"]), rng.choice(["base", "base", "nimble", ""])
        reward = float(rng.random() < (0.95 if mood == "up" else 0.05))
        silent, foretold = reward == 0.0, 0.5 if member else None
        outcome = at + (WINDOW if silent else 1_000_000)
        identifier, action = id_of_cause(at, name, str(k)), rng.choice(["tea", "ice"])
        credit = Credit(
            "sale", f"{identifier}/0", outcome, at, name, action, reward, silent, False, 0,
            {"mood": mood}, [], member, foretold,
        )  # fmt: skip
        told.append(credit)
    return sorted(told, key=lambda credit: credit.time)


def roster(one: FleetLearning) -> Roster:
    data = one.roster()
    assert data is not None
    return read_roster(data)


def shadows(one: FleetLearning) -> dict[str, Shadow]:
    return {each.name: each for each in roster(one).shadows}


def begun(full: bytes | None = None, changes: Sequence[bytes] = ()) -> FleetLearning:
    return learning(full, changes, STRATEGY)


def test_shadows_learn_what_all_decide_and_the_champion_s_forecasts_are_compared() -> None:
    one, told = begun(), log_of(1500)
    one.learn(told)
    one.learn(log_of(1, 200_000_000))
    found, by = shadows(one), roster(one)
    for name in ("pipe", "tree"):
        sale = found[name].objectives["sale"]
        # Nobody can know at the last decision's time what came of the last ones.
        assert 1300 < sale.learned < 1500
        assert sale.evidence.pairs == sum(credit.member == "base" for credit in told)
        assert sale.verdict == "forecasts better"
        assert 0.0 < sale.evidence.low < sale.evidence.mean < sale.evidence.high
        assert ("judge", name) in [(change.what, change.member) for change in by.changes]
    assert by.challengers == ("nimble", "still")  # to whom customers are shared out
    assert set(one.versions) == {"sale:base", "sale:nimble", "sale:still"}
    assert not any("pipe" in name or "tree" in name for name in one.changed_models())


def test_shadows_end_at_the_same_bits_in_any_order_cuts_and_restarts() -> None:
    told = log_of(500)
    expected = begun()
    expected.learn(told)
    rng, one, full, kept = random.Random(5), begun(), None, list[bytes]()
    # Two partitions, up to 40 s apart.
    queues = [[c for c in told if int(c.customer[1:]) // 100_000 % 2 == part] for part in (0, 1)]
    while any(queues):
        heads = [queue[0].time for queue in queues if queue]
        near = [q for q in queues if q and q[0].time <= min(heads) + 4_000_000]
        queue = rng.choice(near)
        one.learn([queue.pop(0) for _ in range(min(len(queue), rng.randrange(40, 200)))])
        change = one.change()
        if rng.random() < 0.4:
            full, kept = one.to_bytes(), []
        elif change is not None:
            kept.append(change)
        if rng.random() < 0.5:
            one = begun(full, kept)  # as after a kill -9
    for more in (log_of(50, 201_000_000), log_of(1, 401_000_000)):
        one.learn(more)
        expected.learn(more)
    assert shadows(one) == shadows(expected)
    assert shadows(one)["pipe"].objectives["sale"].evidence.pairs > 200
    assert one._shadows.to_bytes() == expected._shadows.to_bytes()


def test_an_order_cannot_promote_a_shadow_but_lets_it_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = begun()
    one.learn(log_of(50))
    for what in ("promote", "retire"):
        order = Order(fleet="offers", what=what, member="tree", by="ann")  # type: ignore[arg-type]  # one of the two
        one.learn([order_credit(f"o-{what}", 3_000_000, order)])
    one.learn(log_of(1, 200_000_000))
    assert one.champion == "base"
    assert "promote of tree is not done" in caplog.text
    assert set(shadows(one)) == {"pipe"}
    last = roster(one).changes[-1]
    assert (last.what, last.member, last.by, last.note) == ("retire", "tree", "order", "ann")


def test_a_shadow_is_made_of_one_thing_and_leaves_when_it_is_declared_no_more() -> None:
    one = begun()
    one.learn(log_of(50))
    other = load(SHADOWED.replace("grace_period: 20", "grace_period: 30")).strategy
    with pytest.raises(SettingsError, match="shadow 'tree' was made of"):
        learning(one.to_bytes(), strategy=other)
    fewer = load(SHADOWED.replace("tree:\n", "oak:\n")).strategy
    left = learning(one.to_bytes(), strategy=fewer)
    left.learn(log_of(50, 6_000_000))
    assert set(shadows(left)) == {"pipe", "oak"}
    said = [(c.what, c.member, c.by, c.note) for c in left.changed_fleet()]
    assert said == [
        ("retire", "tree", "declared", "not declared any more"),
        ("add", "oak", "declared", "as a shadow"),
    ]
