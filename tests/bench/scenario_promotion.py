"""``promotion``: whether a promotion pays, in worlds whose law is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextbest.flows.simulate.within import play
from nextbest.flows.simulate.world import DAY, Setting, World
from nextbest.learners.fleet_parts import Change

from .fleet_policy import Alone, Crew, Spec
from .harness import Result

Floats = NDArray[np.float64]

LOOSE: Spec = {"variances": [100.0]}
USUAL: Spec = {}
SHARE = 0.5


class Lived(NamedTuple):
    """What became of a fleet, of its first champion alone, and of its challenger alone.

    Attributes
    ----------
    fleet, champion, challenger
        float64[n]: the regret of each visit.
    days
        float64[n]: when each was.
    changes
        Of the fleet.
    """

    fleet: Floats
    champion: Floats
    challenger: Floats
    days: Floats
    changes: list[Change]

    def first(self, what: str, member: str = "") -> Change | None:
        """Return the first change of a kind that came by evidence or drift."""
        for one in self.changes:
            if one.what == what and one.by != "order" and one.member.startswith(member):
                return one
        return None


def run(*, quick: bool) -> Result:
    """Regret against the oracle with a fleet, over that without one; see the module's text.

    The engine, attribution, learning and trials of the stream, in event time and in this process,
    as in `loop-regret`. Each world is lived through by the champion alone, by a fleet that promotes
    by itself, and by the challenger alone; all have the same visits and the same luck. The fleet
    decides for half of the customers by its challengers.

    * ``after``: the champion has been ordered, a setting with hardly any prior (variances of 100);
      the challenger has the usual settings. Regret from the promotion on, over the champion's of
      the same visits; ``after_at_best`` is the challenger's own. ``before``: the same until the
      promotion, which includes what the trial costs and what it gains; ``whole``: of all visits,
      also of worlds that end before the challenger is proven better.
    * ``worse``: the usual settings are the champion and the others the challenger: what it costs to
      try what is worse, until it is retired and after, over the champion's.
    * ``equal``: both have the usual settings.
    * ``drift``: half-way the law is drawn anew, where customers differ much (heterogeneity of 2, so
      that the reward drops by about half); the fleet is the usual champion, and what drift
      begins. Regret after that over the champion's alone: the fresh challenger decides for half of
      the customers from the day on which the drop is noticed, and everybody learns from what it
      tries. With a heterogeneity of 1 the reward drops by a third; with the detector's defaults
      that is not noticed, and the fleet is its champion.

    Ratios are of sums over all seeds; the detail has an interval of 95 % of the ratio, by
    resampling worlds, and when each promotion was.
    """
    seeds = range(2 if quick else 5)
    size = {"people": 150, "days": 24} if quick else {"people": 200, "days": 40}
    plain = Setting(**size, visits=1.0, new_actions=0)
    turned = Setting(**size, visits=1.0, new_actions=0, heterogeneity=2.0, drift=1.0)
    paid, worse, equal, drift = [], [], [], []
    for seed in seeds:
        world = World(plain, seed)
        loose, usual = alone(world, LOOSE), alone(world, USUAL)
        paid.append(lived(world, LOOSE, USUAL, loose, usual))
        worse.append(lived(world, USUAL, LOOSE, usual, loose))
        equal.append(lived(world, USUAL, USUAL, usual, usual))
        world = World(turned, seed)
        drift.append(lived(world, USUAL, None, alone(world, USUAL)))
    after = [_part(one, _promoted(one, plain), after=True) for one in paid]
    before = [_part(one, _promoted(one, plain), after=False) for one in paid]
    later = [_part(one, size["days"] / 2, after=True) for one in drift]
    promotions = [one.first("promote", "challenger") for one in paid]
    return Result(
        "promotion",
        figures={
            "after": _ratio(after),
            "after_at_best": _ratio(after, "challenger"),
            "before": _ratio(before),
            "whole": _ratio(paid),
            "worse": _ratio(worse),
            "equal": _ratio(equal),
            "drift": _ratio(later),
        },
        detail={
            "seeds": len(seeds),
            "visits": round(float(np.mean([len(one.fleet) for one in paid]))),
            **{
                name: f"{low:.2f} to {high:.2f}"
                for name, found in (
                    ("after_95", after), ("before_95", before), ("whole_95", paid),
                    ("worse_95", worse), ("equal_95", equal), ("drift_95", later),
                )
                for low, high in [_interval(found)]
            },
            "regret_after": _means(after),
            "regret_before": _means(before),
            "regret_drift": _means(later),
            "promoted": f"{sum(one is not None for one in promotions)} of {len(promotions)}",
            "promoted_day": _days(promotions, plain),
            "promoted_pairs": [one.evidence.pairs for one in promotions if one and one.evidence],
            "retired_day": _days([one.first("retire", "challenger") for one in worse], plain),
            "spawned_day": _days([one.first("spawn") for one in drift], turned),
            "spawned_promoted_day": _days([one.first("promote", "fresh") for one in drift], turned),
            "promotions_of_equals": sum(one.first("promote") is not None for one in equal),
        },
    )  # fmt: skip


def alone(world: World, spec: Spec) -> Floats:
    """Return the regret of each visit where one model decides."""
    return play(world, lambda world: Alone(world, spec)).regret


def lived(
    world: World,
    champion: Spec,
    challenger: Spec | None,
    without: Floats,
    other: Floats | None = None,
) -> Lived:
    """Let a fleet live in a world.

    Parameters
    ----------
    world
        Where.
    champion, challenger
        What they are made of; None: drift begins one.
    without, other
        What became of the champion and of the challenger alone.
    """
    members = {} if challenger is None else {"challenger": dict(challenger)}
    if champion:
        members["champion"] = dict(champion)
    fleet: dict[str, Any] = {"challengers": members, "share": SHARE}
    if challenger is None:
        fleet["drift"] = {}
    crew: list[Crew] = []

    def crew_of(world: World) -> Crew:
        crew.append(Crew(world, "champion" if champion else "", json.dumps(fleet)))
        return crew[0]

    together = play(world, crew_of).regret
    days = (world.at - world.setting.start) / DAY
    return Lived(together, without, without if other is None else other, days, crew[0].told())


def _promoted(one: Lived, setting: Setting) -> float:
    """Return the day of the promotion; the last if there was none."""
    found = one.first("promote", "challenger")
    return setting.days if found is None else _day(found, setting)


def _day(change: Change, setting: Setting) -> float:
    return (change.at - setting.start) / DAY


def _days(changes: Sequence[Change | None], setting: Setting) -> list[float | None]:
    return [None if one is None else round(_day(one, setting), 1) for one in changes]


def _part(one: Lived, day: float, *, after: bool) -> Lived:
    keep = (one.days >= day) == after
    return Lived(
        one.fleet[keep], one.champion[keep], one.challenger[keep], one.days[keep], one.changes
    )


def _ratio(found: Sequence[Lived], name: str = "fleet") -> float:
    sums = sum(getattr(one, name).sum() for one in found), sum(o.champion.sum() for o in found)
    return float(sums[0] / sums[1]) if sums[1] else float("nan")


def _interval(found: Sequence[Lived]) -> tuple[float, float]:
    """Return where the ratio lies: worlds are drawn anew 2,000 times."""
    rng = np.random.default_rng(7)
    sums = np.array([[one.fleet.sum(), one.champion.sum()] for one in found])
    drawn = sums[rng.integers(len(sums), size=(2000, len(sums)))].sum(axis=1)
    drawn = drawn[drawn[:, 1] > 0]
    if not len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    return float(low), float(high)


def _means(found: Sequence[Lived]) -> str:
    visits = max(sum(len(one.fleet) for one in found), 1)
    means = [sum(getattr(o, n).sum() for o in found) / visits for n in Lived._fields[:3]]
    return f"fleet {means[0]:.4f}, champion {means[1]:.4f}, challenger {means[2]:.4f} a visit"
