"""A server, a stream that is being fed, workers that are being killed, and what they leave."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import redis

from nextbest.features import StoreError
from nextbest.flows.embedded import ensure_server, find_server
from nextbest.flows.sources.valkey_stream import publish_events

from . import declared

STREAM = "log"
SHARDS = 4
_DECLARED = declared.__file__
_PREFIX = "nextbest:chaos:"
ENVIRONMENT = {
    "NEXTBEST_SHARDS": str(SHARDS),
    "NEXTBEST_EPOCH_SECONDS": "0.2",
    "NEXTBEST_EMBEDDED_FSYNC": "always",
    "NEXTBEST_MEMORY_BYTES": str(16 << 20),  # the least there is: customers leave and come back
    "NEXTBEST_IDLE_SECONDS": "1",
}


@dataclass
class World:
    """One data directory with its embedded server, and everything that happens to it."""

    home: Path
    partitions: int
    decisions: bool
    seed: int
    kills: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self.url = self._revive()

    def command(self, data_dir: Path, *more: str) -> list[str]:
        """Return the command line of a run over the stream."""
        words = [sys.executable, "-m", "nextbest.flows.cli", "run", "--stream", STREAM]
        words += ["--catalog", f"{_DECLARED}:catalog", "--data-dir", str(data_dir)]
        if self.partitions > 1:
            words += ["--partitions", str(self.partitions)]
        if self.decisions:
            words += ["--decisions", f"{_DECLARED}:offer"]
        return [*words, *more]

    def feed(self, blobs: Iterable[list[bytes]], pause: float) -> threading.Thread:
        """Publish in the background, each blob until the server has it: some it has twice."""
        parts = self.partitions if self.partitions > 1 else None

        def run() -> None:
            for lines in blobs:
                while True:
                    try:
                        with redis.Redis.from_url(self.url) as client:
                            publish_events(client, STREAM, lines, parts, SHARDS)
                        break
                    except (StoreError, redis.RedisError):
                        time.sleep(0.05)
                time.sleep(pause)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def start(self, processes: int) -> subprocess.Popen[str]:
        """Start workers under a supervisor."""
        words = self.command(self.home, "--processes", str(processes), "--supervise")
        return subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **ENVIRONMENT},
        )  # fmt: skip

    def disturb(self, run: subprocess.Popen[str], victims: Sequence[str]) -> None:
        """Kill one of the victims: ``worker``, ``server`` or the ``run`` as a whole."""
        time.sleep(self._rng.uniform(0.2, 2.5))
        victim = self._rng.choice(victims)
        if victim == "server":
            pid = self._server()
            done = pid is not None and _kill(pid)
        elif victim == "worker":
            workers = _children(run.pid)
            done = bool(workers) and _kill(self._rng.choice(workers))
        else:
            done = run.poll() is None and _kill(run.pid)
            run.communicate()
        self.kills[victim] = self.kills.get(victim, 0) + done

    def stop(self, run: subprocess.Popen[str]) -> None:
        """End a run as an operator does; it must end well."""
        if run.returncode is not None:
            return
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=60)
        assert run.returncode == 0, f"{out}\n{err}"

    def finish(self, data_dir: Path) -> None:
        """Read what is left of the stream, undisturbed."""
        words = self.command(data_dir, "--drain", "--redis-url", self._revive())
        if data_dir == self.home:
            words = self.command(data_dir, "--drain")
        done = subprocess.run(
            words, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT},
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def left(self, data_dir: Path) -> dict[str, Any]:
        """Collect everything that runs in a data directory leave behind."""
        with redis.Redis.from_url(self._revive()) as client:
            keys = sorted(client.scan_iter(match=f"{_PREFIX}*", count=10_000))
            # How far a run has come is told with a name that each run makes for itself.
            keys = [key for key in keys if not key.endswith(b":published")]
            store: dict[bytes, Any] = dict(zip(keys, client.mget(keys), strict=True))
        letters = data_dir / "dead_letters" / "dead.ndjson"
        lines = letters.read_bytes().splitlines() if letters.exists() else []
        refused = [json.loads(line) for line in lines]
        return {
            "store": store,
            "events": _table(data_dir / "archive" / "events", "position"),
            "examples": _table(data_dir / "archive" / "examples", None),
            "refused": sorted((x["origin"], x["position"], x["reason"], x["raw"]) for x in refused),
        }

    def forget_rows(self) -> None:
        """Empty the store but for the stream."""
        with redis.Redis.from_url(self._revive()) as client:
            for key in client.scan_iter(match=f"{_PREFIX}*", count=10_000):
                client.delete(key)

    def _revive(self) -> str:
        return ensure_server(self.home, fsync="always")

    def _server(self) -> int | None:
        with contextlib.suppress(OSError, ValueError, StoreError):
            if find_server(self.home) is not None:
                record = json.loads((self.home / "valkey" / "server.json").read_text())
                return int(record["pid"])
        return None


def _table(directory: Path, order: str | None) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for part in sorted(directory.glob("partition=*")):
        rows = [
            row
            for file in sorted(part.glob("*.parquet"))
            for row in pq.ParquetFile(file).read().to_pylist()
        ]
        if order is not None:
            rows.sort(key=lambda row: row[order])  # a file's rows are in order, or by shard
        out += [{"partition": part.name, **row} for row in rows]
    return out


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):
        return [int(child) for child in path.read_text().split()]
    return []


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
