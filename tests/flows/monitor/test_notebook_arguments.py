"""Notebooks take what was typed: an id, a directory or a file may look like a number."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from nextbest.flows.monitor.arguments import arguments_of

NOTEBOOKS = Path(__file__).parents[3] / "deploy" / "notebooks"


def values(name: str, *words: str) -> dict[str, Any]:
    """The variables of a notebook that is started with these words."""
    spec = importlib.util.spec_from_file_location(f"typed_{name}", NOTEBOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{name}.py", *words])
        _, found = module.app.run()
    return dict(found)


@pytest.mark.parametrize("customer", ["0007", "1e5", "1_000", "true", "a=b", "7"])
def test_a_customer_is_who_was_named(customer: str, tmp_path: Path) -> None:
    found = values("customer", "--data-dir", str(tmp_path), "--customer", customer)
    assert found["customer"].value == customer


@pytest.mark.parametrize("name", ["learning", "off_policy", "features", "customer"])
def test_a_directory_is_the_one_that_was_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "007").mkdir()
    found = values(name, "--", "--data-dir", "007", "--most", "1000")
    assert found["directory"] == Path("007")
    assert not found["place"].warning


def test_what_is_given_without_a_value_is_empty() -> None:
    assert arguments_of(["x.py", "lost", "--refresh", "--data-dir", "a", "b"]) == {
        "refresh": "", "data-dir": "a b",
    }  # fmt: skip
    assert arguments_of(["x.py"]) == {}
