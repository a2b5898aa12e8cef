"""Every block of the README runs, in the order and the directory of a reader."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reading import blocks_of, environment_of, shortened

README = Path(__file__).parents[1] / "README.md"


def _blocks() -> list[tuple[str, str]]:
    _, reader = README.read_text().split("## Declare")
    return blocks_of(reader)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def test_blocks(directory: Path) -> None:
    environment = environment_of(directory)
    said = ""
    try:
        for language, text in _blocks():
            named = re.match(r"# (\w+\.(py|yaml))\n", text)
            if language in ("python", "yaml") and named:
                (directory / named[1]).write_text(text)
                continue
            if language == "json":
                assert json.loads(text).items() <= shortened(said).items()
                continue
            if language not in ("bash", "python"):
                continue
            program = [sys.executable, "-c"] if language == "python" else ["bash", "-euc"]
            done = subprocess.run(
                [*program, text.replace("uv run ", "")],
                cwd=directory,
                env=environment,
                capture_output=True,
                text=True,
                timeout=500,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            said = done.stdout
    finally:
        for data in (".nextbest", ".week", ".two", ".web", ".loop"):
            subprocess.run(["nextbest", "down", "--data-dir", data], cwd=directory, env=environment)


def test_the_two_commands_are_what_ci_runs() -> None:
    commands = re.findall(r"pip install uv && (uv run .*)", README.read_text())
    assert commands == ["uv run nextbest demo", "uv run pytest"]
    assert commands[1] in (README.parent / ".ci" / "run").read_text()
