"""A run shows what each objective weighs."""

from __future__ import annotations

from types import SimpleNamespace

from nextbest.flows.loop_flow import loop_meter
from nextbest.flows.telemetry import names as n
from nextbest.flows.telemetry.running import RunMeter


def test_the_weights_of_the_strategy_are_shown() -> None:
    meter = RunMeter()
    objectives = {"sale": SimpleNamespace(weight=1.0), "refusal": SimpleNamespace(weight=-0.1)}
    loop = SimpleNamespace(
        goals=[SimpleNamespace(name=name, response=None) for name in objectives],
        strategy=SimpleNamespace(name="offers", fleet=None, objectives=objectives),
        loaded=SimpleNamespace(version="v"),
    )
    loop_meter(meter, loop, {})  # type: ignore[arg-type]  # the parts that it reads
    assert dict(meter.values(n.OBJECTIVE_WEIGHT)) == {("sale",): 1.0, ("refusal",): -0.1}
