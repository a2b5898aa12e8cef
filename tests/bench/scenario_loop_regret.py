"""``loop-regret``: the whole loop in worlds whose law is known, against other policies."""

from __future__ import annotations

from typing import Any

from nextbest.flows.simulate.comparing import Comparison, compare
from nextbest.flows.simulate.world import Setting

from .harness import Result

OTHERS = ("person", "rules", "random")
MAIN = ("ours", "shared", "river")
ALSO: dict[str, dict[str, Any]] = {
    "20_days": {"days": 20},
    "80_days": {"days": 80},
    "heterogeneity_0.5": {"heterogeneity": 0.5},
    "heterogeneity_1.5": {"heterogeneity": 1.5},
    "drift_0.5": {"drift": 0.5},
}
"""Other worlds, by what is other about them; without ``--quick``."""


def run(*, quick: bool) -> Result:
    """Cumulative regret against the oracle, by policy; see the module's text.

    Decisions by the engine, outcomes through the stream's attribution and learning, in event time
    and in this process; 8 actions, 2 of them new half-way, answers after a delay or never. Ratios
    are of mean cumulative regret over ours: `shared` is the same loop without segments and
    customers' own weights, `epsilon` River's logistic regression an action with 5 % at random and
    the same inputs. Silence is learned after a quarter of the window, but by those who learn an
    example once only (River, person), to whom a later yes would be lost: these wait for the window
    to end (River that does not wait is no better). `alike` is ours over shared where customers do
    not differ.

    The longer customers are known and the more they differ, the greater the ratios: `_80` are those
    of 80 days, and the detail has a line for each other length and heterogeneity, and for a drift
    that draws half of the law anew half-way; of five seeds but for the 80 days. `after_new` is the
    mean regret of the twelfth of the time in which the new actions come, `before_new` of the one
    before it.

    Ours, shared and person explore with the same setting of SquareCB. Its gamma (10 and 30) and
    River's learning rate (0.03, 0.1, 0.3, 1) are those of least regret in the worlds of seeds from
    100; here they are from 0.
    """
    seeds = range(3 if quick else 10)
    size = {"people": 25, "days": 40} if quick else {"people": 60, "days": 40}
    differ = compare(Setting(**size), seeds, (*MAIN, *(() if quick else OTHERS)))
    alike = compare(Setting(**size, heterogeneity=0.0), seeds, ("ours", "shared"))
    also = {
        name: compare(Setting(**{**size, **other}), range(10 if name == "80_days" else 5), MAIN)
        for name, other in ({} if quick else ALSO).items()
    }
    figures = {
        "ratio_shared": differ.ratio("shared"),
        "ratio_epsilon": differ.ratio("river"),
        "alike": alike.ratio("ours", "shared"),
    }
    if not quick:
        figures["ratio_shared_80"] = also["80_days"].ratio("shared")
        figures["ratio_epsilon_80"] = also["80_days"].ratio("river")
    return Result(
        "loop-regret",
        figures=figures,
        detail={
            "seeds": len(seeds),
            "visits": round(float(differ.visits.mean())),
            "people": size["people"],
            "oracle_earns_a_visit": float(differ.oracle.mean()),
            **_told("differ", differ),
            **_told("alike", alike),
            **{name: _ratios(found) for name, found in also.items()},
        },
    )


def _told(world: str, found: Comparison) -> dict[str, str]:
    told = {}
    for each in found.standings:
        mean, spread = each.regret.mean(), each.regret.std()
        half = len(each.course) // 2
        before, after = each.course[half - 1 : half + 1]
        last = float(each.course[-3:].mean())
        told[f"{world}_{each.name}"] = (
            f"regret {mean:.0f} ± {spread:.0f}, {(each.regret / found.visits).mean():.4f} a visit, "
            f"{last:.4f} in the last quarter; before_new {before:.4f}, after_new {after:.4f}; "
            f"earned {each.earned.mean():.4f}"
        )
    return told


def _ratios(found: Comparison) -> str:
    ours = found.standings[0].regret
    shared, river = found.ratio("shared"), found.ratio("river")
    return (
        f"{len(ours)} seeds: shared {shared:.2f}, epsilon {river:.2f} times ours "
        f"({ours.mean():.0f} ± {ours.std():.0f})"
    )
