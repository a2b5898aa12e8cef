"""Where keys go in a cluster, what travels, and how its epochs keep in step."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import TestingSink, TestingSource, cluster_main

from nextbest.features import SettingsError
from nextbest.features.batch import ID_TEXT, EventBatch
from nextbest.flows.cluster import parse_addresses
from nextbest.flows.decode import ChunkDecoder, ShardEvents
from nextbest.flows.routing import shard_keys, worker_of
from nextbest.flows.settings import Settings
from nextbest.flows.sources.chunk import RawChunk
from tests.flows.test_decode import make_log, ndjson, plan


class _Echo(StatefulBatchLogic[int, int, None]):
    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        return values, StatefulBatchLogic.RETAIN

    def snapshot(self) -> None:
        return None


def _places(keys: list[str], workers: int) -> dict[str, int]:
    """Which worker the engine sends each key to."""
    seen: dict[str, int] = {}
    flow = Dataflow("routing")
    items = op.input("in", flow, TestingSource([(key, 0) for key in keys], batch_size=50))
    held = op.stateful_batch("hold", items, lambda _: _Echo())
    held = op.inspect_debug("see", held, lambda _, item, __, worker: seen.update({item[0]: worker}))
    op.output("out", held, TestingSink([]))
    cluster_main(flow, [], 0, worker_count_per_proc=workers)  # type: ignore[no-untyped-call]
    return seen


def test_a_key_goes_where_we_say() -> None:
    keys = [*shard_keys(64), "learner", "", *(f"ключ-{n}" for n in range(100))]
    # In a process of its own: from then on the engine prints the traceback of every failure.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        for workers in (2, 3, 4):
            seen = other.submit(_places, keys, workers).result()
            assert seen == {key: worker_of(key, workers) for key in keys}


def test_shards_have_keys_for_ever() -> None:
    assert shard_keys(4) == ("s0-119", "s1-41", "s2-37", "s3-168")  # a recovery store holds them
    keys = shard_keys(96)
    assert keys[:4] == shard_keys(4)
    assert len(set(keys)) == 96
    for workers in (1, 2, 4, 8, 16, 32, 64):
        assert [worker_of(key, workers) for key in keys] == [s % workers for s in range(96)]


def names(batch: EventBatch) -> list[bytes]:
    words = batch.records[:, ID_TEXT].tolist()
    return [bytes(batch.ids[w >> 16 : (w >> 16) + (w & 0xFFFF)]) for w in words]


def test_a_part_travels_without_the_rest_of_its_chunk() -> None:
    log = [{**e, "customer_id": f"c{n % 700}"} for n, e in enumerate(make_log(1, 2000))]
    decode = ChunkDecoder(plan, Settings(shards=16))
    chunk = RawChunk(0, 0, "ndjson", ndjson(log), "log", 1, 0, len(log))
    parts = [part for part in decode(chunk) if isinstance(part, ShardEvents)]
    sizes = 0
    for part in parts:
        sent = pickle.dumps(part, 5)
        sizes += len(sent)
        found = pickle.loads(sent).batch
        assert names(found) == names(part.batch)
        rest = np.delete(found.records, ID_TEXT, 1)
        assert np.array_equal(rest, np.delete(part.batch.records, ID_TEXT, 1))
    assert sizes < 1.5 * sum(part.batch.records.nbytes for part in parts)
    empty = EventBatch(np.zeros((0, 8), np.uint64), np.zeros(9, np.uint8))
    assert len(pickle.loads(pickle.dumps(empty)).ids) == 0


@pytest.mark.parametrize(
    ("text", "index", "message"),
    [
        ("", 0, "0 given; name every process"),
        ("a:1", 0, "1 given"),
        ("a:1,a:1", 0, "a:1 is given twice"),
        ("a:1,b", 0, "'b': expected host:port"),
        ("a:1,http://b:2", 0, "expected host:port"),
        ("a:1,b:0", 0, "'b:0': a port is 1 to 65535"),
        ("a:1,b:70000", 0, "a port is 1 to 65535"),
        ("a:1,b:2", None, "--addresses needs --process-id"),
        ("a:1,b:2", 2, "--process-id 2: there are 2 addresses, so it is 0 to 1"),
        ("a:1,b:2", -1, "--process-id -1"),
    ],
)
def test_wrong_addresses_are_named(text: str, index: int | None, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_addresses(text, index)


def test_addresses() -> None:
    member = parse_addresses("worker-0.shop:2101, 10.0.0.7:2101,[::1]:9", 2)
    assert member.addresses == ("worker-0.shop:2101", "10.0.0.7:2101", "[::1]:9")
    assert (member.worker.index, member.worker.count) == (2, 3)
