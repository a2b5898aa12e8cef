"""The chart, rendered by Helm's own engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart  # type: ignore[import-not-found,unused-ignore]

CHART = Path(__file__).parents[2] / "deploy/helm/nextbest"
GIVEN: dict[str, Any] = {
    "valuesVersion": 1,
    "declaration": {"files": {"shop.py": "catalog = None\n", "offers.yaml": "name: offers\n"}},
    "store": {"existingSecret": "store"},
    "apiKeys": {"existingSecret": "keys"},
}


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Values over values, as several files are given to Helm."""
    whole: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], value) if both else value
    return whole


def rendered(*layers: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object that would be applied."""
    with Chart.load(CHART) as chart:
        texts = chart.render(merged(GIVEN, *layers), name="shop", namespace="prod")
    files = [text for name, text in texts.items() if name.endswith(".yaml")]
    found = [each for text in files for each in yaml.safe_load_all(text) if each]
    assert all(isinstance(each, dict) for each in found)
    return found


def one(objects: list[dict[str, Any]], kind: str, part: str = "") -> dict[str, Any]:
    """The object of a kind whose name ends so."""
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"].endswith(part)]
    assert len(found) == 1, [o["metadata"]["name"] for o in found]
    return found[0]


def container(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The only container of a workload."""
    (found,) = one(objects, kind)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found
