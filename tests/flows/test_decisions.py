"""Decision points, and their scripts however Arrow stores the words they are made of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nextbest.features import DeclarationError
from nextbest.flows.decisions import write_script
from tests.flows.test_decode import arrow, decision_point, make_log, point


def test_a_script_does_not_depend_on_how_words_are_stored() -> None:
    table = arrow(make_log(8, 90))
    words = table["type"].to_pylist()
    plain = table.set_column(3, "type", pa.array(words))
    # Two dictionaries with the same words in another order, and one null.
    pieces = [pa.array(part).dictionary_encode() for part in (words[:40], [*words[40:89], None])]
    coded = table.set_column(3, "type", pa.chunked_array(pieces))
    assert pieces[0].dictionary.to_pylist() != pieces[1].dictionary.to_pylist()
    positions = np.arange(90)
    first, second = (write_script(point, 0, 1, t, positions) for t in (plain, coded))
    assert second.positions.tolist() == [p for p in first.positions.tolist() if p != 89]
    assert second.kinds.tolist() == first.kinds.tolist()[: len(second.kinds)]
    assert second.arms.tolist() == first.arms.tolist()[: len(second.arms)]
    assert point.triggers(coded).tolist() == [w == "visit" for w in [*words[:89], None]]


def test_a_decision_point_must_make_sense() -> None:
    with pytest.raises(DeclarationError, match="three event types"):
        decision_point(close_type="visit")
    with pytest.raises(DeclarationError, match="next: window: 'soon' is not a duration"):
        decision_point(window="soon")
