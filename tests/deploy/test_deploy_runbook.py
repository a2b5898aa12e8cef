"""The runbook's own commands: start, back up, lose all, restore, rescale, a poison event."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text()
EVENT = (
    '{{"event_id":"{n}","event_timestamp":{at},"customer_id":"{who}","type":"{kind}",'
    '"properties":{{"category":"shoes","value":5.0}}}}'
)


@pytest.mark.timeout(900)
def test_every_block_does_what_it_says(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "shop/shop.py", tmp_path)
    kinds = ("visit", "view", "cart", "purchase")
    lines = [
        EVENT.format(
            n=n, at=1_767_225_600_000_000 + n, who=("ann", "bob")[n % 2], kind=kinds[n % 4]
        )
        for n in range(40)
    ]
    (tmp_path / "events.ndjson").write_text("\n".join(lines) + "\n")
    blocks = re.findall(r"^```bash\n(.*?)^```", RUNBOOK, re.M | re.S)
    assert len(blocks) == 6
    if os.environ.get("NEXTBEST_CHAOS") != "long":  # each starts processes that load every kernel
        blocks = [text for text in blocks if "--processes 2" not in text]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("NEXTBEST_")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
            cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=800, check=False,
        )  # fmt: skip
    finally:
        down = ["nextbest", "down", "--data-dir", "data"]
        subprocess.run(down, cwd=tmp_path, env=environ, check=False, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 accepted" in done.stdout
    assert done.stdout.count("0 accepted (0 of them late), 0 duplicate, 0 dead letters") >= 1
    assert "JSON is malformed" in done.stdout
    before = (tmp_path / "before.txt").read_text()
    assert re.search(r"visits:spend_30d +50\.00", before)


def test_every_setting_that_it_names_exists() -> None:
    from nextbest.flows.settings import Settings
    from nextbest.flows.variables import OTHERS, unknown

    named = set(re.findall(r"NEXTBEST_[A-Z_]*[A-Z]", RUNBOOK))
    known = {f"NEXTBEST_{name.upper()}" for name in Settings.__struct_fields__} | OTHERS.keys()
    assert len(named) > 5
    assert unknown(named, known) == []
