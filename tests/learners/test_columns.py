"""Columns: the same rows from dictionaries, data frames and Arrow; what cannot be is named."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.learners import Columns, LearnerError

ROWS = [
    {"visits": 1.0, "channel": "web"},
    {"visits": 2.5},
    {"channel": "app"},
    {"visits": -3.0, "channel": "web"},
]
CELLS = st.one_of(
    st.floats(-1e9, 1e9), st.integers(-5, 5), st.sampled_from("abc"), st.none(), st.just(np.nan)
)


def complete(rows):
    return [{name: row.get(name) for name in ("visits", "channel")} for row in rows]


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_a_frame_gives_its_rows_back(dtype):
    frame = pd.DataFrame(complete(ROWS)).astype({"channel": dtype})
    assert Columns.from_frame(frame).to_dicts() == ROWS


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_an_arrow_table_gives_its_rows_back(type_):
    schema = pa.schema({"visits": pa.float64(), "channel": type_})
    table = pa.Table.from_pylist(complete(ROWS), schema)
    assert Columns.from_arrow(table).to_dicts() == ROWS
    assert Columns.from_arrow(table.to_batches()[0]).to_dicts() == ROWS


def test_chunks_with_dictionaries_of_their_own_are_one_column():
    chunks = [pa.array(part).dictionary_encode() for part in (["a", "b"], ["b", None, "c"])]
    batch = Columns.from_arrow(pa.table({"k": pa.chunked_array(chunks)}))
    assert batch.to_dicts() == [{"k": "a"}, {"k": "b"}, {"k": "b"}, {}, {"k": "c"}]


def test_a_null_in_an_arrow_dictionary_is_missing():
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2]), pa.array(["a", None, "b"]))
    assert Columns.from_arrow(pa.table({"k": coded})).codes.ravel().tolist() == [0, -1, -1, 2]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.uint32(), pa.int64()], ids=str)
def test_indices_of_any_width_are_taken(kind):
    coded = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], kind), pa.array(["a", "b"]))
    assert Columns.from_arrow(pa.table({"k": coded})).codes.ravel().tolist() == [1, -1, 0]


def test_a_dictionary_of_numbers_is_numeric():
    coded = pa.array([2, 3, 2]).dictionary_encode()
    assert Columns.from_arrow(pa.table({"k": coded})).numeric.ravel().tolist() == [2.0, 3.0, 2.0]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None], pa.int64()), [1.0, None]),
        (pa.array([True, None]), [1.0, None]),
        (pa.array([0.5, None], pa.float32()), [0.5, None]),
        (pa.array([2**60 + 1, 0], pa.uint64()), [2.0**60, 0.0]),
        (pa.nulls(2), [None, None]),
    ],
    ids=["int64", "bool", "float32", "uint64", "null"],
)
def test_arrow_numbers_become_float64(array, expected):
    batch = Columns.from_arrow(pa.table({"a": array}))
    assert [row.get("a") for row in batch.to_dicts()] == expected


def test_nullable_frames_are_taken():
    frame = pd.DataFrame(
        {"a": pd.array([1, None], "Int64"), "b": pd.array([None, True], "boolean")}
    )
    assert Columns.from_frame(frame).to_dicts() == [{"a": 1.0}, {"b": 1.0}]


@given(rows=st.lists(st.dictionaries(st.sampled_from("pqr"), CELLS), max_size=12))
@settings(max_examples=80, deadline=None)
def test_dictionaries_survive_the_way_there_and_back(rows):
    def present(row):
        return {k: v for k, v in row.items() if v is not None and v == v}

    assert Columns.from_dicts(rows).to_dicts() == [present(row) for row in rows]
    frame = pd.DataFrame([{k: row.get(k) for k in "pqr"} for row in rows], columns=list("pqr"))
    assert Columns.from_frame(frame.astype(object)).to_dicts() == [present(row) for row in rows]


def test_slices_are_views_of_the_rows():
    batch = Columns.from_dicts(ROWS)
    assert batch[1:3].to_dicts() == ROWS[1:3]
    assert batch[1:3].numeric.base is not None
    assert batch[::2].to_dicts() == ROWS[::2]
    assert [row for part in batch.batches(3) for row in part.to_dicts()] == ROWS
    with pytest.raises(LearnerError, match="batch"):
        batch.batches(0)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e101])
def test_a_number_that_is_not_finite_is_named(value):
    message = "'visits' is not a finite number in row 1"
    rows = [{"visits": 1.0}, {"visits": value}]
    for make, data in (
        (Columns.from_dicts, rows),
        (Columns.from_frame, pd.DataFrame(rows)),
        (Columns.from_arrow, pa.Table.from_pylist(rows)),
    ):
        with pytest.raises(LearnerError, match=message):
            make(data)
    with pytest.raises(LearnerError, match=message):
        Columns([[1.0], [value]], ["visits"], np.empty((2, 0), int), [], [])


@pytest.mark.parametrize("value", [b"1", [1.0], {"a": 1}, object(), 1j, datetime.date(2020, 1, 1)])
def test_a_value_of_an_unknown_type_is_named(value):
    with pytest.raises(LearnerError, match="'visits' is neither"):
        Columns.from_dicts([{"visits": 1.0}, {"visits": value}])
    with pytest.raises(LearnerError, match="'visits' is neither"):
        Columns.from_frame(pd.DataFrame({"visits": pd.Series([value], dtype=object)}))


@pytest.mark.parametrize(
    "array",
    [
        pa.array([datetime.datetime(2020, 1, 1)]),
        pa.array([b"x"]),
        pa.array([[1.0]]),
        pa.array([decimal.Decimal("1.5")]),
    ],
    ids=["timestamp", "binary", "list", "decimal"],
)
def test_an_arrow_column_of_an_unknown_type_is_named(array):
    with pytest.raises(LearnerError, match="'when' is neither"):
        Columns.from_arrow(pa.table({"when": array}))


def test_a_frame_of_times_is_refused():
    with pytest.raises(LearnerError, match="'when' is neither"):
        Columns.from_frame(pd.DataFrame({"when": pd.to_datetime(["2020-01-01"])}))


@pytest.mark.parametrize("make", [Columns.from_frame, Columns.from_arrow])
def test_what_is_no_table_is_refused(make):
    with pytest.raises(LearnerError, match="list"):
        make([1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], ["a", "b"], [[0]], ["k"], [("x",)]), "do not fit 2 names"),
        (([[1.0, 2.0]], ["a", "a"], [[0]], ["k"], [("x",)]), "occurs twice"),
        (([[1.0], [2.0]], ["a"], [[0]], ["k"], [("x",)]), "2 rows of numbers but 1"),
        (([[1.0]], ["a"], [[0]], ["k"], []), "categories of 0 features"),
        (([[1.0]], ["a"], [[1]], ["k"], [("x",)]), "code 1 of feature 'k'"),
        (([[1.0]], ["a"], [[-2]], ["k"], [("x",)]), "code -2 of feature 'k'"),
        (([[1.0]], ["a"], [[2**40]], ["k"], [("x",)]), "code 1099511627776"),
        (([[1.0]], ["a"], [[0.5]], ["k"], [("x",)]), "integers"),
    ],
    ids=["names", "twice", "rows", "categories", "high", "low", "wide", "float"],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(LearnerError, match=message):
        Columns(*arguments)


def test_an_arrow_index_outside_of_its_dictionary_is_refused():
    wild = pa.DictionaryArray.from_arrays(pa.array([7]), pa.array(["x"]), safe=False)
    with pytest.raises(LearnerError, match="'k' has an index without"):
        Columns.from_arrow(pa.table({"k": wild}))


def test_a_frame_with_one_name_twice_is_refused():
    with pytest.raises(LearnerError, match="occurs twice"):
        Columns.from_frame(pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]))


def test_rows_that_share_no_names_are_bounded():
    with pytest.raises(LearnerError, match="fewer rows"):
        Columns.from_dicts([{i: 1.0} for i in range(20_000)])
