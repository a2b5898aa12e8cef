"""Law 3: kill anything at any moment; what is left equals an undisturbed run over the same log.

The short form runs with the other tests; ``NEXTBEST_CHAOS=long`` kills at least 50 times, and says
how often with ``-s``. The seed is new each time and printed: ``NEXTBEST_CHAOS_SEED`` repeats one.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from nextbest.flows.embedded import stop_server

from .log import make_blobs
from .world import World

LONG = os.environ.get("NEXTBEST_CHAOS") == "long"
pytestmark = pytest.mark.timeout(3600 if LONG else 300)
SEED = int(os.environ.get("NEXTBEST_CHAOS_SEED", random.SystemRandom().randrange(1 << 30)))


@pytest.mark.parametrize(
    ("partitions", "decisions", "processes", "rounds", "kills"),
    [
        pytest.param(2, False, (1, 2, 1), 4 if LONG else 1, 3, id="features, 1-2-1 processes"),
        pytest.param(1, True, (1,), 8 if LONG else 1, 4, id="decisions, 1 process"),
    ],
)
def test_what_is_left_equals_an_undisturbed_run(
    tmp_path: Path,
    partitions: int,
    decisions: bool,
    processes: tuple[int, ...],
    rounds: int,
    kills: int,
) -> None:
    world = World(tmp_path / "world", partitions, decisions, SEED)
    turns = rounds * len(processes)
    blobs = list(make_blobs(SEED, 8000 * turns, 12_000))
    try:
        feeder = world.feed(blobs, pause=4.0 * turns / len(blobs))
        for turn in range(turns):
            run = world.start(processes[turn % len(processes)])
            for number in range(kills):
                world.disturb(run, ("worker", "worker", "server"))
                assert run.poll() is None, run.communicate()[1]
                if number == kills - 1 and turn % 2:
                    world.disturb(run, ("run",))
            world.stop(run)
        feeder.join()
        world.finish(world.home)
        disturbed = world.left(world.home)
        world.forget_rows()
        world.finish(tmp_path / "undisturbed")
        expected = world.left(tmp_path / "undisturbed")
    finally:
        stop_server(world.home)
    print(f"seed {SEED}: {world.kills} killed, {sum(world.kills.values())} in all")
    assert sum(world.kills.values()) >= kills * turns // 2, world.kills
    assert len(expected["events"]) > 7000 * turns
    for what, there in expected.items():
        assert disturbed[what] == there, f"{what} differ (seed {SEED})"
