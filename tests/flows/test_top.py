"""`nextbest top`: figures from what processes show, in a picture that fits any terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from rich.console import Console

from nextbest.features import SettingsError
from nextbest.flows.commands import top as top_command
from nextbest.flows.commands import top_reading
from nextbest.flows.commands.top import top
from nextbest.flows.commands.top_figures import Figures, figures
from nextbest.flows.commands.top_picture import Picture
from nextbest.flows.commands.top_reading import (
    Scrape,
    local_targets,
    parse,
    scrape,
    target,
    targets_of,
)
from nextbest.flows.commands.top_watched import quantile
from nextbest.flows.settings import Settings

SECONDS = (0.001, 0.01, 0.1, 1.0)


@pytest.fixture(autouse=True)
def _values_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Feast, once imported, makes metrics of one name one value, whatever their registry."""
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)


class Shown:
    """What a process shows, by the names that runs and services use."""

    def __init__(self, role: str, partitions: int = 2) -> None:
        self.registry = CollectorRegistry()
        self.role, self.partitions = role, partitions
        info = self._gauge("build_info", "role", "worker", "catalog")
        info.labels(role, "0", "shop").set(1)
        self.read = self._counter("log_read_records", "partition")
        self.applied = self._counter("events_applied", "partition")
        self.late = self._counter("events_late", "partition")
        self.dead = self._counter("dead_letters", "partition", "reason")
        self.lag = self._gauge("lag_records", "partition")
        self.fresh = self._histogram("freshness_seconds")
        self.requests = self._histogram("http_request_duration_seconds", "route", "status")
        self.decisions = self._counter("decisions", "channel", "policy")
        self.reward = self._counter("reward", "objective", "policy")
        self.rewarded = self._counter("rewarded", "objective", "policy")
        self.lost = self._counter("reward_taken_back", "objective", "policy")
        self.unseen = self._counter("rewarded_taken_back", "objective", "policy")
        self.exclusions = self._counter("exclusions", "rule")
        self.version = self._gauge("model_version", "objective")
        self.changed = self._gauge("model_changed_timestamp_seconds", "objective")

        self.crew = self._gauge("fleet_members", "role")
        self.decided = self._counter("fleet_decisions", "member")
        self.pairs = self._gauge("fleet_trial_pairs", "member")
        self.gain = self._gauge("fleet_trial_gain", "member", "bound")

    def _counter(self, name: str, *labels: str) -> Counter:
        return Counter(f"nextbest_{name}", name, labels, registry=self.registry)

    def _gauge(self, name: str, *labels: str) -> Gauge:
        return Gauge(f"nextbest_{name}", name, labels, registry=self.registry)

    def _histogram(self, name: str, *labels: str) -> Histogram:
        return Histogram(f"nextbest_{name}", name, labels, registry=self.registry, buckets=SECONDS)

    def work(self, events: int = 100) -> None:
        """Do something."""
        if self.role == "run":
            for partition in map(str, range(self.partitions)):
                self.read.labels(partition).inc(events)
                self.applied.labels(partition).inc(events)
                self.dead.labels(partition, "json").inc(1)
                self.lag.labels(partition).set(7)
                self.fresh.observe(0.005)
            self.version.labels("buy").set(40)
            self.changed.labels("buy").set(time.time() - 5)
            self.reward.labels("buy", "exploit").inc(0.25 * events)
            self.rewarded.labels("buy", "exploit").inc(events)
            self.lost.labels("buy", "exploit").inc(0.09 * events)
            self.unseen.labels("buy", "exploit").inc(0.2 * events)
            self.crew.labels("champion").set(1)
            self.crew.labels("challenger").set(1)
            self.crew.labels("shadow").set(1)
            self.decided.labels("base").inc(0.9 * events)
            self.decided.labels("bold").inc(0.1 * events)
            self.pairs.labels("bold").set(81)
            self.pairs.labels("buy:forest").set(90)
            for bound, value in (("low", -0.25), ("mean", 0.5), ("high", 1.25)):
                self.gain.labels("bold", bound).set(value)
        else:
            self.requests.labels("/v1/decide", "200").observe(0.02)
            self.requests.labels("/v1/decide", "503").observe(0.02)
            self.decisions.labels("web", "exploit").inc(3)
            self.decisions.labels("web", "explore").inc(1)
            self.exclusions.labels("cap").inc(2)
            self.version.labels("buy").set(39)

    def text(self) -> str:
        return generate_latest(self.registry).decode()

    def scrape(self, at: float) -> Scrape:
        return parse(f"http://{self.role}/metrics", self.text(), at)


