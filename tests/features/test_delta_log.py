"""The delta log: what was committed comes back whole, or it is said where it does not."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features import Catalog, EventSchema, FeatureView, StateError, event
from nextbest.features import aggregations as agg
from nextbest.features.delta_log import MAGIC, DeltaLog
from nextbest.features.plan import Plan
from nextbest.features.state import ShardState
from tests.laws.driver import Kernels, new_state

START = 1_767_225_600_000_000
HOUR = 3_600_000_000
IDS = ("ann", "Ünïcode ✓ 顧客", "b" * 256, "é" * 128, "x")

shop = EventSchema("shop", types=("view", "buy"), properties={"value": float, "word": str})
catalog = Catalog(
    name="demo",
    views=[
        FeatureView(
            name="v",
            source=shop,
            features=[
                agg.count("n"),
                agg.sum("spend", of="value", window="session"),
                agg.max("most", of="value", window="1d"),
                agg.decayed("warm", half_life="1h"),
                agg.last_k("latest", of="value", k=3),
                agg.count("words", by="word", vocabulary=tuple("abcdefg"), window="1h"),
                agg.count("bought", where=event.type == "buy", window="last_session"),
            ],
        )
    ],
)


def events(seed: int, n: int, ids: tuple[str, ...] = IDS) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "event_id": f"{seed}-{i}",
            "event_timestamp": START + int(rng.integers(0, 30 * HOUR)),
            "customer_id": ids[int(rng.integers(len(ids)))],
            "type": "view" if rng.random() < 0.7 else "buy",
            "properties": {"value": float(rng.normal()), "word": "abcdefgh"[int(rng.integers(8))]},
        }
        for i in range(n)
    ]


def dense(state: ShardState) -> dict[str, bytes]:
    """Every row's memory, by customer."""
    words = state.plan.words
    return {
        name: state.rows.u64[words * slot : words * (slot + 1)].tobytes()
        for slot, name in enumerate(state.customers(), 1)
    }


def write(path: Path, *payloads: bytes) -> list[int]:
    log = DeltaLog(path, None)
    pointers = [log.append(payload) for payload in payloads]
    log.close()
    return pointers


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("log") / "deep" / "shard.log"
    log = DeltaLog(path, None)
    assert log.pointer == len(MAGIC)
    for payload in payloads:
        assert log.append(payload) == log.pointer == path.stat().st_size
    assert list(log.replay()) == payloads
    assert list(DeltaLog(path, log.pointer).replay()) == payloads


def test_what_was_not_committed_is_cut_off_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "shard.log"
    first, second = write(path, b"one" * 100, b"never committed")
    for torn in range(1, second - first):
        with path.open("r+b") as file:
            file.truncate(first + torn)
        log = DeltaLog(path, first)
        assert path.stat().st_size == first
        assert list(log.replay()) == [b"one" * 100]
        log.append(b"again")
        assert list(log.replay()) == [b"one" * 100, b"again"]
        log.close()
        write_back(path, b"one" * 100, b"never committed")


def write_back(path: Path, *payloads: bytes) -> None:
    path.unlink()
    write(path, *payloads)


def test_a_new_log_begins_empty(tmp_path: Path) -> None:
    write(tmp_path / "shard.log", b"of a run that never committed")
    log = DeltaLog(tmp_path / "shard.log", None)
    assert (tmp_path / "shard.log").read_bytes() == MAGIC
    assert list(log.replay()) == []
    assert list(DeltaLog(tmp_path / "shard.log", len(MAGIC)).replay()) == []


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (8, "the record at byte 8 is cut off"),  # the first length, now too large
        (12, r"the record at byte 8 is damaged \(checksum\)"),
        (17, r"the record at byte 8 is damaged \(checksum\)"),
        (27, "the record at byte 24 is cut off"),
        (34, r"the record at byte 24 is damaged \(checksum\)"),
    ],
)
def test_damage_names_file_and_offset(tmp_path: Path, at: int, reason: str) -> None:
    path = tmp_path / "shard-7.log"
    *_, end = write(path, b"8 bytes.", b"nine more")
    data = bytearray(path.read_bytes())
    data[at] ^= 0x70
    path.write_bytes(data)
    with pytest.raises(StateError, match=rf"shard-7\.log: {reason}"):
        list(DeltaLog(path, end).replay())


def test_a_pointer_into_a_record(tmp_path: Path) -> None:
    path = tmp_path / "shard.log"
    first, _ = write(path, b"payload", b"another")
    for pointer in (first + 3, first + 8, first + 12):
        with pytest.raises(StateError, match=f"the record at byte {first} is cut off"):
            list(DeltaLog(path, pointer).replay())
        write_back(path, b"payload", b"another")


def test_missing_short_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "shard.log"
    with pytest.raises(StateError, match=r"shard\.log: the state log is gone; it should hold 64"):
        DeltaLog(path, 64)
    (end,) = write(path, b"payload")
    with pytest.raises(StateError, match=rf"cut off \({end} bytes, {end + 1} committed\)"):
        DeltaLog(path, end + 1)
    with pytest.raises(StateError, match=r"not a state log, or cut off .*, 0 committed"):
        DeltaLog(path, 0)
    assert path.stat().st_size == end  # nothing was cut
    for foreign in (b"", b"PAR1" * 20, b"NBLOG\x00\x00\x02" + bytes(80)):
        path.write_bytes(foreign)
        with pytest.raises(StateError, match=r"not a state log|a state log of version 2"):
            DeltaLog(path, 50)
        assert path.read_bytes() == foreign
    with pytest.raises(StateError, match="cannot be written: Is a directory"):
        DeltaLog(tmp_path, None)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    full = tmp_path / "shard.log"
    full.symlink_to("/dev/full")
    with pytest.raises(StateError, match=r"shard\.log: cannot be written: No space left"):
        DeltaLog(full, None)


