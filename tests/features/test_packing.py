"""Rows as bytes: the format, the protocol around it, and bytes that are neither."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
import redis
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nextbest.features.kernels import pack
from nextbest.features.kernels.records_log import MAX_ID_BYTES, pack_records, unpack_records

# The first call of a kernel compiles it.
settings = hypothesis_settings(deadline=None, max_examples=60)
words64 = st.integers(0, 2**64 - 1)
CANARY = 0xC0FFEE0DDBA11C0D


@numba.njit
def call_pack(memory, start, words, schema, out, at):  # type: ignore[no-untyped-def]
    return pack.pack_row(memory, start, words, schema, out, at)


@numba.njit
def call_unpack(packed, at, end, schema, memory, start, words):  # type: ignore[no-untyped-def]
    return pack.unpack_row(packed, at, end, schema, memory, start, words)


@numba.njit
def call_mset(memory, words, header, schema, slots, names, arena, prefix, scratch, out):  # type: ignore[no-untyped-def]
    return pack.encode_mset(
        memory, words, header, schema, slots, names, arena, prefix, scratch, out
    )


def naive_packed(row: Sequence[int], schema: int) -> list[int]:
    """The format as the module's text says it."""
    head = pack.MAGIC << 48 | len(row) << 32 | schema
    bitmap = [
        sum(1 << j for j, word in enumerate(row[low : low + 64]) if word)
        for low in range(0, len(row), 64)
    ]
    body = [*bitmap, *(word for word in row if word)]
    mask, h = 2**64 - 1, 0x9E3779B97F4A7C15
    for word in (head, *body):
        h = (h ^ word) * 0x9E3779B97F4A7C15 & mask
        h ^= h >> 29
    return [head, h, *body]


sparse_rows = st.lists(st.one_of(st.just(0), st.just(0), words64), max_size=200)


