"""A Dockerfile as its instructions: as much of its grammar as ours uses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One stage: what it is made from, and its instructions in order."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        """The arguments of every instruction of a kind."""
        return [text for kind, text in self.steps if kind == word]


def read(file: Path) -> dict[str, Stage]:
    """The stages by name, in order."""
    stages: dict[str, Stage] = {}
    now: Stage | None = None
    for line in joined(file.read_text()):
        kind, _, text = line.partition(" ")
        if kind == "FROM":
            base, _, name = text.partition(" AS ")
            now = Stage(name, base)
            stages[name] = now
        elif now is not None:
            now.steps.append((kind, text.strip()))
    return stages


def joined(text: str) -> list[str]:
    """Instructions, each in one line, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def lineage(stages: dict[str, Stage], name: str) -> list[Stage]:
    """A stage and those it is made from, the first last."""
    found = []
    while name in stages:
        found.append(stages[name])
        name = stages[name].base
    return found


def command(stages: dict[str, Stage], name: str, word: str = "CMD") -> list[str]:
    """What a stage starts, in exec form."""
    for stage in lineage(stages, name):
        if given := stage.all(word):
            parts = json.loads(
                given[-1].partition("CMD ")[2] if word == "HEALTHCHECK" else given[-1]
            )
            assert isinstance(parts, list)
            return [str(part) for part in parts]
    raise AssertionError(f"{name} has no {word}")
