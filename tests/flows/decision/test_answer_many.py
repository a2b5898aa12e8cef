"""Answers without records are those of the records, bit for bit."""

import msgspec
import numpy as np
import pytest

from nextbest.features.errors import SettingsError, StateError
from nextbest.features.rows import FeatureRows
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.errors import ModelError, RequestError
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.making import BLOCK
from nextbest.flows.decision.models import Models
from nextbest.flows.decision.persons import unpack_persons
from nextbest.flows.service.decide import explored
from tests.flows.decision.engine_cases import (
    ANN,
    AT,
    CATALOG,
    DAY,
    ENGINE,
    LOADED,
    PUBLISHED,
    TEXT,
    request,
    row,
    taught,
)
from tests.flows.decision.test_decide_many import ANN_CUT, SPENT, asked

OTHER = TEXT.replace(
    "contexts: {page: context.page,", "contexts: {much: context.other * 3, free: visits.views > 2,"
).replace("share: 0.1, salt: s", "share: 0.4, actions: [kettle, sample]")
"""With categories that are numbers and conditions, and a control group with actions of its own."""
GREEDY = TEXT.replace("method: squarecb, gamma: 2, exponent: 0.5, floor: 0.01", "method: greedy")


def told(records):
    """What the answers are to say, from records."""
    return (
        [[(o.action, o.score, o.propensity) for o in record.offers] for record in records],
        [record.control for record in records],
        [explored(record) for record in records],
    )


def answered(engine, given):
    found = engine.answer_many(*given)
    assert sum(found.sizes) == len(found.places) == len(found.scores)
    return found.offers(), found.control, found.explored


@pytest.mark.parametrize("text", [TEXT, OTHER, GREEDY], ids=["usual", "numbers", "greedy"])
def test_they_are_those_of_the_records(text):
    loaded = load(text, CATALOG)
    published = PUBLISHED if text is not OTHER else {}
    engine = Engine(loaded, CATALOG, Models(loaded.strategy, published))
    for n in (0, 1, BLOCK, 200):
        given = asked(np.random.default_rng(n), n)
        records = engine.decide_many(*given)
        expected = told(records)
        assert answered(engine, given) == expected
        if n == 200:  # there was some of everything
            assert set(expected[1]) == {True, False}
            assert set(expected[2]) == ({False} if text is GREEDY else {True, False})
            assert {len(offers) for offers in expected[0]} >= {0, 1, 2, 3}


def test_rows_may_come_as_a_reader_returns_them():
    requests, _, contacts, persons, _, ids = asked(np.random.default_rng(5), 100)
    values = np.random.default_rng(6).integers(0, 2, (100, 3)).astype(float)
    state = np.zeros(values.shape, np.uint8)
    rows = FeatureRows(values, state, np.arange(100), np.arange(100))
    given = requests, rows, contacts, persons, AT, ids
    assert answered(ENGINE, given) == told(ENGINE.decide_many(*given))


def test_other_models_find_other_rows():
    """What is remembered of the categories is forgotten with the models."""
    engine = Engine(LOADED, CATALOG, Models(LOADED.strategy, PUBLISHED))
    given = asked(np.random.default_rng(3), 100)
    first = answered(engine, given)
    engine.models = Models(LOADED.strategy, taught(seed=9)[0])
    second = answered(engine, given)
    assert first != second
    assert second == told(engine.decide_many(*given))


def test_more_numbers_than_are_remembered_are_no_matter():
    text = TEXT.replace("kind: visits.kind}", "kind: visits.kind, spend: visits.spend}")
    loaded = load(text, CATALOG)
    engine = Engine(loaded, CATALOG)
    n = 3000
    rows = [row(spend=0.25 * i) for i in range(n)]
    each = [b""] * n
    given = (
        [request(f"c{i}", page="a") for i in range(n)],
        rows,
        each,
        each,
        AT,
        [f"{i}" for i in range(n)],
    )
    assert answered(engine, given) == told(engine.decide_many(*given))
    assert engine.decide_many(*given)[7].inputs["spend"] == "1.75"


def test_weights_that_were_written_otherwise_are_read_all_the_same():
    blocks = unpack_persons(ANN)
    other = b"\xdf" + len(blocks).to_bytes(4, "big")
    for name, block in reversed(blocks.items()):
        other += b"\xda" + len(name).to_bytes(2, "big") + name.encode()
        other += b"\xc6" + len(block).to_bytes(4, "big") + block
    more = msgspec.msgpack.encode({"früher": b"gone", **blocks})
    assert unpack_persons(other) == blocks
    n = 9
    persons = [ANN, other, more] * 3
    given = [request(f"c{i}") for i in range(n)], [row()] * n, [b""] * n, persons, AT, ["d"] * n
    whole = *given[:3], [ANN] * n, *given[4:]
    assert answered(ENGINE, given) == answered(ENGINE, whole) == told(ENGINE.decide_many(*given))


@pytest.mark.parametrize(
    ("place", "what", "wrong", "error"),
    [
        (0, "requests", request(channel="fax"), RequestError),
        (3, "persons", ANN_CUT, ModelError),
        (66, "contacts", SPENT[:-1] + b"\7", StateError),
        (67, "contacts", bytes(32), StateError),
        (1, "rows", row()._replace(values=np.zeros(7)), SettingsError),
    ],
    ids=["channel", "persons", "contacts", "no-contacts", "row"],
)
def test_what_cannot_be_decided_is_refused_as_by_itself(place, what, wrong, error):
    names = ["requests", "rows", "contacts", "persons", "at", "ids"]
    each = [request(), row(), b"", ANN, AT, "d-1"]
    given = {name: [one] * 80 for name, one in zip(names, each, strict=True)}
    given[what][place] = wrong
    with pytest.raises(error) as alone:
        ENGINE.decide(*[given[name][place] for name in names])
    with pytest.raises(error) as found:
        ENGINE.answer_many(*given.values())
    assert str(found.value) == str(alone.value)
    assert found.value.__notes__ == [f"decision {place} of the batch"]


def test_weights_that_are_not_needed_are_not_looked_at():
    given = [[request(channel="mail")], [row(views=0.0)], [SPENT], [ANN_CUT], AT + DAY // 2, ["d"]]
    assert answered(ENGINE, given) == ([[]], [False], [False])