def looked(partitions: int = 2) -> Figures:
    """Figures of a run and a service that worked for two seconds, and of one that is away."""
    run, serve = Shown("run", partitions), Shown("serve")
    run.work(1000)
    serve.work()
    before = [run.scrape(10.0), serve.scrape(10.0)]
    run.work(100)
    serve.work()
    away = Scrape("http://gone:1/metrics", 12.0, away="connection refused")
    return figures(before, [run.scrape(12.0), serve.scrape(12.0), away])


def test_figures_are_rates_of_what_was_added() -> None:
    found = looked()
    assert (found.seconds, found.events_per_second, found.events) == (2.0, 100.0, 2200.0)
    assert [(p.partition, p.read_per_second, p.lag_records, p.dead) for p in found.partitions] == [
        ("0", 50.0, 7.0, 2.0),
        ("1", 50.0, 7.0, 2.0),
    ]
    assert found.dead_reasons == {"json": 4.0}
    assert found.freshness.p50 == pytest.approx(0.0055)
    assert (found.decisions_per_second, found.exploration) == (2.0, 0.25)
    assert (found.cap_hits, found.cap_hits_per_second) == (4.0, 1.0)
    assert {p.policy: p.mean_reward for p in found.policies} == {
        "exploit": pytest.approx((0.25 - 0.09) / (1 - 0.2)), "explore": None,
    }  # fmt: skip
    [decide] = found.requests
    assert (decide.name, decide.per_second, decide.failed_per_second) == ("/v1/decide", 1.0, 0.5)
    [model] = found.models
    assert (model.objective, model.published, model.decides) == ("buy", 40.0, 39.0)
    assert model.published_age_seconds == pytest.approx(5, abs=2)
    assert [p.away for p in found.processes] == [None, None, "connection refused"]


def test_of_a_fleet_it_is_shown_who_decides_and_how_trials_stand() -> None:
    found = looked()
    assert found.fleet_roles == {"challenger": 1.0, "champion": 1.0, "shadow": 1.0}
    champion, challenger, shadow = found.fleet
    assert (champion.name, champion.per_second, champion.pairs) == ("base", 45.0, None)
    assert (challenger.name, challenger.share, challenger.pairs) == ("bold", 0.1, 81.0)
    assert (challenger.low, challenger.gain, challenger.high) == (-0.25, 0.5, 1.25)
    assert (shadow.name, shadow.share, shadow.pairs) == ("buy:forest", None, 90.0)
    console = Console(file=io.StringIO(), width=100, color_system=None)
    with console.capture() as drawn:
        console.print(Picture(found, whole=True))
    text = drawn.get()
    assert "FLEET" in text
    assert "bold" in text
    assert "+0.5000" in text


def test_a_process_that_began_anew_has_begun_at_nothing() -> None:
    old, new = Shown("run"), Shown("run")
    old.work(1000)
    new.work(30)
    assert figures([old.scrape(0.0)], [new.scrape(1.0)]).events_per_second == 60.0
    alone = figures([], [new.scrape(1.0)])
    assert (alone.seconds, alone.events_per_second, alone.events) == (0.0, 0.0, 60.0)


def test_quantiles_are_those_of_the_values_within_a_bucket() -> None:
    rng = np.random.default_rng(3)
    values = rng.exponential(0.05, 5000)
    bounds = [*np.geomspace(0.0005, 2, 40), float("inf")]
    counts = {float(b): float((values <= b).sum()) for b in bounds}
    for q in (0.01, 0.5, 0.99):
        exact = float(np.quantile(values, q))
        found = quantile(counts, q)
        assert found is not None
        assert 0.8 < found / exact < 1.25
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, float("inf"): 0.0}, 0.5) is None
    assert quantile({1.0: 0.0, float("inf"): 5.0}, 0.5) == 1.0