def test_rows_come_back_bit_for_bit_and_are_published_again(tmp_path: Path) -> None:
    kernels = Kernels(catalog)
    log = DeltaLog(tmp_path / "shard.log", None)
    for seed in range(6):
        ids = IDS[: 2 + seed] if seed < 4 else IDS
        kernels.apply(events(seed, 40, ids))
        log.append(kernels.state.take_changes())
    assert kernels.state.take_changes() == b""
    kernels.apply(events(99, 50))  # not taken any more
    before = Kernels(catalog)
    for seed in range(6):
        before.apply(events(seed, 40, IDS[: 2 + seed] if seed < 4 else IDS))

    state = new_state(kernels.plan)
    for changes in DeltaLog(log.path, log.pointer).replay():
        state.load_changes(changes)
    assert dense(state) == dense(before.state)
    assert len(dense(state)) == len(IDS) == len(state) == state.unpublished
    again = state.encode_changes(b"p:")
    assert again.payload.tobytes() == before.state.encode_changes(b"p:").payload.tobytes()
    assert state.take_changes() == b""  # what came from the log need not go there again
    kernels.position = before.position
    state.apply(kernels.encode(events(7, 30)))
    before.apply(events(7, 30))
    assert dense(state).keys() == dense(before.state).keys()
    got: Any
    want: Any
    for got, want in zip(
        state.read(IDS, START + 31 * HOUR), before.state.read(IDS, START + 31 * HOUR), strict=True
    ):
        assert got.tobytes() == want.tobytes()


def test_log_and_store_are_told_of_changes_each_once() -> None:
    kernels = Kernels(catalog)
    state = kernels.state
    for seed in range(40):
        kernels.apply(events(seed, 30))
        if seed % 2:
            state.take_changes()
    assert state.unpublished == len(IDS)
    commands = state.encode_changes(b"p:")
    assert (commands.rows, commands.replies, state.unpublished) == (len(IDS), 1, 0)
    kernels.apply(events(50, 30))
    state.take_changes()
    for seed in range(51, 90):
        kernels.apply(events(seed, 3, ("ann",)))
        state.encode_changes(b"p:")
    changes = state.take_changes()
    kernels.apply(events(90, 1, ("ann",)))
    assert len(changes) < 1.5 * len(state.take_changes())  # one row of one customer, too
    again = new_state(kernels.plan)
    again.load_changes(changes)
    assert list(dense(again)) == ["ann"]


def test_later_changes_win_whole(tmp_path: Path) -> None:
    kernels = Kernels(catalog)
    kernels.apply(events(1, 60))
    old = kernels.state.take_changes()
    kernels.apply(events(2, 60, ("ann",)))
    new = kernels.state.take_changes()
    for order in ((old, new), (old, old, new), (old, new, new)):
        state = new_state(kernels.plan)
        for changes in order:
            state.load_changes(changes)
        assert dense(state) == dense(kernels.state)
    state = new_state(kernels.plan)
    state.load_changes(new)
    state.load_changes(old)
    assert dense(state)["ann"] != dense(kernels.state)["ann"]


def test_many_customers_in_one_record() -> None:
    kernels = Kernels(catalog)
    ids = tuple(f"customer-{i}" for i in range(9000))
    kernels.apply(
        [
            {
                "event_id": f"{i}",
                "event_timestamp": START + i,
                "customer_id": name,
                "type": "view",
                "properties": {"value": float(i)},
            }
            for i, name in enumerate(ids)
        ]
    )
    state = new_state(kernels.plan)
    state.load_changes(kernels.state.take_changes())
    assert tuple(state.customers()) == ids
    assert dense(state) == dense(kernels.state)


def test_changes_of_another_declaration_are_refused() -> None:
    kernels = Kernels(catalog)
    kernels.apply(events(1, 5))
    changes = kernels.state.take_changes()
    other = Plan.compile(Catalog(name="demo", views=catalog.views, lateness="1m"))
    with pytest.raises(StateError, match=r"row at byte 0 .*another schema"):
        new_state(other).load_changes(changes)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 255))
def test_damaged_changes_are_refused(where: int, flip: int) -> None:
    """A record of the log has a checksum of its own; this is the second line of defence."""
    kernels = Kernels(catalog)
    kernels.apply(events(3, 20, ("ann", "ben")))
    changes = bytearray(kernels.state.take_changes())
    where %= len(changes)
    changes[where] ^= flip
    state = new_state(kernels.plan)
    try:
        state.load_changes(bytes(changes))
    except StateError:
        return
    assert dense(state) == dense(kernels.state)  # it was a byte that fills up a word


def test_a_damaged_name_is_not_another_customer() -> None:
    kernels = Kernels(catalog)
    kernels.apply(events(3, 20, ("ann", "ben")))
    changes = bytearray(kernels.state.take_changes())
    changes[changes.index(b"ann") + 1] ^= 1
    with pytest.raises(StateError, match=r"row at byte 0 .* is damaged"):
        new_state(kernels.plan).load_changes(bytes(changes))


def test_the_format_is_what_the_module_says(tmp_path: Path) -> None:
    path = tmp_path / "shard.log"
    write(path, b"payload")
    head = struct.pack("<II", 7, zlib.crc32(b"payload"))
    assert path.read_bytes() == b"NBLOG\x00\x00\x01" + head + b"payload"
