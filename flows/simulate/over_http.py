"""The same world against the real thing: events, decisions and outcomes over HTTP, in real time.

A running ``nextbest serve --strategy`` decides, a running ``nextbest run --strategy`` learns; both
have the world's strategy. Days are short.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import numpy.typing as npt

from ...features.errors import SettingsError, SourceError
from .catalog import LEAVE
from .sessions import events_of
from .world import CHANNELS, World

F64 = npt.NDArray[np.float64]
SECONDS = 30.0
"""How long an answer may take."""
_MOST_AT_ONCE = 500

_JSON = msgspec.json.Encoder()


@dataclass
class Lived:
    """What became of the service in a world.

    Attributes
    ----------
    regret, earned
        float64[n], as of `within.Played`.
    took_ms
        float64[n], how long each decision took, as the app saw it.
    behind_ms
        float64[n], how much later than in the world a visit came.
    fallbacks, stale
        Decisions without models, and such that had not seen the visit's events.
    outcomes
        How many were sent.
    silent, failed, refused, corrected
        Decisions without an offer, deliveries that failed, refusals, and answers taken back.
    """

    regret: F64
    earned: F64
    took_ms: F64
    behind_ms: F64
    fallbacks: int = 0
    stale: int = 0
    outcomes: int = 0
    silent: int = 0
    failed: int = 0
    refused: int = 0
    corrected: int = 0


class Service:
    """A service that is asked over one connection.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:8080``.
    key
        Its API key; empty: none is sent.

    Raises
    ------
    SettingsError
        If the URL is none of HTTP.
    """

    def __init__(self, url: str, key: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"{url!r} is no http:// or https:// URL")
        make = HTTPConnection if parts.scheme == "http" else HTTPSConnection
        self._url = url
        self._path = parts.path.rstrip("/")
        self._connection = make(parts.hostname, parts.port, timeout=SECONDS)
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def post(self, path: str, body: Any) -> Any:
        """Return what is answered.

        Raises
        ------
        SourceError
            If the service cannot be reached, or answers that something is wrong.
        """
        try:
            self._connection.request("POST", self._path + path, _JSON.encode(body), self._headers)
            response = self._connection.getresponse()
            status, data = response.status, response.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise SourceError(f"{self._url}{path}: {error}") from None
        if status >= 300:
            raise SourceError(f"{self._url}{path}: {status} {data[:500].decode(errors='replace')}")
        return msgspec.json.decode(data)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Outcomes:
    """Answers that wait for their time."""

    def __init__(self, service: Service, clock: Callable[[], int]) -> None:
        self.sent = 0
        self._service, self._clock = service, clock
        self._waiting: list[tuple[int, int, dict[str, Any]]] = []
        self._known = 0

    def add(self, at: int, outcome: dict[str, Any]) -> None:
        self._known += 1
        heappush(self._waiting, (at, self._known, {**outcome, "at": at}))

    def until(self, at: int) -> None:
        """Send what is due, each at its time, and return at a time."""
        while True:
            now = self._clock()
            due: list[dict[str, Any]] = []
            while self._waiting and self._waiting[0][0] <= now and len(due) < _MOST_AT_ONCE:
                due.append(heappop(self._waiting)[2])
            if due:
                self._service.post("/v1/outcomes", due)
                self.sent += len(due)
                continue
            if now >= at:
                return
            next_at = min(at, self._waiting[0][0]) if self._waiting else at
            time.sleep(max(0.0, min(0.05, (next_at - now) / 1e6)))


def live(
    world: World,
    service: Service,
    *,
    wait_seconds: float = 1.0,
    clock: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> Lived:
    """Live through a world, from its start to its end, in real time.

    Parameters
    ----------
    world
        Its start should be now or soon.
    service
        Decides.
    wait_seconds
        How long a decision may wait for the events of its visit.
    clock
        Microseconds since 1970.

    At the end each customer leaves once more. Where caps, rests and blocked channels keep the best
    action away, that is regret too: the oracle knows none of them.

    Raises
    ------
    SourceError
        If the service fails, or offers what the world does not have.
    """
    n, expected, best = len(world), world.expected, world.best
    lived = Lived(np.empty(n), np.zeros(n), np.empty(n), np.empty(n))
    outcomes = _Outcomes(service, clock)
    run = f"{world.seed}-{world.setting.start}"
    for visit in range(n):
        outcomes.until(int(world.at[visit]))
        customer = world.customers[world.who[visit]]
        began = clock()
        events = events_of(world, visit)
        for event in events:
            event["event_id"] = f"{run}-{event['event_id']}"
        receipts = service.post("/v1/events", events)["receipts"]
        asked = clock()
        answer = service.post(
            "/v1/decide",
            {
                "customer": customer,
                "channel": CHANNELS[world.channel[visit]],
                "context": world.context(visit),
                "after": receipts[-1],
                "wait_seconds": wait_seconds,
            },
        )
        lived.took_ms[visit] = (clock() - asked) / 1000
        lived.behind_ms[visit] = (began - int(world.at[visit])) / 1000
        lived.fallbacks += bool(answer["fallback"])
        lived.stale += bool(answer["stale"])
        place = _place(world, answer)
        lived.regret[visit] = best[visit]
        if place is None:
            lived.silent += 1
            continue
        lived.regret[visit] -= expected[visit, place]
        outcome = {
            "outcome_id": f"{run}-answer-{visit}",
            "customer": customer,
            "decision_id": answer["decision_id"],
        }
        _respond(world, visit, place, int(answer["at"]), outcome, outcomes, lived)
    outcomes.until(int(world.at[-1]) + 3 * world.setting.window_us)
    # Silence is told when events show that the time is over: in each partition of the log.
    for start in range(0, len(world.customers), _MOST_AT_ONCE):
        leaving = world.customers[start : start + _MOST_AT_ONCE]
        service.post("/v1/events", [_goodbye(run, name, clock()) for name in leaving])
    lived.outcomes = outcomes.sent
    return lived


def _respond(
    world: World,
    visit: int,
    place: int,
    at: int,
    outcome: dict[str, Any],
    outcomes: _Outcomes,
    lived: Lived,
) -> None:
    """Answer an offer that was made at a time, as the world has it."""
    said = world.answer(visit, place)
    if world.fails[visit]:
        lived.failed += 1
        outcomes.add(at + 1, {**outcome, "response": "fail"})
    elif said is None:
        if world.refuses[visit]:
            lived.refused += 1
            outcomes.add(at + 1, {**outcome, "response": "refuse"})
    else:
        after = at + said.after_us
        outcomes.add(after, {**outcome, "response": "accept"})
        if world.corrects[visit]:
            lived.corrected += 1
            name = outcome["outcome_id"]
            again = {"outcome_id": f"{name}-again", "response": "deliver", "corrects": name}
            outcomes.add(after + 1, {**outcome, **again})
        else:
            lived.earned[visit] = world.values[place] * said.counts


def _goodbye(run: str, customer: str, at: int) -> dict[str, Any]:
    return {
        "event_id": f"{run}-end-{customer}",
        "event_timestamp": at,
        "customer_id": customer,
        "type": LEAVE,
    }


def _place(world: World, answer: Any) -> int | None:
    if not answer["offers"]:
        return None
    name = answer["offers"][0]["action"]
    if name not in world.actions:
        raise SourceError(
            f"the service offers {name!r}, which the world has not: serve the world's strategy"
        )
    return world.actions.index(name)
