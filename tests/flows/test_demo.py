"""The demo from end to end: twice, by instalments, begun anew, ended early."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from nextbest.flows.decisions import write_script
from nextbest.flows.demo import journey
from nextbest.flows.demo.agreement import _between
from nextbest.flows.demo.baselines import RiverPerArm
from nextbest.flows.demo.catalog import ARMS, next_category
from nextbest.flows.demo.show import _delete
from nextbest.flows.demo.stream import shift_weeks, write_events
from nextbest.flows.demo.yardsticks import Standing, Yardsticks
from nextbest.flows.embedded import find_server, stop_server
from nextbest.flows.settings import Settings
from tests.conftest import row_names

WEEK_US = 7 * 86_400_000_000
BASKETS = "8000"


class Demo(NamedTuple):
    code: int
    out: str
    err: str
    first_line_seconds: float

    @property
    def words(self) -> str:
        return " ".join(self.out.split())

    def rewards(self) -> list[str]:
        """The policies' lines of the final table."""
        return re.findall(
            r"^ *((?:nextbest|River per arm|best constant|random) +\d\.\d+)", self.out, re.M
        )


def demo(data_dir: Path, *arguments: str) -> Demo:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "nextbest.flows.cli", "demo", "--data-dir", data_dir, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={name: v for name, v in os.environ.items() if not name.startswith("NEXTBEST_")},
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    seconds = time.perf_counter() - began
    out, err = process.communicate(timeout=500)
    return Demo(process.returncode, first + out, err, seconds)


def rows_of(data_dir: Path) -> dict[bytes, bytes]:
    """Every key and value in the store but the marks, which name the run: rows and the model."""
    url = find_server(data_dir)
    assert url is not None
    with redis.Redis.from_url(url) as client:
        found = client.scan_iter(count=10_000)
        keys = sorted(key for key in found if not key.endswith(b":published"))
        return dict(zip(keys, client.mget(keys), strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Demo]]:
    """A demo that nothing disturbed."""
    data_dir = tmp_path_factory.mktemp("whole") / "data"
    yield data_dir, demo(data_dir, "--limit", BASKETS)
    stop_server(data_dir)


def test_the_demo_ends_with_everything_shown(whole: tuple[Path, Demo]) -> None:
    data_dir, run = whole
    assert (run.code, run.err) == (0, ""), run
    assert run.first_line_seconds < 60.0
    assert "\x1b" not in run.out
    assert "events of 8,000 baskets written" in run.words
    assert "over 8,000 baskets" in run.words
    assert [line.rsplit(maxsplit=1)[0] for line in run.rewards()] == [
        "nextbest", "River per arm", "best constant", "random",
    ]  # fmt: skip
    assert float(run.rewards()[0].split()[-1]) > 0.15
    assert "0 events refused" in run.words
    assert "All 133 values agree between the three." in run.words
    assert "by the model of 8,000 outcomes" in run.words
    assert "share of baskets" in run.words
    assert f"nextbest down --data-dir {data_dir}" in run.words
    remembered = json.loads((data_dir / "run.json").read_bytes())
    assert remembered["catalog"] == "nextbest.flows.demo.catalog:catalog"
    assert remembered["store"] == "embedded"


