"""A store that is bounded and durable answers as a plain state that is neither."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.features import StateError
from nextbest.features.plan import Plan
from nextbest.features.store import ShardStore
from tests.features.store_cases import (
    LATER,
    START,
    apply,
    assert_same_reads,
    bytes_for,
    customer,
    dense,
    dense_state,
    expected_rows,
    make_events,
    new_kernels,
    other_catalog,
    publish,
    reopen,
)
from tests.laws.driver import law

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["events", "events", "events", "snapshot", "crash", "wait", "room"]),
        st.lists(st.integers(0, 60), min_size=1, max_size=12),
    ),
    min_size=5,
    max_size=40,
)


@law(12)
@given(STEPS, st.sampled_from([1, 4000, 30_000]), st.sampled_from([14, 30, 200]))
def test_it_equals_a_plain_state(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, list[int]]],
    seal: int,
    customers: int,
) -> None:
    directory = tmp_path_factory.mktemp("store")
    kernels = new_kernels()
    options = {"memory_bytes": bytes_for(kernels, customers), "seal_bytes": seal}
    store = ShardStore(kernels.plan, directory, 0, **options)
    manifest = store.snapshot()
    since: list[list[dict[str, object]]] = []  # the last snapshot
    for seed, (step, numbers) in enumerate(steps):
        if step == "events":
            rows = make_events(seed, numbers)
            since.append(rows)
            kernels.position = seed * 100
            batch = kernels.encode(rows)
            marked = np.arange(len(batch)) % 3 == 0
            publish(store)
            flags, read = store.apply_and_read(batch, marked)
            expected, expected_read = kernels.state.apply_and_read(batch, marked)
            assert flags.tolist() == expected.tolist()
            assert read.values.tobytes() == expected_read.values.tobytes()
            assert read.state.tobytes() == expected_read.state.tobytes()
            assert store.state.memory_bytes <= options["memory_bytes"]
        elif step == "snapshot":
            manifest, since = store.snapshot(), []
        elif step == "wait":
            assert store._files is not None
            store._files.wait()
        elif step == "room":
            publish(store)
            store.make_room(customers)
            assert len(store.state) == 0
        else:
            store = reopen(store, directory, manifest, **options)
            for rows in since:  # the source sends them again
                kernels.position = int(str(rows[0]["event_id"]).split("-")[0]) * 100
                publish(store)
                store.apply(kernels.encode(rows))
        assert_same_reads(store, kernels.state, [customer(n) for n in numbers])
    assert dense(store) == dense_state(kernels.state)
    assert sorted(store.customers()) == sorted(kernels.state.customers())
    publish(store)
    store.republish(None)
    assert publish(store, most=7) == expected_rows(kernels.state)
    store.close()


def test_a_manifest_is_plain_and_names_the_state(tmp_path: Path) -> None:
    kernels = new_kernels()
    store = ShardStore(kernels.plan, tmp_path, 3, timeline="first")
    assert (store.version, store.resumed_version, store.resumed_timeline) == (0, 0, "")
    assert store.snapshot()["version"] == 0  # nothing has changed
    store.apply(kernels.encode(make_events(1, range(20))))
    manifest = store.snapshot()
    assert store.snapshot() == manifest
    assert manifest["version"] == store.version == 1
    assert pickle.loads(pickle.dumps(manifest)) == manifest
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(manifest)) == manifest
    assert json.loads(json.dumps(manifest)) == manifest
    store.close()
    again = ShardStore(kernels.plan, tmp_path, 3, manifest, timeline="second")
    assert (again.version, again.resumed_version, again.resumed_timeline) == (1, 1, "first")
    assert again.unpublished == 0
    assert again.snapshot() == manifest  # nothing has changed: it is still the first's
    again.apply(kernels.encode(make_events(2, range(20))))
    assert (again.snapshot()["version"], again.snapshot()["timeline"]) == (2, "second")


def test_republish_is_exact(tmp_path: Path) -> None:
    """Rows of each version are alone; some are in memory, some only in runs."""
    kernels = new_kernels()
    options = {"memory_bytes": bytes_for(kernels, 100), "seal_bytes": 1 << 20}
    store = ShardStore(kernels.plan, tmp_path, 0, **options)
    manifests = []
    for version in range(1, 6):
        batch = kernels.encode(make_events(version, range(20 * version - 10, 20 * version + 10)))
        kernels.state.apply(batch)
        apply(store, batch)
        manifests.append(store.snapshot())
        assert store.version == version
    publish(store)
    rows = expected_rows(kernels.state)

    def since(version: int) -> set[bytes]:
        return {f"p:{customer(n)}".encode() for n in range(20 * version + 10, 110)}

    for version in range(6):
        store.republish(version)
        found = publish(store)
        assert found == {key: rows[key] for key in since(version)}
        assert store.unpublished == 0
    store = reopen(store, tmp_path, manifests[-1], **options)
    for version in range(6):
        store.republish(version)
        assert set(publish(store)) == since(version)
    # Those in runs only, too; what has changed since is not published as it was.
    store.make_room(100)
    assert len(store.state) == 0
    batch = kernels.encode(make_events(9, range(100, 120)))
    store.republish(0)
    store.apply(batch)
    kernels.state.apply(batch)
    store.encode_changes(b"p:")
    store.make_room(100)
    assert len(store.state) == 0
    assert publish(store).items() <= expected_rows(kernels.state).items()
    store.republish(None)
    assert publish(store, 3) == expected_rows(kernels.state)
    store.republish(store.version + 1)
    assert publish(store) == {}


def test_idle_customers_leave_memory_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr("nextbest.features.store.time.monotonic", lambda: now)
    kernels = new_kernels()
    store = ShardStore(kernels.plan, tmp_path, 0, idle_seconds=80.0)
    for minute in range(14):
        batch = kernels.encode(make_events(minute, [0, minute + 1]))
        kernels.state.apply(batch)
        store.apply(batch)
        publish(store)
        store.snapshot()
        if store._files is not None and store._files._merge is not None:
            store._files._merge.result()
        now += 20
    assert customer(0) in set(store.state.customers())
    assert 5 <= len(store.state) <= 9
    assert dense(store) == dense_state(kernels.state)
    now += 1000
    for _ in range(4):
        store.snapshot()
        if store._files is not None and store._files._merge is not None:
            store._files._merge.result()
        now += 20
    assert len(store.state) == 0
    assert dense(store) == dense_state(kernels.state)
    assert_same_reads(store, kernels.state, [customer(n) for n in range(16)])


def test_without_a_directory(tmp_path: Path) -> None:
    kernels = new_kernels()
    store = ShardStore(kernels.plan, None, 0, memory_bytes=bytes_for(kernels, 30))
    store.apply(kernels.encode(make_events(1, range(20))))
    assert store.version == 0
    manifest = store.snapshot()
    assert store.version == 1
    store.republish(0)
    assert len(publish(store)) == 20
    store.republish(1)
    assert publish(store) == {}
    with pytest.raises(StateError, match=r"shard 0: memory is full: 20 .* nothing is kept on disk"):
        store.apply(kernels.encode(make_events(2, range(20, 40))))
    store.apply(kernels.encode(make_events(2, range(20))))  # no new customer
    assert ShardStore(kernels.plan, None, 0, manifest).version == 0
    assert not list(tmp_path.iterdir())


def test_rows_that_wait_to_be_published_stay(tmp_path: Path) -> None:
    kernels = new_kernels()
    store = ShardStore(kernels.plan, tmp_path, 0, memory_bytes=bytes_for(kernels, 30))
    store.apply(kernels.encode(make_events(1, range(20))))
    with pytest.raises(StateError, match=r"20 rows wait to be published$"):
        store.make_room(20)
    publish(store)
    store.make_room(20)
    store.apply(kernels.encode(make_events(2, range(20, 40))))


def test_manifests_of_others_are_refused(tmp_path: Path) -> None:
    kernels = new_kernels()
    store = ShardStore(kernels.plan, tmp_path, 0)
    store.apply(kernels.encode(make_events(1, range(20))))
    manifest = store.snapshot()
    files = sorted(tmp_path.iterdir())
    with pytest.raises(StateError, match="the manifest is that of shard 0"):
        ShardStore(kernels.plan, tmp_path, 1, manifest)
    with pytest.raises(StateError, match=r"shard 0: .*under another declaration \(schema "):
        ShardStore(Plan.compile(other_catalog), tmp_path, 0, manifest)
    with pytest.raises(StateError, match="of a format that is not known"):
        ShardStore(kernels.plan, tmp_path, 0, manifest | {"format": 2})
    assert sorted(tmp_path.iterdir()) == files


MANY = """
import re, sys
from pathlib import Path
import numpy as np
from nextbest.features.batch import EventBatch
from nextbest.features.kernels.hashing import hash_strings
from nextbest.features.store import ShardStore
from tests.features.store_cases import START, bytes_for, make_events, new_kernels, publish

