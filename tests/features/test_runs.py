"""Runs: the newest row of each customer is found, and damage is told from absence."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.features import StateError, durable
from nextbest.features.kernels.runs import BUCKET, PER_BUCKET, build_index
from nextbest.features.merging import FAN_IN, Source, due_runs, write_run
from nextbest.features.row_log import RowLog
from nextbest.features.runs import Run, newest_names
from nextbest.features.state import ShardState, hash_ids
from nextbest.features.store import ShardStore
from tests.features.store_cases import (
    apply,
    bytes_for,
    customer,
    dense_state,
    make_events,
    new_kernels,
    publish,
)
from tests.laws.driver import Kernels, law, new_state

PARTS = st.lists(st.lists(st.integers(0, 30), max_size=20), min_size=1, max_size=6)


def source(kernels: Kernels, version: int) -> Source:
    words = np.frombuffer(kernels.state.take_changes(version), np.uint64)
    return Source(Path("memory"), 0, words, 0, len(words), version)


def merge(path: Path, kernels: Kernels, sources: list[Source]) -> Run:
    """Merge sources, given oldest first."""
    schema_id = kernels.plan.schema_id
    write_run(path, schema_id, 2000, iter(sources[::-1]), threading.Event())
    return Run(path, schema_id)


def fetch(run: Run, ids: list[str], words: int) -> dict[str, bytes]:
    memory = np.zeros(words * (len(ids) + 1), np.uint64)
    slots = np.arange(1, len(ids) + 1)
    missing = slots.copy()
    missing = missing[: run.fetch(missing, hash_ids(ids), memory, words)]
    rows = memory.reshape(-1, words)
    return {ids[i - 1]: rows[i].tobytes() for i in slots.tolist() if i not in missing}


@law(40)
@given(PARTS)
def test_the_newest_row_of_each_customer_is_found(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]]
) -> None:
    kernels = new_kernels()
    sources = []
    for version, numbers in enumerate(parts, 1):
        kernels.apply(make_events(version, numbers))
        sources.append(source(kernels, version))
    if not any(parts):
        return
    directory = tmp_path_factory.mktemp("runs")
    run = merge(directory / "a.run", kernels, sources)
    expected = dense_state(kernels.state)
    assert (run.rows, run.version) == (len(expected), len(parts))
    ids = [customer(n) for n in range(35)]
    assert fetch(run, ids, kernels.plan.words) == expected
    assert run.has(hash_ids(ids)).tolist() == [name in expected for name in ids]
    listed: list[bytes] = []
    for _, names in newest_names([run], 7):
        listed += [names.arena[s : s + n].tobytes() for s, n in names.names.tolist()]
    assert sorted(listed) == sorted(name.encode() for name in expected)
    # A run of runs is the same.
    half = len(sources) // 2
    runs = []
    for number, some in enumerate((sources[:half], sources[half:])):
        if sum(s.end for s in some):
            runs.append(merge(directory / f"{number}.run", kernels, some))
    again = merge(
        directory / "b.run",
        kernels,
        [Source(r.path, 0, r.words, 16, r.end, r.version) for r in runs],
    )
    assert fetch(again, ids, kernels.plan.words) == expected
    assert sum(n for n, _ in newest_names(runs[::-1], 5)) == sum(r.rows for r in runs)
    assert sum(len(f.names) for _, f in newest_names(runs[::-1], 5)) == len(expected)


@law(30)
@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2)), unique_by=lambda key: key[0]),
    st.sampled_from([0, 2**31, 2**63, 2**64 - 2**32]),
)
def test_crowded_buckets_keep_every_key(keys: list[tuple[int, int]], crowd: int) -> None:
    """Many keys belong into one bucket, perhaps the last: they go on in the next, or the first."""
    seen: npt.NDArray[np.uint64] = np.zeros((len(keys) + 3, 3), np.uint64)
    for i, (first, second) in enumerate(keys):
        seen[i] = (first, crowd | second, 1 + i)
    buckets = -(-len(keys) // PER_BUCKET) or 1
    index: npt.NDArray[np.uint64] = np.zeros(BUCKET * buckets, np.uint64)
    build_index(seen, index)
    entries = index.reshape(buckets, BUCKET)[:, 1:]
    stored = (entries[entries > 0] & np.uint64((1 << 40) - 1)).tolist()
    assert sorted(stored) == list(range(1, len(keys) + 1))
    home = (crowd >> 32) * buckets >> 32
    full = np.flatnonzero((entries > 0).all(axis=1)).tolist()
    partly = [b for b in range(buckets) if 0 < (entries[b] > 0).sum() < BUCKET - 1]
    chain = [(home + i) % buckets for i in range(len(full) + len(partly))]
    assert full + partly == sorted(full) + chain[len(full) :]
    assert sorted(full) == sorted(chain[: len(full)])


def test_any_damage_is_found(tmp_path: Path) -> None:
    kernels = new_kernels()
    kernels.apply(make_events(1, range(12)))
    expected = dense_state(kernels.state)
    path = tmp_path / "shard.run"
    run = merge(path, kernels, [source(kernels, 1)])
    ids = [*expected, "nobody"]
    data = bytearray(path.read_bytes())
    used = [*range(8 * run.end), *range(len(data) - 8 * BUCKET * 3, len(data))]
    del run
    unnoticed = 0
    named = []
    places = ("at byte", "not a run", "another declaration")
    for at in used[:: max(1, len(used) // 900)]:
        data[at] ^= 0x10
        path.write_bytes(data)
        try:
            found = fetch(Run(path, kernels.plan.schema_id), ids, kernels.plan.words)
        except StateError as error:
            named.append(str(path) in str(error) and any(w in str(error) for w in places))
        else:
            assert found == expected  # it was a byte that fills up a word
            unnoticed += 1
        data[at] ^= 0x10
    assert unnoticed < 60
    assert all(named)


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    kernels = new_kernels()
    kernels.apply(make_events(1, [1]))
    path = tmp_path / "shard.run"
    run = merge(path, kernels, [source(kernels, 1)])
    end = 8 * run.end
    del run
    data = bytearray(path.read_bytes())
    data[end - 3] ^= 1
    path.write_bytes(data)
    damaged = Run(path, kernels.plan.schema_id)
    where = rf"{path}: the row at byte 128 is damaged \(checksum\)"
    with pytest.raises(StateError, match=where):
        fetch(damaged, [customer(1)], kernels.plan.words)
    with pytest.raises(StateError, match=rf"{path}: the row at byte 128 is damaged \(code 3\)"):
        merge(
            tmp_path / "again.run",
            kernels,
            [Source(path, 0, damaged.words, 16, damaged.end, 1)],
        )
    assert [p.name for p in tmp_path.iterdir()] == ["shard.run"]  # nothing is left of it


def test_missing_cut_off_and_foreign_files(tmp_path: Path) -> None:
    kernels = new_kernels()
    path = tmp_path / "shard.run"
    schema_id = kernels.plan.schema_id
    with pytest.raises(StateError, match=r"shard\.run: the run is gone"):
        Run(path, schema_id)
    kernels.apply(make_events(1, range(12)))
    merge(path, kernels, [source(kernels, 1)])
    data = path.read_bytes()
    with pytest.raises(StateError, match=r"shard\.run: was written under another declaration"):
        Run(path, schema_id + 1)
    for size in (len(data) - 8, 4096, 130):
        path.write_bytes(data[:size])
        with pytest.raises(StateError, match=rf"cut off \({size} bytes of {len(data)}\)"):
            Run(path, schema_id)
    for foreign in (b"", b"PAR1" * 50, data[:100]):
        path.write_bytes(foreign)
        with pytest.raises(StateError, match=r"shard\.run: (not a run|cannot be read)"):
            Run(path, schema_id)
    path.write_bytes(data[:40] + b"\7" + data[41:])
    with pytest.raises(StateError, match=r"shard\.run: the header at byte 0 is damaged"):
        Run(path, schema_id)


def test_a_merge_can_be_stopped(tmp_path: Path) -> None:
    kernels = new_kernels()
    kernels.apply(make_events(1, range(12)))
    stop = threading.Event()
    stop.set()
    with pytest.raises(CancelledError):
        write_run(tmp_path / "a.run", 0, 99, iter([source(kernels, 1)]), stop)
    assert list(tmp_path.iterdir()) == []


def test_runs_of_a_size_are_merged() -> None:
    def due(*megabytes: float) -> int:
        runs: Any = [SimpleNamespace(bytes=int(size * (1 << 20))) for size in megabytes]
        return due_runs(runs)

    assert FAN_IN == 4
    assert due() == due(1) == due(0.1, 0.1, 0.1) == 0
    assert due(0.1, 0.2, 0.3, 0.1) == 4
    assert due(0.1, 0.2, 0.3, 500) == 0
    assert due(9, 9, 9, 9, 500) == 4
    assert due(0.1, 9, 9, 9, 9, 500) == 5  # what is newer than those that are due goes with them
    # However many logs there were, there are few runs, and each row was written few times.
    runs: list[int] = []
    written = 0
    for _ in range(1000):
        runs.insert(0, 20)
        written += 20
        while count := due(*runs):
            runs[:count] = [sum(runs[:count])]
            written += runs[0]
    assert len(runs) <= 16
    assert written < 7 * 20 * 1000


def test_a_log_of_rows_knows_its_versions(tmp_path: Path) -> None:
    kernels = new_kernels()
    log = RowLog(tmp_path / "shard.log", None)
    assert (log.rows, log.first_version, log.last_version) == (0, None, 0)
    for version in (3, 4, 7):
        kernels.apply(make_events(version, range(version)))
        log.append(kernels.state, version)
    log.sync()
    again = RowLog(log.path, log.pointer)
    assert [*again.newest_first()] == [*log.newest_first()]
    assert (len(again), again.rows) == (len(log), log.rows)
    assert (again.rows, again.first_version, again.last_version) == (14, 3, 7)
    state: ShardState = new_state(kernels.plan)
    again.load(state)
    assert dense_state(state) == dense_state(kernels.state)
    assert state.stamps[1:8].tolist() == [7] * 7
    assert (state.unpublished, state.unlogged) == (0, 0)
    assert [record.version for record, _ in again.newest_first()] == [7, 4, 3]


def test_a_disk_that_fails_leaves_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = new_kernels()
    options = {"memory_bytes": bytes_for(kernels, 30), "seal_bytes": 4000}
    store = ShardStore(kernels.plan, tmp_path, 0, **options)
    for seed in range(8):
        apply(store, kernels.encode(make_events(seed, range(10 * seed, 10 * seed + 10))))
        manifest = store.snapshot()
    customers = set(store.customers())
    apply(store, kernels.encode(make_events(9, range(100, 110))))

    def full(file: Any, data: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "write", full)
        with pytest.raises(StateError, match=r"\.log: cannot be written: No space left on device"):
            store.snapshot()
        publish(store)
    store.close()
    again = ShardStore(kernels.plan, tmp_path, 0, manifest, **options)
    assert set(again.customers()) == customers
    named = tmp_path / manifest["runs"][0]
    again.close()
    named.unlink()
    with pytest.raises(StateError, match=rf"{named.name}: the run is gone"):
        ShardStore(kernels.plan, tmp_path, 0, manifest, **options)
