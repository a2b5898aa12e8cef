"""Reading metrics as Prometheus does."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from nextbest.flows.telemetry import names as n
from nextbest.flows.telemetry.names import Metric
from tests import ports

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """What was shown at a port."""

    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.series: Series = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, metric: Metric, suffix: str = "", **labels: str) -> float:
        """The sum of the series that have these labels."""
        return sum(
            value
            for (name, has), value in self.series.items()
            if name == metric.name + suffix and labels.items() <= dict(has).items()
        )

    def check_names(self, where: str) -> set[str]:
        """Check what is shown against the table; return its names."""
        table = {metric.name: metric for metric in n.ALL}
        shown = set()
        for family in self.families.values():
            if not family.name.startswith("nextbest_"):
                continue
            name = f"{family.name}_total" if family.type == "counter" else family.name
            metric = table[name]
            assert (metric.kind, metric.where in (where, "both")) == (family.type, True), name
            assert metric.text == family.documentation
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(metric.labels), sample
            shown.add(name)
        return shown


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[int]:
    """Yield the first of so many ports in a row that nobody uses."""
    yield ports.free_ports(count)
