"""How long a worker has waited for a store, while it still waits."""

from __future__ import annotations

import time

import pytest

from nextbest.flows.telemetry import names as n
from nextbest.flows.telemetry.running import RunMeter


class Waiting:
    """A meter, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.meter = RunMeter()

    def shown(self, now: float) -> tuple[float, float]:
        """Whether an outage is on, and the seconds so far, as they are shown at a moment."""
        self.now = now
        self.meter.refresh()
        [(_, active)] = self.meter.values(n.OUTAGE_ACTIVE)
        [(_, seconds)] = self.meter.values(n.OUTAGE_SECONDS)
        return active, seconds


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    made = Waiting()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    return made


def test_seconds_are_counted_as_they_pass(waiting: Waiting) -> None:
    assert waiting.shown(105) == (0, 0)
    waiting.now = 110.0
    waiting.meter.outage("away", None)
    assert waiting.shown(115) == (1, 5)
    assert waiting.shown(130) == (1, 20)
    waiting.now = 132.0
    waiting.meter.outage("away", 22.0)
    assert waiting.shown(150) == (0, 22)
    assert waiting.meter.values(n.OUTAGES) == [((), 1)]


def test_two_at_once_are_one_time(waiting: Waiting) -> None:
    waiting.meter.outage("the log", None)
    waiting.now = 102.0
    waiting.meter.outage("the rows", None)
    waiting.now = 110.0
    waiting.meter.outage("the log", 10.0)
    assert waiting.shown(115) == (1, 15)
    waiting.meter.outage("the rows", 13.0)
    assert waiting.shown(120) == (0, 15)
    assert waiting.meter.values(n.OUTAGES) == [((), 2)]
