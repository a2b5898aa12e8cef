"""Snapshots that earlier versions wrote are read for ever, and decide as they did."""

from pathlib import Path

import numpy as np
import pytest

from nextbest.learners import ActionRanker
from nextbest.learners.checkpoint import unpack
from tests.learners.test_ranker import decisions
from tests.naive.checkpoint import floats

GOLDEN = Path(__file__).parents[1] / "golden"


def test_values_and_arrays_of_version_1():
    values, arrays = unpack((GOLDEN / "demo_v1.nbcp").read_bytes(), "demo")
    assert values == {
        "text": "é\ud800",
        "n": 2**70,
        "third": 1 / 3,
        "inf": float("inf"),
        "none": None,
        "deep": [[{"a": []}]],
    }
    odd = floats(0x7FF8000000000001, 0x7FF0000000000001, 0xFFF8DEAD0000BEEF, 1 << 63, 1)
    assert arrays["odd"].tobytes() == odd.tobytes()
    assert arrays["counts"].tolist() == [[-3, -2, -1], [0, 1, 2]]
    assert arrays["empty"].shape == (0, 4)
    assert arrays["scalar"].tolist() == 2.5


# What the rankers of version 1 said, the moment that they were written.
DECIDED = {
    "ranker_v1": (
        0,
        "0x1.7af1113ea53e8p-4",
        ["0x1.11a18a213be3ap-2", "0x1.9501d361409f1p-3",
         "0x1.fcb5d4ab9e2f9p-3", "0x1.b2a09a4438074p-3"],
        ["0x1.cb3cb4dd9e7f4p-2", "0x1.490ef8414d4a7p-3",
         "0x1.bcf5a79315316p-3", "0x1.6381f6706085dp-3"],
    ),
    "ranker_v1_greedy": (
        2,
        "0x1.7af1113ea53e8p-4",
        ["0x1.723712026732fp-2", "0x1.80ad521faab60p-2",
         "0x1.9c978fb80fb9ap-2", "0x1.7f9f4b28b3367p-2"],
        ["0x0.0p+0", "0x0.0p+0", "0x1.0000000000000p+0", "0x0.0p+0"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(DECIDED))
def test_a_ranker_of_version_1_decides_as_it_did(name):
    ranker = ActionRanker.from_bytes((GOLDEN / f"{name}.nbcp").read_bytes())
    context, features, eligible, _ = next(decisions(1, seed=77))
    pull = ranker.pull(context, features, eligible)
    arm, draw, scores, propensities = DECIDED[name]
    assert (pull.arm, pull.decision, ranker.updates) == (arm, 41, 40)
    assert pull.draw == float.fromhex(draw)
    # The same arithmetic, but the exponential is the platform's.
    expected = [float.fromhex(score) for score in scores]
    np.testing.assert_allclose(pull.scores, expected, rtol=1e-15, atol=0)
    expected = [float.fromhex(chance) for chance in propensities]
    np.testing.assert_allclose(pull.propensities, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", list(DECIDED))
def test_a_ranker_of_version_1_goes_on_in_version_2(name):
    ranker = ActionRanker.from_bytes((GOLDEN / f"{name}.nbcp").read_bytes())
    again = ActionRanker.from_bytes(ranker.to_bytes())
    for context, features, eligible, rewards in decisions(20, seed=3):
        one, two = (r.pull(context, features, eligible) for r in (ranker, again))
        assert (one.arm, one.scores.tobytes()) == (two.arm, two.scores.tobytes())
        for r in (ranker, again):
            r.update(context, features, one.arm, float(rewards[one.arm]))
    assert again.to_bytes() == ranker.to_bytes()
