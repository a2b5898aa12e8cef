"""What is written from arrays is what the records of the same decisions are, byte for byte."""

import numpy as np
import pytest

from nextbest.features.rows import FeatureRows
from nextbest.flows.decision.drafts import draft_many
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.making import BLOCK
from nextbest.flows.decision.models import Models
from nextbest.flows.decision.offered import left_by_many
from nextbest.flows.decision.record import events_of
from tests.flows.decision.engine_cases import ANN, AT, CATALOG, ENGINE, PUBLISHED, TEXT, request
from tests.flows.decision.test_answer_many import GREEDY, OTHER
from tests.flows.decision.test_decide_many import ANN_CUT, SPENT, asked

PLAIN = """
name: plain
objectives: {sale: {response: buy}}
channels: {web: {}}
actions: {a: {channels: [web]}, b: {channels: [web]}}
model: {contexts: {}, segments: {}}
"""
"""Without inputs, caps and conditions."""


def served(rng, n):
    """Rows as a reader returns them."""
    values = rng.integers(0, 3, (n, 3)).astype(float)
    values[:, 0] = rng.integers(0, 2, n)
    values[rng.random(values.shape) < 0.2] = np.nan
    state = np.isnan(values).astype(np.uint8)
    return FeatureRows(values, state, rng.integers(-1, 10**6, n), rng.integers(-1, 10**12, n))


@pytest.mark.parametrize(
    "text", [TEXT, OTHER, GREEDY, PLAIN], ids=["usual", "numbers", "greedy", "plain"]
)
def test_events_answers_and_contacts_are_those_of_the_records(text):
    loaded = load(text, CATALOG)
    published = PUBLISHED if text in (TEXT, GREEDY) else {}
    engine = Engine(loaded, CATALOG, Models(loaded.strategy, published))
    shown = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        n = (1, 7, BLOCK)[min(seed, 2)]
        requests, _, contacts, persons, _, ids = asked(rng, n)
        if text is PLAIN:
            requests = [request(f'c{i}"', "web", 1 + i % 3) for i in range(n)]
            contacts, persons = [b""] * n, [b""] * n
        elif seed == 5:  # all in one context, as of one request
            requests = [request(one.customer, "web", **requests[0].context) for one in requests]
        given = requests, served(rng, n), contacts, persons
        found = draft_many(engine, *given, AT, ids)
        records = engine.decide_many(*given, AT, ids)
        assert found.lines == events_of(records)
        assert found.answers == engine.answer_many(*given, AT, ids)
        assert found.updates == left_by_many(engine.caps, records)
        assert found.excluded == [record.excluded for record in records]
        shown |= {len(record.offers) for record in records}
    assert shown >= ({1, 2} if text is PLAIN else {0, 1, 2, 3})


@pytest.mark.parametrize(
    ("persons", "contacts"),
    [(ANN_CUT, b""), (ANN, b"rubbish"), (ANN, SPENT[:-1] + b"\7")],
    ids=["persons", "contacts", "sum"],
)
def test_what_cannot_be_decided_is_left_to_others(persons, contacts):
    rng = np.random.default_rng(0)
    given = [request("c1"), request("c2")], served(rng, 2)
    assert draft_many(ENGINE, *given, [b""] * 2, [ANN] * 2, AT, ["d-1", "d-2"]) is not None
    held = [b"", contacts], [ANN, persons]
    assert draft_many(ENGINE, *given, *held, AT, ["d-1", "d-2"]) is None