@pytest.mark.parametrize("partitions", [1, 64])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (40, 10)])
def test_the_picture_fits(width: int, height: int, partitions: int) -> None:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    with console.capture() as drawn:
        console.print(Picture(looked(partitions), held=True))
    lines = drawn.get().rstrip("\n").split("\n")
    assert max(map(len, lines)) <= width
    assert height >= 24 or partitions > 1 or len(lines) <= 24
    if height >= 24:
        assert len(lines) <= height
        text = drawn.get()
        for word in (
            "PROCESS",
            "LOG",
            "DECIDE",
            "MODELS",
            "FLEET",
            "HTTP",
            "held",
            "connection refused",
        ):
            assert word in text
        assert f"{2 * partitions} dead (" in text
        assert ("more" in text) == (partitions > 1)


@contextmanager
def endpoint(shown: Shown) -> Iterator[str]:
    """The address of a process that shows metrics, and works each time it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.work()
            body = shown.text().encode() if self.path == "/metrics" else b"x" * 100
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def note(data_dir: Path, *addresses: str) -> None:
    """Let a directory look as if processes were there."""
    (data_dir / "metrics").mkdir()
    for address in addresses:
        (data_dir / "metrics" / address).touch()


def test_once_as_json_of_real_endpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top_command, "scrape", lambda urls, _: scrape(urls, 60.0))
    settings, console = Settings(data_dir=tmp_path), Console(file=io.StringIO(), width=100)
    with endpoint(Shown("run")) as run, endpoint(Shown("serve")) as serve:
        note(tmp_path, run, serve)
        assert top(settings, [], console, every=0.2, once=True, as_json=True)
        found = json.loads(capsys.readouterr().out)
        assert found["events_per_second"] > 0
        assert {p["role"] for p in found["processes"]} == {"run", "serve"}
        assert not top(settings, [run, "127.0.0.1:9"], console, every=0.2, once=True, as_json=False)
        assert "connection refused" in console.file.getvalue()  # type: ignore[attr-defined]
        [wrong] = scrape([f"http://{run}/other"], 1.0)
        assert wrong.away is not None


def test_processes_of_this_machine_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint(Shown("run")) as url:
        port = int(url.rpartition(":")[2])
        for module in (top_command, top_reading):
            monkeypatch.setattr(module, "LOCAL_PORTS", range(port, port + 1))
        assert local_targets(2.0) == [f"http://{url}/metrics"]
    settings, console = Settings(data_dir=tmp_path), Console(file=io.StringIO())
    with pytest.raises(SettingsError, match=r"nothing to watch: no process of .* shows metrics"):
        top(settings, [], console, every=0.2, once=True, as_json=False)


def test_addresses_that_cannot_be_are_named(tmp_path: Path) -> None:
    for url in ("ftp://x", "http://", "localhost:0", "localhost:99999"):
        with pytest.raises(SettingsError, match=f"--url {url}"):
            target(url)
    assert targets_of(tmp_path) == []
    note(tmp_path, "a:9464", "[::1]:9464", "notes.txt", "c:")
    assert targets_of(tmp_path) == ["http://[::1]:9464/metrics", "http://a:9464/metrics"]
    with pytest.raises(SettingsError, match=r"notes\.txt: cannot be read: Not a directory"):
        targets_of(tmp_path / "metrics" / "notes.txt")
    with pytest.raises(SettingsError, match="300 processes to watch, more than 256"):
        scrape(["http://x"] * 300, 1.0)


def test_a_text_that_is_no_metrics_is_away() -> None:
    rng = random.Random(2)
    text = Shown("run").text()
    for _ in range(200):
        at = rng.randrange(len(text))
        broken = text[:at] + rng.choice(['"', "{", "\n", " ", "é"]) + text[at + 1 :]
        try:
            parse("x", broken, 0.0)
        except ValueError:
            continue


def test_keys_hold_and_end_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    seen = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # that is how a terminal says that all have left
            while part := os.read(ours, 65_536):
                seen.extend(part)

    with endpoint(Shown("run")) as url:
        command = [sys.executable, "-m", "nextbest.flows.cli", "top", "--every", "0.2"]
        environ = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        process = subprocess.Popen(
            [*command, "--url", url, "--data-dir", str(tmp_path)],
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environ,
        )  # fmt: skip
        os.close(theirs)
        reading = Thread(target=read)
        reading.start()
        for wanted, key in ((b"events/s", b"p"), (b"held", b"q")):
            while wanted not in seen and process.poll() is None:
                time.sleep(0.02)
            os.write(ours, key)
        _, said = process.communicate(timeout=200)
        reading.join()
        os.close(ours)
    assert (process.returncode, said) == (0, b"")
    assert b"held" in seen
    assert b"\x1b[?1049h" in seen
