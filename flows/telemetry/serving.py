"""What a service counts for those who operate it."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..decision.answers import Answers
from ..decision.record import Record
from . import names as n
from .meter import Histogram, Meter
from .policies import policy_named, policy_of

STATUS = "nextbest.status"
"""The key of a request's scope under which the status of its answer is noted."""
GONE = 499
"""The status of a request whose caller went away before it was answered."""

ROUTES = frozenset({
    "/v1/events", "/v1/features", "/v1/decide", "/v1/decide/batch", "/v1/outcomes", "/healthz",
    "/readyz",
})  # fmt: skip
_BELOW = (
    ("/v1/features/", "", "/v1/features/{id}"),
    ("/v1/decisions/", "/why", "/v1/decisions/{id}/why"),
    ("/v1/customers/", "", "/v1/customers/{id}"),
)
_MOST_RULES = 4096
"""Texts of rules that are counted apart: that of a cool-down has its end in it."""
_METHODS = frozenset({"GET", "POST"})
_TOP_RULES = {
    "not": "channel", "closed": "closed", "channel": "blocked", "expired": "schedule",
    "cap:": "cap", "cap": "cap", "cool-down": "cool_down", "suppress": "suppress",
    "eligible": "eligibility",
}  # fmt: skip


class ServiceMeter(Meter):
    """Counts what a service answers. Until it is turned on it counts nothing.

    Parameters
    ----------
    clock
        Seconds since 1970.

    Attributes
    ----------
    on
        Whether it counts.
    in_flight
        Requests being answered.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.on = False
        self.in_flight = 0
        self._clock = clock
        self._requests: dict[tuple[str, str, int], Histogram] = {}
        self._batches = Histogram(n.DECIDE_BATCH.bounds)
        # Plain counts, for a decision takes less time than what has labels would.
        self._decisions: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._offers: defaultdict[str, int] = defaultdict(int)
        self._rules: defaultdict[str, int] = defaultdict(int)
        self._classes: Counter[str] = Counter()
        self._settling = threading.Lock()

    def turn_on(self) -> None:
        """Begin to count, with every series of a fixed list at 0."""
        self.on = True
        for metric in (n.EVENTS_PUBLISHED, n.EVENTS_REFUSED, n.LOOKUP_ROWS, n.DECISIONS_REPEATED):
            self.begin(metric)
        self.begin(n.STRATEGY_REFUSED)
        self._batches = self.histogram(n.DECIDE_BATCH)
        for metric, values in (
            (n.RECEIPTS, n.RECEIPT_RESULTS),
            (n.FALLBACKS, n.FALLBACK_REASONS),
            (n.EXCLUSIONS, n.RULES),
            (n.STRATEGY_REFRESHES, n.REFRESH_RESULTS),
            (n.MODEL_REFRESHES, n.REFRESH_RESULTS),
        ):
            for value in values:
                self.begin(metric, value)

    def answered(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        route = route_of(path)
        key = route, method if method in _METHODS else n.OTHER, status
        found = self._requests.get(key)
        if found is None:
            found = self._requests[key] = self.histogram(n.HTTP_SECONDS, *key[:2], str(status))
        found.add(seconds)

    def published(self, events: int) -> None:
        """Count events that were appended to the log."""
        if self.on:
            self.add(n.EVENTS_PUBLISHED, events)

    def refused(self, events: int) -> None:
        """Count events that were wrong."""
        if self.on:
            self.add(n.EVENTS_REFUSED, events)

    def looked_up(self, rows: int, *, waited: bool, stale: bool) -> None:
        """Count the rows of a lookup."""
        if self.on:
            self.add(n.LOOKUP_ROWS, rows)
            if waited:
                self.add(n.RECEIPTS, 1, "stale" if stale else "shown")

    def together(self, decisions: int) -> None:
        """Count decisions that are made in one round trip."""
        if self.on:
            self._batches.add(decisions)

    def waited(self, *, stale: bool) -> None:
        """Count a decision that waited for a receipt."""
        if self.on:
            self.add(n.RECEIPTS, 1, "stale" if stale else "shown")

    def decided(self, record: Record, *, tried: bool, repeated: bool) -> None:
        """Count a decision as it is answered."""
        if not self.on:
            return
        if repeated:
            self.add(n.DECISIONS_REPEATED, 1)
            return
        self._decisions[record.channel, policy_of(record, tried=tried)] += 1
        if record.fallback:
            self.add(n.FALLBACKS, 1, fallback_class(record.fallback))
        for offer in record.offers:
            self._offers[offer.action] += 1
        rules = self._rules
        for rule in record.excluded.values():
            rules[rule] += 1
        if len(rules) > _MOST_RULES:
            self.settle()

    def drafted(
        self,
        channel: str,
        answers: Answers,
        excluded: Sequence[Mapping[str, str]],
        counted: Sequence[bool],
    ) -> None:
        """Do as `decided` for new decisions of one channel, as far as they are to be counted."""
        if not self.on:
            return
        places = iter(answers.places)
        same: dict[int, tuple[Mapping[str, str], int]] = {}  # most share the text of a few
        for size, control, tried, reasons, counts in zip(
            answers.sizes, answers.control, answers.explored, excluded, counted, strict=True
        ):
            offered = [answers.actions[next(places)] for _ in range(size)]
            if not counts:
                continue
            policy = policy_named(size, control=control, tried=tried)
            self._decisions[channel, policy] += 1
            for action in offered:
                self._offers[action] += 1
            same[id(reasons)] = reasons, same.get(id(reasons), (reasons, 0))[1] + 1
        for reasons, times in same.values():
            for rule in reasons.values():
                self._rules[rule] += times
        if len(self._rules) > _MOST_RULES:
            self.settle()

    def settle(self) -> None:
        """Add what was counted by the texts of rules to their classes; see `refresh`."""
        with self._settling:
            for rule, times in self._rules.items():
                self._classes[rule_class(rule)] += times
            self._rules.clear()

    def refresh(self) -> None:
        """Set what is summed up when it is asked for."""
        with self._settling:
            classes, rules = Counter(self._classes), list(self._rules.items())
        for rule, times in rules:
            classes[rule_class(rule)] += times
        self.set_all(n.EXCLUSIONS, (((name,), times) for name, times in classes.items()))
        self.set_all(n.DECISIONS, list(self._decisions.items()))
        self.set_all(n.OFFERS, [((name,), times) for name, times in list(self._offers.items())])
        self.set(n.HTTP_IN_FLIGHT, self.in_flight)

    def took_up_strategy(self) -> None:
        """Count a strategy that was taken up."""
        if self.on:
            self.add(n.STRATEGY_REFRESHES, 1, "taken")

    def took_up_models(self, names: Iterable[str]) -> None:
        """Note that models were taken up: ``objective``, or ``objective:member`` of a fleet."""
        if self.on:
            self.add(n.MODEL_REFRESHES, 1, "taken")
        for objective in {name.partition(":")[0] for name in names} - {""}:
            self.set(n.MODEL_CHANGED, self._clock(), objective)

    def contented(self, what: str) -> None:
        """Note that what was not taken up is fine again."""
        if what == "strategy":
            self.set(n.STRATEGY_REFUSED, 0)

    def complained(self, what: str) -> None:
        """Count what was not taken up."""
        if what == "strategy":
            self.set(n.STRATEGY_REFUSED, 1)
        if self.on and what in ("strategy", "models"):
            metric = n.STRATEGY_REFRESHES if what == "strategy" else n.MODEL_REFRESHES
            self.add(metric, 1, "refused")


SERVICE = ServiceMeter()
"""That of this process."""


class MeteredApp:
    """An ASGI application whose requests are counted and timed.

    Parameters
    ----------
    app
        Which notes the status of its answers in a request's scope, under `STATUS`.
    meter
        Where they are counted.
    """

    def __init__(self, app: Any, meter: ServiceMeter) -> None:
        self._app = app
        self._meter = meter
        self._begin = getattr(app, "begin", None)

    def begin(self, scope: Any, body: bytes, send: Any, run: Any) -> bool:
        """Begin to answer one that needs no task, if the application can; see `App.begin`."""
        if self._begin is None:
            return False
        meter, began = self._meter, time.perf_counter()

        def done(status: int) -> None:
            meter.in_flight -= 1
            seconds = time.perf_counter() - began
            meter.answered(scope["path"], scope["method"], status, seconds)

        begun: bool = self._begin(scope, body, send, run, done)
        meter.in_flight += begun
        return begun

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        meter = self._meter
        meter.in_flight += 1
        began = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        finally:
            meter.in_flight -= 1
            seconds = time.perf_counter() - began
            meter.answered(scope["path"], scope["method"], scope.get(STATUS, GONE), seconds)


def noting(scope: Any, send: Any) -> Any:
    """Return a way to send an answer that notes its status in the scope."""

    async def noted(message: Any) -> None:
        if message["type"] == "http.response.start":
            scope[STATUS] = message["status"]
        await send(message)

    return noted


def route_of(path: str) -> str:
    """Return the route of a path, which may have an id in it.

    >>> route_of("/v1/decisions/d-7/why"), route_of("/v1/decisions/d-7"), route_of("/admin.php")
    ('/v1/decisions/{id}/why', 'other', 'other')
    """
    if path in ROUTES:
        return path
    for begin, end, route in _BELOW:
        if path.startswith(begin) and path.endswith(end) and len(path) > len(begin) + len(end):
            return route
    return n.OTHER


def fallback_class(reason: str) -> str:
    """Return the class of the reason of a fallback.

    >>> fallback_class("the customer's row cannot be read: damaged"), fallback_class("models: old")
    ('row', 'models')
    """
    if reason.startswith("the customer's "):
        word = reason[len("the customer's ") :].partition(" ")[0]
        return word if word in n.FALLBACK_REASONS else n.OTHER
    if reason.startswith("the store"):
        return "store"
    word = reason.partition(":")[0]
    return word if word in n.FALLBACK_REASONS else n.OTHER


def rule_class(rule: str) -> str:
    """Return the class of a rule that excludes an action.

    >>> rule_class("cap of web: 2 per 1d"), rule_class("not on this channel")
    ('cap', 'channel')
    >>> rule_class("not valid yet"), rule_class("cool-down after refuse until 2026-01-01")
    ('schedule', 'cool_down')
    """
    if rule == "not valid yet":
        return "schedule"
    return _TOP_RULES.get(rule.partition(" ")[0], n.OTHER)
