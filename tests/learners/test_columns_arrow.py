"""Arrow's other types, also inside of pandas: read as what they are, or refused by name."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from nextbest.learners import LearnerError
from nextbest.learners.columns import Columns

NESTED = {
    "list": pa.array([[1], [2], None]),
    "large list": pa.array([[1], [2], None], pa.large_list(pa.int64())),
    "fixed size list": pa.array([[1], [2], None], pa.list_(pa.int64(), 1)),
    "struct": pa.array([{"a": 1}, {"a": 2}, None]),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "interval": pa.array([(1, 2, 3), None, None], pa.month_day_nano_interval()),
    "dictionary of lists": pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None]), pa.array([[1], [2]])
    ),
}
TWO = pa.array(["a", "b", None])
WITH_NULL = pa.DictionaryArray.from_arrays(pa.array([0, 2, 1]), pa.array(["a", None, "b"]))
CODED = {
    "int32": TWO.dictionary_encode(),
    "uint8": pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None], pa.uint8()), pa.array(["a", "b"])
    ),
    "large": TWO.cast(pa.large_string()).dictionary_encode(),
    "null inside": WITH_NULL,
    "view": TWO.cast(pa.string_view()),
}
RIGHT: list[dict[str, Any]] = [{"x": "a"}, {"x": "b"}, {}]


def frame(array: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([array])))})


@pytest.mark.parametrize("name", NESTED)
def test_what_is_neither_numbers_nor_strings_is_named(name: str) -> None:
    array = NESTED[name]
    tables = [pa.table({"x": array}), pa.table({"x": pa.chunked_array([array, array])})]
    for table in tables:
        with pytest.raises(LearnerError, match="'x' is neither numbers nor strings"):
            Columns.from_arrow(table)
    with pytest.raises(LearnerError, match="'x' is neither numbers nor strings"):
        Columns.from_frame(frame(array))


@pytest.mark.parametrize("name", CODED)
def test_nulls_of_coded_strings_are_missing(name: str) -> None:
    array = CODED[name]
    assert Columns.from_frame(frame(array)).to_dicts() == RIGHT
    assert Columns.from_arrow(pa.table({"x": array})).to_dicts() == RIGHT
    twice = pa.table({"x": pa.chunked_array([array, array])})
    assert Columns.from_arrow(twice).to_dicts() == RIGHT * 2


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, 2, None]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 2, 1]), pa.array([1.0, None, 2.0])),
        pa.array([1, 2, None], pa.uint16()),
    ],
    ids=["coded", "null inside", "uint16"],
)
def test_nulls_of_coded_numbers_are_missing(array: Any) -> None:
    right = [{"x": 1.0}, {"x": 2.0}, {}]
    assert Columns.from_frame(frame(array)).to_dicts() == right
    twice = pa.table({"x": pa.chunked_array([array, array])})
    assert Columns.from_arrow(twice).to_dicts() == right * 2


@pytest.mark.parametrize("values", [["a"], ["a", None], [1]], ids=["string", "null", "number"])
def test_an_index_outside_of_its_dictionary_is_refused(values: list[Any]) -> None:
    wild = pa.DictionaryArray.from_arrays(pa.array([7]), pa.array(values), safe=False)
    for column in (wild, pa.chunked_array([wild, wild])):
        with pytest.raises(LearnerError, match="'x' has an index without"):
            Columns.from_arrow(pa.table({"x": column}))


def test_a_frame_of_nothing_but_nulls_is_missing() -> None:
    assert Columns.from_frame(frame(pa.nulls(2))).to_dicts() == [{}, {}]
