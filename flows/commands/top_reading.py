"""Reading what processes show to Prometheus."""

from __future__ import annotations

import http.client
import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from ...features.errors import SettingsError
from ..telemetry.whereabouts import addresses

LOCAL_PORTS = range(9464, 9472)
_MOST_BYTES = 16 << 20
_MOST_TARGETS = 256
_AWAY = (OSError, ValueError, http.client.HTTPException)

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # they are near

Labels = tuple[tuple[str, str], ...]


class Scrape(msgspec.Struct, frozen=True):
    """What one process showed, or why it showed nothing.

    Attributes
    ----------
    url
        Of whom.
    at
        When, seconds of a clock that never goes back.
    samples
        Name → labels (sorted pairs) → value.
    away
        Why there is nothing; None: there is.
    """

    url: str
    at: float
    samples: Mapping[str, Mapping[Labels, float]] = {}
    away: str | None = None

    def value(self, name: str) -> float | None:
        """Return the sum of all series of a name; None: there are none."""
        found = self.samples.get(name)
        return math.fsum(found.values()) if found else None

    def series(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """Yield the labels and the value of each series of a name."""
        for labels, value in self.samples.get(name, {}).items():
            yield dict(labels), value

    def label(self, name: str, label: str) -> str:
        """Return a label of the first series of a name, ``""`` if there is none."""
        return next((labels.get(label, "") for labels, _ in self.series(name)), "")


def target(url: str) -> str:
    """Return the address of a process's metrics in full.

    >>> target("localhost:9464"), target("https://a.example/shop/metrics")
    ('http://localhost:9464/metrics', 'https://a.example/shop/metrics')

    Raises
    ------
    SettingsError
        If it is no address that can be read over HTTP.
    """
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"--url {url}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise SettingsError(f"--url {url}: expected host:port or http://host:port/metrics")
    return full if parts.path.strip("/") else f"{full.rstrip('/')}/metrics"


def targets_of(data_dir: Path) -> list[str]:
    """Return the addresses that processes have noted in a data directory; none: ``[]``.

    Raises
    ------
    SettingsError
        If it cannot be read.
    """
    try:
        return [target(address) for address in addresses(data_dir)]
    except OSError as error:
        raise SettingsError(f"{data_dir}: cannot be read: {error.strerror}") from None


def local_targets(seconds: float) -> list[str]:
    """Return the processes of this machine that show metrics at one of `LOCAL_PORTS`."""
    urls = [f"http://127.0.0.1:{port}/metrics" for port in LOCAL_PORTS]
    return [each.url for each in scrape(urls, seconds) if "nextbest_build_info" in each.samples]


def scrape(urls: Sequence[str], seconds: float) -> list[Scrape]:
    """Ask all at once; one that does not answer within so many seconds is away.

    Raises
    ------
    SettingsError
        If they are more than can be asked.
    """
    if len(urls) > _MOST_TARGETS:
        raise SettingsError(f"{len(urls)} processes to watch, more than {_MOST_TARGETS}")
    with ThreadPoolExecutor(max_workers=max(1, min(32, len(urls)))) as pool:
        return list(pool.map(lambda url: _scrape(url, seconds), urls))


def parse(url: str, text: str, at: float) -> Scrape:
    """Read the text that Prometheus is shown.

    >>> parse("x", 'a_total{b="c"} 2\\na_total{b="d"} 3\\n', 0.0).value("a_total")
    5.0

    Raises
    ------
    ValueError
        If it is none.
    """
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            samples.setdefault(sample.name, {})[labels] = sample.value
    return Scrape(url, at, samples)


def _scrape(url: str, seconds: float) -> Scrape:
    try:
        with _opener.open(url, timeout=seconds) as answer:
            body = answer.read(_MOST_BYTES + 1)
        if len(body) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES:,} bytes")
        found = parse(url, body.decode(), time.monotonic())
    except _AWAY as error:
        return Scrape(url, time.monotonic(), away=_why(error))
    if not any(name.startswith("nextbest_") for name in found.samples):
        return Scrape(url, found.at, away="shows no metrics of nextbest")
    return found


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(error, urllib.error.HTTPError):
        return f"answers {error.code}"
    if isinstance(reason, TimeoutError):
        return "does not answer"
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    return " ".join(text.split())[:80].lower() or type(error).__name__
