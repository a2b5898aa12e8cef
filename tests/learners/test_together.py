"""Several published models asked at once say what each of them says, bit for bit."""

import numpy as np
import pytest

from nextbest.learners import BayesianRanker, LearnerError, SegmentOfOne
from nextbest.learners.bayesian import EXPERTS
from nextbest.learners.together import Together

ARMS = ("a", "b", "c", "d")


def taught(seed, experts, max_categories=1000, variances=(0.0, 0.1, 1.0)):
    """A model and a person's block, of other categories and experts each."""
    rng = np.random.default_rng(seed)
    ranker = BayesianRanker(
        ARMS,
        numbers=["x", "y"],
        contexts=["h", "g"],
        action_features=["f", "e"],
        experts=experts,
        max_categories=max_categories,
    )
    one = SegmentOfOne(ranker, ["s", "t"], person_variance=variances, max_categories=max_categories)
    block = b""
    for _ in range(80):
        context = {
            "h": f"{rng.integers(4 + seed)}",
            "g": None if rng.random() < 0.2 else f"{rng.integers(3)}",
            "s": f"{rng.integers(2 + seed)}",
            "x": float(rng.normal()),
        }
        arm = int(rng.integers(4))
        reward = float(rng.random() < 0.2 * arm)
        block = one.learn(context, rng.normal(size=2), arm, reward, person=block)
    return one.publish(), block


FOUND = [taught(1, EXPERTS), taught(2, EXPERTS[:1], 3, (0.3,)), taught(3, EXPERTS[:4])]
MODELS = [model for model, _ in FOUND]
BLOCKS = [block for _, block in FOUND]
TOGETHER = Together(MODELS)


@pytest.mark.parametrize(
    "persons",
    [None, ["", "", ""], BLOCKS, [b"", BLOCKS[1], b""]],
    ids=["nobody", "new", "known", "known-to-one"],
)
def test_it_says_what_each_model_says(persons):
    persons = persons if persons is None else [p or b"" for p in persons]
    rng = np.random.default_rng(7)
    for _ in range(60):
        context = {
            "h": f"{rng.integers(12)}",
            "g": [None, "1", "new"][rng.integers(3)],
            "s": f"{rng.integers(12)}",
            "t": [None, "u"][rng.integers(2)],
            "x": [None, float(rng.normal())][rng.integers(2)],
            "y": 1e3,
            "unknown": object(),
        }
        features = rng.normal(size=(4, 2))
        features[rng.random((4, 2)) < 0.2] = np.nan
        found = TOGETHER.probabilities(context, features, persons)
        for i, model in enumerate(MODELS):
            person = None if persons is None else persons[i]
            assert found[i].tolist() == model.belief(context, features, person).probability.tolist()


def test_models_without_levels_are_asked_alike():
    ranker = BayesianRanker(["a", "b"], contexts=["h"])
    for i in range(50):
        ranker.learn({"h": str(i % 3)}, None, i % 2, float(i % 3 == 0))
    model = ranker.publish()
    found = Together([model]).probabilities({"h": "1"}, None)
    assert found[0].tolist() == model.belief({"h": "1"}).probability.tolist()
    with pytest.raises(LearnerError, match="without weights of persons"):
        Together([model]).probabilities({"h": "1"}, None, [b""])


@pytest.mark.parametrize(
    ("context", "features", "persons", "said"),
    [
        ({"h": 3}, np.zeros((4, 2)), None, "string or None"),
        ({"x": "three"}, np.zeros((4, 2)), None, "'x'"),
        ({"x": float("nan")}, np.zeros((4, 2)), None, "'x'"),
        ({"x": 1e13}, np.zeros((4, 2)), None, "'x'"),
        ({}, np.zeros((4, 1)), None, "features"),
        ({}, None, None, "features"),
        ({}, np.full((4, 2), 1e13), None, "features"),
        ({}, np.full((4, 2), np.inf), None, "features"),
        ({}, np.zeros((4, 2)), [BLOCKS[0][:-3], b"", b""], "not a person's block"),
        ({}, np.zeros((4, 2)), [b"NP", b"", b""], "not a person's block"),
        ({}, np.zeros((4, 2)), [b"", b"", BLOCKS[2][:-1] + b"\1"], "checksum"),
        ({}, np.zeros((4, 2)), [b"", b"NP\7" + BLOCKS[1][3:], b""], "version 7"),
    ],
    ids=[
        "category",
        "text",
        "nan",
        "large",
        "shape",
        "none",
        "features",
        "infinite",
        "cut",
        "short",
        "damaged",
        "version",
    ],
)
def test_what_cannot_be_used_is_refused(context, features, persons, said):
    with pytest.raises(LearnerError, match=said):
        TOGETHER.probabilities(context, features, persons)


def test_models_that_differ_are_refused():
    other = BayesianRanker(ARMS, contexts=["h"]).publish()
    with pytest.raises(LearnerError, match="different arms or inputs"):
        Together([MODELS[0], other])
    with pytest.raises(LearnerError, match="no model"):
        Together([])
