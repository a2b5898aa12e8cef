"""``drift``: the journey with its arms permuted half-way: how fast rewards come back.

From the middle decision on, every arm earns what another arm earned before (a permutation that
the seed draws), and nobody is told. ``recovered`` is the mean reward over the 10% of the stream
that follow, over that of a fresh model which begins there: an average over the whole of that
stretch, so that the time of recovering counts too. The contexts and every household's own weights
are the model's input, without streamed history. A detector of dropped rewards begins our model
and its exploration anew; the detail has the same model without it (``frozen``), River's AdaGrad
one model an arm, begun anew when its ADWIN notices a change, and the next 10% (``_later``).
``undrifted`` is what the detector costs or gains where nothing is permuted: our mean reward over
that of ``frozen``.

The threshold that `tune` selects is `RewardDrop`'s default. ``sensitive`` has 15 instead, which
would promise three million rewards between false alarms if predictions were right: it notices
every drift sooner, and takes a season for one now and then.

Settings were chosen by `tune` on the first 40% of the decisions, with seeds that no figure uses.
Those decisions are permuted half-way, and a setting's score is the mean reward over as many
decisions after that as the figure's 10%. A setting of ours is left out if the model without
detector, on the same 40% unpermuted, would with any seed have raised a false alarm. Of the
others' best (see `quality_tuning`) those are level that lack at most one standard error of the
seeds' differences to the best, and the one of the largest threshold is `CHOSEN`, of several the
better. River has the best score among its `GRID`, half of which is without ADWIN. The variances,
and how much arms share, are those of ``plain`` in ``quality-journey``, from the first 20%.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextbest.learners import BayesianRanker, RewardDrop
from nextbest.learners.drift import LARGEST_THRESHOLD

from . import quality_ours as ours
from .harness import Result
from .quality_journey import Journey, load
from .quality_ours import Exploration, Own, Played
from .quality_tuning import SEEDS, Scored, Setting, ranked
from .scenario_quality_journey import CHOSEN as JOURNEY
from .scenario_quality_journey import river

Floats = NDArray[np.float64]
Earn = Callable[[Journey, int], Floats]

STRETCH = 0.1
TUNING = 0.4
QUICK_PART = 0.2
SENSITIVE = 15.0
VARIANCE, _, SHARED_SCALE, OWN_VARIANCE, _ = JOURNEY["plain"]


def run(*, quick: bool) -> Result:
    """Measure; see the module's text. Quick: 3 seeds, the first 20% of the decisions."""
    task = load(round(155_659 * QUICK_PART)) if quick else load()
    seeds = range(3 if quick else 10)
    detail: dict[str, Any] = {"seeds": len(seeds), "decisions": len(task.customer)}
    undrifted, frozen, nervous = (
        [float(earn(task, seed).mean()) for seed in seeds] for earn in (noticing, never, sensitive)
    )
    detail["undrifted_reward"] = _said(undrifted)
    detail["undrifted_frozen_reward"] = _said(frozen)
    detail["undrifted"] = round(float(np.mean(undrifted) / np.mean(frozen)), 4)
    detail["sensitive_undrifted"] = round(float(np.mean(nervous) / np.mean(frozen)), 4)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in EARN}
    for seed in seeds:
        for name, ratios in recovery(task, seed).items():
            found[name].append(ratios)
    for name, ratios in found.items():
        now, later = zip(*ratios, strict=True)
        detail[f"{name}_recovered"] = _said(list(now))
        detail[f"{name}_recovered_later"] = _said(list(later))
    recovered = float(np.mean([now for now, _ in found["ours"]]))
    return Result("drift", {"recovered": recovered}, detail)


def _said(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values):.4f}"


def recovery(task: Journey, seed: int) -> dict[str, tuple[float, float]]:
    """Return each one's reward over a fresh model's, in the first and the second stretch after."""
    middle, stretch = len(task.rewards) // 2, round(len(task.rewards) * STRETCH)
    end = drifts(task, seed, 2 * stretch)
    fresh = noticing(_from(end, middle), seed)
    found = {}
    for name, earn in EARN.items():
        came = earn(end, seed)[middle:]
        found[name] = (
            float(came[:stretch].mean() / fresh[:stretch].mean()),
            float(came[stretch:].mean() / fresh[stretch:].mean()),
        )
    return found


def drift(task: Journey, seed: int) -> Journey:
    """Permute the arms' rewards from the middle on; no arm keeps its own."""
    k = len(task.arms)
    ring = np.random.default_rng(seed).permutation(k)
    other = np.empty(k, np.int64)
    other[ring] = np.roll(ring, 1)
    rewards = task.rewards.copy()
    middle = len(rewards) // 2
    rewards[middle:] = rewards[middle:, other]
    return task._replace(rewards=rewards)


