"""The fleet in a strategy's file: what is wrong has its line, what is said is told in words."""

from __future__ import annotations

import pytest

from nextbest.flows.decision.errors import StrategyError
from nextbest.flows.decision.explaining import explain
from nextbest.flows.decision.fleet_orders import ranker_settings, settings_of
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import new_learner
from nextbest.flows.decision.shadow_checks import spec_of

TEXT = """name: tea
objectives: {buy: {response: convert}}
channels: {web: {}}
actions: {tea: {channels: [web]}}
control: {share: 0.2}
"""
WHOLE = (
    TEXT
    + """fleet:
  champion: usual
  challengers:
    nimble: {forgetting: [0.01], description: forgets sooner}
    wide: {variances: [1, 3], switching: 0.001, bias_scale: 2}
  share: 0.3
  alpha: 0.01
  keep: 14d
  drift: {threshold: 20}
"""
)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        pytest.param("fleet: {}", "fleet: give challengers, or drift, or no fleet", id="nothing"),
        pytest.param(
            "fleet: {challengers: {base: {}}}",
            "fleet.champion: 'base' is a challenger's name",
            id="twice",
        ),
        pytest.param(
            "fleet: {challengers: {fresh-1: {}}}",
            "fleet: a name that begins with 'fresh-' is a fresh challenger's",
            id="fresh",
        ),
        pytest.param(
            "fleet: {challengers: {a: {}}, share: 0.9}",
            "fleet.share: with the control group it is more than all customers",
            id="share",
        ),
        pytest.param(
            "fleet: {challengers: {a: {variance: [1]}}}",
            "fleet.challengers.a.variance: no such key; did you mean 'variances'?",
            id="key",
        ),
        pytest.param(
            "fleet: {drift: {}, keep: 40y}", "fleet.keep: '40y': a duration is", id="duration"
        ),
        pytest.param("fleet: {drift: {}, alpha: 0.9}", "fleet.alpha: ", id="alpha"),
        pytest.param("fleet: [a]", "fleet: ", id="no keys"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(line: str, fault: str) -> None:
    with pytest.raises(StrategyError) as error:
        load(TEXT + line + "\n")
    assert f"line 6: {fault}" in str(error.value)


def test_a_fleet_makes_another_version_and_what_it_says_is_told_in_words() -> None:
    loaded = load(WHOLE)
    assert loaded.version != load(TEXT).version
    assert load(TEXT + "fleet:\n").version == load(TEXT).version
    said = next(
        chapter.sentences
        for chapter in explain(loaded.strategy)
        if chapter.title == "Who may take the models' place"
    )
    assert said[0] == "nimble (forgets sooner) learns beside usual, by other settings."
    assert "Challengers decide for 30 % of the customers" in said[3]
    assert "at most 1 % in a champion's reign" in said[4]


def test_challengers_are_made_of_what_they_say() -> None:
    strategy = load(WHOLE).strategy
    assert strategy.fleet is not None
    specs = {name: spec_of(one) for name, one in strategy.fleet.challengers.items()}
    assert specs["nimble"] == {"forgetting": [0.01]}
    wide = ranker_settings(specs["wide"])
    assert wide == {
        "share": 0.001, "bias_scale": 2.0,
        "experts": [(1.0, 0.0), (1.0, 0.001), (1.0, 0.01), (3.0, 0.0), (3.0, 0.001), (3.0, 0.01)],
    }  # fmt: skip
    assert new_learner(strategy.model, **wide).model.updates == 0
    settings = settings_of(strategy.fleet)
    assert (settings.alpha, settings.spawns, settings.threshold) == (0.01, True, 20.0)
    assert settings.keep == 14 * 86_400_000_000
