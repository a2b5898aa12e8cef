"""Every block of the tutorial runs, in one shell, in the order and the directory of a reader."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests.reading import blocks_of, environment_of, shortened

TUTORIAL = Path(__file__).parents[1] / "deploy" / "TUTORIAL.md"
DATA = (".nextbest", "shop/.nextbest", "shop/.live")
WORDS_A_MINUTE = 200


def test_blocks(tmp_path: Path) -> None:
    _, reader = TUTORIAL.read_text().split("## Run it")  # the demo has tests of its own
    blocks = blocks_of(reader)
    script, number = ["set -eu"], 0
    for language, text in blocks:
        if language == "bash":
            number += 1
            ours = text.replace("pip install uv && ", "").replace("uv run ", "")
            script.append(f"{{\n{ours}\n}} > {tmp_path}/said.{number}")
    environment = environment_of(tmp_path / "shop")
    try:
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500,
        )  # fmt: skip
        said = [(tmp_path / f"said.{i + 1}") for i in range(number)]
        texts = [path.read_text() if path.exists() else "(not run)" for path in said]
        assert done.returncode == 0, "\n".join([*texts, done.stderr])
    finally:
        for name in DATA:
            down = ["nextbest", "down", "--data-dir", name]
            subprocess.run(down, cwd=tmp_path, env=environment, capture_output=True)
    so_far = ""
    for language, text in blocks:
        if language == "bash":
            so_far = texts.pop(0)
        elif language == "json":
            assert json.loads(text).items() <= shortened(so_far).items()
    answer = json.loads((tmp_path / "shop" / "answer.json").read_text())
    assert answer["stale"] is False
    [row] = answer["rows"]
    assert row["values"]["customers:order_7d"] >= 1
    assert row["values"]["customers:amount_sum_30d"] >= 25.0
    assert row["values"]["customers:category_affinity"]["hats"] > 0


def test_it_is_read_in_a_quarter_of_an_hour() -> None:
    """As many words as can be read and typed; the commands themselves take about a minute."""
    words = len(re.findall(r"\w[\w'.:/-]*", TUTORIAL.read_text()))
    assert words / WORDS_A_MINUTE < 10
