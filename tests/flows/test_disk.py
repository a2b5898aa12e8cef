"""A disk that is full: told in one line, nothing torn, and the next run ends as if it never was."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from nextbest.features.errors import StateError
from nextbest.flows.sinks import ArchiveSink, DeadLetterSink
from tests.conftest import row_names
from tests.flows.test_cli import SHOP, START
from tests.flows.test_sinks import letter

EVENTS = 10_000


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing further than so many bytes fails; Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_archive_on_a_full_disk(tmp_path: Path) -> None:
    sink = ArchiveSink(tmp_path, 1, row_group_rows=1000)
    part = sink.build_part("archive", "0", None)
    part.write_batch([pa.table({"name": [str(n * n) for n in range(900)]})])
    with largest_file(1000):
        with pytest.raises(StateError, match=r"epoch-00000000\.parquet.*: cannot be written: File"):
            part.snapshot()
        with pytest.raises(StateError, match=r"cannot be written: File too large\. Nothing is lo"):
            sink.build_part("archive", "0", 0).write_batch(
                [pa.table({"name": [str(n * n) for n in range(9000)]})]
            )
    part = sink.build_part("archive", "0", 0)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
    part.write_batch([pa.table({"name": ["a"]})])
    assert part.snapshot() == 1
    assert [pq.ParquetFile(f).read().num_rows for f in tmp_path.rglob("*.parquet")] == [1]


def test_dead_letters_on_a_full_disk(tmp_path: Path) -> None:
    sink = DeadLetterSink(tmp_path / "dead.ndjson")
    part = sink.build_part("dead", "0", None)
    part.write_batch([letter(0)])
    size = part.snapshot()
    with (
        largest_file(size + 20),
        pytest.raises(StateError, match=r"dead\.ndjson: cannot be written: File too large"),
    ):
        part.write_batch([letter(1)])
    part.close()
    assert (tmp_path / "dead.ndjson").stat().st_size == size + 20  # a torn line
    part = sink.build_part("dead", "0", size)
    part.write_batch([letter(1)])
    assert part.snapshot() == 2 * size
    part.close()


class Shop:
    """A log of events with a bad one here and there, and runs of the real command."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        (home / "shop.py").write_text(SHOP)
        with (home / "log.ndjson").open("w") as log:
            for i in range(EVENTS):
                event: dict[str, Any] = {
                    "event_id": f"e{i}",
                    "event_timestamp": START + i * 1_000_000,
                    "customer_id": f"c{i * 7919 % 900}",
                    "type": "view" if i % 3 else "purchase",
                    "properties": {"value": i / 7},
                }
                log.write(json.dumps(event if i % 50 else {"bad": i}) + "\n")

    def run(self, data_dir: Path, limit: int | None = None) -> tuple[int, str]:
        def limited() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        settings = {"EPOCH_SECONDS": "0.02", "BATCH_ROWS": "1000", "SHARDS": "4"}
        done = subprocess.run(
            [sys.executable, "-m", "nextbest.flows.cli", "run", "log.ndjson",
             "--catalog", "shop:catalog", "--data-dir", data_dir, "--redis-url", self.url],
            cwd=self.home, env={**os.environ, **{f"NEXTBEST_{k}": v for k, v in settings.items()}},
            capture_output=True, text=True, preexec_fn=limited, check=False, timeout=300,
        )  # fmt: skip
        return done.returncode, done.stderr

    def left(self, data_dir: Path) -> tuple[Any, ...]:
        with redis.Redis.from_url(self.url) as client:
            names: Any = row_names(client, "nextbest:shop:customer:")
            rows = dict(zip(names, client.mget(names), strict=True))
            client.flushall()
        files = sorted((data_dir / "archive" / "events").rglob("*.parquet"))
        events = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
        letters = (data_dir / "dead_letters" / "dead.ndjson").read_text().splitlines()
        return rows, events, [(x["line"], x["raw"]) for x in map(json.loads, letters)]


@pytest.fixture
def shop(tmp_path: Path, store_url: str) -> Shop:
    return Shop(tmp_path, store_url)


def one_line(error: str) -> bool:
    """Is it our error, in one line, after whatever the engine said about its own panic?"""
    return error.startswith("nextbest: ") and len(error.splitlines()) == 1


def test_a_run_ends_in_one_line_and_goes_on(shop: Shop, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for limit, file in ((10, "run.tmp"), (8_000, "recovery"), (60_000, "")):
        code, error = shop.run(data_dir, limit)
        assert (code, one_line(error)) == (1, True), error
        # Which file is the first to be too large in the middle of a run is a matter of time.
        assert f"{data_dir}/{file}" in error
    code, error = shop.run(data_dir)
    assert code == 0, error
    found = shop.left(data_dir)
    assert shop.run(tmp_path / "other")[0] == 0
    assert shop.left(tmp_path / "other") == found
    assert len(found[1]) == EVENTS * 49 // 50


def test_a_full_disk_that_grows(shop: Shop, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk here")
    try:
        failed = 0
        for size in (700, 2_200, 5_000, 99_999):
            code, error = shop.run(disk / "data")
            if not code:
                break
            failed += 1
            assert one_line(error), error
            remount = ["mount", "-o", f"remount,size={size}k", str(disk)]
            subprocess.run(remount, check=True)
        assert failed > 1
        found = shop.left(disk / "data")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert shop.run(tmp_path / "other")[0] == 0
    assert shop.left(tmp_path / "other") == found
