"""What a person sees while a run goes on: a live picture, or plain lines without a terminal."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .measures import Measures
from .values import duration

_WIDTH = 100
_LINE_SECONDS = 2.0
_BLOCKS = " ▁▂▃▄▅▆▇█"


def make_console(*, stderr: bool = False) -> Console:
    """Return a console; without a terminal it is wide enough and writes no control codes."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(
            stderr=stderr, highlight=False, width=_WIDTH, color_system=None, force_terminal=False
        )
    return console


@contextlib.contextmanager
def following(
    console: Console,
    picture: Callable[[], RenderableType],
    line: Callable[[], str],
    *,
    seconds: float = _LINE_SECONDS,
) -> Iterator[None]:
    """Show how something goes on while the block runs.

    On a terminal `picture` is drawn four times a second; elsewhere `line` is printed every
    ``seconds`` seconds, after the first half second.
    """
    if console.is_terminal:
        with Live(get_renderable=picture, console=console, refresh_per_second=4, transient=True):
            yield
        return
    done = threading.Event()

    def print_lines() -> None:
        wait = 0.5
        while not done.wait(wait):
            wait = seconds
            console.print(line(), soft_wrap=True, markup=False)

    printer = threading.Thread(target=print_lines, daemon=True)
    printer.start()
    try:
        yield
    finally:
        done.set()
        printer.join()


@contextlib.contextmanager
def step(console: Console, name: str, doing: str) -> Iterator[Callable[[str], None]]:
    """Say what is being done, then what was done: call the yielded function with it."""
    began = time.perf_counter()
    result = [doing]
    if not console.is_terminal:
        console.print(f"  {name:<10} {doing} …", soft_wrap=True)
        yield result.append
    else:
        with console.status(f"{name:<10} {doing} …", spinner="dots"):
            yield result.append
    took = time.perf_counter() - began
    entry(console, name, f"{result[-1]} [dim]({duration(took)})[/dim]")


def entry(console: Console, name: str, text: str) -> None:
    """Print one line of facts under a name."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(width=10, style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("", name, text)
    console.print(grid)


def word(value: object) -> str:
    """Return a path, say, as a shell takes it in a command that is shown.

    >>> word("shop"), word("my shop/[red]")
    ('shop', "'my shop/\\\\[red]'")
    """
    return escape(shlex.quote(str(value)))


def speed_line(measures: Measures, began: float) -> str:
    """Return one plain line about how a run goes."""
    parts = [f"{time.perf_counter() - began:5.0f} s"]
    if measures.compiling is not None:
        parts.append(f"compiling {measures.compiling} (once on this machine)")
    if measures.away is not None:
        parts.append(f"waiting: {measures.away}")
    parts.append(f"{measures.events:,} events")
    parts.append(f"{measures.events_per_second:,.0f}/s")
    fresh = measures.fresh
    if fresh.quantile(0.5) == fresh.quantile(0.5):
        parts.append(f"fresh {freshness(measures)}")
    parts.append(f"{measures.dead:,} dead")
    return "  ".join(parts)


def freshness(measures: Measures) -> str:
    """Return the median and the 99th percentile in words."""
    fresh = measures.fresh
    return f"p50 {duration(fresh.quantile(0.5))}, p99 {duration(fresh.quantile(0.99))}"


def measures_grid(measures: Measures) -> Table:
    """Return the part of a live picture that every run has."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(width=10, style="bold", no_wrap=True)
    grid.add_column()
    if measures.compiling is not None:
        grid.add_row(
            "", "kernels",
            Text(f"compiling {measures.compiling}, once on this machine "
                 f"({duration(measures.compiled_seconds)} so far)", style="yellow"),
        )  # fmt: skip
    if measures.away is not None:
        grid.add_row("", "waiting", Text(measures.away, style="yellow"))
    grid.add_row("", "events", f"{measures.events:,}   [cyan]{measures.events_per_second:,.0f}/s")
    grid.add_row(
        "", "freshness",
        f"{freshness(measures)} [dim]from an event's arrival to its row in the store",
    )  # fmt: skip
    if measures.loop:
        grid.add_row("", "loop", loop_line(measures.loop))
    if measures.acted:
        grid.add_row("", "triggers", acted_line(measures.acted))
    style = "yellow" if measures.dead else "dim"
    grid.add_row("", "dead", Text(f"{measures.dead:,} refused", style=style))
    return grid


def loop_line(counts: Mapping[str, int]) -> str:
    """Return what became of decisions and outcomes, in a line.

    >>> loop_line({"decisions": 1200, "responses": 80, "silences": 900})
    '1,200 decisions, 80 responses, 900 silences, 0 repaired, 0 withdrawn, 0 refused'
    >>> loop_line({"decisions": 1, "too_late": 7}).rpartition(", ")[2]
    '7 too late to learn'
    """
    names = ("decisions", "responses", "silences", "repaired", "withdrawn", "refused")
    late = f", {counts['too_late']:,} too late to learn" if counts.get("too_late") else ""
    return ", ".join(f"{counts.get(name, 0):,} {name}" for name in names) + late


def acted_line(counts: Mapping[str, int]) -> str:
    """Return what became of the events at which we decide by ourselves, in a line.

    >>> acted_line({"triggered": 1200, "sent": 1100, "nothing": 90, "late": 10, "rerouted": 5})
    '1,200 held, 1,100 sent, 5 rerouted, 10 too late, 90 nothing eligible'
    """
    words = {"triggered": "held", "late": "too late", "nothing": "nothing eligible"}
    always = ("triggered", "sent", "rerouted", "late", "nothing")
    more = [name for name in ("repeated", "fallback", "refused") if counts.get(name)]
    return ", ".join(
        f"{counts.get(name, 0):,} {words.get(name, name)}" for name in (*always, *more)
    )


def bar(share: float, width: int) -> str:
    """Return a bar of the share (0 to 1) of so many characters.

    >>> bar(0.5, 8)
    '━━━━'
    """
    return "━" * round(max(0.0, min(1.0, share)) * width)


def sparkline(values: list[float]) -> str:
    """Return values as blocks between the least and the greatest.

    >>> sparkline([0.0, 1.0, 2.0])
    '▁▄█'
    """
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_BLOCKS) - 2) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[1 + int((v - low) * scale)] for v in values)
