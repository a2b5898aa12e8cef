"""The picture that `nextbest top` draws: it fits the terminal, whatever its size."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .top_figures import Fellow, Figures, Model, Partition, Policy, Process
from .top_watched import Timing
from .values import NOTHING, duration

_WIDE = 150
_LEAST_ROWS = 1
_SHOWN_REASONS = 3


class _Section(msgspec.Struct):
    """A heading with a line of facts, and a table below it; without facts it begins the table."""

    heading: str
    facts: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: int = 1
    limit: int = 0
    apart: bool = True

    def height(self) -> int:
        more = self.limit < len(self.rows)
        lines = bool(self.facts) + 1 + self.limit + more if self.rows else 1
        return lines + self.apart

    def draw(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self.facts or not self.rows:
            text = f"[bold cyan]{self.heading:8}[/] {self.facts}"
            line = Text.from_markup(text, overflow="ellipsis")
            line.no_wrap = True
            parts.append(line)
        if self.rows:
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
            for place, name in enumerate(self.columns):
                justify = "left" if place < self.words else "right"
                header: str | Text = name
                if not place and not self.facts:
                    header = Text(self.heading, style="bold cyan not dim")
                table.add_column(header, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
            for row in self.rows[: self.limit]:
                table.add_row(*row)
            parts.append(table)
            if self.limit < len(self.rows):
                parts.append(Text(f"and {len(self.rows) - self.limit:,} more", style="dim"))
        if self.apart:
            parts.append(Text(""))
        return Group(*parts)


class Picture:
    """Figures as a picture of the terminal's size.

    Parameters
    ----------
    figures
        What to show; None: there is nothing yet.
    held
        Whether it is held still.
    whole
        Show all there is, however high that is.
    """

    def __init__(self, figures: Figures | None, *, held: bool = False, whole: bool = False) -> None:
        self._figures = figures
        self._held = held
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it, not higher than the terminal."""
        height = (1 << 20) if self._whole else options.height or console.height
        found = self._figures
        if found is None:
            yield Text("nextbest top  asking …")
            return
        yield self._title(found, options.max_width)
        left = [_processes(found), _log(found)]
        right = [
            each
            for each in (
                _decisions(found),
                _models(found),
                _fleet(found),
                _http(found),
            )
            if each
        ]
        if options.max_width < _WIDE or not right:
            yield Group(*_fitted([*left, *right], height - 1))
            return
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(Group(*_fitted(left, height - 1)), Group(*_fitted(right, height - 1)))
        yield grid

    def _title(self, found: Figures, width: int) -> Text:
        seen = sum(each.away is None for each in found.processes)
        clock = time.strftime("%H:%M:%S", time.localtime(found.at))
        text = Text.from_markup(
            f"[bold]nextbest top[/]  {clock}  {seen} of {len(found.processes)} processes"
            + ("  [reverse] held [/]" if self._held else ""),
        )
        keys = "" if self._whole else "q end  p " + ("go on" if self._held else "hold")
        text.append(" " * max(2, width - text.cell_len - len(keys) - 1) + keys, style="dim")
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


def short(number: float) -> str:
    """Return a number in at most seven characters.

    >>> short(0), short(0.25), short(1234), short(123456), short(12_345_678)
    ('0', '0.25', '1,234', '123 k', '12.3 M')
    """
    if abs(number) < 10 and number != int(number):
        return f"{number:.2f}"
    for limit, size, unit in ((100_000, 1, ""), (1_000_000, 1e3, " k"), (1e9, 1e6, " M")):
        if abs(number) < limit:
            return f"{number / size:,.{int(unit == ' M')}f}{unit}"
    return f"{number / 1e9:,.1f} G"


def bytes_(number: float | None) -> str:
    """Return bytes for a person.

    >>> bytes_(512 << 20), bytes_(12 << 30)
    ('512 MB', '12.0 GB')
    """
    if number is None:
        return NOTHING
    return f"{number / 2**20:,.0f} MB" if number < 10 * 2**30 else f"{number / 2**30:,.1f} GB"


def _fitted(sections: Sequence[_Section], height: int) -> list[RenderableType]:
    """Draw sections one above the other, closer and then with fewer rows until all fits."""
    for each in sections:
        each.limit = len(each.rows)
    sections[-1].apart = False
    if sum(each.height() for each in sections) > height:
        for each in sections:
            each.apart = False
    while sum(each.height() for each in sections) > height:
        longest = max(sections, key=lambda each: each.limit)
        if longest.limit <= _LEAST_ROWS:
            break
        # Leaving out one row alone wins nothing: the line that says so takes its place.
        longest.limit -= 2 if longest.limit == len(longest.rows) and longest.limit > 2 else 1
    return [each.draw() for each in sections]


