"""The demo's last screen: who earned what, one household three ways, its next best actions."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import redis
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ...features.errors import StateError
from ...features.online import now_us
from ...learners import ActionRanker
from ..commands import screen
from ..commands.job import rows_in
from ..commands.lookup import moment
from ..commands.values import Value, columns_of, duration, shown
from ..connection import ask
from ..pipeline import model_key
from ..settings import Settings
from . import journey
from .agreement import FeastProcess, ThreeAnswers, ask_three
from .catalog import action_features, catalog, next_category
from .picture import Scene
from .stream import Written

_ACTIONS = 5
_REASONS = 3
_TIMES = "\N{MULTIPLICATION SIGN}"
_SHOWN = (
    "visits", "visits_30d", "purchases_30d", "basket_90d", "weekly_habit", "last_category",
    "since_visit", "visit_spend", "bought_90d", "since_bought",
)  # fmt: skip


def show_ending(
    settings: Settings,
    written: Written,
    url: str,
    feast: FeastProcess,
    scene: Scene,
    console: Console,
) -> bool:
    """Show the final screen from what the stores hold; return whether the three answers agree.

    Raises
    ------
    NextbestError
        If a store does not answer, or holds no model.
    """
    console.print()
    _policies(scene, console)
    household, context = _household(written.files[-1])
    console.print()
    with screen.step(
        console, "looking up", f"household {household}: our reader, the Feast SDK, the command line"
    ) as said:
        answers = ask_three(settings, url, catalog, feast, household)
        age = duration(int(answers.row.rows.age_ms[0]) / 1000)
        said(f"household {household} as of {moment(answers.at)}, last event {age} before")
    _row(answers, console)
    console.print()
    _actions(url, answers, context, console)
    console.print()
    _places(settings, url, household, console)
    return not answers.differing


def _policies(scene: Scene, console: Console) -> None:
    rewards = scene.rewards()
    random = rewards[-1][1]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(f"policy, over {scene.decided:,} baskets", no_wrap=True)
    table.add_column("mean reward", justify="right", no_wrap=True)
    table.add_column("over random", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    notes = {
        "nextbest": "streamed features",
        "River per arm": "without streamed features",
        "best constant": "known only in hindsight",
    }
    for name, value in rewards:
        lift = value / random if random else math.nan
        style = "bold green" if name == "nextbest" else ""
        table.add_row(
            Text(name, style=style), Text(f"{value:.4f}", style=style), f"{lift:.2f} {_TIMES}",
            Text(notes.get(name, ""), style="dim"),
        )  # fmt: skip
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _household(file: Path) -> tuple[str, dict[str, str]]:
    """The most frequent shopper at the stream's end, and what is known of them."""
    last = pq.ParquetFile(file)
    table = last.read_row_group(last.num_row_groups - 1)
    rows = table.select(["customer_id", "type", *journey.CONTEXTS]).to_pylist()
    starts = {row["customer_id"]: row for row in rows if row["type"] == next_category.trigger}
    visits = Counter(row["customer_id"] for row in rows if row["type"] == next_category.trigger)
    if not visits:
        raise StateError(f"{file}: no basket starts in its last row group")
    household = visits.most_common(1)[0][0]
    return household, {name: starts[household][name] for name in journey.CONTEXTS}


def _row(answers: ThreeAnswers, console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("feature", no_wrap=True)
    for name in ("FeatureClient", "Feast SDK", "nextbest features get"):
        table.add_column(name, overflow="fold")
    for view, feature, own in columns_of(catalog.features()):
        if feature.name in _SHOWN:
            columns = catalog.columns[own]
            cells = [
                shown(feature, [values.get(c) for c in columns], keys=1)
                for values in (answers.reader, answers.feast, answers.command)
            ]
            table.add_row(f"{view.name}:{feature.name}", *cells)
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
    n = len(catalog.columns)
    if answers.differing:
        console.print(
            f"  [bold red]The three differ[/bold red] in {len(answers.differing)} of {n} values:"
        )
        for column in answers.differing[:5]:
            found: list[Value] = [
                values.get(column) for values in (answers.reader, answers.feast, answers.command)
            ]
            console.print(Text(f"    {column}: {', '.join(map(str, found))}"))
    else:
        console.print(f"  [green]All {n} values agree[/green] between the three.")


def _actions(url: str, answers: ThreeAnswers, context: dict[str, str], console: Console) -> None:
    key = model_key(catalog, next_category)
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        stored: bytes | None = ask(client, "GET", key)
    if stored is None:
        raise StateError(f"{key}: no model is published in the store")
    ranker = ActionRanker.from_bytes(stored)
    context = {**context, **journey.clock_context(now_us())}
    values = answers.row.rows.values[0]
    matrix = action_features(values)
    pull = ranker.pull(context, matrix)
    console.print(
        f"  [bold]Next best actions[/bold] for household {answers.row.ids[0]} now "
        f"({context['weekday']}, {context['hour_bin']}), by the model of {ranker.updates:,} "
        "outcomes"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for name, justify in (("", "right"), ("action", "left"), ("reward", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]  # two words
    table.add_column("chosen with", justify="right", no_wrap=True)
    table.add_column("why, against the average action (logits)", overflow="fold")
    reasons = _Reasons(ranker, context, matrix)
    for rank, arm in enumerate(pull.ranking[:_ACTIONS].tolist(), start=1):
        table.add_row(
            str(rank), ranker.arms[arm], f"{pull.scores[arm]:.3f}",
            f"{pull.propensities[arm]:.1%}", reasons.of(arm),
        )  # fmt: skip
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


class _Reasons:
    """What speaks for an action rather than for the average one.

    Contributions to a logit add up: those of one signal over several half-lives become one
    number, and what every action has in common says nothing about any.
    """

    def __init__(self, ranker: ActionRanker, context: dict[str, str], matrix: Any) -> None:
        self._parts = [
            self._grouped(arm, dict(ranker.explain(context, matrix, i)))
            for i, arm in enumerate(ranker.arms)
        ]
        names = {name for parts in self._parts for name in parts}
        n = len(self._parts)
        self._mean = {name: sum(p.get(name, 0.0) for p in self._parts) / n for name in names}

    def of(self, arm: int) -> str:
        """The largest reasons, in words."""
        found = {name: part - self._mean[name] for name, part in self._parts[arm].items()}
        largest = sorted(found.items(), key=lambda reason: -abs(reason[1]))[:_REASONS]
        return ", ".join(f"{name} {part:+.2f}" for name, part in largest)

    @staticmethod
    def _grouped(arm: str, parts: dict[str, float]) -> dict[str, float]:
        grouped: dict[str, float] = {}
        for name, part in parts.items():
            group = name.removeprefix(f"{arm} & ").split(" (")[0].replace("hour_bin", "hour")
            group = "liked by all" if name == f"arm = {arm}" else group
            grouped[group] = grouped.get(group, 0.0) + part
        return grouped


def _places(settings: Settings, url: str, household: str, console: Console) -> None:
    place = settings.data_dir
    where = "" if place == Settings().data_dir else f" --data-dir {screen.word(place)}"
    found = rows_in(url, catalog, settings)
    rows = "rows" if found is None else f"{sum(found.values()):,} rows"
    screen.entry(
        console, "kept",
        f"{rows} and the model in the online store; events, accepted events, training examples "
        f"and state in {escape(str(place))}",
    )  # fmt: skip
    screen.entry(console, "look up", f"nextbest features get {household}{where}")
    if settings.redis_url is None:
        screen.entry(
            console, "server", f"keeps running for lookups; `nextbest down{where}` stops it"
        )
