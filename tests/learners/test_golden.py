"""Snapshots that earlier versions wrote are read for ever, and decide as they did."""

from pathlib import Path

import numpy as np
import pytest

from nextbest.learners import ActionRanker, Decayed, Windowed
from nextbest.learners.checkpoint import pack, unpack
from tests.learners.test_ranker import decisions
from tests.naive.checkpoint import floats

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("version", [1, 2])
def test_values_and_arrays_of_every_version(version):
    values, arrays = unpack((GOLDEN / f"demo_v{version}.nbcp").read_bytes(), "demo")
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
    if version == 2:
        assert arrays["single"].view(np.uint32).tolist() == [0x7F800001]
        assert arrays["bytes"].tolist() == [1, 255]
        assert arrays["flags"].tolist() == [[True], [False]]
        assert arrays["ids"].tolist() == [2**64 - 1]
        assert arrays["small"].tolist() == [-5]


def test_version_2_is_written_as_it_was():
    """Whoever changes the bytes changes the version."""
    data = (GOLDEN / "demo_v2.nbcp").read_bytes()
    assert pack("demo", *unpack(data, "demo")) == data


def test_recent_measures_of_version_2():
    auc = Decayed.from_bytes((GOLDEN / "decayed_auc_v2.nbcp").read_bytes())
    assert repr(auc) == "Decayed(AUC): 61.38%"
    assert auc.get() == pytest.approx(float.fromhex("0x1.3a492b97a3bb4p-1"), rel=1e-14)
    table = Windowed.from_bytes((GOLDEN / "windowed_calibration_v2.nbcp").read_bytes())
    assert table.window()[2].tolist() == [2.0, 3.0, 4.0, 5.0]
    assert table.get() == pytest.approx(float.fromhex("0x1.28e30911d8cb9p-1"), rel=1e-14)


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
DECIDED["ranker_v2"] = DECIDED["ranker_v1"]


@pytest.mark.parametrize("name", list(DECIDED))
def test_an_old_ranker_decides_as_it_did(name):
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
def test_an_old_ranker_goes_on_in_todays_version(name):
    ranker = ActionRanker.from_bytes((GOLDEN / f"{name}.nbcp").read_bytes())
    again = ActionRanker.from_bytes(ranker.to_bytes())
    for context, features, eligible, rewards in decisions(20, seed=3):
        one, two = (r.pull(context, features, eligible) for r in (ranker, again))
        assert (one.arm, one.scores.tobytes()) == (two.arm, two.scores.tobytes())
        for r in (ranker, again):
            r.update(context, features, one.arm, float(rewards[one.arm]))
    assert again.to_bytes() == ranker.to_bytes()
