"""Records equal those of a naive twin, however Arrow lays the columns out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features.batch import FIXED_WORDS, MISSING, UNKNOWN
from nextbest.features.encoder import RecordEncoder
from nextbest.features.errors import SourceError
from tests.naive.hashing import hash_string

CATEGORICAL = [("type", ("view", "cart")), ("channel", ("web", "app")), ("word", ("b", "", "é"))]
NUMERIC = ["value", "count"]
TIME = pa.timestamp("us", "UTC")
WORDS = pa.dictionary(pa.int32(), pa.string())

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
number = st.none() | st.floats(allow_nan=False, allow_infinity=False)
events = st.fixed_dictionaries(
    {
        "event_id": ids,
        "event_timestamp": st.integers(1, 4_102_444_800_000_000),
        "customer_id": ids,
        "type": st.sampled_from(["view", "cart", "search"]),
        "channel": st.sampled_from([None, "", "web", "app", "post"]),
        "word": st.sampled_from([None, "", "a", "b", "é"]),
        "value": number,
        "count": number,
    }
)
text_types = st.sampled_from([pa.string(), pa.large_string()])
word_types = st.sampled_from([WORDS, pa.string(), pa.dictionary(pa.int8(), pa.large_string())])


def make_table(rows: list[dict[str, Any]], text: Any = None, words: Any = None) -> pa.Table:
    kinds = {
        "event_id": text or pa.string(),
        "event_timestamp": TIME,
        "customer_id": text or pa.string(),
        "type": words or WORDS,
        "channel": words or WORDS,
        "word": words or WORDS,
        "value": pa.float64(),
        "count": pa.float64(),
    }
    return pa.table({n: pa.array([row[n] for row in rows], kind) for n, kind in kinds.items()})


def naive_record(row: dict[str, Any], position: int) -> list[Any]:
    record: list[Any] = [row["event_timestamp"], hash_string(row["event_id"])[0]]
    record += [*hash_string(row["customer_id"]), position, row["customer_id"]]
    for name, words in CATEGORICAL:
        word = row[name]
        if word is None or (name == "channel" and word == ""):
            record.append(MISSING)
        else:
            record.append(words.index(word) if word in words else UNKNOWN)
    return record + [math.nan if row[name] is None else row[name] for name in NUMERIC]


def read_records(batch: Any) -> list[list[Any]]:
    out = []
    for record in batch.records:
        start, length = divmod(int(record[5]), 1 << 16)
        signed = record.view(np.int64)
        customer = bytes(batch.ids[start : start + length]).decode()
        row = [int(record[0]), *map(int, record[1:4]), int(signed[4]), customer]
        row += [int(code) for code in signed[FIXED_WORDS : FIXED_WORDS + len(CATEGORICAL)]]
        out.append(row + record.view(np.float64)[FIXED_WORDS + len(CATEGORICAL) :].tolist())
    return out


def encode(table: pa.Table, first: int = 0) -> Any:
    positions = np.arange(first, first + table.num_rows)
    return RecordEncoder(CATEGORICAL, NUMERIC).encode(table, positions)


@settings(deadline=None)  # the first call compiles
@given(st.lists(events, max_size=20), text_types, word_types, st.data())
def test_as_the_naive_twin(rows: Any, text: Any, words: Any, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    table = pa.concat_tables(
        [make_table(rows[:cut], text, words), make_table(rows[cut:], text, words)]
    )
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    batch = encode(table.slice(start, stop - start), first=start)
    assert batch.records.shape == (stop - start, 11)
    assert batch.records.flags.c_contiguous
    want = [naive_record(row, start + i) for i, row in enumerate(rows[start:stop])]
    np.testing.assert_equal(read_records(batch), want)


def test_absent_columns_are_missing() -> None:
    row = {"event_id": "e", "event_timestamp": 1, "customer_id": "c", "type": "cart"}
    row |= dict.fromkeys(("channel", "word", "value", "count"))
    full = make_table([row])
    bare = full.select(["event_id", "event_timestamp", "customer_id", "type"])
    assert (encode(bare).records[:, :9] == encode(full).records[:, :9]).all()
    assert np.isnan(encode(bare).records[:, 9:].view(np.float64)).all()


def test_a_hash_is_never_zero() -> None:
    """The hash of no bytes is 0, which marks an empty place in tables of hashes."""
    table = pa.table({"event_id": [""], "event_timestamp": [1], "customer_id": [""]})
    batch = RecordEncoder([], []).encode(table, np.zeros(1, np.int64))
    assert batch.records.tolist() == [[1, 1, 1, 0, 0, 0]]


def test_nulls_in_a_slice() -> None:
    rows = [{"event_id": "e", "event_timestamp": 1, "customer_id": "c", "type": "cart"}] * 20
    full = [row | dict.fromkeys(("channel", "word", "value", "count")) for row in rows]
    for i in range(0, 20, 3):
        full[i] = full[i] | {"channel": "web", "value": 1.0}
    for start in range(20):
        records = encode(make_table(full).slice(start)).records
        codes = records[:, FIXED_WORDS + 1].view(np.int64)
        assert codes.tolist() == [0 if i % 3 == 0 else MISSING for i in range(start, 20)]


def test_no_events_are_no_records() -> None:
    table = make_table([])
    encoder = RecordEncoder(CATEGORICAL, NUMERIC)
    assert encoder.words == 11
    assert len(encoder.encode(table, np.arange(0))) == 0


def test_ids_are_a_view_of_the_slice_only() -> None:
    column = pa.array(["first", "second", "third"])
    table = pa.table({"event_id": column, "event_timestamp": [1, 2, 3], "customer_id": column})
    batch = RecordEncoder([], []).encode(table.slice(1, 1), np.arange(1))
    assert bytes(batch.ids) == b"second"
    assert not batch.ids.flags.owndata
    assert batch.records[0, 5] == len("second")


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("customer_id", None, "column 'customer_id' is missing"),
        ("event_id", pa.array(["e", None]), "column 'event_id' has 1 nulls"),
        ("event_timestamp", pa.array([None, 1]), "column 'event_timestamp' has 1 nulls"),
        (
            "event_timestamp",
            pa.array([1, 2], pa.timestamp("ms")),
            "column 'event_timestamp' is timestamp[ms], not timestamp[us]",
        ),
        (
            "customer_id",
            pa.array([["c"], ["d"]]),
            "column 'customer_id' is list<item: string>, not string",
        ),
        (
            "customer_id",
            pa.array(["c", "c" * 65_536]),
            "column 'customer_id' has an id of 65536 bytes",
        ),
    ],
)
def test_tables_that_cannot_be_encoded(name: str, column: Any, message: str) -> None:
    columns = {"event_id": ["a", "b"], "event_timestamp": [1, 2], "customer_id": ["c", "d"]}
    columns[name] = column
    table = pa.table({key: values for key, values in columns.items() if values is not None})
    with pytest.raises(SourceError) as caught:
        RecordEncoder([], []).encode(table, np.arange(2))
    assert str(caught.value).replace("element", "item") == message
