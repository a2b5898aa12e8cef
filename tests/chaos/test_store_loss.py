"""A store that loses its rows, or is away for long, under a run that goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import redis

from .log import make_blobs
from .run import Run, wait_until
from .world import World

LONG = os.environ.get("NEXTBEST_CHAOS") == "long"
_GROWTH_BYTES = 64 << 20


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "world", decisions=True, outside=True)
    yield world
    world.end()


@pytest.mark.parametrize("processes", [1, *([2] if LONG else [])])
def test_a_store_that_is_flushed_and_then_away(
    world: World, tmp_path: Path, processes: int
) -> None:
    world.feed(islice(make_blobs(7, ahead=30_000, customers=20_000), 1), pause=0.0)
    run = world.start(processes)
    wait_until(lambda: world.counted() > 0, run.said)
    workers = run.workers()

    # Customers in memory, those who left it, counts and the model come back without new events.
    expected = _settled(world)
    assert len(expected) > 10_000
    world.forget_rows()
    wait_until(lambda: world.stored() == expected, run.said)

    # Away for long: it is waited for, in little memory.
    world.feed(make_blobs(8, ahead=2_000, customers=20_000), pause=0.02)
    world.wait_for_work(run)
    world.kill_server()
    wait_until(lambda: not _answers(world), run.said)
    before = _memory(run)
    end = time.monotonic() + (60.0 if LONG else 3.0)
    while time.monotonic() < end:
        time.sleep(0.5)
        assert _memory(run) < before + _GROWTH_BYTES
    world.revive()
    world.wait_for_work(run)
    world.end_feed()
    assert run.workers() == workers
    run.stop()
    assert run.restarts() == []

    world.finish(world.home)
    left = world.left(world.home)
    world.forget_rows()
    world.finish(tmp_path / "undisturbed")
    assert left == world.left(tmp_path / "undisturbed")


def _settled(world: World) -> dict[str, bytes]:
    """What is stored when nothing changes any more."""
    seen: list[dict[str, bytes]] = [{}, {}, {}]

    def settled() -> bool:
        time.sleep(0.5)
        seen.append(world.stored())
        return len(seen[-1]) > 0 and seen[-1] == seen[-2] == seen[-3]

    wait_until(settled, lambda: "rows that change no more")
    return seen[-1]


def _answers(world: World) -> bool:
    try:
        with redis.Redis.from_url(world.url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _memory(run: Run) -> int:
    """What the workers take, in bytes."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in run.workers()]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")
