"""A survey of many customers is what rules, caps and inputs say of each by itself."""

import numpy as np

from nextbest.flows.decision.contacts import CapRules
from nextbest.flows.decision.eligibility import Rules
from nextbest.flows.decision.inputs import LARGEST, Inputs
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.room import Room, Shape
from nextbest.flows.decision.survey import Survey
from nextbest.flows.decision.survey_kernels import A_ALL
from tests.flows.decision.engine_cases import CATALOG, TEXT
from tests.flows.decision.test_decide_many import SPENT, asked

ODD = TEXT.replace("numbers: {views:", "numbers: {much: context.other * 1e300, views:").replace(
    "contexts: {page:", "contexts: {any: context.odd ?? context.page, free: visits.views > 2, page:"
)
"""With numbers too large for the models, and categories of every kind."""


def test_it_is_what_each_says_by_itself():
    strategy = load(ODD, CATALOG).strategy
    rules, caps = Rules.compile(strategy, CATALOG), CapRules.compile(strategy)
    inputs = Inputs.compile(strategy, CATALOG)
    survey = Survey(rules, caps, inputs)
    n, k = 60, len(rules.actions)
    requests, rows, contacts, _, times, _ = asked(np.random.default_rng(2), n)
    assert SPENT in contacts
    room = Room(n + 1, Shape(3, survey.extras, survey.width, survey.work, k, 1, 1, 1))
    assert room.asked.shape[1] == A_ALL
    for i, row in enumerate(rows):
        room.values[i] = np.nan if row is None else row.values
        room.state[i] = 1 if row is None else row.state
    room.eligible[n], room.seen[n] = True, -7.0
    unknown = survey.look(room, requests, contacts, times)
    for i, request in enumerate(requests):
        given = (
            room.values[i], room.state[i], request.context, request.channel, times[i],
        )  # fmt: skip
        verdicts = rules.check(*given)
        capped = caps.check(contacts[i], request.channel, times[i])
        open_ = verdicts.eligible & capped.allowed
        assert room.eligible[i].tolist() == open_.tolist()
        assert survey.eligible(room, i) == [
            a for a, own in zip(rules.actions, open_, strict=True) if own
        ]
        assert room.capped[i, k:].tolist() == [len(capped.reasons), capped.room]
        many = int(open_.sum())
        assert room.wanted[i].tolist() == [many, min(many, capped.room, request.n)]
        assert survey.excluded(room, i, request, contacts[i]) == {
            a: rules.names[code] or capped.reasons[a]
            for a, code in zip(rules.actions, verdicts.excluded.tolist(), strict=True)
            if code or a in capped.reasons
        }
        seen = inputs.read(*given)
        numbers = {name: max(-LARGEST, min(LARGEST, value)) for name, value in seen.numbers.items()}
        assert survey.inputs(room, i, request, unknown[i]) == {
            **seen.contexts, **numbers, **seen.segments
        }  # fmt: skip
        x, rest = np.split(room.seen[i, survey.first :], [survey.numbers])
        assert x.tolist() == [numbers.get(name, 0.0) for name in strategy.model.numbers]
        features = np.clip(seen.features, -LARGEST, LARGEST).ravel()
        assert rest.tobytes() == np.concatenate([features, seen.boosts]).tobytes()
    assert room.eligible[n].all()
    assert (room.seen[n] == -7.0).all()