def _processes(found: Figures) -> _Section:
    def row(each: Process) -> tuple[str, ...]:
        if each.away is not None:
            return (f"[red]{escape(_host(each.url))}[/]", "[red]away[/]")
        name = f"{each.role} {each.worker}" if each.role == "run" else each.role
        cores = NOTHING if each.cores is None else f"{100 * each.cores:.0f}%"
        up = NOTHING if each.up_seconds is None else duration(each.up_seconds)
        state = "[red]waits[/]" if each.outage else escape(each.catalog)
        rate = each.requests_per_second if each.role == "serve" else each.events_per_second
        return (
            f"{escape(_host(each.url))}", f"{escape(name)}", state, cores,
            bytes_(each.memory_bytes), up, f"{short(rate)}/s",
        )  # fmt: skip

    away = [each for each in found.processes if each.away is not None]
    said = [f"[red]{escape(_host(each.url))}: {escape(each.away or '')}[/]" for each in away]
    if found.differing is not None:
        said.append(
            f"[red]audit: {short(found.differing)} values differ[/]"
            if found.differing
            else "audit: no value differs"
        )
    columns = ("address", "is", "catalog", "cpu", "memory", "up", "events, requests")
    return _Section(
        "PROCESS", "  ".join(said), columns, [row(each) for each in found.processes], words=3
    )


def _log(found: Figures) -> _Section:
    fresh = found.freshness
    dead = f"{short(found.dead)} dead"
    if found.dead:
        dead = f"[yellow]{dead}[/] ({_reasons(found.dead_reasons)})"
    facts = (
        f"{short(found.events_per_second)} events/s  {short(found.rows_per_second)} rows/s  "
        f"fresh p50 {_seconds(fresh.p50)} p99 {_seconds(fresh.p99)}  {dead}  "
        f"{short(found.late)} late  {short(found.duplicate)} dup"
    )

    def row(each: Partition) -> tuple[str, ...]:
        behind = NOTHING if each.lag_records is None else short(each.lag_records)
        if each.lag_records:
            behind = f"[yellow]{behind}[/]"
        return (
            each.partition, short(each.read_per_second), behind, _seconds(each.lag_seconds),
            short(each.late), short(each.duplicate), short(each.dead),
        )  # fmt: skip

    columns = ("partition", "read/s", "lag", "lag, time", "late", "duplicate", "dead")
    return _Section("LOG", facts, columns, [row(each) for each in found.partitions])


def _decisions(found: Figures) -> _Section | None:
    if not found.policies and not found.fallbacks:
        return None
    explored = NOTHING if found.exploration is None else f"{100 * found.exploration:.1f}%"
    facts = (
        f"{short(found.decisions_per_second)} decisions/s  explored {explored}  "
        f"caps hit {short(found.cap_hits)} ({short(found.cap_hits_per_second)}/s)"
    )
    if found.fallbacks:
        facts += f"  [yellow]fallbacks {_reasons(found.fallbacks)}[/]"

    def row(each: Policy) -> tuple[str, ...]:
        share = NOTHING if each.share is None else f"{100 * each.share:.1f}%"
        reward = NOTHING if each.mean_reward is None else f"{each.mean_reward:.4f}"
        return (each.policy, short(each.per_second), share, reward, short(each.rewarded))

    columns = ("policy", "decisions/s", "share", "mean reward", "of")
    return _Section("DECIDE", facts, columns, [row(each) for each in found.policies])


def _models(found: Figures) -> _Section | None:
    if not found.models:
        return None

    def version(number: float | None, age: float | None) -> str:
        if number is None:
            return NOTHING
        return short(number) + ("" if age is None else f", {duration(age)} ago")

    def row(each: Model) -> tuple[str, ...]:
        return (
            escape(each.objective), version(each.published, each.published_age_seconds),
            version(each.decides, each.decides_age_seconds),
        )  # fmt: skip

    columns = ("objective", "outcomes learned and published", "decides by")
    return _Section("MODELS", "", columns, [row(each) for each in found.models])


def _fleet(found: Figures) -> _Section | None:
    if not found.fleet:
        return None

    def row(each: Fellow) -> tuple[str, ...]:
        share = NOTHING if each.share is None else f"{100 * each.share:.1f}%"
        pairs = NOTHING if each.pairs is None else short(each.pairs)
        low, gain, high = (
            NOTHING if number is None else f"{number:+.4f}"
            for number in (each.low, each.gain, each.high)
        )
        return (escape(each.name), short(each.per_second), share, pairs, low, gain, high)

    columns = ("member", "decisions/s", "share", "pairs", "at least", "gain", "at most")
    return _Section(
        "FLEET", _reasons(found.fleet_roles), columns, [row(each) for each in found.fleet]
    )


def _http(found: Figures) -> _Section | None:
    if not found.requests:
        return None

    def row(each: Timing) -> tuple[str, ...]:
        failed = short(each.failed_per_second)
        return (
            escape(each.name), short(each.per_second), _seconds(each.p50), _seconds(each.p99),
            f"[red]{failed}[/]" if each.failed_per_second else failed,
        )  # fmt: skip

    total = sum(each.per_second for each in found.requests)
    columns = ("route", "requests/s", "p50", "p99", "failed/s")
    return _Section(
        "HTTP", f"{short(total)} requests/s", columns, [row(each) for each in found.requests]
    )


def _host(url: str) -> str:
    return url.removeprefix("http://").removesuffix("/metrics")


def _reasons(found: Mapping[str, float]) -> str:
    shown = [f"{escape(name)} {short(times)}" for name, times in found.items()]
    return ", ".join(shown[:_SHOWN_REASONS]) + (", …" if len(shown) > _SHOWN_REASONS else "")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    return f"{1000 * seconds:.1f} ms" if 0 < seconds < 0.1 else duration(seconds)
