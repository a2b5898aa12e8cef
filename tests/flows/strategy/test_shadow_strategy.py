"""Models of River in a strategy's file: what is wrong has its line and a reason."""

from __future__ import annotations

import pytest

from nextbest.flows.decision.errors import StrategyError
from nextbest.flows.decision.explaining import explain
from nextbest.flows.decision.loading import load

TEXT = """name: tea
objectives: {buy: {response: convert}}
channels: {web: {}}
actions: {tea: {channels: [web]}}
fleet:
  challengers:
    one:
"""
LINEAR = "river.linear_model.LogisticRegression"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        pytest.param(
            "      river: river.linear_model.LogisticRegresion",
            "line 8: fleet.challengers.one.river: no class river.linear_model.LogisticRegresion; "
            "did you mean 'LogisticRegression'?",
            id="unknown class",
        ),
        pytest.param(
            "      river: os.system",
            "line 8: fleet.challengers.one.river: 'os.system' is not of River: ",
            id="not of River",
        ),
        pytest.param(
            "      river: river.linear.LogisticRegression",
            "line 8: fleet.challengers.one.river: no module river.linear",
            id="unknown module",
        ),
        pytest.param(
            "      river: river.datasets.Phishing",
            "line 8: fleet.challengers.one.river: no class river.datasets.Phishing: ",
            id="reads files",
        ),
        pytest.param(
            "      river: river.linear_model.LinearRegression",
            "river: river.linear_model.LinearRegression is not a classifier",
            id="no classifier",
        ),
        pytest.param(
            f"      river:\n        - {LINEAR}\n        - {LINEAR}",
            f"line 9: fleet.challengers.one.river[0]: {LINEAR} is not a transformer",
            id="no transformer",
        ),
        pytest.param(
            f"      river: {LINEAR}\n      with:\n        l3: 1",
            "line 10: fleet.challengers.one.with.l3: LogisticRegression has no parameter 'l3'; "
            "did you mean 'l2'?",
            id="unknown parameter",
        ),
        pytest.param(
            f"      river:\n        - {{river: {LINEAR}, with: {{l2: much}}}}",
            "line 9: fleet.challengers.one.river[0].with.l2: LogisticRegression.l2: a number is "
            "needed, not 'much'",
            id="wrong type",
        ),
        pytest.param(
            f"      river: {LINEAR}\n      with: {{optimizer: SGD}}",
            "line 9: fleet.challengers.one.with.optimizer: LogisticRegression.optimizer: a class "
            "of River",
            id="a class is needed",
        ),
        pytest.param(
            "      river: river.forest.ARFClassifier\n      with: {n_models: 1.5}",
            "with.n_models: ARFClassifier.n_models: a whole number is needed, not 1.5",
            id="a fraction",
        ),
        pytest.param(
            "      river: river.ensemble.BaggingClassifier",
            "BaggingClassifier needs a parameter 'model'",
            id="a parameter is missing",
        ),
        pytest.param(
            "      river: river.active.EntropySampler\n"
            f"      with: {{classifier: {{river: {LINEAR}}}}}",
            "river.active.EntropySampler tells no probabilities",
            id="no probabilities",
        ),
        pytest.param(
            "      river: river.neighbors.KNNClassifier",
            "give engine: {river: river.neighbors.LazySearch}",
            id="no order that lasts",
        ),
        pytest.param(
            f"      river: {LINEAR}\n      forgetting: [0.01]",
            "line 9: fleet.challengers.one.forgetting: it is of our own models",
            id="both",
        ),
        pytest.param(
            "      with: {l2: 1}", "line 8: fleet.challengers.one.with: it is of a class", id="with"
        ),
    ],
)
def test_what_is_wrong_with_a_model_of_river_has_its_line_and_a_reason(
    lines: str, fault: str
) -> None:
    with pytest.raises(StrategyError) as error:
        load(TEXT + lines + "\n")
    assert fault in str(error.value)


def test_a_classifier_needs_an_objective_that_is_a_yes_or_a_no() -> None:
    text = TEXT.replace("convert}", "convert, value: price, range: [0, 9]}")
    with pytest.raises(StrategyError, match="a classifier learns a yes or a no"):
        load(text + f"      river: {LINEAR}\n")


def test_a_shadow_is_told_of_in_words_and_who_serves_does_not_look_its_class_up() -> None:
    whole = TEXT + f"      river: {LINEAR}\n"
    said = [s for chapter in explain(load(whole).strategy) for s in chapter.sentences]
    assert (
        f"one is a shadow, {LINEAR}: it learns beside base, its forecasts are compared, and it "
        "never decides."
    ) in said
    assert not any("Challengers decide" in sentence for sentence in said)
    unknown = whole.replace("Logistic", "Logistics")
    assert load(unknown, look_up=False).strategy.fleet is not None
