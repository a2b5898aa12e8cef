"""The live picture of the demo, and the same as a plain line."""

from __future__ import annotations

import math
import time

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..commands import screen
from ..commands.measures import Measures
from ..commands.values import NOTHING
from .yardsticks import Standing

_BAR = 40
_POINTS = 48
_FULL = 0.30  # the reward of a full bar


class Scene:
    """What the flow has told so far."""

    def __init__(self, baskets: int) -> None:
        self.baskets = baskets
        self.measures = Measures()
        self.standing: Standing | None = None
        self.began = time.perf_counter()
        self._recent: list[float] = []
        self._every = 1
        self._calls = 0

    @property
    def reference_seconds(self) -> float:
        """How long the references took in this run."""
        return 0.0 if self.standing is None else self.standing.seconds

    def stand(self, standing: Standing) -> None:
        """Take the references' standing, and note how the ranker does lately."""
        self.standing = standing
        self._calls += 1
        progress = self.measures.progress
        if progress is not None and progress.resolved and self._calls % self._every == 0:
            self._recent.append(progress.recent.get())
            if len(self._recent) > 2 * _POINTS:
                self._recent = self._recent[::2]
                self._every *= 2

    @property
    def recent(self) -> list[float]:
        """How the ranker did lately, over the run: at most 48 values."""
        skip = max(1, math.ceil(len(self._recent) / _POINTS))
        return self._recent[::-skip][::-1]

    def rewards(self) -> list[tuple[str, float]]:
        """Return every policy's mean reward; NaN before the first."""
        s, p = self.standing, self.measures.progress
        return [
            ("nextbest", p.reward.get() if p is not None else math.nan),
            ("River per arm", s.river if s is not None else math.nan),
            ("best constant", s.constant if s is not None else math.nan),
            ("random", s.random if s is not None else math.nan),
        ]

    @property
    def decided(self) -> int:
        """Decisions whose outcome is known."""
        return 0 if self.measures.progress is None else self.measures.progress.resolved


def line(scene: Scene) -> str:
    """Return how it goes as one plain line."""
    text = screen.speed_line(scene.measures, scene.began)
    if not scene.decided:
        return text
    rewards = "  ".join(f"{name} {_reward(value)}" for name, value in scene.rewards())
    return f"{text}  {scene.decided:,} baskets  reward: {rewards}"


def picture(scene: Scene) -> RenderableType:
    """Draw how it goes."""
    head = screen.measures_grid(scene.measures)
    share = scene.decided / max(1, scene.baskets)
    done = screen.bar(share, _BAR)
    head.add_row(
        "", "baskets",
        f"{scene.decided:,}   [green]{done}[/green][bright_black]{'━' * (_BAR - len(done))}"
        f"[/bright_black] {share:.0%}",
    )  # fmt: skip
    return Group(head, Text(), _rewards(scene), _trend(scene))


def _rewards(scene: Scene) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(width=14, no_wrap=True)
    grid.add_column(justify="right", width=6)
    grid.add_column(no_wrap=True)
    grid.add_row("", Text("mean reward", style="dim"), "", "")
    for name, value in scene.rewards():
        style = "bold green" if name == "nextbest" else "bright_black"
        width = 0.0 if math.isnan(value) else value / _FULL
        grid.add_row(
            "", Text(name, style="bold" if name == "nextbest" else ""), _reward(value),
            Text(screen.bar(width, _BAR + 10), style=style),
        )  # fmt: skip
    return grid


def _trend(scene: Scene) -> RenderableType:
    recent = scene.recent
    if len(recent) < 3:
        return Text()
    return Text.assemble(
        ("\n  lately         ", "dim"),
        (f"{_reward(recent[-1]):>6} ", ""),
        (screen.sparkline(recent), "green"),
    )


def _reward(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.4f}".lstrip("0")
