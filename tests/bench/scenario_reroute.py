"""``reroute``: from a failed delivery, posted, to the next best action in the outbound stream.

A worker and a service run as users run them, each in a process of its own, while events come at a
steady rate. By turns, an event that a trigger names is posted, until its message is in the outbound
stream; its delivery is reported as failed, until the message through the next channel is there; and
an event of a customer never seen before, until its row can be read: the reference, as its way is
the same but for the decision. The figure beside is a bare XADD and XREAD on the same server.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import redis

from nextbest.features.online import key_prefix
from nextbest.flows.decision.keys import Keys
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.sources.valkey_stream import publish

from . import catalog as declared
from .catalog import catalog
from .harness import Result
from .processes import service, worker

STRATEGY = """
name: letters
objectives: {answer: {response: accept}}
channels:
  push: {direction: outbound}
  sms: {direction: outbound}
actions:
"""
_ACTION = "  a{i}: {{channels: [push, sms], value: {i}, eligible: visitor.s_events >= 1}}\n"
_TRIGGER = "triggers: {left: {event: cart, channel: push}}\n"
ACTIONS = 30
RATE, BLOB = 1000, 10
_LOOK = 0.0002
_PATIENCE = 30.0


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    probes = 150 if quick else 1000
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        file = home / "letters.yaml"
        file.write_text(STRATEGY + "".join(_ACTION.format(i=i) for i in range(ACTIONS)) + _TRIGGER)
        url = ensure_server(home / "data")
        try:
            words = ["--catalog", f"{declared.__file__}:catalog", "--strategy", str(file)]
            with (
                worker("--stream", "events", *words, "--data-dir", str(home / "data")),
                service(*words, "--data-dir", str(home / "service"), "--redis-url", url) as port,
                _load(url),
                redis.Redis.from_url(url) as client,
                httpx.Client(base_url=f"http://127.0.0.1:{port}") as app,
            ):
                bench = _Bench(client, app)
                for number in range(20):
                    bench.probe(f"warm-{number}")
                found = [bench.probe(f"probe-{number}") for number in range(probes)]
        finally:
            stop_server(home / "data")
    parts = {name: np.array([one[name] for one in found]) for name in found[0]}
    quantiles = {
        f"{name}_p{q}_ms": float(np.percentile(values, q))
        for name, values in parts.items()
        for q in (50, 99)
    }
    return Result(
        "reroute",
        figures={
            "p50_ms": quantiles["reroute_p50_ms"],
            "p99_ms": quantiles["reroute_p99_ms"],
            "trigger_p50_ms": quantiles["trigger_p50_ms"],
            "trigger_p99_ms": quantiles["trigger_p99_ms"],
            "ratio_fresh": quantiles["fresh_p50_ms"] / quantiles["reroute_p50_ms"],
        },
        detail={
            "fresh_p50_ms": quantiles["fresh_p50_ms"],
            "fresh_p99_ms": quantiles["fresh_p99_ms"],
            "bare_p50_ms": quantiles["bare_p50_ms"],
            "bare_p99_ms": quantiles["bare_p99_ms"],
            "max_ms": float(parts["reroute"].max()),
            "probes": probes,
            "events_per_s_beside": RATE,
        },
    )


class _Bench:
    """Asks the service, and looks at what comes of it in the store."""

    def __init__(self, client: redis.Redis, app: httpx.Client) -> None:
        self._client, self._app = client, app
        self._keys = Keys(catalog.name, "letters")
        self._last = {"push": "0-0", "sms": "0-0", "bare": "0-0"}

    def probe(self, name: str) -> dict[str, float]:
        """Return milliseconds, by what was measured."""
        began = time.perf_counter()
        self._post("/v1/events", _event(f"{name}-event", name, "cart"))
        message = self._sent("push", lambda one: one["customer"] == name)
        triggered = time.perf_counter()
        posted = time.perf_counter()
        self._post("/v1/outcomes", _outcome(name, message, "fail"))
        second = self._sent("sms", lambda one: one["cause"] == message["decision_id"])
        rerouted = time.perf_counter()
        self._post("/v1/events", _event(f"{name}-view", f"{name}-new", "view"))
        self._row(f"{name}-new")
        seen = time.perf_counter()
        self._post("/v1/outcomes", _outcome(name, second, "accept"))  # so there is learning too
        answered = time.perf_counter()
        self._client.xadd("bare", {"decision": b"{}"})
        self._read("bare")
        marks = {
            "trigger": triggered - began, "reroute": rerouted - posted, "fresh": seen - rerouted,
            "bare": time.perf_counter() - answered,
        }  # fmt: skip
        return {what: 1e3 * seconds for what, seconds in marks.items()}

    def _post(self, path: str, body: Any) -> None:
        answer = self._app.post(path, json=body)
        assert answer.status_code == 202, answer.text

    def _sent(self, channel: str, wanted: Callable[[Any], bool]) -> Any:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            for one in self._read(channel):
                if wanted(one):
                    return one
        raise AssertionError(f"nothing was sent through {channel}")

    def _read(self, channel: str) -> list[Any]:
        key = channel if channel == "bare" else self._keys.outbound(channel)
        found: Any = self._client.xread({key: self._last[channel]}, block=1000)
        if not found:
            return []
        entries = found[0][1]
        self._last[channel] = entries[-1][0]
        return [msgspec.json.decode(fields[b"decision"]) for _, fields in entries]

    def _row(self, customer: str) -> None:
        key = key_prefix(catalog) + customer.encode()
        end = time.monotonic() + _PATIENCE
        while not self._client.exists(key):
            assert time.monotonic() < end, "the row never came"
            time.sleep(_LOOK)


def _outcome(customer: str, message: Any, response: str) -> dict[str, Any]:
    decision = message["decision_id"]
    return {
        "outcome_id": f"{decision}-{response}", "customer": customer, "response": response,
        "decision_id": decision,
    }  # fmt: skip


def _event(name: str, customer: str, kind: str) -> dict[str, Any]:
    return {
        "event_id": name, "event_timestamp": time.time_ns() // 1000, "customer_id": customer,
        "type": kind, "properties": {"category": "shoes", "value": 1.0},
    }  # fmt: skip


@contextlib.contextmanager
def _load(url: str) -> Iterator[None]:
    """Events that ask for no decision, at a steady rate."""
    ended = threading.Event()

    def feed() -> None:
        with redis.Redis.from_url(url) as client:
            number, began = 0, time.perf_counter()
            while not ended.is_set():
                lines = [_event(f"l{number + i}", f"c{(number + i) % 5000}", "view")
                         for i in range(BLOB)]  # fmt: skip
                publish(client, "events", msgspec.json.Encoder().encode_lines(lines))
                number += BLOB
                time.sleep(max(0.0, began + number / RATE - time.perf_counter()))

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