def drifts(task: Journey, seed: int, stretch: int) -> Journey:
    """Return the task with a drift in its middle, up to a stretch after it."""
    return drift(task, seed).first(len(task.rewards) // 2 + stretch)


def _from(task: Journey, start: int) -> Journey:
    return task._replace(
        contexts=task.contexts[start:],
        customer=task.customer[start:],
        rewards=task.rewards[start:],
        affinity=task.affinity[start:],
    )


def play(
    task: Journey,
    seed: int,
    forgetting: float,
    gamma: float,
    exponent: float,
    drop: RewardDrop | None = None,
) -> Played:
    """Let our model choose."""
    model = BayesianRanker(
        task.arms,
        contexts=list(task.contexts[0]),
        experts=[(VARIANCE, forgetting)],
        shared_scale=SHARED_SCALE,
    )
    own = Own(task.customer, OWN_VARIANCE, forgetting)
    explore = Exploration(gamma, exponent, seed)
    return ours.play(model, task.contexts, None, task.rewards, explore, own=own, drop=drop)


def noticing(task: Journey, seed: int) -> Floats:
    """Ours."""
    return detecting(task, seed, *CHOSEN["ours"])


def sensitive(task: Journey, seed: int) -> Floats:
    """Ours with a threshold that is reached sooner."""
    return detecting(task, seed, *CHOSEN["ours"][:-1], SENSITIVE)


def never(task: Journey, seed: int) -> Floats:
    """Ours without detector and forgetting."""
    _, gamma, exponent, *_ = CHOSEN["ours"]
    return play(task, seed, 0.0, gamma, exponent).earned


def detecting(
    task: Journey,
    seed: int,
    forgetting: float,
    gamma: float,
    exponent: float,
    part: float,
    threshold: float,
) -> Floats:
    """Ours with any settings."""
    drop = RewardDrop(part, threshold)
    return play(task, seed, forgetting, gamma, exponent, drop).earned


def river_anew(task: Journey, seed: int, rate: float, epsilon: float, delta: Any) -> Floats:
    """River's row with any settings."""
    return river(task, 0, seed, rate, epsilon, delta)


EARN: dict[str, Earn] = {
    "ours": noticing,
    "sensitive": sensitive,
    "frozen": never,
    "river": lambda task, seed: river_anew(task, seed, *CHOSEN["river"]),
}
MODELS = [(0.0, 500.0, 0.5), (1e-3, 500.0, 0.5), (0.0, 2e3, 0.25), (1e-3, 2e3, 0.25)]
PARTS, THRESHOLDS = (0.5, 0.7), (5.0, 10.0, 15.0, 20.0, 30.0)
GRID: dict[str, list[Setting]] = {
    "ours": [(*m, p, t) for m, p, t in itertools.product(MODELS, PARTS, THRESHOLDS)],
    "river": list(itertools.product((0.1, 0.3, 1.0), (0.05,), (None, 0.002))),
}
CHOSEN: dict[str, Setting] = {
    "ours": (0.0, 2_000.0, 0.25, 0.5, 30.0),
    "river": (0.3, 0.05, 0.002),
}


class Tuned(NamedTuple):
    """What `tune` found.

    Attributes
    ----------
    chosen
        As `CHOSEN`.
    scores
        Mean rewards after the drift of the best settings, those of ours without a false alarm.
    evidence
        The detector's most evidence on the unpermuted part over all seeds, by model and part.
    """

    chosen: dict[str, Setting]
    scores: dict[str, list[Scored]]
    evidence: dict[Setting, float]


def tune() -> Tuned:
    """Choose among `GRID` on the first 40% of the decisions; see the module's text."""
    task = load()
    part = task.first(round(len(task.rewards) * TUNING))
    stretch = round(len(task.rewards) * STRETCH)
    drifted = {seed: drifts(part, seed, stretch) for seed in SEEDS}

    def score(earn: Callable[..., Floats], seed: int, setting: Setting) -> float:
        return float(earn(drifted[seed], seed, *setting)[-stretch:].mean())

    evidence: dict[Setting, float] = {}
    for model, seed in itertools.product(MODELS, SEEDS):
        played = play(part, seed, *model)
        for left in PARTS:
            most = most_evidence(played, left)
            evidence[*model, left] = max(evidence.get((*model, left), 0.0), most)
    silent = [s for s in GRID["ours"] if s[-1] > evidence[s[:-1]]]
    scores = {
        "ours": ranked(silent, functools.partial(score, detecting)),
        "river": ranked(GRID["river"], functools.partial(score, river_anew)),
    }
    chosen = {"ours": steady(scores["ours"]), "river": scores["river"][0].setting}
    return Tuned(chosen, scores, evidence)


def most_evidence(played: Played, part: float) -> float:
    """Return the most evidence of a drop that a detector without alarms ever has."""
    drop, most = RewardDrop(part, LARGEST_THRESHOLD), 0.0
    for reward, chance in zip(played.earned.tolist(), played.chances.tolist(), strict=True):
        drop.update(reward, chance)
        most = max(most, drop.evidence)
    return most


def steady(scores: list[Scored]) -> Setting:
    """Return the setting of the largest threshold that is level with the best."""
    level = [s for s in scores if s.level_with(scores[0])]
    return max(level, key=lambda s: float(s.setting[-1])).setting
