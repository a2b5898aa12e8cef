"""`nextbest simulate`: policies in worlds whose law is known, and a service in one of them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ...features.errors import SettingsError
from ..simulate.comparing import Comparison, compare, course
from ..simulate.over_http import Lived, Service, live
from ..simulate.policies import POLICIES
from ..simulate.sessions import lines_of
from ..simulate.strategy import text_of
from ..simulate.world import DAY, START, Setting, World
from . import screen

API_KEY = "NEXTBEST_API_KEY"
"""The environment's variable with the key that is sent to a service."""
_SOON_SECONDS = 2.0
_NOTES = {
    "ours": "shared, segments, each customer",
    "shared": "one model for all",
    "person": "a model for each customer",
    "river": "logistic regressions, 5 % at random",
    "rules": "the most valuable action",
    "random": "any action",
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be simulated, as the command line says it; see `Setting`."""

    seeds: Sequence[int]
    people: int
    days: int
    visits: float
    actions: int
    new_actions: int
    heterogeneity: float
    drift: float
    drift_at: float
    policies: Sequence[str] | None
    url: str | None
    day_seconds: float
    events: Path | None
    strategy: Path | None
    cap: int = 0
    refusals: float = 0.0
    failing: float = 0.0
    corrected: float = 0.0

    def setting(self) -> Setting:
        """Return the worlds' setting; over HTTP all actions are there from the start."""
        real = self.url is not None or self.strategy is not None
        return Setting(
            people=self.people,
            days=self.days,
            visits=self.visits,
            actions=self.actions,
            new_actions=0 if real else self.new_actions,
            heterogeneity=self.heterogeneity,
            drift=self.drift,
            drift_at=self.drift_at,
            start=int((time.time() + _SOON_SECONDS) * 1e6) if real else START,
            day_us=round(self.day_seconds * 1e6) if real else DAY,
            cap=self.cap,
            refusals=self.refusals,
            failing=self.failing,
            corrected=self.corrected,
        )


def run_simulation(wanted: Wanted, console: Console) -> None:
    """Simulate, and print what came of it; or write what the world consists of.

    Raises
    ------
    SettingsError
        If what is wanted cannot be.
    SourceError
        If the service fails.
    OSError
        If a file cannot be written.
    """
    if wanted.url is not None and (wanted.events or wanted.strategy):
        raise SettingsError("--url asks a service; --events and --strategy only write")
    setting, first = wanted.setting(), wanted.seeds[0]
    if wanted.url is None and wanted.strategy is None and not setting.plain:
        raise SettingsError(
            "--cap, --refusals, --failing and --corrected are lived through over HTTP: they go "
            "with --url, and with --strategy"
        )
    if wanted.strategy is not None:
        wanted.strategy.write_text(text_of(World(setting, first)), encoding="utf-8")
        console.print(
            f"strategy of seed {first} written to {wanted.strategy}", soft_wrap=True, markup=False
        )
    if wanted.events is not None:
        n = 0
        with wanted.events.open("wb") as file:
            for line in lines_of(World(setting, first)):
                file.write(line)
                n += 1
        console.print(
            f"{n:,} events of seed {first} written to {wanted.events}", soft_wrap=True, markup=False
        )
    if wanted.url is not None:
        _live(World(setting, first), wanted.url, console)
    elif wanted.events is None and wanted.strategy is None:
        _compare(setting, wanted, console)


def _compare(setting: Setting, wanted: Wanted, console: Console) -> None:
    names = list(wanted.policies or POLICIES)
    doing = ["making the worlds"]

    def told(name: str, seed: int) -> None:
        doing[0] = f"{name} in the world of seed {seed}"

    began = time.perf_counter()
    with screen.following(console, lambda: Text(f"  {doing[0]}"), lambda: f"  {doing[0]}"):
        found = compare(setting, wanted.seeds, names, told)
    took = time.perf_counter() - began
    visits, policies = int(found.visits.sum()), len(names)
    screen.entry(
        console, "worlds",
        f"{len(wanted.seeds)} of {setting.people} customers over {setting.days} days, "
        f"{visits:,} visits; heterogeneity {setting.heterogeneity:g}, drift {setting.drift:g}",
    )  # fmt: skip
    screen.entry(
        console, "decided", f"{visits * policies:,} times, {visits * policies / took:,.0f}/s"
    )
    screen.entry(console, "oracle", f"earns {found.oracle.mean():.4f} a visit, as it expects to")
    console.print()
    console.print(Padding(_table(found), (0, 0, 0, 2), expand=False))


def _table(found: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("policy", no_wrap=True)
    means = {each.name: float(each.regret.mean()) for each in found.standings}
    titles = ["cumulative regret", "a visit", "earned", "course"]
    if "ours" in means:
        titles.insert(1, "over ours")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for each in found.standings:
        style = "bold green" if each.name == "ours" else ""
        table.add_row(
            Text(each.name, style=style),
            Text(f"{each.regret.mean():,.0f} ± {each.regret.std():,.0f}", style=style),
            *([f"{means[each.name] / max(means['ours'], 1e-9):.2f}"] if "ours" in means else []),
            f"{(each.regret / found.visits).mean():.4f}",
            f"{each.earned.mean():.4f}",
            screen.sparkline([float(value) for value in each.course if value == value]),
            Text(_NOTES[each.name], style="dim"),
        )
    return table


def _live(world: World, url: str, console: Console) -> None:
    seconds = world.setting.days * world.setting.day_us / 1e6
    screen.entry(console, "world", f"{len(world):,} visits in {seconds:,.0f} s at {url}")
    with contextlib.closing(Service(url, os.environ.get(API_KEY, ""))) as service:
        lived = live(world, service)
    _tell(world, lived, console)


def _tell(world: World, lived: Lived, console: Console) -> None:
    chance = float(world.expected.sum(axis=1).mean()) / len(world.actions)
    best = float(world.best.mean())
    line = screen.sparkline([float(value) for value in course(lived.regret) if value == value])
    regret = float(lived.regret.mean())
    screen.entry(
        console, "regret",
        f"{regret:.4f} a visit, at random it is {best - chance:.4f}; its course {line}",
    )  # fmt: skip
    screen.entry(
        console, "earned", f"{lived.earned.mean():.4f} a visit; the oracle expects {best:.4f}"
    )
    median, late = np.quantile(lived.took_ms, (0.5, 0.99))
    screen.entry(
        console, "decisions",
        f"p50 {median:.1f} ms, p99 {late:.1f} ms; {lived.fallbacks:,} fallbacks, "
        f"{lived.stale:,} had not seen the visit's events",
    )  # fmt: skip
    if not world.setting.plain:
        screen.entry(
            console, "rules",
            f"{lived.silent:,} decisions without an offer; {lived.failed:,} deliveries failed, "
            f"{lived.refused:,} offers refused, {lived.corrected:,} answers taken back",
        )  # fmt: skip
    screen.entry(
        console, "outcomes",
        f"{lived.outcomes:,} sent; visits came {np.quantile(lived.behind_ms, 0.99):,.0f} ms late "
        "at most but for one in a hundred",
    )  # fmt: skip
