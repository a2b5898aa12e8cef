"""What `nextbest top` makes of what several processes tell alike."""

from __future__ import annotations

import pytest

from nextbest.flows.commands.top_figures import figures
from nextbest.flows.commands.top_reading import Scrape, parse


def process(name: str, *lines: str) -> Scrape:
    return parse(name, "\n".join([*lines, ""]), 0.0)


def earned(name: str) -> Scrape:
    """A worker that knows of 10 offers that 2 were taken and 5 refused."""
    lines = [
        'nextbest_objective_weight{objective="sale"} 1.0',
        'nextbest_objective_weight{objective="refusal"} -0.1',
    ]
    for objective, reward in (("sale", 2), ("refusal", 5)):
        labels = f'{{objective="{objective}",policy="exploit"}}'
        lines += [f"nextbest_reward_total{labels} {reward}", f"nextbest_rewarded_total{labels} 10"]
    return process(name, *lines)


def test_a_refusal_is_no_income() -> None:
    [policy] = figures([], [earned("a"), earned("b")]).policies
    assert policy.mean_reward == pytest.approx(0.2 - 0.1 * 0.5)
    assert policy.rewarded == 20


def test_an_audit_is_told_once_however_many_processes_know_of_it() -> None:
    seen = [process(name, "nextbest_audit_values_differing 3") for name in "abc"]
    assert figures([], seen).differing == 3
    assert figures([], [process("a", "nextbest_audit_values_differing 0")]).differing == 0
    assert figures([], [process("a", "nextbest_outages_total 0")]).differing is None


def test_weights_that_nobody_tells_are_1() -> None:
    plain = 'nextbest_reward_total{objective="sale",policy="control"} 3'
    known = 'nextbest_rewarded_total{objective="sale",policy="control"} 6'
    [policy] = figures([], [process("a", plain, known)]).policies
    assert (policy.mean_reward, policy.rewarded) == (0.5, 6)
