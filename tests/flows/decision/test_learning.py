"""Learning what was credited: the same bits whatever the order, the cuts and the restarts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from nextbest.features import StateError
from nextbest.flows.decision.learning import Learning, learn_action
from nextbest.flows.decision.models import load_model, new_learner, publish
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.sharing import Sharing
from nextbest.flows.decision.strategy import Model
from nextbest.learners import Example

MODEL = Model(
    contexts={"channel": "channel"},
    numbers={"age": "context.age"},
    action_features={"price": "action.price", "fit": "context.fit"},
    segments={"mood": "context.mood"},
)
SPANS = {"sale": 10_000, "click": 10_000}


def log_of(seed: int, n: int, partition: int) -> list[Credit]:
    """Return what one partition tells, in its order: some is told again, better."""
    rng = random.Random(seed + partition)
    told: list[Credit] = []
    for k in range(n):
        old = rng.choice(told) if told and rng.random() < 0.2 else None
        if old is not None and all(c.revision <= old.revision for c in told if c.id == old.id):
            fields: dict[str, Any] = {name: getattr(old, name) for name in old.__struct_fields__}
            fields |= {
                "revision": old.revision + 1, "silence": False, "withdrawn": rng.random() < 0.3,
                "time": old.time - rng.randrange(40), "reward": rng.random(),
            }  # fmt: skip
            told.append(Credit(**fields))
            continue
        told.append(
            Credit(
                rng.choice(["sale", "click"]), f"d{partition}-{k}/0", 10 * k + rng.randrange(30), k,
                f"c{partition}-{rng.randrange(5)}", rng.choice(["tea", "ice", "nut"]),
                float(rng.random() < 0.3), rng.random() < 0.5, False, 0,
                {"channel": rng.choice(["web", "app", None]), "age": rng.random(), "mood": "up"},
                [rng.random(), None],
            )
        )  # fmt: skip
    return told


def left(learning: Learning) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return all models as they learn, and what is published of people."""
    learning.publish_again()
    published = learning.changed_models()
    models = {name: learning.model(name) for name in published}
    for name, data in models.items():  # of equal learners the same is published
        assert published[name].to_bytes() == publish(load_model(data)).to_bytes()
    return models, learning.changed_people()


