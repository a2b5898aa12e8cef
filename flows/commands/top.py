"""`nextbest top`: what processes do, live."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Sequence

import msgspec
from rich.console import Console
from rich.live import Live

from ...features.errors import SettingsError
from ..settings import Settings
from .stopping import stop_on_signals
from .top_figures import Figures, figures
from .top_picture import Picture
from .top_reading import LOCAL_PORTS, Scrape, local_targets, scrape, target, targets_of

_REDRAW_SECONDS = 0.25


def top(
    settings: Settings,
    urls: Sequence[str],
    console: Console,
    *,
    every: float,
    once: bool,
    as_json: bool,
) -> bool:
    """Watch processes until ``q``, Ctrl-C or SIGTERM; or look once.

    Parameters
    ----------
    settings
        In whose data directory processes note where they are.
    urls
        Where metrics are shown; none: those noted in the data directory, or else those of this
        machine at `LOCAL_PORTS`.
    console
        Where to draw.
    every
        Seconds between two looks; also the time that rates are taken over.
    once
        Look twice, print, and end.
    as_json
        Print JSON instead: one object, or one a line until it is ended.

    Returns
    -------
    bool
        Whether the last look saw every process.

    Raises
    ------
    SettingsError
        If an address is wrong, or there is none.
    """
    found = [target(url) for url in urls] or targets_of(settings.data_dir) or local_targets(every)
    if not found:
        raise SettingsError(
            f"nothing to watch: no process of {settings.data_dir} shows metrics, and none at this "
            f"machine's ports {LOCAL_PORTS[0]} to {LOCAL_PORTS[-1]}; start it with --metrics-port, "
            "or say where with --url"
        )
    targets = list(dict.fromkeys(found))
    with stop_on_signals() as stop:
        if once or as_json or not console.is_terminal:
            seen = False
            for each in _looks(targets, every, stop):
                seen = all(process.away is None for process in each.processes)
                if as_json:
                    sys.stdout.write(msgspec.json.encode(each).decode() + "\n")
                    sys.stdout.flush()
                else:
                    console.print(Picture(each, whole=True))
                if once:
                    break
            return seen
        return _watch(targets, every, stop, console)


def _looks(targets: Sequence[str], every: float, stop: threading.Event) -> Iterator[Figures]:
    before: list[Scrape] = scrape(targets, every)
    while not stop.wait(every):
        now = scrape(targets, every)
        yield figures(before, now)
        before = now


def _watch(targets: Sequence[str], every: float, stop: threading.Event, console: Console) -> bool:
    shown: list[Figures] = []
    held = threading.Event()

    def look() -> None:
        for each in _looks(targets, every, stop):
            if not held.is_set():
                shown[:] = [each]

    def picture() -> Picture:
        return Picture(shown[0] if shown else None, held=held.is_set())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    with (
        _keys() as key,
        Live(
            get_renderable=picture, console=console, screen=True, auto_refresh=False,
            vertical_overflow="crop",
        ) as live,
    ):  # fmt: skip
        while not stop.is_set():
            live.refresh()
            pressed = key(_REDRAW_SECONDS)
            if pressed in ("q", "Q", "\x03"):
                stop.set()
            elif pressed in ("p", "P", " "):
                held.clear() if held.is_set() else held.set()
    looking.join(2 * every)
    return bool(shown) and all(each.away is None for each in shown[0].processes)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Give what waits for a key without its newline; ``""``: none was pressed."""
    if not sys.stdin.isatty():
        yield _no_key
        return
    fd = sys.stdin.fileno()
    was = termios.tcgetattr(fd)

    def key(seconds: float) -> str:
        ready, _, _ = select.select([fd], [], [], seconds)
        return os.read(fd, 1).decode("ascii", "replace") if ready else ""

    try:
        tty.setcbreak(fd)
        yield key
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, was)


def _no_key(seconds: float) -> str:
    time.sleep(seconds)
    return ""
