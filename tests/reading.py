"""What tests of texts share: their blocks, and what a reader's shell has."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.S)


def blocks_of(text: str) -> list[tuple[str, str]]:
    """Language and text of every block."""
    return [(match[1], match[2]) for match in _BLOCK.finditer(text)]


def environment_of(directory: Path) -> dict[str, str]:
    """A reader's, with the commands of this interpreter."""
    tools = Path(sys.executable).parent
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(directory)}


def shortened(line: str) -> dict[str, object]:
    """A dead letter, its origin without directories."""
    letter: dict[str, object] = json.loads(line)
    return letter | {"origin": Path(str(letter["origin"])).name}
