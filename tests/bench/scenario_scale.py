"""``scale``: one process and two, on a log of two partitions: Parquet files, and a Kafka topic.

The log is partitioned as producers should do it, by the customer's shard, so that nothing travels
between the processes. The reference is one process on the same log. The store is the other user of
the machine: on two cores it competes with the second process. The time counts from the first
event in the store's counts to the last one, without the processes' start. A process's share of
the log is read by the same code in both cases.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis

from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.partitions import partitions_of
from nextbest.flows.settings import Settings
from tests.flows.kafka_peer import QUICK, make_topic, produce, tansu_broker

from . import catalog as declared
from .harness import Result
from .workload import as_lines, shop_events

CUSTOMERS = 10_000
PARTITIONS = 2
TOPIC = "clicks"
_LINES_A_MESSAGE = 500
_LOOK = 0.01


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    events = 1_000_000 if quick else 4_000_000
    messages = 200_000 if quick else 600_000
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory, tansu_broker() as port:
        home = Path(directory)
        brokers = f"127.0.0.1:{port}"
        _write_files(home / "log", events)
        _fill_topic(brokers, messages)
        url = ensure_server(home / "server")
        try:
            for source, words, count in (
                ("files", [str(home / "log"), "--partitions", str(PARTITIONS)], events),
                ("kafka", ["--kafka", brokers, "--topic", TOPIC], messages),
            ):
                for processes in (1, 2):
                    rates[f"{source}_{processes}"] = statistics.median(
                        _rate(home / f"{source}-{processes}-{i}", url, words, processes, count)
                        for i in range(runs)
                    )
        finally:
            stop_server(home / "server")
    return Result(
        "scale",
        figures={
            "ratio_files": rates["files_2"] / rates["files_1"],
            "ratio_kafka": rates["kafka_2"] / rates["kafka_1"],
        },
        detail={
            **{f"events_per_s_{name}": rate for name, rate in rates.items()},
            "cores": os.cpu_count(),
            "events_files": events,
            "events_kafka": messages,
            "runs": runs,
        },
    )


def _rate(home: Path, url: str, words: Sequence[str], processes: int, events: int) -> float:
    """Run until all events are counted in the store; return events a second."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        with _running(home, url, words, processes):
            first = (0.0, 0)
            end = time.monotonic() + 120
            while True:
                now, counted = time.perf_counter(), _counted(client)
                if counted and not first[1]:
                    first = (now, counted)
                if counted == events:
                    return (counted - first[1]) / (now - first[0])
                assert time.monotonic() < end, f"{counted} of {events} events"
                time.sleep(_LOOK)


@contextlib.contextmanager
def _running(home: Path, url: str, words: Sequence[str], processes: int) -> Iterator[None]:
    command = [sys.executable, "-m", "nextbest.flows.cli", "run", *words]
    command += ["--catalog", f"{declared.__file__}:catalog", "--data-dir", str(home)]
    # Under a supervisor in both cases.
    command += ["--redis-url", url, "--processes", str(processes), "--supervise"]
    environment = {
        **os.environ,
        "NEXTBEST_ARCHIVE": "false",
        "NEXTBEST_BATCH_ROWS": "65536",
        "NEXTBEST_KAFKA_CONFIG": json.dumps(QUICK),  # this broker answers late otherwise
    }
    worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        yield
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)


def _counted(client: redis.Redis) -> int:
    keys = [f"nextbest:bench:shard:{s}:counts" for s in range(Settings().shards)]
    found = [json.loads(text) for text in client.mget(keys) if text]
    return sum(sum(counts.values()) for counts in found)


def _parts(events: pa.Table) -> list[pa.Table]:
    numbers = np.asarray(
        partitions_of(events["customer_id"].to_pylist(), PARTITIONS, Settings().shards)
    )
    return [events.filter(pa.array(numbers == p)) for p in range(PARTITIONS)]


def _write_files(directory: Path, events: int) -> None:
    for number, part in enumerate(_parts(shop_events(CUSTOMERS, events, 30.0))):
        path = directory / f"partition={number}" / "events.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(part, path, row_group_size=131_072)


def _fill_topic(brokers: str, events: int) -> None:
    make_topic(brokers, TOPIC, PARTITIONS)
    for number, part in enumerate(_parts(shop_events(CUSTOMERS, events, 30.0))):
        lines = as_lines(part)
        values = [
            b"\n".join(lines[i : i + _LINES_A_MESSAGE])
            for i in range(0, len(lines), _LINES_A_MESSAGE)
        ]
        produce(brokers, TOPIC, number, list(values))
