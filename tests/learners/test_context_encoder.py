"""Contexts as arrays: columns of any kind are read alike, and room is dealt out as it came."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.learners import LearnerError
from nextbest.learners.context_encoder import ContextEncoder

AGES, HOURS = [1.0, 2.5, -3.0], ["a", "b", "a"]
TABLES = {
    "lists": {"age": AGES, "hour": HOURS},
    "arrays": {"age": np.array(AGES), "hour": np.array(HOURS)},
    "a-frame": pd.DataFrame({"age": AGES, "hour": HOURS}),
    "arrow": pa.table({"age": AGES, "hour": HOURS}),
    "dictionaries": pa.table({"age": AGES, "hour": pa.array(HOURS).dictionary_encode()}),
}


@pytest.mark.parametrize("kind", TABLES)
def test_columns_of_any_kind_are_read_alike(kind):
    encoder = ContextEncoder(["age"], ["hour"], 10)
    rows, x = encoder.learn_columns(TABLES[kind], 3, most_rows=100)
    assert rows.tolist() == [[0], [1], [0]]
    assert x.tolist() == [[1.0, age] for age in AGES]


category = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d", "(other)", "(missing)"]))


@given(
    contexts=st.lists(st.fixed_dictionaries({"p": category, "q": category}), max_size=20),
    max_categories=st.integers(1, 4),
    most_rows=st.integers(2, 8),
)
def test_columns_equal_one_by_one_and_rows_stay_bounded(contexts, max_categories, most_rows):
    one, many = (ContextEncoder([], ["p", "q"], max_categories) for _ in range(2))
    alone = [one.learn(context, most_rows)[0].tolist() for context in contexts]
    columns = {name: [context[name] for context in contexts] for name in "pq"}
    rows, _ = many.learn_columns(columns, len(contexts), most_rows)
    assert rows.tolist() == alone
    assert many.names == one.names
    assert len(one.names) <= one.reserved <= most_rows
    assert len(one.names) <= 2 * (max_categories + 1)
    again = ContextEncoder([], ["p", "q"], max_categories)
    again.restore(one.names, sorted(one.closed))
    for context in contexts:
        learned = one.learn(context, most_rows)[0].tolist()
        assert one.encode(context).rows.tolist() == learned
        assert one.rows_and_numbers(context, 99)[0].tolist() == learned
        assert again.encode(context).rows.tolist() == learned
        assert one.copy().encode(context).rows.tolist() == learned


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e101, 10**400, "7", [1.0], object()])
def test_a_column_with_a_bad_number_is_refused(bad):
    encoder = ContextEncoder(["age"], ["hour"], 10)
    with pytest.raises(LearnerError, match="'age' must be a finite number"):
        encoder.learn_columns({"age": [1.0, None, bad], "hour": HOURS}, 3, most_rows=100)
    assert encoder.names == []


@pytest.mark.parametrize("bad", [7, 1.5, ["a"], b"a"])
def test_a_column_with_a_bad_category_is_refused(bad):
    encoder = ContextEncoder(["age"], ["hour"], 10)
    with pytest.raises(LearnerError, match="'hour' must be a string or None"):
        encoder.learn_columns({"hour": ["a", "b", bad]}, 3, most_rows=100)
    assert encoder.names == []
