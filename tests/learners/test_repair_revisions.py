"""Examples that take another's place because they say so, and such that teach nothing."""

from __future__ import annotations

from typing import Any

import pytest

from nextbest.learners import BayesianRanker, Example, LearnerError, RepairingLearner


def example(name: str, time: int, reward: float, **more: Any) -> Example:
    return Example(name, time, time, {}, None, int(reward > 0.5), reward, **more)


def learner() -> RepairingLearner[BayesianRanker]:
    return RepairingLearner(
        BayesianRanker(["tea", "ice"]), window=100, save=BayesianRanker.to_bytes,
        load=BayesianRanker.from_bytes, every=2,
    )  # fmt: skip


def plain(*examples: Example) -> bytes:
    ranker = BayesianRanker(["tea", "ice"])
    for each in examples:
        ranker.learn(each.context, each.features, each.arm, each.reward)
    return ranker.to_bytes()


def test_a_higher_revision_counts_whatever_else_it_says() -> None:
    first, other = example("a", 5, 1.0), example("b", 6, 0.0)
    better = example("a", 9, 0.0, silence=True, revision=1)
    for given in ([first, other, better], [better, other, first]):
        late = learner()
        for each in given:
            late.learn_many([each])
        assert late.model.to_bytes() == plain(other, better)
        assert [each.id for each in late.examples] == ["b", "a"]


def test_what_is_withdrawn_teaches_nothing_and_can_come_back() -> None:
    first, other = example("a", 5, 1.0), example("b", 6, 0.0)
    late = learner()
    late.learn_many([first, other])
    late.learn_many([example("a", 5, 1.0, revision=1, withdrawn=True)])
    assert late.model.to_bytes() == plain(other)
    again = RepairingLearner.from_bytes(
        late.to_bytes(), learn=late._learn, save=BayesianRanker.to_bytes,
        load=BayesianRanker.from_bytes,
    )  # fmt: skip
    assert [(each.revision, each.withdrawn) for each in again.examples] == [(1, True), (0, False)]
    again.learn_many([example("a", 7, 1.0, revision=2)])
    assert again.model.to_bytes() == plain(other, example("a", 7, 1.0))


def test_a_revision_is_an_integer() -> None:
    with pytest.raises(LearnerError, match="example 'a': revision must be an integer, got '1'"):
        learner().learn_many([example("a", 5, 1.0, revision="1")])
