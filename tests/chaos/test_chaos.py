"""Law 3: kill anything at any moment; what is left equals an undisturbed run over the same log.

The short form runs with the other tests; ``NEXTBEST_CHAOS=long`` kills more than 50 times, and says
how often with ``-s``. The seed is new each time and printed: ``NEXTBEST_CHAOS_SEED`` repeats one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nextbest.features.plan import Plan
from nextbest.features.store import ShardStore
from nextbest.learners import PublishedArms

from .declared import catalog
from .log import make_blobs
from .world import MEMORY_BYTES, SHARDS, World

LONG = os.environ.get("NEXTBEST_CHAOS") == "long"
pytestmark = pytest.mark.timeout(3600 if LONG else 300)
SEED = int(os.environ.get("NEXTBEST_CHAOS_SEED", random.SystemRandom().randrange(1 << 30)))

Turn = tuple[int, Sequence[str]]  # how many processes, and what is killed, one after the other
_SHORT: dict[str, list[Turn]] = {  # what is left of the log is then read by one process
    "features": [(1, ("worker", "server", "run")), (2, ("early", "both"))],
    "decisions": [(1, ("server", "both", "run"))],
    "offers": [(1, ("worker", "run")), (2, ("both",))],
}
_ANY = ("worker", "worker", "server", "server", "both", "early")


def _turns(kind: str, rng: random.Random) -> Iterator[Turn]:
    if not LONG:
        yield from _SHORT[kind]
        return
    counts = {
        "features": (1, 2, 1, 2),
        "decisions": (1,),
        "travelling": (2,),
        "offers": (1, 2),
    }[kind]
    for number in range(12 if kind == "features" else 8):
        # A supervisor gives up at the fifth failure within a minute.
        victims = [rng.choice(_ANY) for _ in range(3)]
        if number % 2:
            victims.append(rng.choice(("run", "stopping")))
        yield counts[number % len(counts)], victims


@pytest.mark.parametrize(
    ("kind", "partitions", "decisions", "fsync"),
    [
        pytest.param("features", 2, False, "always", id="features, 1-2-1 processes"),
        pytest.param("decisions", 1, True, "always", id="decisions, 1 process"),
        pytest.param("offers", 2, False, "always", id="offers of a strategy, 1-2 processes"),
        pytest.param(
            # Its events travel between processes.
            "travelling", 1, True, "everysec", id="one partition, 2 processes",
            marks=pytest.mark.skipif(not LONG, reason="NEXTBEST_CHAOS=long"),
        ),
    ],
)  # fmt: skip
def test_what_is_left_equals_an_undisturbed_run(
    tmp_path: Path, kind: str, partitions: int, decisions: bool, fsync: str
) -> None:
    print(f"NEXTBEST_CHAOS_SEED={SEED}")
    offers = kind == "offers"
    world = World(
        tmp_path / "world", partitions=partitions, decisions=decisions, offers=offers, seed=SEED,
        fsync=fsync,
    )  # fmt: skip
    many, pause = (4_000, 0.2) if offers else (40_000, 0.02)
    try:
        log = make_blobs(SEED, ahead=many, customers=many, offers=offers, served=offers)
        world.feed(log, pause=pause)
        for processes, victims in _turns(kind, world.rng):
            run = world.start(processes)
            for victim in victims:
                world.kill(run, victim)
            if victims[-1] not in ("run", "stopping"):
                world.wait_for_work(run)
                run.stop()
        world.end_feed()
        for run in world.runs:
            run.check_said()
        world.finish(world.home)
        if not offers:
            _check_that_rows_left_memory(world.home)
        disturbed = world.left(world.home)
        met = world.check_contacts()
        world.forget_rows()
        world.finish(tmp_path / "undisturbed")
        expected = world.left(tmp_path / "undisturbed")
    finally:
        world.end()
    print(f"{kind}: {dict(world.killed)}, {len(expected['store'])} keys left")
    _compare(disturbed, expected)
    if offers:
        _check_that_offers_were_learned(expected)
        assert met["corrected"] > 0
        for part in ("cap: 6 per 1h", "cool-down after refuse", "channel blocked"):
            assert any(reason.startswith(part) for reason in met), part
    else:
        _check_that_it_was_a_test(expected, decisions)


def _compare(disturbed: dict[str, Any], expected: dict[str, Any]) -> None:
    """The log's own order first: what differs there explains the rest."""
    for what in ("events", "examples", "decisions", "credits"):
        assert disturbed[what].keys() == expected[what].keys()
        for part, there in expected[what].items():
            here = disturbed[what][part]
            if not here.equals(there):
                rows = zip(here.to_pylist(), there.to_pylist(), strict=False)
                differing = [pair for pair in rows if pair[0] != pair[1]][:1]
                raise AssertionError(
                    f"{what}, {part}: {len(here)} rows, not {len(there)}: {differing} (seed {SEED})"
                )
    for what in ("refused", "store"):
        here, there = disturbed[what], expected[what]
        assert len(here) == len(there), f"{what} (seed {SEED})"
        assert here == there, f"{what} (seed {SEED})"


def _check_that_rows_left_memory(home: Path) -> None:
    """Logs were sealed and merged into runs."""
    assert list((home / "state").glob("*.run")), sorted((home / "state").iterdir())


def _check_that_it_was_a_test(expected: dict[str, Any], decisions: bool) -> None:
    for table in expected["events"].values():
        assert np.all(np.diff(table["position"].to_numpy()) > 0)
        assert table["late"].to_numpy().any()
    assert expected["refused"]
    counts = [value for key, value in expected["store"].items() if key.endswith(":counts")]
    assert len(counts) == SHARDS
    assert all(b'"duplicate":0' not in value for value in counts)
    # More customers than memory holds: they left it, or the run would not have ended.
    bytes_each = ShardStore(Plan.compile(catalog), None, 0)._customer_bytes
    assert (len(expected["store"]) - SHARDS) * bytes_each > MEMORY_BYTES
    if decisions:
        assert sum(map(len, expected["examples"].values())) > 1000
        assert any(":model:" in key for key in expected["store"])


def _check_that_offers_were_learned(expected: dict[str, Any]) -> None:
    """There was each kind of fate, and each offer was told of once, then only told better."""
    told: dict[tuple[str, str], int] = {}
    gone: dict[tuple[str, str], bool] = {}
    repaired = silences = withdrawn = 0
    for table in expected["credits"].values():
        for row in table.select(
            ["objective", "example", "revision", "silence", "withdrawn"]
        ).to_pylist():
            key = row["objective"], row["example"]
            assert row["revision"] == told.get(key, -1) + 1
            told[key], gone[key] = row["revision"], row["withdrawn"]
            repaired += row["revision"] > 0 and not row["withdrawn"]
            silences += row["silence"]
            withdrawn += row["withdrawn"]
    assert len(expected["credits"]) == 2
    assert min(repaired, silences, withdrawn) > 0
    ids = [
        name for table in expected["decisions"].values() for name in table["event_id"].to_pylist()
    ]
    assert len(ids) == len(set(ids)) > 300
    reasons = " ".join(reason for _, _, reason, _ in expected["refused"])
    for part in ("is not known", "of another customer", "missing required field `nextbest`"):
        assert part in reasons, part
    models = [key for key in expected["store"] if ":offers:model:" in key]
    assert len(models) == 3
    for key in models:  # each reward was applied once
        name = key.rsplit(":", 1)[1]
        applied = [at for at, withdrawn in gone.items() if at[0] == name and not withdrawn]
        assert PublishedArms.from_bytes(expected["store"][key]).version == len(applied), name
    assert any(":offers:person:" in key for key in expected["store"])
