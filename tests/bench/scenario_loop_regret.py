"""``loop-regret``: the whole loop in worlds whose law is known, against other policies."""

from __future__ import annotations

from nextbest.flows.simulate.comparing import Comparison, compare
from nextbest.flows.simulate.world import Setting

from .harness import Result

OTHERS = ("person", "rules", "random")


def run(*, quick: bool) -> Result:
    """Cumulative regret against the oracle, by policy; see the module's text.

    Decisions by the engine, outcomes through the stream's attribution and learning, in event time
    and in this process; 8 actions, 2 of them new half-way, answers after a delay or never. Ratios
    are of mean cumulative regret over ours: `shared` is the same loop without segments and
    customers' own weights, `epsilon` River's logistic regression an action with 5 % at random and
    the same inputs. `alike` is ours over shared where customers do not differ.

    Ours, shared and person explore with the same setting of SquareCB. Its gamma and exponent (3,
    10, 20, 100 and 300 with 0.5; 30 with 0.25; 10 with 0.65; greedy) and River's learning rate
    (0.03, 0.1, 0.3, 1) are those of ours' and River's least regret in the worlds of seeds 100 to
    105 and 100 to 103; here seeds are from 0. The longer the worlds, the greater the ratios.
    """
    seeds = range(3 if quick else 10)
    size = {"people": 25, "days": 40} if quick else {"people": 60, "days": 40}
    names = ("ours", "shared", "river", *(() if quick else OTHERS))
    differ = compare(Setting(**size), seeds, names)
    alike = compare(Setting(**size, heterogeneity=0.0), seeds, ("ours", "shared"))
    return Result(
        "loop-regret",
        figures={
            "ratio_shared": differ.ratio("shared"),
            "ratio_epsilon": differ.ratio("river"),
            "alike": alike.ratio("ours", "shared"),
        },
        detail={
            "seeds": len(seeds),
            "visits": round(float(differ.visits.mean())),
            "people": size["people"],
            "oracle_earns_a_visit": float(differ.oracle.mean()),
            **_told("differ", differ),
            **_told("alike", alike),
        },
    )


def _told(world: str, found: Comparison) -> dict[str, str]:
    told = {}
    for each in found.standings:
        mean, spread = each.regret.mean(), each.regret.std()
        last = float(each.course[-3:].mean())
        told[f"{world}_{each.name}"] = (
            f"regret {mean:.0f} ± {spread:.0f}, {(each.regret / found.visits).mean():.4f} a visit, "
            f"{last:.4f} in the last quarter; earned {each.earned.mean():.4f}"
        )
    return told
