"""What the engine decides: who may be offered what, by which score, with which chance."""

import math
from collections import Counter

import msgspec
import numpy as np
import pytest

from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.errors import ModelError, RequestError
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import Models, new_learner, publish
from nextbest.flows.decision.record import event_of, record_of
from nextbest.flows.decision.request import Request
from tests.flows.decision.engine_cases import (
    ACTIONS,
    ANN,
    AT,
    CATALOG,
    DAY,
    ENGINE,
    LOADED,
    PUBLISHED,
    TEXT,
    decide,
    request,
    row,
)


def variant(*changes):
    """The engine of the strategy with some of its text replaced."""
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    loaded = load(text, CATALOG)
    return Engine(loaded, CATALOG, Models(loaded.strategy, PUBLISHED))


def test_equal_arguments_give_equal_bytes():
    asked = {"served": row(), "page": "a", "gift": True, "n": 3, "persons": ANN}
    one, two = decide(**asked), decide(Engine(LOADED, CATALOG, ENGINE.models), **asked)
    assert event_of(one) == event_of(two)
    assert record_of(event_of(one)) == one
    assert event_of(decide(cause="e-2", **asked)) != event_of(one)


def test_every_action_is_eligible_or_says_which_rule_excluded_it():
    record = decide(served=row(views=0.0, spend=2000.0))
    assert record.eligible == ["mug", "kettle"]
    assert record.excluded == {
        "tea": "eligible",
        "old": "expired",
        "letter": "not on this channel",
        "sample": "suppress 1: has enough",
    }
    record = decide(served=row(), channel="mail", at=AT + DAY // 2)  # 23 h
    assert record.offers == []
    assert record.eligible == []
    assert set(record.excluded) == set(ACTIONS)
    assert record.excluded["letter"] == "closed channel"


@pytest.mark.parametrize("at", [AT - 1, AT, AT + DAY], ids=["before", "at", "after"])
def test_an_action_is_offered_while_it_is_valid_only(at):
    engine = variant(('valid_until: "2026-06-01"', f'valid_until: "{"2026-01-01T11:00:00Z"}"'))
    assert ("kettle" in decide(engine, served=row(), at=at).eligible) == (at < AT)


def test_caps_exclude_and_bound_what_one_answer_may_have():
    contacts = ENGINE.caps.offered(b"", ["sample"], "web", AT - DAY // 2).contacts
    record = decide(served=row(), contacts=contacts, n=5)
    assert record.excluded["sample"] == "cap of action: 1 per 7d"
    assert "sample" not in record.eligible
    assert len(record.offers) == 3
    assert record.contacts == contacts
    for name in ("tea", "mug"):
        contacts = ENGINE.caps.offered(contacts, [name], "web", AT - 5).contacts
    record = decide(served=row(), contacts=contacts, n=5)
    assert (len(record.eligible), len(record.offers)) == (3, 1)  # 4 a day, of which 3 are gone
    contacts = ENGINE.caps.offered(contacts, ["kettle"], "web", AT - 4).contacts
    assert decide(served=row(), contacts=contacts, n=5).offers == []


def test_scores_are_as_worked_out_by_hand():
    record = decide(served=row(kind=1.0), gift=True, page="a", n=4)
    chances = {o: np.frombuffer(c) for o, c in record.chances.items()}
    scores = np.frombuffer(record.scores)
    by_hand = {
        "tea": (1.25, 2.0, 2.0, 0.0),
        "mug": (2 * 1.25, 3.0, 1.0, 0.2),
        "kettle": (1.5 * 2 * 1.25, 1.0, 1.0, 0.0),
        "sample": (1.25, 1.0, 1.0, 0.0),
    }
    for i, name in enumerate(record.eligible):
        factor, accept, spend, cost = by_hand[name]
        value = accept * chances["accept"][i] + 0.1 * spend * 50.0 * chances["spend"][i]
        assert scores[i] == pytest.approx(factor * value - cost, rel=1e-12)
    for offer in record.offers:
        i = record.eligible.index(offer.action)
        assert offer.score == scores[i]
        assert offer.chances == {o: c[i] for o, c in chances.items()}


def test_models_see_what_the_strategy_says():
    record = decide(served=row(views=math.e - 1, kind=0.0), page="b", region="nord")
    assert record.inputs == {"page": "b", "kind": "tea", "views": 1.0, "region": "nord"}
    assert decide(served=row(kind=np.nan)).inputs == {"views": math.log1p(3), "region": "none"}
    expected = PUBLISHED["accept"].belief(
        record.inputs, np.array([[1.0], [0.0], [0.0], [np.nan], [0.0]]), b""
    )
    # The model has its own order of the arms, and the strategy has others besides.
    place = {name: i for i, name in enumerate(PUBLISHED["accept"].arms)}
    assert [place[n] for n in ("tea", "mug", "kettle", "sample")] == [0, 1, 2, 3]
    found = np.frombuffer(record.chances["accept"])
    assert found.tolist() == expected.probability[: len(found)].tolist()


def test_a_customer_of_whom_nothing_is_known_gets_a_sensible_answer():
    record = decide(customer="somebody new", served=None, n=2)
    assert record.eligible == ["mug", "kettle", "sample"]
    assert record.served is None
    assert len(record.offers) == 2
    unread = Engine(LOADED, CATALOG)
    record = decide(unread, served=None)
    assert record.models == {"accept": 0, "spend": 0}
    assert np.frombuffer(record.chances["accept"]) == pytest.approx([0.5, 0.5, 0.5])


def test_an_action_that_no_model_has_met_is_believed_of_as_untried():
    engine = variant(("  letter:", "  fresh: {channels: [web]}\n  letter:"))
    record = decide(engine, served=row(), page="a")
    learner = new_learner(LOADED.strategy.model)
    learner.model.add_arm("tea")
    chances = np.frombuffer(record.chances["accept"])
    i = record.eligible.index("fresh")
    spread = [x for j, x in enumerate(chances) if j != i]
    assert min(spread) < chances[i] < max(spread)  # what all arms share
    assert publish(learner).arms == ("tea", "")


def test_a_persons_own_weights_count():
    with_own = decide(served=row(), persons=ANN)
    without = decide(served=row())
    assert with_own.chances != without.chances
    assert (with_own.persons, without.persons) != (0, 0)
    assert without.persons == 0


def test_models_are_replaced_at_once():
    engine = Engine(LOADED, CATALOG)
    before = decide(engine, served=row())
    engine.models = engine.models.replaced("accept", PUBLISHED["accept"])
    after = decide(engine, served=row())
    assert (before.models, before.clock) == ({"accept": 0, "spend": 0}, 0)
    assert (after.models, after.clock) == ({"accept": 120, "spend": 0}, 120)
    assert after.chances["spend"] == before.chances["spend"]
    assert after.chances["accept"] != before.chances["accept"]


def test_propensities_are_exact_and_sum_to_one_over_what_could_be_chosen():
    n = 4000
    seen, expected = Counter(), {}
    for i in range(n):
        record = decide(served=row(), page="a", cause=f"c-{i}", n=2)
        first, second = record.offers
        seen[first.action, second.action] += 1
        expected[first.action, second.action] = first.propensity * second.propensity
    assert sum(expected.values()) == pytest.approx(1.0, abs=1e-9)
    assert len(expected) == 12
    statistic = sum((seen[pair] - n * p) ** 2 / (n * p) for pair, p in expected.items())
    assert statistic < 11 + 5 * math.sqrt(22)


def test_the_floor_holds_for_every_eligible_action():
    engine = variant(("floor: 0.01", "floor: 0.2"))
    for i in range(50):
        record = decide(engine, served=row(), cause=f"c-{i}", n=3)
        assert min(offer.propensity for offer in record.offers) >= 0.2 - 1e-12


def test_the_budget_bounds_what_is_explored():
    engine = variant(("floor: 0.01", "budget: 0.05"))
    chances = {}
    for i in range(400):
        record = decide(engine, served=row(), page="a", cause=f"c-{i}")
        chances[record.offers[0].action] = record.offers[0].propensity
    assert max(chances.values()) >= 0.95
    assert sum(chances.values()) <= 1.0 + 1e-12


def test_the_control_group_is_sticky_and_gets_any_action_by_lot():
    customers = [f"c{i}" for i in range(400)]
    control = [c for c in customers if decide(customer=c, served=row()).control]
    assert 20 <= len(control) <= 65
    for cause in ("e-2", "e-3"):
        again = [c for c in customers if decide(customer=c, served=row(), cause=cause).control]
        assert again == control
    offered = Counter()
    for i in range(400):
        record = decide(customer=control[0], served=row(), cause=f"e-{i}")
        assert record.offers[0].propensity == 0.25
        offered[record.offers[0].action] += 1
    assert min(offered[name] for name in ("tea", "mug", "kettle", "sample")) > 60
    engine = variant(("salt: s", "salt: s, actions: [old, mug]"))
    record = decide(engine, customer=control[0], served=row(), n=2)
    assert (record.offers[0].action, record.offers[0].propensity) == ("mug", 1.0)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"customer": ""}, "customer is ''"),
        ({"customer": "x" * 300}, "customer is longer than 256 bytes"),
        ({"customer": "\ud800"}, "customer is no Unicode"),
        ({"channel": "tv"}, "channel is 'tv'"),
        ({"n": 0}, "n is 0"),
        ({"n": 101}, "n is 101"),
        ({"n": True}, "n is True"),
        ({"at": 0}, "at is 0"),
        ({"at": 2**63}, "at is"),
        ({"context": {"a": [1]}}, "context.a is list"),
        ({"context": {"a": "x" * 1025}}, "context.a is longer"),
        ({"context": {"a": math.nan}}, "context.a is nan"),
        ({"context": {"a": 2**60}}, "context.a is beyond"),
        ({"context": {"": 1}}, "context has a name that is none"),
        ({"context": {str(i): 1 for i in range(65)}}, "context has 65 values"),
        ({"context": [1]}, "context is list"),
        ({"context": {str(i): "x" * 1024 for i in range(20)}}, "context has 206"),
        ({"context": {str(i): "\x01" * 200 for i in range(15)}}, "context has 181"),
        ({"context": {f"{i}" + "\x01" * 60: None for i in range(64)}}, "context has"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_decided_is_refused_by_name(asked, said):
    at = asked.pop("at", AT)
    wanted = msgspec.structs.replace(request(), **asked)
    for decided in (
        lambda: ENGINE.decide(wanted, None, b"", b"", at, "d"),
        lambda: ENGINE.fallback(wanted, "store away", None, at, "d"),
    ):
        with pytest.raises(RequestError) as error:
            decided()
        assert str(error.value).startswith(said)


def test_weights_and_models_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match="damaged"):
        decide(served=row(), persons=b"\x00rubbish")
    with pytest.raises(ModelError, match="checksum"):
        decide(served=row(), persons=ANN[:-1] + b"\1")
    other = msgspec.structs.replace(
        LOADED.strategy, model=msgspec.structs.replace(LOADED.strategy.model, contexts={})
    )
    with pytest.raises(ModelError, match="objective 'accept': a model of"):
        Models(other, PUBLISHED)
    with pytest.raises(ModelError, match="no objective 'views'"):
        ENGINE.models.replaced("views", PUBLISHED["accept"])


FALLBACK = Request(customer="ann", channel="web", n=3)


def test_the_fallback_is_what_still_passes_in_the_declared_order():
    record = ENGINE.fallback(FALLBACK, "store away", None, AT, "d")
    assert [offer.action for offer in record.offers] == ["sample", "tea"]
    assert [offer.propensity for offer in record.offers] == [1.0, 1.0]
    assert record.fallback == "store away"
    assert record.excluded["old"] == "expired"
    assert record.excluded["mug"] == "not among the fallback"
    contacts = ENGINE.caps.offered(b"", ["sample"], "web", AT - 5).contacts
    record = ENGINE.fallback(FALLBACK, "models away", contacts, AT, "d")
    assert [offer.action for offer in record.offers] == ["tea"]
    assert record.excluded["sample"] == "cap of action: 1 per 7d"


def test_the_fallback_never_fails():
    record = ENGINE.fallback(FALLBACK, "", b"rubbish", AT, "d")
    assert [offer.action for offer in record.offers] == ["sample", "tea"]
    assert record.fallback == "unknown"
    closed = msgspec.structs.replace(FALLBACK, channel="mail")
    record = ENGINE.fallback(closed, "store away", None, AT + DAY // 2, "d")
    assert record.offers == []