def test_by_instalments_and_stopped_midway_it_ends_the_same(
    whole: tuple[Path, Demo], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    try:
        first = demo(data_dir, "--limit", "300")
        assert first.code == 0, first
        assert "3,749 events of 300 baskets written" in first.words
        assert "over 300 baskets" in first.words
        out = stopped_midway(data_dir, "--limit", BASKETS)
        assert "the same command goes on from here" in out
        second = demo(data_dir, "--limit", BASKETS)
        assert second.code == 0, second
        assert "8,000 baskets found in" in second.words
        assert "processed already" not in second.words
        assert second.rewards() == whole[1].rewards() != first.rewards()
        assert rows_of(data_dir) == rows_of(whole[0])
        third = demo(data_dir, "--limit", "200")
        assert third.code == 0, third
        assert "everything was processed already" in third.words
        assert third.rewards() == second.rewards()
        assert "All 133 values agree" in third.words
        (data_dir / "mine.txt").write_text("kept")
        fresh = demo(data_dir, "--limit", "5", "--fresh")
        assert fresh.code == 0, fresh
        assert "over 5 baskets" in fresh.words
        assert (data_dir / "mine.txt").read_text() == "kept"
    finally:
        stop_server(data_dir)


def stopped_midway(data_dir: Path, *arguments: str) -> str:
    process = subprocess.Popen(
        [sys.executable, "-m", "nextbest.flows.cli", "demo", "--data-dir", data_dir, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        seen = ""
        while "baskets  reward" not in seen:
            seen = process.stdout.readline()
            assert seen, process.communicate()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=200)
        assert (process.returncode, err) == (0, "")
        return out
    finally:
        process.kill()


def test_fresh_leaves_a_strangers_directory_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    refused = demo(tmp_path, "--fresh")
    assert refused.code == 1
    assert refused.err == (
        f"nextbest: {tmp_path}: holds something that the demo did not make; "
        "give another --data-dir\n"
    )
    assert (tmp_path / "thesis.txt").exists()


def test_times_move_by_whole_weeks_to_the_last_seven_days(tmp_path: Path) -> None:
    for now in (1_790_000_000_000_000, 1_790_000_000_000_001 + 3 * WEEK_US):
        last = journey.extent().last_us
        moved = last + shift_weeks(last, now) * WEEK_US
        assert 0 <= now - moved < WEEK_US
    written = write_events(tmp_path, 2)
    assert (written.baskets, len(written.files), written.is_new) == (2, 1, True)
    more = write_events(tmp_path, 3)
    assert [file.name for file in more.files] == [
        "baskets-000000-000002.parquet", "baskets-000002-000003.parquet",
    ]  # fmt: skip
    assert more.shift_weeks == written.shift_weeks
    assert write_events(tmp_path, 1) == more._replace(is_new=False)


def test_the_references_see_each_basket_whole_wherever_the_chunks_end_and_they_resume() -> None:
    events = journey.build_events(limit_baskets=150)
    n = events.num_rows

    def script(seq: int, start: int, stop: int):
        part = events.slice(start, stop - start)
        return write_script(next_category, seq, 0, part, np.arange(start, stop))

    seen: list[Standing] = []
    once = Yardsticks(next_category, None, seen.append)
    once.on_scripts([script(0, 0, n)])
    parts = [script(i, i * 37, min(n, i * 37 + 37)) for i in range(-(-n // 37))]
    early = Yardsticks(next_category, None, seen.append)
    early.on_scripts(parts[1:20][::-1] + parts[:1])
    late = Yardsticks(next_category, early.snapshot(), seen.append)
    late.on_scripts(parts[20:])
    assert replace(late.standing(), seconds=0.0) == replace(once.standing(), seconds=0.0)


def test_feast_must_answer_what_our_reader_says_right_before_and_after() -> None:
    assert _between(2.0, 2.0, 2.0)
    assert _between(None, None, None)
    assert _between(None, 0.5, None)  # it expired between the two
    assert _between(0.75, 1.0, 0.5)
    assert _between(1.0 + 1e-12, 1.0, 0.5)
    assert not _between(1.1, 1.0, 0.5)
    assert not _between(None, 1.0, 0.5)
    assert not _between(0.0, None, None)
    assert not _between("BEEF", "EGGS", "EGGS")


def events_of(data_dir: Path) -> pa.Table:
    return pq.read_table(sorted((data_dir / "events").glob("*.parquet")))


def test_an_online_store_by_url_is_used_remembered_and_cleaned(
    store_url: str, store: redis.Redis, tmp_path: Path
) -> None:
    store.set("nextbest:other:customer:1", b"not ours")
    run = demo(tmp_path, "--limit", "40", "--redis-url", store_url)
    assert run.code == 0, run
    assert "server" not in run.out.splitlines()[-1]
    households = set(events_of(tmp_path)["customer_id"].to_pylist())
    assert len(row_names(store, "nextbest:journey:customer:")) == len(households)
    assert find_server(tmp_path) is None
    elsewhere = demo(tmp_path, "--limit", "40")
    assert elsewhere.code == 1
    assert f"made with online store '{store_url}', not 'embedded'" in elsewhere.err
    assert find_server(tmp_path) is None
    _delete(Settings(data_dir=tmp_path))
    assert store.keys("*") == [b"nextbest:other:customer:1"]
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}


def test_the_declared_arms_are_those_of_the_data() -> None:
    assert journey.categories() == ARMS


def test_the_reference_is_what_it_is_by_itself() -> None:
    """The step adds nothing to the reference: the same choices as a plain loop."""
    events = journey.build_events(limit_baskets=150)
    step = Yardsticks(next_category, None, lambda standing: None)
    step.on_scripts([write_script(next_category, 0, 0, events, np.arange(events.num_rows))])
    policy = RiverPerArm(len(ARMS))
    rows = events.to_pylist()
    bought: dict[str, set[str]] = {}
    for row in rows:
        if row["type"] == "purchase":
            bought.setdefault(row["basket_id"], set()).add(row["category"])
    for row in rows:
        if row["type"] == "basket_start":
            context = {name: row[name] for name in journey.CONTEXTS}
            arm = policy.choose(context, row["customer_id"])
            policy.learn(float(ARMS[arm] in bought[row["basket_id"]]))
    assert step.standing().river == policy.mean_reward
    assert step.standing().decisions == 150
