"""``ingest-json``: JSON lines in a Valkey Stream to features to rows in Valkey, with recovery.

The reference is that of ``ingest-parquet``, with the `json` module in front.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import redis

from nextbest.features.batch import EventBatch
from nextbest.features.codec import EventDecoder
from nextbest.features.encoder import RecordEncoder
from nextbest.features.line_decoder import LineDecoder, Lines
from nextbest.features.online import key_prefix
from nextbest.features.plan import Plan
from nextbest.features.state import ShardState
from nextbest.flows.embedded import ensure_server, stop_server
from nextbest.flows.pipeline import build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources.chunk import count_records
from nextbest.flows.sources.valkey_stream import ValkeyStreamSource, publish

from .catalog import catalog
from .harness import Result, median_events
from .naive_ingest import NaiveIngest
from .scenario_kernel import warm_up
from .workload import as_blobs, as_lines, shop_events

CUSTOMERS = 10_000
STREAM = "events"


def run(*, quick: bool) -> Result:
    """Measure; see the module's text."""
    runs = 3 if quick else 5
    events = 500_000 if quick else 1_000_000
    naive_events = 6_000 if quick else 20_000
    lines = as_lines(shop_events(CUSTOMERS, events, 30.0))
    size = sum(map(len, lines)) / events
    blobs = as_blobs(lines)
    del lines
    warm_up()
    stages = _stages(blobs[:32], runs)  # which compiles the other kernels, too
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        url = ensure_server(home / "server")
        try:
            log = f"{url}?db=1"  # so that rows can be flushed without it
            with redis.Redis.from_url(log) as client:
                for blob in blobs:
                    publish(client, STREAM, blob)

            def ours(name: str, *, archive: bool, recover: bool) -> float:
                def once(i: int) -> None:
                    _ingest(home / f"{name}-{i}", log, url, archive=archive, recover=recover)

                return median_events(once, events, runs)

            main = ours("main", archive=False, recover=True)
            volatile = ours("volatile", archive=False, recover=False)
            kept = ours("kept", archive=True, recover=True)
            naive = NaiveIngest(home / "feast", url)
            part = as_lines(shop_events(CUSTOMERS * naive_events // events, naive_events, 30.0))
            reference = median_events(lambda _: naive.run_lines(part), naive_events, runs)
        finally:
            stop_server(home / "server")
    shares = {name: stages[name] * main * 1e-9 for name in STAGES}
    return Result(
        "ingest-json",
        figures={"events_per_s": main, "ratio_naive": main / reference},
        detail={
            "customers": CUSTOMERS,
            "events": events,
            "bytes_per_event": size,
            "events_per_s_without_recovery": volatile,
            "events_per_s_with_archive": kept,
            "naive_events_per_s": reference,
            "naive_events": naive_events,
            **{f"{name}_ns": ns for name, ns in stages.items()},
            **{f"{name}_share": share for name, share in shares.items()},
            "engine_and_sockets_share": 1 - sum(shares.values()),
            "runs": runs,
        },
    )


def _ingest(home: Path, log: str, url: str, *, archive: bool, recover: bool) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    settings = Settings(data_dir=home, archive=archive)
    source = ValkeyStreamSource(log, STREAM, drain=True)
    run_flow(build_flow(source, catalog, settings, url), settings, recover=recover)


STAGES = ("count", "decode", "split", "apply", "publish")


def _stages(blobs: list[bytes], runs: int) -> dict[str, float]:
    """Processor nanoseconds an event of each stage alone, and of other ways to decode."""
    plan = Plan.compile(catalog)
    decoder = EventDecoder(catalog.source)
    encoder = RecordEncoder(plan.categorical, plan.numeric)
    one_by_one = LineDecoder(catalog.source, max_event_bytes=1 << 20)
    states = [ShardState(plan) for _ in range(16)]
    prefix = key_prefix(catalog)
    positions = np.arange(max(blob.count(b"\n") for blob in blobs))

    def decode() -> list[EventBatch]:
        decoded = [decoder.decode_ndjson(blob) for blob in blobs]
        return [d.encode(encoder, positions[: len(d.index)]) for d in decoded]

    def decode_one_by_one() -> None:
        for blob in blobs:
            raws = blob.splitlines()
            numbers = positions[: len(raws)]
            table, _, _ = one_by_one.decode(Lines(numbers, numbers, raws), 1 << 60, 1 << 60)
            encoder.encode(table, numbers)

    batches = decode()
    events = sum(map(len, batches))

    def split() -> Iterator[tuple[int, EventBatch]]:
        for batch in batches:
            for shard, part, _ in batch.split(len(states)):
                yield shard, part

    parts = list(split())

    def apply() -> None:
        for shard, part in parts:
            states[shard].apply(part)

    def ns(step: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
        times = []
        for _ in range(runs + 1):
            before()
            began = time.thread_time()
            step()
            times.append(time.thread_time() - began)
        return statistics.median(times[1:]) / events * 1e9  # the first may have compiled

    return {
        "count": ns(lambda: [count_records(blob) for blob in blobs]),
        "decode": ns(decode),
        "split": ns(lambda: list(split())),
        "apply": ns(apply, lambda: _renew(parts)),
        "publish": ns(lambda: [state.encode_changes(prefix) for state in states], apply),
        "table": ns(lambda: [decoder.decode_ndjson(blob).table for blob in blobs]),
        "decode_msgspec": ns(decode_one_by_one),
    }


def _renew(parts: list[tuple[int, EventBatch]]) -> None:
    """Give events new ids: a second time they would be duplicates."""
    for _, part in parts:
        part.records[:, 1] += np.uint64(1)
