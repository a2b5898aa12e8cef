"""A whole run whose store is killed under it: the end is that of an undisturbed run."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from nextbest.features.errors import StoreError
from nextbest.flows.embedded import ensure_server
from nextbest.flows.sources import FileSource
from tests.flows.server_cases import kill
from tests.flows.test_decode import make_log
from tests.flows.test_pipeline import Watch, Worker, clear, write


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_the_worker_starts_its_killed_server_again(
    tmp_path: Path, data_dir: Path, store_url: str
) -> None:
    path = write(tmp_path, make_log(40, 600))
    other = Worker(tmp_path / "other", store_url)
    other.run(FileSource(path, batch_rows=25))
    worker = Worker(data_dir, ensure_server(data_dir))
    watch = Watch(breaks={"counted": 20}, then=lambda: kill(worker.url))
    worker.run(FileSource(path, batch_rows=25), watch)
    assert worker.all() == other.all()


def test_nothing_piles_up_while_the_store_is_away(
    tmp_path: Path, data_dir: Path, store_url: str
) -> None:
    path = write(tmp_path, make_log(41, 1500))
    other = Worker(tmp_path / "other", store_url)
    other.run(FileSource(path, batch_rows=25))
    url = ensure_server(data_dir)
    worker = Worker(tmp_path / "mine", url, options={"redis_url": url})
    sizes: list[int] = []
    counted: list[int] = []

    def outage() -> None:
        before = -1
        while before != (before := len(watch.counts)):
            time.sleep(0.5)
        for _ in range(15):
            time.sleep(0.1)
            sizes.append(resident_bytes())
            counted.append(len(watch.counts))
        ensure_server(data_dir)

    back = threading.Thread(target=outage)

    def break_off() -> None:
        kill(url)
        back.start()

    watch = Watch(breaks={"counted": 100}, then=break_off)
    worker.run(FileSource(path, batch_rows=25), watch)
    back.join()
    assert worker.all() == other.all()
    assert counted[-1] == counted[0] < len(watch.counts)  # the worker stood still
    assert max(sizes) - sizes[0] < 16 << 20


def test_a_store_that_stays_away_ends_the_run_and_the_next_goes_on(
    tmp_path: Path, data_dir: Path, store_url: str
) -> None:
    path = write(tmp_path, make_log(42, 600))
    other = Worker(tmp_path / "other", store_url)
    other.run(FileSource(path, batch_rows=25))
    url = ensure_server(data_dir)
    worker = Worker(tmp_path / "mine", url, options={"redis_url": url, "outage_seconds": 0.5})
    watch = Watch(breaks={"counted": 20}, then=lambda: kill(url))
    with pytest.raises(StoreError, match=r"no answer: .*waited \d+ s for it"):
        worker.run(FileSource(path, batch_rows=25), watch)
    ensure_server(data_dir)
    worker.run(FileSource(path, batch_rows=25))
    assert worker.all() == other.all()
    clear(url)
