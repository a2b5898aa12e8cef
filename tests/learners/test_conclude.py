"""Many decisions concluded at once are what the models say, then what ranking makes of it."""

import numpy as np
import pytest

from nextbest.learners.kernels import arbitrate
from nextbest.learners.kernels.conclude import conclude
from tests.learners.test_together import BLOCKS, MODELS, TOGETHER

MOST = 3
SETTINGS, SEED = (arbitrate.SQUARECB, 12.0, 0.01, 1.0), 5
FIXED = np.array([2])
K, MODEL_COUNT, FEATURES = 4, len(MODELS), 2


class Cases:
    """Decisions of persons known and not, with all, some or no arms to choose from."""

    def __init__(self, n, seed=3):
        rng = np.random.default_rng(seed)
        self.eligible = rng.random((n, K)) < 0.6
        self.eligible[0] = False
        self.prices = rng.normal(size=(MODEL_COUNT + 3, K))
        self.contexts = [
            {"h": f"{rng.integers(9)}", "s": f"{rng.integers(9)}", "x": float(rng.normal())}
            for _ in range(n)
        ]
        self.features = rng.normal(size=(n, K, FEATURES))
        self.features[rng.random(self.features.shape) < 0.2] = np.nan
        self.boosts = rng.random((n, K)) + 0.5
        self.persons = [BLOCKS if rng.random() < 0.5 else None for _ in range(n)]
        wanted = np.minimum(rng.integers(1, MOST + 1, n), self.eligible.sum(1))
        self.ends = np.cumsum(wanted)
        self.lots = rng.random(n) < 0.3
        self.numbers = rng.integers(0, 2**62, self.ends[-1])

    def start(self, i):
        """Where the numbers of a decision begin."""
        return self.ends[i - 1] if i else 0

    def concluded(self, words, where, kept, foretell=True):
        """Call the kernel with room for more; return what it writes, and what it returns."""
        n = len(self.ends)
        rows = [
            [row for name, known, other in TOGETHER.lookups
             for row in known.get(context.get(name, "(missing)"), other)]
            for context in self.contexts
        ]  # fmt: skip
        asked = np.concatenate(
            [np.array(rows), np.array(where).reshape(n, -1), self.ends[:, None]], 1
        ).astype(np.int64)
        numbers = [[0.5, c["x"], 0.0] for c in self.contexts]
        seen = np.concatenate([np.array(numbers), self.features.reshape(n, -1), self.boosts], 1)
        picks = np.full((len(self.numbers) + 2, 4 + MODEL_COUNT + FEATURES), -7.0)
        found, self.tried = np.zeros(n, np.int64), np.zeros(n, np.bool_)
        refused = conclude(
            *TOGETHER.arrays, self.prices, n, asked, self.numbers, words, seen, 1,
            self.eligible, foretell, True, *SETTINGS, self.lots, FIXED, SEED, kept, picks, found,
            self.tried,
        )  # fmt: skip
        return picks, found, refused


def test_it_is_believing_then_ranking():
    n = 40
    cases = Cases(n)
    where, words = TOGETHER.blocks(cases.persons)
    kept = np.full((n + 1, (1 + MODEL_COUNT) * K), -7.0)
    picks, found, refused = cases.concluded(words, where, kept)
    assert refused == -1
    for i in range(n):
        start, end = cases.start(i), cases.ends[i]
        m = cases.eligible[i].sum()
        assert found[i] == end - start
        if not m:
            assert (kept[i] == -7.0).all()
            continue
        chances = TOGETHER.probabilities(
            cases.contexts[i], cases.features[i], cases.persons[i] or [b""] * MODEL_COUNT
        )
        worths, own = np.empty(K), np.empty((1 + MODEL_COUNT) * K)
        ranked = np.empty((end - start, 3))
        _, tried = arbitrate.rank(
            chances, cases.prices, cases.boosts[i], cases.eligible[i], *SETTINGS, cases.lots[i],
            FIXED, SEED, cases.numbers[start:end], worths, own, ranked,
        )  # fmt: skip
        assert cases.tried[i] == tried
        size = (1 + MODEL_COUNT) * m
        assert kept[i, :size].tobytes() == own[:size].tobytes()
        assert picks[start:end, :3].tolist() == ranked.tolist()
        for pick in picks[start:end]:
            place = int(pick[0])
            told = [worths[place], *chances[:, place], *cases.features[i, place]]
            assert pick[3:].tobytes() == np.array(told).tobytes()
    assert (picks[len(cases.numbers) :] == -7.0).all()
    assert (kept[n] == -7.0).all()

    again = kept.copy()
    for i in range(n):
        again[i, : cases.eligible[i].sum()] = 0.0  # worths are found again from the chances
    same, _, _ = cases.concluded(words, where, again, foretell=False)
    assert same.tobytes() == picks.tobytes()
    assert again.tobytes() == kept.tobytes()


@pytest.mark.parametrize("word", [3, 4, 6 + 2 * 16], ids=["information", "precision", "of-an-arm"])
def test_a_person_whose_weights_are_no_numbers_is_refused(word):
    cases = Cases(6)
    cases.eligible[:] = True
    where, words = TOGETHER.blocks(cases.persons[:3] + [BLOCKS] * 3)
    bad = words.copy()
    bad[where[3 * 2 * MODEL_COUNT] + word] = np.float32(np.nan).view(np.uint32)
    bad.flags.writeable = False
    kept = np.empty((6, (1 + MODEL_COUNT) * K))
    assert cases.concluded(words, where, kept)[2] == -1
    assert cases.concluded(bad, where, kept)[2] == 3
