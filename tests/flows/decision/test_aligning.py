"""What partitions tell is learned at about the same event time, however far apart they are read."""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path

import pytest

from nextbest.features import StateError
from nextbest.flows.decision.aligning import APART_US, IDLE_LOOKS, Aligner
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.loop_steps import AlignStep, Clock, Credits
from nextbest.flows.settings import Settings

DAY = 86_400_000_000


def told(name: str, at: int) -> Credit:
    return Credit("sale", name, at, 1, "ann", "tea", 1.0, False, False, 0, {}, [])


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_learned_far_ahead_of_a_partition_whatever_the_order_and_the_restarts(
    seed: int,
) -> None:
    rng = random.Random(seed)
    logs = [
        deque(told(f"{p}-{n}", (n + 1) * every) for n in range(30 * DAY // every))
        for p, every in enumerate((DAY // 20, DAY // 3, 2 * DAY))
    ]
    whole = [list(log) for log in logs]
    aligner, full, changes = Aligner(3), None, []
    out: list[Credit] = []
    read = [0, 0, 0]
    while any(logs):
        part = rng.choice([p for p, log in enumerate(logs) if log])
        some = [logs[part].popleft() for _ in range(min(rng.randrange(1, 40), len(logs[part])))]
        read[part] = some[-1].time
        aligner.hear(part, read[part], some)
        for credit in aligner.released():
            assert credit.time <= min(read) + APART_US
            out.append(credit)
        if rng.random() < 0.3:
            change = aligner.change()
            changes += [] if change is None else [change]
        if rng.random() < 0.1:
            kept = aligner.change()
            changes += [] if kept is None else [kept]
            if rng.random() < 0.5:
                full, changes = aligner.all(), []
            aligner = Aligner(3)
            aligner.restore(full, changes)
            for p, newest in enumerate(read):
                aligner.hear(p, newest, ())
    out += aligner.released(everything=True)
    assert len(aligner) == 0
    newest = 0
    for credit in out:  # so that each can be learned in its place
        assert credit.time > newest - 2 * APART_US - 2 * DAY
        newest = max(newest, credit.time)
    for part, own in enumerate(whole):
        assert [c for c in out if c.id.startswith(f"{part}-")] == own


def test_a_partition_that_is_silent_holds_nobody_up_for_long() -> None:
    aligner = Aligner(2)
    aligner.hear(0, 9 * DAY, [told("a", 9 * DAY)])
    for _ in range(IDLE_LOOKS - 1):
        aligner.look()
        assert aligner.released() == []
    aligner.look()
    assert [c.id for c in aligner.released()] == ["a"]
    aligner.hear(1, DAY, ())  # it has begun, and is behind
    aligner.hear(0, 9 * DAY, [told("b", 9 * DAY)])
    assert aligner.released() == []
    aligner.hear(1, 9 * DAY, ())
    assert [c.id for c in aligner.released()] == ["b"]


def test_damaged_state_is_named() -> None:
    for damaged in (b"\xff", b"\x81\x07\x92\x00\x90", b"\x81\x00\x92\x01\x90"):
        with pytest.raises(StateError, match="waits for other partitions is damaged"):
            Aligner(2).restore(damaged, [])


def test_a_look_is_not_put_off_by_what_comes(tmp_path: Path) -> None:
    stopped = [False]
    step = AlignStep(2, Settings(data_dir=tmp_path), lambda: stopped[0], None)
    assert step.notify_at() is None
    assert step.on_batch([Credits([told("a", 9 * DAY)], 0)])[0] == []
    first = step.notify_at()
    step.on_batch([Credits([told("b", 9 * DAY)], 0)])
    assert step.notify_at() == first is not None
    step.on_notify()
    assert step.notify_at() != first
    stopped[0] = True  # the next run goes on
    assert step.on_eof()[0] == []
    again = AlignStep(2, Settings(data_dir=tmp_path), lambda: False, step.snapshot())
    [out] = again.on_eof()[0]
    assert [credit.id for credit in out.told] == ["a", "b"]
    assert again.notify_at() is None


def test_partitions_may_lie_as_far_apart_as_is_set(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, apart_seconds=20.0)
    step = AlignStep(2, settings, lambda: False, None)
    near, far = (
        Credit("sale", "d/0", at, 1, "ann", "tea", 1.0, False, False, 0, {}, [])
        for at in (14_000_000, 16_000_000)
    )
    told, _ = step.on_batch([Clock(0, 16_000_000), Clock(1, 5_000_000), Credits([near, far], 0)])
    assert told == [Credits([near])]
    told, _ = step.on_batch([Clock(1, 6_000_000)])
    assert told == [Credits([far])]