def resident():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

def batch(first, n):
    raw = [b"customer-%d" % i for i in range(first, first + n)]
    offsets = np.cumsum([0, *map(len, raw)])
    records = np.zeros((n, 8), np.uint64)
    records[:, 0] = START
    records[:, 1] = np.arange(first, first + n) + 1
    text = np.frombuffer(b"".join(raw), np.uint8)
    keys = np.empty((n, 2), np.uint64)
    hash_strings(text, offsets, keys[:, 0], keys[:, 1])
    records[:, 2:4] = keys
    records[:, 4] = records[:, 1]
    records[:, 5] = (offsets[:-1] << 16 | np.diff(offsets)).astype(np.uint64)
    return EventBatch(records, text)

kernels = new_kernels()
assert kernels.encoder.words == 8
memory = 24 << 20
def stream(store, customers):
    peak = 0
    for first in range(0, customers, 2000):
        publish(store)
        store.apply(batch(first, 2000))
        if first % 10_000 == 0:
            store.snapshot()
        peak = max(peak, resident())
    return peak
stream(ShardStore(kernels.plan, Path(sys.argv[1]), 0, memory_bytes=memory), 50_000)
before = resident()
store = ShardStore(kernels.plan, Path(sys.argv[1]), 1, memory_bytes=memory)
peak = stream(store, 300_000)
print(peak - before, sum(1 for _ in store.customers()), len(store.state))
store.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_within_its_ceiling(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    grown, customers, in_memory = map(int, done.stdout.split())
    assert customers == 300_000
    assert in_memory < 60_000
    assert grown < 40 << 20  # 24 MiB of rows, and what a merge and a log record take


def test_reads_do_not_bring_customers_into_memory(tmp_path: Path) -> None:
    kernels = new_kernels()
    store = ShardStore(kernels.plan, tmp_path, 0, memory_bytes=bytes_for(kernels, 50))
    batch = kernels.encode(make_events(1, range(40)))
    store.apply(batch)
    kernels.state.apply(batch)
    publish(store)
    store.make_room(50)
    assert len(store.state) == 0
    assert_same_reads(store, kernels.state, [customer(n) for n in range(45)])
    assert len(store.state) == 0
    assert store.read([], LATER).values.shape == (0, len(store.plan.catalog.columns))
    assert store.read(["nobody"], START).age_ms.tolist() == [-1]
