"""Many decisions at once are those that one makes after the other, bit for bit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nextbest.features.errors import SettingsError, StateError
from nextbest.features.rows import FeatureRows
from nextbest.flows.decision.errors import ModelError, RequestError
from nextbest.flows.decision.making import BLOCK
from nextbest.flows.decision.record import event_of, events_of
from tests.flows.decision.engine_cases import ANN, AT, DAY, ENGINE, request, row

ANN_CUT = ANN[:-1] + b"\1"
SPENT = ENGINE.caps.offered(b"", ["tea", "mug", "kettle", "sample"], "web", AT - 1).contacts
CONTEXT = {
    "page": ("a", "b", "neu & schön", None),
    "gift": (True, False),
    "region": ("nord", 7, 0.5),
    "other": (1.5,),
}


def asked(rng, n):
    """Decisions of customers known and not, in the control group and not, some capped."""
    requests, rows, contacts, persons, times = [], [], [], [], []
    for _ in range(n):
        context = {
            name: values[rng.integers(len(values))]
            for name, values in CONTEXT.items()
            if rng.random() < 0.7
        }
        channel, wanted = ("web", "mail")[rng.integers(2)], int(rng.integers(1, 7))
        requests.append(request(f"c{rng.integers(80)}", channel, wanted, **context))
        values = [float(rng.integers(5)), float(rng.gamma(2.0, 400.0)), float(rng.integers(2))]
        served = row(*[np.nan if rng.random() < 0.2 else value for value in values])
        rows.append(None if rng.random() < 0.2 else served)
        times.append(AT + int(rng.integers(0, DAY)))
        before = ["tea", "mug", "sample"][: rng.integers(4)]
        one = ENGINE.caps.offered(b"", before, "web", AT - 5).contacts
        contacts.append(SPENT if rng.random() < 0.2 else one)
        persons.append(ANN if rng.random() < 0.4 else b"")
    return requests, rows, contacts, persons, times, [f"d-{rng.integers(10**9)}" for _ in range(n)]


@pytest.mark.parametrize("n", [0, 1, BLOCK, BLOCK + 1, 300])
def test_they_are_those_made_one_after_the_other(n):
    rng = np.random.default_rng(n)
    given = asked(rng, n)
    late = (rng.random(n) < 0.5).tolist()
    causes = [f"e-{i}" if i % 3 else "" for i in range(n)]
    found = ENGINE.decide_many(*given, causes=causes, trigger="t", stale=late)
    alone = [
        ENGINE.decide(*each, cause=cause, trigger="t", stale=old)
        for *each, cause, old in zip(*given, causes, late, strict=True)
    ]
    assert found == alone
    assert events_of(found) == [event_of(record) for record in alone]
    if n == 300:  # there was some of everything
        assert {record.control for record in found} == {True, False}
        assert {len(record.offers) for record in found} >= {0, 1, 2, 3}
        assert {record.served is None for record in found} == {True, False}
        assert any("cap" in rule for record in found for rule in record.excluded.values())


def test_rows_may_come_as_a_reader_returns_them():
    requests, _, contacts, persons, _, ids = asked(np.random.default_rng(5), 70)
    rng = np.random.default_rng(6)
    values = rng.integers(0, 2, (70, 3)).astype(float)
    rows = FeatureRows(
        values, (values > 5).astype(np.uint8), np.arange(70) * 10, np.arange(70) + 100
    )
    found = ENGINE.decide_many(requests, rows, contacts, persons, AT, ids)
    one = [row(*own)._replace(position=100 + i, age_ms=10 * i) for i, own in enumerate(values)]
    assert found == ENGINE.decide_many(requests, one, contacts, persons, AT, ids)
    assert found[3].served.position == 103


def test_records_share_nothing_that_can_be_changed():
    given = [[each] * 2 for each in (request(page="a"), row(kind=1.0), b"", b"", AT, "d")]
    one, two = ENGINE.decide_many(*given)
    assert one == two
    one.eligible.clear(), one.excluded.clear(), one.inputs.clear(), one.chances.clear()
    assert ENGINE.decide_many(*given)[0] == two


@pytest.mark.parametrize(
    ("place", "what", "wrong", "error"),
    [
        (0, "requests", request(channel="fax"), RequestError),
        (70, "requests", request(n=0), RequestError),
        (3, "persons", ANN_CUT, ModelError),
        (66, "contacts", b"rubbish", StateError),
        (1, "rows", row()._replace(values=np.zeros(7)), SettingsError),
    ],
    ids=["channel", "n", "persons", "contacts", "row"],
)
def test_what_cannot_be_decided_is_refused_as_by_itself(place, what, wrong, error):
    names = ["requests", "rows", "contacts", "persons", "at", "ids"]
    each = [request(), row(), b"", ANN, AT, "d-1"]
    given = {name: [one] * 80 for name, one in zip(names, each, strict=True)}
    given[what][place] = wrong
    with pytest.raises(error) as alone:
        ENGINE.decide(*[given[name][place] for name in names])
    with pytest.raises(error) as found:
        ENGINE.decide_many(*given.values())
    assert str(found.value) == str(alone.value)
    assert found.value.__notes__ == [f"decision {place} of the batch"]


def test_weights_that_are_not_needed_are_not_looked_at():
    """As by itself: where nothing is eligible, no model is asked."""
    given = [[request(channel="mail")], [row(views=0.0)], [SPENT], [ANN_CUT], AT + DAY // 2, ["d"]]
    record = ENGINE.decide_many(*given)[0]
    assert (record.eligible, record.inputs, record.scores) == ([], {}, b"")


def test_parts_of_other_lengths_are_refused():
    with pytest.raises(SettingsError, match=r"2 requests, but other parts of \[1\]"):
        ENGINE.decide_many([request()] * 2, [None], [b""] * 2, [b""] * 2, AT, ["a", "b"])


def test_threads_may_decide_with_one_engine():
    given = asked(np.random.default_rng(8), 40)
    alone = ENGINE.decide_many(*given)

    def one(i):
        return ENGINE.decide(*[part[i % 40] for part in given])

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, range(400))) == alone * 10
