"""The rules of attribution, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from loop_cases import Event, came, decided, final, placed, run, seen

from nextbest.features import StateError
from nextbest.flows.decision.attribution import MOST_OUTCOMES, Attribution
from nextbest.flows.decision.goals import Goal
from nextbest.flows.decision.ids import id_of_cause

ACCEPT = Goal("accept", "accept", None, 10)
SALE = Goal("sale", None, "buy", 10)


def last(log: Sequence[Event], *goals: Goal, grace: int = 5, **more: Any) -> Any:
    """Return what learning knows in the end, why events were refused, and all that was told."""
    told, refused, _ = run(log, lambda: Attribution(goals or [ACCEPT], grace=grace, **more))
    known = {f"{name}:{example}": value for (name, example), value in final(told).items()}
    return known, [reason for _, reason in refused], told


def test_a_response_in_the_window_counts_and_one_after_it_does_not() -> None:
    log = [decided("d", 5, "tea"), decided("e", 5, "tea"), came("o", 15, "d"), came("p", 16, "e")]
    known, refused, _ = last(log)
    assert known == {"accept:d/0": (15, 2, 1.0, False), "accept:e/0": (15, 1, 0.0, True)}
    assert refused == []


def test_silence_is_told_once_when_the_clock_is_past_the_windows_end() -> None:
    log: list[Event] = [decided("d", 5, "tea"), 15]
    assert last(log)[0] == {}
    told = last([*log, 16, 17, 99])[2]
    assert [(c.time, c.position, c.reward, c.silence) for c in told] == [(15, 0, 0.0, True)]


def test_silence_that_is_told_before_the_windows_end_gives_way_to_a_response() -> None:
    goal = Goal("accept", "accept", None, 10, patience=3)
    log: list[Event] = [decided("d", 5, "tea"), 8, 9, came("o", 15, "d"), 99]
    told = last(log, goal)[2]
    assert [(c.time, c.reward, c.silence, c.revision) for c in told] == [
        (8, 0.0, True, 0), (15, 1.0, False, 1)
    ]  # fmt: skip
    assert last([decided("d", 5, "tea"), 9, came("o", 16, "d"), 99], goal)[2] == told[:1]


def test_a_late_response_takes_the_place_of_silence_within_the_grace() -> None:
    log: list[Event] = [decided("d", 5, "tea"), 20, came("o", 9, "d")]
    known, refused, told = last(log)
    assert known == {"accept:d/0": (9, 2, 1.0, False)}
    assert [credit.revision for credit in told] == [0, 1]
    log[1] = 21
    known, refused, _ = last(log)
    assert known == {"accept:d/0": (15, 0, 0.0, True)}
    assert refused == ["decision 'd' is not known: there is none, or its windows are over"]


def test_the_earliest_of_several_responses_counts_in_whatever_order_they_come() -> None:
    goal = Goal("worth", "accept", None, 10, "value", 0.0, 10.0)
    log = [
        decided("d", 5, "tea"), came("o", 9, "d", value=4.0), came("p", 7, "d", value=2.0),
        came("q", 8, "d", value=9.0),
    ]  # fmt: skip
    assert last(log, goal)[0] == {"worth:d/0": (7, 2, 0.2, False)}


def test_values_outside_the_range_are_taken_for_its_ends() -> None:
    goal = Goal("worth", "accept", None, 10, "value", -5.0, 5.0)
    for value, reward in ((-9.0, 0.0), (0.0, 0.5), (7.0, 1.0)):
        log = [decided("d", 5, "tea"), came("o", 9, "d", value=value)]
        assert last(log, goal)[0]["worth:d/0"][2] == reward


def test_an_outcome_names_an_action_or_means_the_first() -> None:
    log = [
        decided("d", 5, "tea", "ice"), decided("e", 5, "tea", "ice"),
        came("o", 6, "d", action="ice"), came("p", 6, "e"),
    ]  # fmt: skip
    assert set(last(log)[0]) == {"accept:d/1", "accept:e/0"}


@pytest.mark.parametrize(
    ("credit", "credited"),
    [("last", {"e"}), ("first", {"d"}), ("all", {"d", "e"})],
    ids=["last", "first", "all"],
)
def test_an_event_without_a_decision_is_credited_to(credit: Any, credited: set[str]) -> None:
    log = [
        decided("e", 6, "tea"), decided("d", 5, "tea"), decided("f", 9, "tea"),
        decided("g", 5, "tea", customer="bob"), seen("b", 8),
    ]  # fmt: skip
    known = last(log, SALE, credit=credit)[0]
    assert {name for name, value in known.items() if value[2]} == {f"sale:{n}/0" for n in credited}


def test_a_condition_says_which_offer_an_event_belongs_to() -> None:
    goal = Goal("sale", None, "buy", 10, 1.0, where=lambda e, a: e["category"] == a.get("id"))
    log = [
        decided("d", 5, "nut", "tea"), decided("e", 6, "ice"), seen("b", 8, category="tea"),
    ]  # fmt: skip
    tags = {name: {"id": name} for name in ("nut", "tea", "ice")}
    assert set(last(log, goal, tags=tags)[0]) == {"sale:d/1"}


def test_a_condition_reads_what_the_decision_says_of_its_action() -> None:
    """An action that is not declared yet, or not any more, or changed, is credited all the same."""
    goal = Goal("sale", None, "buy", 10, 1.0, where=lambda e, a: e["sort"] == a.get("sort"))
    log = [
        decided("d", 5, "gone", tags={"gone": {"sort": "shoe"}}), seen("b", 8, sort="shoe"),
        decided("e", 25, "tea", tags={"tea": {"sort": "hot"}}), seen("c", 28, sort="hot"),
        decided("f", 45, "tea"), seen("g", 48, sort="cold"),
    ]  # fmt: skip
    known = last(log, goal, tags={"tea": {"sort": "cold"}})[0]
    assert {name: value[2] for name, value in known.items()} == {
        "sale:d/0": 1.0, "sale:e/0": 1.0, "sale:f/0": 1.0,
    }  # fmt: skip


def test_an_event_without_the_value_that_is_asked_for_does_not_count() -> None:
    goal = Goal("sale", None, "buy", 10, "value", 0.0, 10.0)
    log = [decided("d", 5, "tea"), seen("b", 6, value=None), seen("c", 7, value=5.0)]
    assert last(log, goal)[0] == {"sale:d/0": (7, 2, 0.5, False)}


def test_a_correction_takes_the_place_of_what_it_corrects_and_the_last_one_counts() -> None:
    goal = Goal("worth", "accept", None, 10, "value", 0.0, 10.0)
    log = [
        decided("d", 5, "tea"), came("o", 7, "d", value=9.0),
        came("p", 8, "d", value=3.0, corrects="o"), came("q", 30, "d", value=4.0, corrects="p"),
    ]  # fmt: skip
    assert last(log, goal, grace=50)[0] == {"worth:d/0": (7, 1, 0.4, False)}


def test_a_response_that_is_corrected_away_leaves_the_next_one_or_silence() -> None:
    log: list[Event] = [
        decided("d", 5, "tea"), came("o", 7, "d"), came("p", 8, "d", "refuse", corrects="o"),
    ]  # fmt: skip
    known, _, told = last(log)
    assert known == {}
    assert told[-1].withdrawn
    assert last([*log, came("q", 9, "d")])[0] == {"accept:d/0": (9, 3, 1.0, False)}
    assert last([*log, 16])[0] == {"accept:d/0": (15, 0, 0.0, True)}


def test_an_offer_that_failed_is_withdrawn_whenever_that_is_known() -> None:
    for log in (
        [decided("d", 5, "tea"), came("o", 6, "d", "fail"), came("p", 7, "d"), 99],
        [decided("d", 5, "tea"), came("p", 7, "d"), came("o", 8, "d", "fail"), 99],
        [decided("d", 5, "tea"), 16, came("o", 6, "d", "fail"), 99],
        [decided("d", 5, "tea"), came("o", 6, "d", "undelivered"), 99],
    ):
        assert last(log)[0] == {}
    log = [decided("d", 5, "tea", "ice"), came("o", 6, "d", "fail"), seen("b", 7), 99]
    assert last(log, SALE)[0] == {"sale:d/1": (7, 2, 1.0, False)}


def test_a_failure_that_is_corrected_was_none_and_may_be_an_objective_of_its_own() -> None:
    log = [
        decided("d", 5, "tea"), came("o", 6, "d", "fail"), came("p", 7, "d"),
        came("q", 8, "d", "deliver", corrects="o"),
    ]  # fmt: skip
    assert last(log)[0] == {"accept:d/0": (7, 2, 1.0, False)}
    failed = Goal("failed", "fail", None, 10)
    assert last(log[:3], ACCEPT, failed)[0] == {"failed:d/0": (6, 1, 1.0, False)}


def test_a_failure_that_was_itself_a_correction_can_be_corrected() -> None:
    log = [
        decided("d", 5, "tea"), came("o", 6, "d"), came("p", 7, "d", "fail", corrects="o"),
        came("q", 8, "d", "accept", corrects="p"),
    ]  # fmt: skip
    assert last(log[:3])[0] == {}
    assert last(log)[0] == {"accept:d/0": (6, 1, 1.0, False)}


def test_the_earliest_event_that_a_decision_is_credited_with_counts() -> None:
    for times in ((7, 9), (9, 7)):
        log = [decided("d", 5, "tea"), *(seen(f"b{at}", at) for at in times)]
        assert last(log, SALE)[0]["sale:d/0"][:2] == (7, 1 + times.index(7))


def test_silences_are_told_in_the_order_of_the_windows_ends_however_the_clock_goes() -> None:
    short = Goal("short", "accept", None, 3)
    steps: list[Event] = [decided("d", 5, "tea"), decided("e", 6, "tea"), *range(7, 20)]
    jump: list[Event] = [*steps[:2], 19]
    told = last(jump, ACCEPT, short)[2]
    assert [(c.objective, c.id) for c in told] == [
        ("short", "d/0"), ("short", "e/0"), ("accept", "d/0"), ("accept", "e/0"),
    ]  # fmt: skip
    assert last(steps, ACCEPT, short)[2] == told


def test_fallbacks_teach_nothing() -> None:
    log = [decided("d", 5, "tea", fallback="no store"), came("o", 6, "d"), seen("b", 7), 99]
    assert last(log, ACCEPT, SALE)[:2] == ({}, [])


def test_a_duplicate_counts_once() -> None:
    decision, outcome = decided("d", 5, "tea"), came("o", 6, "d")
    told, refused, accepted = run(
        [decision, decision, outcome, outcome, decision], lambda: Attribution([ACCEPT], grace=0)
    )
    assert (len(told), refused, accepted) == (1, [], ["d", "o"])


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (came("o", 6, "e"), "decision 'e' is not known: there is none, or its windows are over"),
        (came("o", 6, "d", customer="bob"), "decision 'd' is of another customer"),
        (came("o", 6, "d", action="ice"), "decision 'd' did not offer 'ice'"),
        (came("o", 4, "d"), "the outcome is older than decision 'd'"),
        (came("o", 6, "d", corrects="x"), "there is no outcome 'x' of this offer to correct"),
        (came("o", 6, "d"), "objective 'worth' needs a number 'value'"),
    ],
    ids=["unknown", "other customer", "other action", "too old", "nothing to correct", "no value"],
)
def test_what_means_nothing_is_refused(outcome: Event, reason: str) -> None:
    goal = Goal("worth", "accept", None, 10, "value", 0.0, 10.0)
    known, refused, _ = last([decided("d", 5, "tea"), outcome], goal)
    assert (known, refused) == ({}, [reason])


def test_an_outcome_of_a_decision_that_is_over_means_nothing() -> None:
    """It is no dead letter: whoever delivers may tell long after."""
    name = id_of_cause(5, "ann", "e")
    log = [decided(name, 5, "tea"), 99, came("o", 98, name), came("p", 98, name, customer="bob")]
    known, refused, _ = last(log)
    assert known == {f"accept:{name}/0": (15, 0, 0.0, True)}
    assert refused == [f"decision {name!r} is not known: there is none, or its windows are over"]
    never = id_of_cause(99, "ann", "e")
    assert last([*log, came("q", 99, never)])[1][1:] == [
        f"decision {never!r} is not known: there is none, or its windows are over"
    ]


def test_a_decision_that_comes_when_all_is_over_is_refused() -> None:
    assert last([21, decided("d", 5, "tea")])[1] == ["decision 'd' comes when its windows are over"]
    assert last([20, decided("d", 5, "tea")])[0] == {"accept:d/0": (15, 1, 0.0, True)}


def test_what_is_kept_of_a_decision_is_bounded_and_ends_with_its_windows() -> None:
    log: list[Event] = [decided("d", 5, "tea")]
    log += [came(f"o{n}", 6, "d", "click") for n in range(MOST_OUTCOMES + 1)]
    assert last(log)[1] == ["decision 'd' has 64 outcomes"]
    attribution = Attribution([ACCEPT, SALE], grace=5)
    attribution.take([decided("d", 5, "tea")], end=20)
    attribution.take([seen(f"b{n}", 9) for n in range(500)])
    [(_, kept)] = attribution.all()
    assert kept is not None
    assert len(kept.came) == 1
    assert len(attribution) == 1
    attribution.take([], end=21)
    assert (len(attribution), attribution.waits_for("ann")) == (0, False)
    assert attribution.changes() == [("d", None)]
    assert attribution.changes() == []


@pytest.mark.parametrize("credit", ["last", "first", "all"])
def test_a_decision_that_was_changed_twice_is_restored_once(credit: Any) -> None:
    log = [
        decided("d", 5, "tea", "ice"), came("o", 6, "d", "click"), came("p", 6, "d", "click"),
        seen("b", 8), came("q", 8, "d", "fail", action="tea"), 99,
    ]  # fmt: skip

    def make() -> Attribution:
        return Attribution([SALE], grace=5, credit=credit)

    assert run(log, make, cuts=range(1, 6), restarts=range(1, 6)) == run(log, make)


def test_damaged_changes_are_told() -> None:
    attribution = Attribution([ACCEPT], grace=5)
    attribution.take([decided("d", 5, "tea")])
    [(_, kept)] = attribution.all()
    with pytest.raises(StateError, match="decision 'd' is kept under 'e'"):
        Attribution([ACCEPT], grace=5).restore(5, [("e", kept)])


def test_a_decision_counts_for_the_objectives_that_there_were_when_it_came() -> None:
    sale = Goal("sale", None, "buy", 10, meaning="1")
    accept = Goal("accept", "accept", None, 10)
    before = Attribution([accept, sale], grace=5)
    told = before.take(placed([decided("d", 5, "tea"), came("o", 6, "d", "look")])).credits
    assert told == []
    look = Goal("look", "look", None, 10)
    after = Attribution([accept, Goal("sale", None, "buy", 20, meaning="2"), look], grace=5)
    after.restore(before.newest, before.all())
    log = placed([*[decided("x", 6, "tea")] * 2, decided("e", 7, "tea"), seen("b", 8)])[2:]
    late = placed([*[decided("x", 6, "tea")] * 4, decided("f", 90, "tea")])[4:]
    credits_ = [c for part in (log, late) for c in after.take(part).credits]
    # Of the first one: neither the sale that now means something else, nor that it was not looked
    # at, which it was.
    assert {(c.objective, c.id, c.silence) for c in credits_} == {
        ("accept", "d/0", True), ("accept", "e/0", True), ("look", "e/0", True),
        ("sale", "e/0", False),
    }  # fmt: skip
