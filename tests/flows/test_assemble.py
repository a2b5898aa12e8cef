"""Chunks become whole again, whatever order their parts come in."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from nextbest.features import StateError
from nextbest.features.decoded import Decoded
from nextbest.flows.assemble import Assembler, ChunkTable, Verdict, archive_table


def events(names: list[str]) -> Decoded:
    return Decoded(pa.table({"event_id": names}), np.arange(len(names)), [], len(names))


def make_items(
    rng: random.Random, chunks: int
) -> tuple[list[ChunkTable], list[Verdict], list[dict[str, object]]]:
    """Chunks, verdicts about them, and what should become of it."""
    tables, verdicts, expected = [], [], []
    position = 0
    for seq in range(5, 5 + chunks):
        rows = rng.randrange(1, 12)
        shards = [rng.randrange(3) for _ in range(rows)]
        fate = [rng.choice(("on time", "on time", "late", "duplicate")) for _ in range(rows)]
        position += rng.randrange(3)
        positions = np.arange(position, position + rows)
        names = [f"{seq}-{row}" for row in range(rows)]
        tables.append(ChunkTable(1, seq, len(set(shards)), events(names), positions))
        for shard in set(shards):
            own = [row for row in range(rows) if shards[row] == shard]
            dropped = np.array([row for row in own if fate[row] == "duplicate"], np.int64)
            late = np.array([row for row in own if fate[row] == "late"], np.int64)
            verdicts.append(Verdict(1, seq, dropped, late))
        expected += [
            {"event_id": names[row], "position": position + row, "late": fate[row] == "late"}
            for row in range(rows)
            if fate[row] != "duplicate"
        ]
        position += rows
    return tables, verdicts, expected


@pytest.mark.parametrize("seed", range(30))
def test_every_order_of_the_parts_gives_the_log(seed: int) -> None:
    rng = random.Random(seed)
    tables, verdicts, expected = make_items(rng, 9)
    items: list[ChunkTable | Verdict] = list(tables)  # these come in log order
    for verdict in verdicts:
        items.insert(rng.randrange(len(items) + 1), verdict)
    assembler = Assembler()
    found = []
    while items:
        taken = [items.pop(0) for _ in range(min(len(items), rng.randrange(1, 4)))]
        whole = list(assembler.on_items(taken))
        if whole:
            found += archive_table(whole).to_pylist()
    assert found == expected
    assembler.check_empty()


def test_an_incomplete_chunk_is_an_error_at_the_end_of_an_epoch() -> None:
    tables, verdicts, _ = make_items(random.Random(1), 1)
    assembler = Assembler()
    assert list(assembler.on_items(tables)) == []
    with pytest.raises(StateError, match="chunk 5 of the log is incomplete"):
        assembler.check_empty()
    assert len(list(assembler.on_items(verdicts))) == 1
    assembler.check_empty()
    assert list(assembler.on_items([verdicts[0]])) == []
    with pytest.raises(StateError, match="chunk 5"):
        assembler.check_empty()