@settings
@given(sparse_rows, st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(0, 250))
def test_a_row_packs_by_the_format_and_comes_back(
    row: list[int], schema: int, at: int, wanted: int
) -> None:
    memory = np.array([CANARY, *row, CANARY], np.uint64)
    expected = naive_packed(row, schema)
    # A row without words is packed, too; one word more is scratch of the packing.
    out = np.full(at + len(row) + 2 + (len(row) + 63) // 64 + 2, CANARY, np.uint64)
    end = call_pack(memory, 1, len(row), schema, out, at)
    assert out[at:end].tolist() == expected
    assert out[:at].tolist() == [CANARY] * at
    assert out[-1] == CANARY
    back = np.full(wanted + 2, CANARY, np.uint64)
    assert call_unpack(out, at, end, schema, back, 1, wanted) == pack.OK
    prefix = row[:wanted] + [0] * (wanted - len(row))
    assert back.tolist() == [CANARY, *prefix, CANARY]


@settings
@given(sparse_rows, st.data())
def test_no_bytes_make_unpacking_write_outside(row: list[int], data: st.DataObject) -> None:
    good = naive_packed(row, 7)
    kind = data.draw(st.sampled_from(["flip", "cut", "noise", "words", "long"]))
    packed = list(good)
    if kind == "flip":
        at = data.draw(st.integers(0, len(good) - 1))
        packed[at] ^= 1 << data.draw(st.integers(0, 63))
    elif kind == "cut":
        packed = good[: data.draw(st.integers(0, len(good) - 1))]
    elif kind == "words":
        packed[0] = pack.MAGIC << 48 | data.draw(st.integers(0, 65535)) << 32 | 7
        packed[2:] = data.draw(st.lists(words64, max_size=300))
    elif kind == "long":
        packed += [0]
    else:
        packed = data.draw(st.lists(words64, max_size=40))
    width = data.draw(st.integers(0, 100))
    guarded = np.full(width + 600, CANARY, np.uint64)
    given_words = np.array([*packed, *[CANARY] * 4], np.uint64)
    status = call_unpack(given_words, 0, len(packed), 7, guarded, 300, width)
    assert (guarded[:300] == CANARY).all()
    assert (guarded[300 + width :] == CANARY).all()
    if packed != good:
        assert status != pack.OK
        assert not guarded[300 : 300 + width].any()


def test_what_is_wrong_with_a_row_is_told_apart() -> None:
    good = naive_packed([1, 0, 3], 7)

    def status(packed: list[int], schema: int = 7) -> int:
        memory = np.zeros(3, np.uint64)
        words = np.array(packed, np.uint64)
        return int(call_unpack(words, 0, len(packed), schema, memory, 0, 3))

    assert status(good) == pack.OK
    assert status(good, 8) == pack.OTHER_SCHEMA
    assert status([good[0], good[1] ^ 1, *good[2:]]) == pack.BAD_CHECKSUM
    assert status(good[:-1]) == pack.BAD_LENGTH
    assert status([good[0] ^ 1 << 50, *good[1:]]) == pack.BAD_MAGIC
    assert status([]) == status([good[0]]) == pack.BAD_MAGIC
    assert status([good[0], good[1], good[2] | 8, *good[3:], 5]) == pack.BAD_LENGTH


class Rows:
    """Rows of a shard with their customers' ids, from plain lists."""

    def __init__(self, rows: Sequence[Sequence[int]], ids: Sequence[str]) -> None:
        raw = [name.encode() for name in ids]
        self.words = len(rows[0])
        self.memory = np.array([[0] * self.words, *rows], np.uint64).reshape(-1)
        starts = np.cumsum([0, *map(len, raw)])
        self.names = np.array([(0, 0), *zip(starts, map(len, raw), strict=False)], np.int64)
        self.arena = np.frombuffer(b"".join(raw) + b"!", np.uint8)
        self.slots = np.arange(1, len(rows) + 1)

    def encode(self, header: int, prefix: bytes) -> bytes:
        scratch = np.zeros(2 * self.words + 8, np.uint64)
        out = np.full(len(self.slots) * (16 * self.words + 700) + 100, 0xAB, np.uint8)
        end = call_mset(
            self.memory, self.words, header, 7, self.slots, self.names, self.arena,
            np.frombuffer(prefix, np.uint8), scratch, out,
        )  # fmt: skip
        assert (out[end:] == 0xAB).all()
        return out[:end].tobytes()

    def expected(self, header: int, prefix: bytes) -> dict[bytes, bytes]:
        text = self.arena.tobytes()
        rows = self.memory.reshape(-1, self.words)[1:, header:].tolist()
        return {
            prefix + text[start : start + length]: struct.pack(f"<{len(p)}Q", *p)
            for (start, length), row in zip(self.names[1:].tolist(), rows, strict=True)
            for p in [naive_packed(row, 7)]
        }


ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@settings
@given(st.lists(st.tuples(sparse_rows, ids), min_size=1, max_size=12), st.integers(0, 3))
def test_encoded_commands_are_what_a_parser_of_the_protocol_reads(
    given_rows: list[tuple[list[int], str]], header: int
) -> None:
    hiredis = pytest.importorskip("hiredis")
    wide = [(row + [0] * 203)[:203] for row, _ in given_rows]
    rows = Rows(wide, [f"{i} {name}" for i, (_, name) in enumerate(given_rows)])
    reader = hiredis.Reader()
    reader.feed(rows.encode(header, "präfix:".encode()))
    command, *pairs = reader.gets()
    assert command == b"MSET"
    assert dict(zip(pairs[::2], pairs[1::2], strict=True)) == rows.expected(
        header, "präfix:".encode()
    )
    assert reader.gets() is False


@pytest.mark.parametrize("count", [1, 4, 5, 49, 50, 512])
def test_encoded_commands_are_what_the_server_reads(store: redis.Redis, count: int) -> None:
    rng = np.random.default_rng(count)
    wide = rng.integers(0, 2**63, (count, 130)) * (rng.random((count, 130)) < 0.4)
    rows = Rows(
        wide.tolist(), [f"{'ü' * int(n)}{i}" for i, n in enumerate(rng.integers(0, 90, count))]
    )
    connection: Any = store.connection_pool.get_connection()
    connection.send_packed_command([rows.encode(9, b"p:")])
    assert connection.read_response() == b"OK"
    store.connection_pool.release(connection)
    expected = rows.expected(9, b"p:")
    assert store.dbsize() == count == len(expected)
    assert store.mget(list(expected)) == list(expected.values())


@settings
@given(st.lists(st.binary(max_size=3), max_size=6), st.data())
def test_no_bytes_make_a_state_record_write_outside(
    noise: list[bytes], data: st.DataObject
) -> None:
    """Records lie in a file that a disk may damage; a checksum of the log comes before this."""
    rows = Rows([[1, 0, 3], [4, 5, 0], [0, 0, 9]], ["ann", "Ünï", "c" * MAX_ID_BYTES])
    out = np.zeros(200, np.uint64)
    end: Any = pack_records(rows.memory, 3, 7, rows.slots, rows.names, rows.arena, out)
    packed = out[:end].copy()
    for raw in noise:
        at = data.draw(st.integers(0, end - 1))
        packed[at] ^= np.uint64(int.from_bytes(raw, "little") << data.draw(st.integers(0, 40)))
    rows_kept = 6
    memory = np.full(3 * (rows_kept + 2), CANARY, np.uint64)
    memory[: 3 * rows_kept] = 0
    table: npt.NDArray[np.uint64] = np.zeros((64, 4), np.uint64)
    names = np.zeros((rows_kept, 2), np.int64)
    arena = np.full(4096, 0xAB, np.uint8)
    sizes = np.array([1, 0, 1 << 40])
    dirty = (np.zeros(rows_kept, np.uint8), np.zeros(rows_kept, np.int64), np.zeros(2, np.int64))
    stamps = np.zeros(rows_kept, np.uint32)
    stop, status = unpack_records(
        packed, 0, 5, 7, 3, memory, table, names, arena, sizes, dirty, stamps, 9
    )
    assert (stamps[1 : sizes[0]] == 9).all()
    assert (memory[3 * rows_kept :] == CANARY).all()
    assert (arena[sizes[1] :] == 0xAB).all()
    assert 0 <= stop <= end
    if not any(map(any, noise)):
        assert (stop, status) == (end, pack.OK)
        assert memory[: 3 * 4].tolist() == rows.memory.tolist()
