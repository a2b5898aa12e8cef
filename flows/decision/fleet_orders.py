"""What a fleet is declared as and ordered to do, as its learning is told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from ...features.durations import microseconds
from ...learners import Fleet, FleetSettings, LearnerError
from ...learners.bayesian import EXPERTS
from ...learners.fleet_parts import Change
from .fleet_state import Order
from .open_decisions import Credit
from .record import Order as Said
from .shadow_checks import is_shadow, spec_of
from .strategy import Fleet as Declared

ORDER, DECLARED = ":fleet", ":declared"
"""The objectives of what is told of an order, and of a declaration; no strategy has such names."""

_log = logging.getLogger("nextbest.run")


def specs_of(declared: Declared) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return what challengers of our own are made of, and what shadows are."""
    specs = {name: spec_of(one) for name, one in declared.challengers.items()}
    shadows = {name: spec for name, spec in specs.items() if is_shadow(spec)}
    return {name: spec for name, spec in specs.items() if name not in shadows}, shadows


def ranker_settings(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the `BayesianRanker` that a challenger is made of.

    Examples
    --------
    >>> ranker_settings({"variances": [1.0], "forgetting": [0.0, 0.01], "switching": 0.001})
    {'share': 0.001, 'experts': [(1.0, 0.0), (1.0, 0.01)]}
    """
    found = {
        name: spec[key]
        for name, key in (
            ("share", "switching"),
            ("bias_scale", "bias_scale"),
            ("shared_scale", "shared_scale"),
            ("feature_scale", "feature_scale"),
        )
        if spec.get(key) is not None
    }
    variances, forgetting = spec.get("variances"), spec.get("forgetting")
    if variances or forgetting:
        usual = [expert[0] for expert in EXPERTS], [expert[1] for expert in EXPERTS]
        found["experts"] = [
            (v, f)
            for v in (variances or dict.fromkeys(usual[0]))
            for f in (forgetting or dict.fromkeys(usual[1]))
        ]
    return found


def settings_of(declared: Declared) -> FleetSettings:
    """Return how a fleet is run."""
    drift = declared.drift
    keep, alpha = microseconds(declared.keep), declared.alpha
    if drift is None:
        return FleetSettings(alpha, keep)
    return FleetSettings(alpha, keep, True, drift.part, drift.threshold, drift.warm_up)


def declaration(declared: Declared) -> str:
    """Return a declaration as text."""
    return msgspec.json.encode(declared).decode()


def declaration_credit(text: str, at: int) -> Credit:
    """Return what learning is told of a declaration."""
    return _told(DECLARED, "declared", at, {"fleet": text})


def order_credit(identifier: str, at: int, said: Said) -> Credit:
    """Return what learning is told of a person's order."""
    inputs: dict[str, Any] = {
        "fleet": said.fleet, "what": said.what, "by": said.by, "note": said.note,
    }  # fmt: skip
    return _told(ORDER, identifier, at, inputs, said.member)


def _told(
    objective: str, identifier: str, at: int, inputs: dict[str, Any], action: str = ""
) -> Credit:
    return Credit(objective, identifier, at, 0, "", action, 0.0, False, False, 0, inputs, [])


def order_of(credit: Credit) -> Order:
    """Return the order that was told."""
    said = [str(credit.inputs.get(name, "")) for name in ("what", "by", "note")]
    return Order(credit.time, said[0], credit.action, said[1], said[2])


def said(order: Order) -> str:
    """Return who ordered something, and why."""
    return f"{order.by}: {order.note}" if order.note else order.by


def carry_out(fleet: Fleet, order: Order) -> list[Change]:
    """Do what a person wants, unless the fleet has changed so that it cannot be done."""
    try:
        if order.what == "promote":
            return fleet.promote(order.member, order.at, said(order))
        return fleet.retire(order.member, order.at, said(order))
    except LearnerError as error:  # it changed meanwhile
        _log.warning("fleet: %s of %s is not done: %s", order.what, order.member, error)
        return []
