"""Attribution equals its rules over the whole log, however cut and wherever begun anew."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from loop_cases import Event, Twin, came, decided, final, run, seen

from nextbest.flows.decision.attribution import Attribution
from nextbest.flows.decision.goals import Goal

_TAGS = {"tea": {"heat": "hot"}, "ice": {"heat": "cold"}, "nut": {}}
GOALS = [
    Goal("accept", "accept", None, 10),
    Goal("worth", "accept", None, 25, "value", -5.0, 20.0, patience=6),
    Goal("failed", "fail", None, 7),
    Goal("sale", None, "buy", 15, "value", 0.0, 10.0, lambda e, a: e.get("heat") == a.get("heat")),
    Goal("visit", None, "visit", 5),
]
GRACE = 4
_times = st.integers(0, 60)
_names = st.sampled_from(["d0", "d0", "d1", "d2", "d3"])
_actions = st.lists(st.sampled_from(["tea", "ice", "nut", "new"]), unique=True, max_size=3)
_told = st.dictionaries(  # what a decision says of them, also of what is not declared any more
    st.sampled_from(["tea", "nut", "new"]),
    st.fixed_dictionaries({"heat": st.sampled_from(["hot", "cold"])}),
)
_who = st.sampled_from(["ann", "ann", "bob"])


@st.composite
def _logs(draw: st.DrawFn) -> list[Event]:
    """Times mostly grow; ids are those of few decisions, so that all kinds of faults happen."""
    decisions = {
        name: decided(
            name, at, *draw(_actions), customer=draw(_who),
            tags=draw(_told), fallback=draw(st.sampled_from(["", "", "", "no store"])),
        )
        for name, at in zip(["d0", "d1", "d2", "d3"], draw(st.tuples(*[_times] * 4)), strict=True)
    }  # fmt: skip
    outcomes: dict[str, Any] = {}
    log: list[Event] = []
    for place in range(draw(st.integers(1, 30))):
        kind = draw(st.integers(0, 9))
        at = draw(_times) if draw(st.booleans()) else 2 * place
        if kind < 3:
            log.append(decisions[draw(_names)])
        elif kind < 7:
            name = f"o{draw(st.integers(0, 12))}"
            if name not in outcomes:
                target = decisions[draw(_names)]
                known = [o.action for o in target.own.offers]  # type: ignore[union-attr]
                outcomes[name] = came(
                    name,
                    min(60, target.at + draw(st.integers(0, 30))) if draw(st.booleans()) else at,
                    target.event_id,
                    draw(st.sampled_from(["accept", "accept", "fail", "undelivered", "deliver"])),
                    target.customer if draw(st.integers(0, 9)) else "eve",
                    action=draw(st.sampled_from([None, *known, *known, "gone"])),
                    value=float(draw(st.integers(-9, 25))),
                    corrects=draw(st.sampled_from([None, None, *outcomes])),
                )
            log.append(outcomes[name])
        elif kind < 9:
            fields: dict[str, Any] = {"value": draw(st.sampled_from([None, 2.0, 40.0]))}
            fields["heat"] = draw(st.sampled_from(["hot", "cold", None]))
            word = draw(st.sampled_from(["buy", "visit"]))
            log.append(seen(f"e{place}", at, draw(_who), word, **fields))
        else:
            log.append(at)
    return log


@settings(max_examples=120, deadline=None)
@given(
    _logs(),
    st.sampled_from(["last", "first", "all"]),
    st.sets(st.integers(1, 29)),
    st.sets(st.integers(1, 29)),
    st.none() | st.lists(st.integers(0, 9), min_size=30, max_size=30),
)
def test_equals_the_rules_over_the_whole_log(
    log: list[Event], credit: Any, cuts: set[int], restarts: set[int], late: list[int] | None
) -> None:
    # Some logs know when they took an event in; some events are ahead of that.
    logged = None if late is None else [2 * place + late[place] for place in range(len(log))]

    def make() -> Attribution:
        return Attribution(GOALS, grace=GRACE, credit=credit, tags=_TAGS)

    twin = Twin(GOALS, GRACE, credit, _TAGS)
    expected = twin.final(log, logged)
    whole = run(log, make, logged=logged)
    assert final(whole[0]) == expected
    assert sorted(name for name, _ in whole[1]) == sorted(twin.refused)
    assert whole[2] == twin.accepted
    assert run(log, make, [*cuts, *restarts], [*restarts], logged) == whole