def plainly(told: Sequence[Credit], model: Model) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Learn the last word on each example, in order."""
    models: dict[str, bytes] = {}
    people: dict[str, Any] = {}
    for objective in SPANS:
        last = {c.id: c for c in told if c.objective == objective}
        one, blocks = new_learner(model), {}
        for c in sorted(last.values(), key=lambda c: (c.time, c.position, c.id)):
            if not c.withdrawn:
                context = {**c.inputs, ":action": c.action}
                row = np.array([np.nan if value is None else value for value in c.features])
                example = Example(c.id, c.time, c.position, context, row, 0, c.reward)
                blocks[c.customer] = learn_action(one, example, blocks.get(c.customer, b""))
        models[objective] = one.to_bytes()
        for name, block in blocks.items():
            people.setdefault(name, {})[objective] = block
    return models, people


@pytest.mark.parametrize("seed", range(3))
def test_any_interleaving_cuts_and_restarts_give_the_same_bits(seed: int) -> None:
    partitions = [log_of(seed, 60, 0), log_of(seed, 60, 1)]
    whole = Learning(MODEL, SPANS)
    whole.learn([*partitions[0], *partitions[1]])
    expected = left(whole)
    rng = random.Random(seed)
    learning, full, changes = Learning(MODEL, SPANS), None, []
    queues = [list(part) for part in partitions]
    while any(queues):
        queue = rng.choice([queue for queue in queues if queue])
        batch = [queue.pop(0) for _ in range(min(len(queue), rng.randrange(1, 9)))]
        learning.learn(batch)
        if rng.random() < 0.3:
            change = learning.change()
            if rng.random() < 0.3:
                full, changes = learning.to_bytes(), []
            elif change is not None:
                changes.append(change)
            if rng.random() < 0.5:
                learning = Learning(MODEL, SPANS, full, changes)
    assert left(learning) == expected
    models, people = plainly([*partitions[0], *partitions[1]], MODEL)
    assert expected[0] == models
    decoded = {name: msgspec.msgpack.decode(data) for name, data in expected[1].items()}
    assert decoded == people
    assert learning.refused == 0
    assert learning.versions == {name: load_model(data).updates for name, data in models.items()}


def test_what_was_published_already_is_not_published_again() -> None:
    learning = Learning(MODEL, SPANS)
    assert set(learning.changed_models()) == set(SPANS)
    assert not learning.models_wait
    told = [c for c in log_of(1, 20, 0) if c.objective == "sale" and not c.revision]
    learning.learn(told[:1])
    assert learning.models_wait
    assert learning.people_wait
    assert set(learning.changed_models()) == {"sale"}
    assert set(learning.changed_people()) == {told[0].customer}
    assert learning.person("nobody") == msgspec.msgpack.encode({})
    assert not learning.models_wait
    assert not learning.people_wait


def test_nothing_in_the_log_can_stop_learning() -> None:
    learning = Learning(MODEL, {"sale": 9})
    odd: list[dict[str, Any]] = [
        {}, {"channel": 7, "age": "old", "mood": 1.5}, {"age": 1e300, "mood": True},
        {"age": True, "channel": "x" * 5000},
    ]  # fmt: skip
    told = [
        Credit("sale", f"d{n}/0", n, n, "ann", "tea", 0.5, False, False, 0, inputs, features)
        for n, inputs in enumerate(odd)
        for features in ([], [1.0], [1e300, None], [1.0, 2.0, 3.0])
    ]
    learning.learn(told)
    learning.learn([Credit("gone", "d/0", 1, 1, "ann", "tea", 1.0, False, False, 0, {}, [])])
    assert learning.versions == {"sale": 4}


def test_another_model_learns_anew_what_is_still_known() -> None:
    learning = Learning(MODEL, SPANS)
    told = log_of(5, 40, 0)
    learning.learn(told)
    other = Model(contexts={"channel": "channel"}, segments={"mood": "context.mood"})
    anew = Learning(other, {"sale": 10_000}, learning.to_bytes())
    expected = Learning(other, {"sale": 10_000})
    expected.learn([msgspec.structs.replace(c, features=[]) for c in told])
    assert left(anew) == left(expected)


def test_without_persons_nobody_has_weights_of_their_own() -> None:
    learning = Learning(Model(personal=False), SPANS)
    learning.learn(log_of(5, 40, 0))
    models, people = left(learning)
    assert people == {}
    assert sum(load_model(data).updates for data in models.values()) > 20


def test_customers_who_learned_longest_ago_leave() -> None:
    learning = Learning(MODEL, {"sale": 0}, most_people=2)
    for n, name in enumerate(("ann", "bob", "ann", "eve")):
        credit = Credit("sale", f"d{n}/0", n, n, name, "tea", 1.0, False, False, 0, {}, [])
        learning.learn([credit])
    empty = msgspec.msgpack.encode({})
    assert [learning.person(name) == empty for name in ("ann", "bob", "eve")] == [
        False,
        True,
        False,
    ]


def test_damaged_state_is_told() -> None:
    learning = Learning(MODEL, SPANS)
    learning.learn(log_of(5, 9, 0))
    data = learning.to_bytes()
    for bad in (b"", data[:-9], data.replace(b"NB", b"XX", 1), msgspec.msgpack.encode([9, [], {}])):
        with pytest.raises(StateError, match="learners' state is"):
            Learning(MODEL, SPANS, bad)
    with pytest.raises(StateError, match="learners' state is damaged"):
        Learning(MODEL, SPANS, data, [b"\xc1"])


def test_equal_texts_are_kept_once_and_what_is_kept_is_counted() -> None:
    learning = Learning(Model(contexts={"page": "context.page"}), {"sale": 10})
    for k in range(3):
        texts = ["".join([word, "!"]) for word in ("ann", "tea", "home")]
        inputs: dict[str, Any] = {"page": texts[2]}
        learning.learn(
            [Credit("sale", f"d{k}/0", k, k, texts[0], texts[1], 1.0, False, False, 0, inputs, [])]
        )
    assert learning.kept == {"sale": 3}
    examples = learning._objectives["sale"].repairing.examples
    for kept in (
        [example.customer for example in examples],
        *([example.context[name] for example in examples] for name in ("page", ":action")),
    ):
        assert len(kept) == 3
        assert len({id(text) for text in kept}) == 1
    shared = Sharing(most=2)
    assert [shared(text) for text in "abcabc"] == list("abcabc")
    assert len(shared._known) <= 2
