"""Queries to Prometheus, and what they speak of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as promql
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))


class Use(NamedTuple):
    """One metric in a query: its name, the labels that it is chosen by, and their values."""

    name: str
    labels: frozenset[str]
    values: frozenset[tuple[str, str]]


def rules(file: str) -> list[dict[str, Any]]:
    """All rules of a file."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels that show something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def board_queries(file: Path) -> list[str]:
    """The queries of a dashboard, its variables among them."""
    board = json.loads(file.read_text())
    found = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            inside = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert inside is not None, variable
            found.append(f"count by ({inside[2]}) ({inside[1]})")
    return found


def uses(query: str) -> list[Use]:
    """Each metric of a query, with the labels that it is chosen, grouped or joined by."""
    plain = query.replace("$__rate_interval", "5m")
    return list(_uses(promql.parse(plain), frozenset()))


def _uses(node: Any, outer: frozenset[str]) -> Iterator[Use]:
    if isinstance(node, promql.VectorSelector | promql.MatrixSelector):
        chosen = node.vector_selector if isinstance(node, promql.MatrixSelector) else node
        matchers = chosen.matchers.matchers
        assert chosen.name, "every query names its metrics"
        values = {(m.name, m.value) for m in matchers if not m.value.startswith("$")}
        yield Use(chosen.name, frozenset(m.name for m in matchers) | outer, frozenset(values))
    elif isinstance(node, promql.AggregateExpr):
        inner = outer
        if node.modifier is not None:
            inner = frozenset(node.modifier.labels)
        yield from _uses(node.expr, inner)
    elif isinstance(node, promql.BinaryExpr):
        joined: frozenset[str] = frozenset()
        if node.modifier is not None and node.modifier.matching is not None:
            joined = frozenset(node.modifier.matching.labels)
        yield from _uses(node.lhs, outer | joined)
        yield from _uses(node.rhs, outer | joined)
    elif isinstance(node, promql.Call):
        for argument in node.args:
            yield from _uses(argument, outer)
    elif isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        yield from _uses(node.expr, outer)
    else:
        assert isinstance(node, promql.NumberLiteral | promql.StringLiteral), type(node)


def labels_of(query: str) -> frozenset[str]:
    """The labels that the outcome of a rule can have."""
    node = promql.parse(query)
    return _labels(node)


def _labels(node: Any) -> frozenset[str]:
    if isinstance(node, promql.AggregateExpr):
        return frozenset(node.modifier.labels) if node.modifier is not None else frozenset()
    if isinstance(node, promql.BinaryExpr):
        return _labels(node.lhs) | _labels(node.rhs)
    if isinstance(node, promql.Call):
        return frozenset().union(*(_labels(argument) for argument in node.args))
    if isinstance(node, promql.ParenExpr):
        return _labels(node.expr)
    return frozenset()
