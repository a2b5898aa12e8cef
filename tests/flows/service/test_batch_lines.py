"""The lines of a batch's answer are what its decisions are as JSON, byte for byte."""

import msgspec
import numpy as np
import pytest

from nextbest.features.receipts import Receipt
from nextbest.flows.decision.engine import Engine
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.models import Models
from nextbest.flows.service.batch_lines import AnswerLines
from nextbest.flows.service.batch_wire import BatchDecision
from nextbest.flows.service.decide import explored, offers_of
from nextbest.flows.service.live import Decided
from tests.flows.decision.engine_cases import AT, CATALOG, PUBLISHED, TEXT, request
from tests.flows.decision.test_decide_many import asked

RICH = (
    TEXT.replace(
        "tea: {channels: [web, mail],",
        'tea: {channels: [web, mail], content: {title: "Tea, \\"green\\" & schön", n: [1, 2.5]},',
    )
    .replace("n: [1, 2.5]", "n: 2.5, ok: true")
    .replace("value: 2,", "value: 1.0e-7,")
    .replace(
        "letter: {channels: [mail]}", "letter: {channels: [mail], content: {}, value: {spend: 3}}"
    )
)


@pytest.mark.parametrize("text", [TEXT, RICH], ids=["usual", "rich"])
def test_they_are_the_bytes_of_the_decisions(text):
    loaded = load(text, CATALOG)
    engine = Engine(loaded, CATALOG, Models(loaded.strategy, PUBLISHED))
    requests, rows, contacts, persons, _, ids = asked(np.random.default_rng(4), 200)
    requests[7:9] = request('a"b, c\\ü'), request("d,e", n=4)
    given = requests, rows, contacts, persons, AT, ids
    receipts = [Receipt.of(i % 4, 100 << i % 50, one.customer) for i, one in enumerate(requests)]
    expected, logged = (
        [
            BatchDecision(
                record.customer, state,
                offers_of(engine, Decided(record, None, False), explain=False),
                record.id if state == "logged" else None, AT, record.control, explored(record),
                receipt=str(receipt) if state == "logged" else None,
            )
            for record, receipt in zip(engine.decide_many(*given), receipts, strict=True)
        ]
        for state in ("dry", "logged")
    )  # fmt: skip
    answers = engine.answer_many(*given)
    own = AnswerLines(loaded.strategy).logged(requests, ids, AT, answers, receipts)
    assert own == [msgspec.json.encode(one) for one in logged]
    lines = AnswerLines(loaded.strategy).dry(requests, AT, answers)
    assert b"[%b]" % lines == msgspec.json.encode(expected)
    assert {len(one.offers) for one in expected} >= {0, 1, 2, 3}
    assert any(one.control for one in expected)
    assert any(one.explored for one in expected)
