"""Log positions in streams: what the server counts, whatever was joined, trimmed or lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from nextbest.features.errors import StateError, StoreError
from nextbest.flows.embedded import ensure_server
from nextbest.flows.partitions import MAX_LINES
from nextbest.flows.sources import KafkaSource, RawChunk, ValkeyStreamSource, publish
from nextbest.flows.sources.chunk import Entries
from tests.flows.kafka_peer import mock_broker, produce
from tests.flows.server_cases import kill
from tests.flows.test_stream_outages import read_until

Place = tuple[int, str, int, bytes]


def places(chunks: list[RawChunk]) -> list[Place]:
    """(position, origin, line in it, record) of each record."""
    found = []
    for chunk in chunks:
        assert isinstance(chunk.payload, bytes)
        texts = chunk.payload.split(b"\n")
        numbers = [i for i, text in enumerate(texts) if text.strip()]
        if chunk.fault is None:
            assert chunk.records == len(numbers)
        positions = chunk.positions(np.arange(chunk.records)).tolist()
        for index, number in enumerate(numbers[: chunk.records]):
            origin, line, position = chunk.where(index, number)
            assert position == positions[index]
            found.append((position, origin, line, texts[number]))
        assert chunk.position == positions[0]
    return found


def some_blob(rng: random.Random) -> bytes:
    """Lines, some blank; sometimes none but blank ones."""
    parts = [rng.choice((b"%d" % rng.randrange(99), b"7", b"", b" \t")) for _ in range(5)]
    return b"\n".join(parts[: rng.randrange(1, 6)]) + rng.choice((b"\n", b""))


def fill(store: redis.Redis, seed: int, count: int) -> list[Place]:
    """Append entries of all kinds; return where their records must be found."""
    rng = random.Random(seed)
    wanted: list[Place] = []
    for ordinal in range(count):
        if rng.random() < 0.1:
            entry: Any = store.xadd("events", {"stranger": "x"})
            wanted.append((ordinal << 20, f"events@{entry.decode()}", 1, b'[["stranger","x"]]'))
            continue
        blob = some_blob(rng)
        entry = store.xadd("events", {"events": blob})
        lines = [(n, text) for n, text in enumerate(blob.split(b"\n"), 1) if text.strip()]
        for index, (number, text) in enumerate(lines):
            wanted.append((ordinal << 20 | index, f"events@{entry.decode()}", number, text))
    return wanted


@pytest.mark.parametrize("seed", range(3))
def test_joined_entries_keep_their_places_after_any_resume(
    store: redis.Redis, store_url: str, seed: int
) -> None:
    wanted = fill(store, seed, 300)
    source = ValkeyStreamSource(store_url, drain=True)

    def read(count: Callable[[], int]) -> list[RawChunk]:
        chunks: list[RawChunk] = []
        state = None
        while True:
            part = source.build_part("in", "0", state)
            part._reader._count = count()
            try:
                chunks += part.next_batch()
            except StopIteration:
                return chunks
            state = part.snapshot()
            part.close()

    rng = random.Random(seed)
    whole = read(lambda: 512)
    assert len(whole) < 100
    assert places(whole) == wanted
    assert places(read(lambda: rng.randrange(1, 40))) == wanted
    assert np.all(np.diff([position for position, *_ in wanted]) > 0)


def test_a_stream_trimmed_before_the_first_read(store: redis.Redis, store_url: str) -> None:
    wanted = fill(store, 9, 40)
    store.xtrim("events", maxlen=25, approximate=False)
    part = ValkeyStreamSource(store_url).build_part("in", "0", None)
    rest = [place for place in wanted if place[0] >> 20 >= 15]
    assert places(read_until(part, lambda chunks: len(places(chunks)) >= len(rest))) == rest


def test_large_entries_follow_a_fault_as_they_follow_each_other(
    store: redis.Redis, store_url: str
) -> None:
    half = b"x" * (600 << 10)
    publish(store, "events", half)
    store.xadd("events", {"stranger": "x"})
    for _ in range(2):
        publish(store, "events", half)
    part = ValkeyStreamSource(store_url).build_part("in", "0", None)
    part._reader._count = 10
    chunks = read_until(part, lambda chunks: sum(c.records for c in chunks) == 4)
    assert [(chunk.position >> 20, chunk.records) for chunk in chunks] == [(0, 1), (1, 1), (2, 2)]


def test_an_entry_of_too_many_lines_is_refused_whole(store: redis.Redis, store_url: str) -> None:
    store.xadd("events", {"events": b"1\n" * MAX_LINES})
    store.xadd("events", {"events": b"1\n" * MAX_LINES + b"2"})
    store.xadd("events", {"events": b"3"})
    part = ValkeyStreamSource(store_url).build_part("in", "0", None)
    full, over, last = read_until(part, lambda chunks: len(chunks) == 3)
    assert full.positions(np.array([MAX_LINES - 1])).tolist() == [MAX_LINES - 1]
    assert over.fault == "more than 1,048,576 lines in one entry"
    assert (over.position, over.records, over.size) == (1 << 20, 1, 2 * MAX_LINES + 2)
    assert len(over.payload) == 4096
    assert last.position == 2 << 20


def test_state_of_another_version_or_kind_is_refused(store_url: str) -> None:
    stream = ValkeyStreamSource(store_url)
    old: Any = {"version": 1, "id": "7-0", "entries": 2, "position": 9, "seq": 1, "trimmed": 0}
    with pytest.raises(StateError, match=r"events: a place of version 1 .* another data directory"):
        stream.build_part("in", "0", old)
    with pytest.raises(StateError, match="events: the state is that of another kind of source"):
        stream.build_part("in", "0", {"version": 2, "offset": 3, "seq": 1})  # type: ignore[typeddict-item]
    with mock_broker() as brokers:
        produce(brokers, "t", 0, [b"1"])
        topic = KafkaSource(brokers, "t")
        for state in ({**old, "offset": 3}, old):
            with pytest.raises(StateError, match=r"t\[0\]: (a place of version 1|.* another kind)"):
                topic.build_part("in", "0", state)


def test_entries_are_compared_by_what_they_say() -> None:
    one, two = (Entries(["1-0"], *np.array([[0], [0], [n]])) for n in (7, 8))
    assert one == Entries(["1-0"], *np.array([[0], [0], [7]]))
    assert one != two


def counted(client: redis.Redis) -> int:
    return int(client.xinfo_stream("events")["entries-added"])


@pytest.mark.parametrize("resumed", [False, True], ids=["running", "resumed"])
@pytest.mark.parametrize("came", [0, 1, 40], ids=["none-came", "one-came", "more-came"])
def test_a_server_that_lost_a_tail_counts_on_where_it_was(
    data_dir: Path, came: int, resumed: bool
) -> None:
    url = ensure_server(data_dir)
    tries: list[int] = []

    def lose() -> None:
        """Come back without the last two entries; producers are there before us."""
        ensure_server(data_dir)
        with redis.Redis.from_url(url) as client:
            if not tries:
                kept: Any = client.xrange("events")[:-2]
                client.delete("events")
                for entry, fields in kept:
                    client.xadd("events", fields, id=entry)
                for n in range(came):
                    client.xadd("events", {"events": b"new %d" % n})
        tries.append(1)

    with redis.Redis.from_url(url) as client:
        publish(client, "events", [b"%d" % n for n in range(5)])
    source = ValkeyStreamSource(url, reconnect=lose)
    part = source.build_part("in", "0", None)
    read_until(part, lambda chunks: sum(c.records for c in chunks) == 5)
    state = part.snapshot()
    kill(url)
    if resumed:
        part.close()
        lose()
        part = source.build_part("in", "0", state)
        chunks: list[RawChunk] = []
    else:
        chunks = read_until(part, lambda _: bool(tries) and part._reader._outage is None)
    with redis.Redis.from_url(url) as client:
        assert counted(client) == 5 + came
        publish(client, "events", b"last")
        missing = came + 1 - sum(chunk.records for chunk in chunks)
        chunks += read_until(part, lambda found: sum(c.records for c in found) >= missing)
        found = [(position >> 20, record) for position, _, _, record in places(chunks)]
        assert found == [*((5 + n, b"new %d" % n) for n in range(came)), (5 + came, b"last")]
        assert counted(client) == 6 + came
    part.close()


def test_how_to_go_on_in_another_stream_is_said_whole(store: redis.Redis, store_url: str) -> None:
    publish(store, "events", [b"1", b"2"])
    source = ValkeyStreamSource(store_url)
    part = source.build_part("in", "0", None)
    read_until(part, lambda chunks: sum(c.records for c in chunks) == 2)
    state = part.snapshot()
    part.close()
    store.delete("events")
    store.xadd("events", {"events": "3"}, id="1000-0")
    with pytest.raises(StoreError, match=rf"XSETID events {state['id']} ENTRIESADDED 2"):
        source.build_part("in", "0", state)
    store.execute_command("XSETID", "events", state["id"], "ENTRIESADDED", 2)
    again = source.build_part("in", "0", state)
    publish(store, "events", b"4")
    (chunk,) = read_until(again, lambda chunks: bool(chunks))
    assert places([chunk])[0][::3] == (2 << 20, b"4")


def test_how_to_go_on_in_a_stream_that_is_gone_is_said_whole(
    store: redis.Redis, store_url: str
) -> None:
    publish(store, "events", [b"1"])
    source = ValkeyStreamSource(store_url)
    part = source.build_part("in", "0", None)
    read_until(part, lambda chunks: bool(chunks))
    state = part.snapshot()
    part.close()
    store.delete("events")
    with pytest.raises(StoreError, match="XGROUP CREATE events any 0 MKSTREAM, then") as told:
        source.build_part("in", "0", state)
    for command in str(told.value).partition("go on from here: ")[2].split(", then "):
        store.execute_command(*command.split())
    again = source.build_part("in", "0", state)
    publish(store, "events", b"2")
    (chunk,) = read_until(again, lambda chunks: bool(chunks))
    assert chunk.records == 1
