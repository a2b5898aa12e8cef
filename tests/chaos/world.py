"""A server, a stream that is being fed, runs that are being killed, and what they leave."""

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
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import redis

from nextbest.features import StoreError
from nextbest.flows.decision.commit import Log
from nextbest.flows.decision.loading import load
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.publisher import log_keys
from nextbest.flows.sources.valkey_stream import publish_events
from nextbest.learners import PublishedArms, Stamp

from . import declared
from .offers import STRATEGY
from .run import Run, wait_until
from .served import Call, Service, contacts_of, is_service, stored_contacts

STREAM = "log"
SHARDS = 4
MEMORY_BYTES = 16 << 20  # the least there is: customers leave and come back
_PREFIX = "nextbest:chaos:"
_EPOCH_SECONDS = 0.2


class World:
    """One data directory with its server, and everything that happens to it.

    Parameters
    ----------
    home
        The data directory.
    partitions
        Of the log; 1: a stream without numbers.
    decisions
        Whether there is learning too.
    offers
        Whether the log has a strategy's decisions.
    strategy
        Its text.
    seed
        Of what is done at random.
    fsync
        Of the embedded server.
    outside
        Whether the server is one that the runs did not start, and so do not start again.
    """

    def __init__(
        self,
        home: Path,
        *,
        partitions: int = 1,
        decisions: bool = False,
        offers: bool = False,
        strategy: str = STRATEGY,
        seed: int = 0,
        fsync: str = "always",
        outside: bool = False,
    ) -> None:
        self.home = home
        self.killed: Counter[str] = Counter()
        self.rng = random.Random(seed)
        self._partitions = partitions
        self._decisions, self._offers = decisions, offers
        self._strategy = strategy
        self._fsync: Any = fsync
        self._server_home = home.with_name("server") if outside else home
        self._outside = outside
        self.runs: list[Run] = []
        self._fed = threading.Event()
        self._feeder: threading.Thread | None = None
        self._service: Service | None = None
        self.strategy = load(STRATEGY, None).strategy
        self.url = self.revive()

    def feed(self, blobs: Iterable[Sequence[bytes | Call]], pause: float) -> None:
        """Publish in the background until `end_feed`.

        Lines are sent until the server says that it has them: some it has twice. What a service is
        asked is asked until it answers.
        """

        def run() -> None:
            for blob in blobs:
                for is_line, items in groupby(blob, lambda item: isinstance(item, bytes)):
                    for part in [list(items)] if is_line else [[item] for item in items]:
                        if not self._send(part):
                            return
                if self._fed.wait(pause):
                    return

        self._fed.clear()
        self._feeder = threading.Thread(target=run, daemon=True)
        self._feeder.start()

    def _send(self, items: Sequence[Any]) -> bool:
        """Send lines, or one call, until it is done; False: there was no more time."""
        parts = self._partitions if self._partitions > 1 else None
        while True:
            try:
                if isinstance(items[0], bytes):
                    with redis.Redis.from_url(self.url) as client:
                        publish_events(client, STREAM, items, parts, SHARDS)
                else:
                    self._service = self._service or Service(
                        self.url, Log(STREAM, parts, SHARDS), self.strategy
                    )
                    self._service.take(items[0])
                return True
            except (StoreError, redis.RedisError):
                if self._fed.wait(0.05):
                    return False

    def end_feed(self) -> None:
        """Publish no more."""
        self._fed.set()
        if self._feeder is not None:
            self._feeder.join()
        if self._service is not None:
            self._service.close()

    def start(self, processes: int) -> Run:
        """Start workers under a supervisor."""
        words = self._command(self.home, "--processes", str(processes), "--supervise")
        run = Run(words, self._environment(), self.home.parent / f"said-{len(self.runs)}.txt")
        self.runs.append(run)
        return run

    def kill(self, run: Run, victim: str) -> None:
        """Kill something while work is being done, or with ``early`` and ``stopping`` while not."""
        if victim == "early":
            time.sleep(self.rng.uniform(0.0, 2.0))
        else:
            self.wait_for_work(run)
            time.sleep(self.rng.uniform(0.0, 2 * _EPOCH_SECONDS))
        if victim in ("server", "both"):
            self.kill_server()
        if victim in ("worker", "early", "both"):
            run.kill_worker(self.rng)
        if victim == "run":
            run.kill()
        if victim == "stopping":
            run.ask_to_stop()
            time.sleep(self.rng.uniform(0.0, 1.0))
            run.kill()
        self.killed[victim] += 1
        self.killed["processes"] += 1 + (victim == "both")

    def kill_server(self) -> None:
        """Kill the server, as soon as there is one."""
        found: list[int] = []

        def find() -> bool:
            with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.url) as client:
                info: Any = client.info("server")
                found.append(int(info["process_id"]))
            return bool(found)

        wait_until(find, lambda: "a server")
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[0], signal.SIGKILL)

    def wait_for_work(self, run: Run) -> None:
        """Wait until more of the log is counted than is now."""
        known = -1

        def works() -> bool:
            nonlocal known
            run.check()
            with contextlib.suppress(redis.RedisError):
                now = self.counted()
                known = now if known < 0 else known
                return now > known
            return False

        wait_until(works, lambda: f"work after {known} events\n{run.said()}")

    def counted(self) -> int:
        """How many good events the workers have told of in the store."""
        keys = [f"{_PREFIX}shard:{shard}:counts" for shard in range(SHARDS)]
        with redis.Redis.from_url(self.url) as client:
            found: Any = client.mget(keys)
        return sum(sum(json.loads(counts).values()) for counts in found if counts)

    def finish(self, data_dir: Path) -> None:
        """Read what is left of the stream, undisturbed."""
        self.revive()
        words = self._command(data_dir, "--drain")
        if data_dir != self.home and not self._outside:
            words += ["--redis-url", self.url]
        done = subprocess.run(
            words, capture_output=True, text=True, env=self._environment(), timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def left(self, data_dir: Path) -> dict[str, Any]:
        """Collect everything that runs in a data directory leave behind."""
        letters = data_dir / "dead_letters" / "dead.ndjson"
        lines = letters.read_bytes().splitlines() if letters.exists() else []
        refused = [json.loads(line) for line in lines]
        return {
            "events": _table(data_dir / "archive" / "events"),
            "examples": _table(data_dir / "archive" / "examples"),
            "decisions": _table(data_dir / "archive" / "decisions"),
            "credits": _table(data_dir / "archive" / "credits"),
            "store": self.stored(),
            "refused": sorted((x["origin"], x["position"], x["reason"], x["raw"]) for x in refused),
        }

    def stored(self) -> dict[str, bytes]:
        """Rows, counts and models in the store, but nothing that a service wrote."""
        return {key: v for key, v in self._all_stored().items() if not is_service(key)}

    def check_contacts(self) -> Counter[str]:
        """Check that contacts are those of the log; return what stood in an offer's way."""
        parts = self._partitions if self._partitions > 1 else None
        lines: list[bytes] = []
        with redis.Redis.from_url(self.url) as client:
            for name in log_keys(STREAM, parts, SHARDS):
                entries: Any = client.xrange(name)
                for _, fields in entries:
                    lines += fields[b"events"].splitlines()
        expected, met = contacts_of(lines, self.strategy)
        assert stored_contacts(self._all_stored()) == expected
        return met

    def _all_stored(self) -> dict[str, bytes]:
        with redis.Redis.from_url(self.url) as client:
            keys = sorted(client.scan_iter(match=f"{_PREFIX}*", count=10_000))
            # How far a run has come is told with a name that each run makes for itself.
            # A store that loses its newest writes loses what is at hand of recent decisions too.
            keys = [k for k in keys if not k.endswith(b":published") and b":recent:" not in k]
            values: Any = client.mget(keys) if keys else []
        return {
            key.decode(): _unstamped(value) if b":offers:model:" in key else value
            for key, value in zip(keys, values, strict=True)
        }

    def forget_rows(self) -> None:
        """Empty the store but for the stream."""
        with redis.Redis.from_url(self.url) as client:
            keys = list(client.scan_iter(match=f"{_PREFIX}*", count=10_000))
            if keys:
                client.delete(*keys)

    def revive(self) -> str:
        """Start the server if it is not there."""
        return ensure_server(self._server_home, fsync=self._fsync)

    def end(self) -> None:
        """Leave no process behind."""
        self._fed.set()
        for run in self.runs:
            if run.lives():
                run._process.kill()
                run._process.wait()
        self.revive()
        stop_server(self._server_home)

    def _command(self, data_dir: Path, *more: str) -> list[str]:
        words = [sys.executable, "-m", "nextbest.flows.cli", "run", "--stream", STREAM]
        words += ["--catalog", f"{declared.__file__}:catalog", "--data-dir", str(data_dir)]
        if self._partitions > 1:
            words += ["--partitions", str(self._partitions)]
        if self._decisions:
            words += ["--decisions", f"{declared.__file__}:offer"]
        if self._offers:
            path = self.home.parent / "strategy.yaml"
            path.write_text(self._strategy)
            words += ["--strategy", str(path)]
        if self._outside:
            words += ["--redis-url", self.url]
        return [*words, *more]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "NEXTBEST_SHARDS": str(SHARDS),
            "NEXTBEST_EPOCH_SECONDS": str(_EPOCH_SECONDS),
            "NEXTBEST_EMBEDDED_FSYNC": self._fsync,
            "NEXTBEST_MEMORY_BYTES": str(MEMORY_BYTES),
            "NEXTBEST_IDLE_SECONDS": "1",
        }


def _table(directory: Path) -> dict[str, pa.Table]:
    """Each partition's rows, in the order of its files."""
    return {
        part.name: pa.concat_tables(_rows_of(file) for file in sorted(part.glob("*.parquet")))
        for part in sorted(directory.glob("partition=*"))
    }


def _rows_of(file: Path) -> pa.Table:
    """Without dictionaries: each file has its own."""
    table = pq.ParquetFile(file).read()
    return table.cast(
        pa.schema(
            field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
            for field in table.schema
        )
    )


def _unstamped(data: bytes) -> bytes:
    """A published model without the name that each run that begins has for what it learns."""
    model = PublishedArms.from_bytes(data)
    assert model.stamp is not None
    return model.stamped(Stamp("0" * 16, model.stamp.sequence)).to_bytes()
