"""Models as they are read from the store: whole, of a known form, and never an older one."""

from __future__ import annotations

import hashlib

import pytest
import redis

from nextbest.flows.decision import published
from nextbest.flows.decision.errors import ModelError
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.models import new_learner, publish
from nextbest.flows.decision.published import PublishedModels, model_of, read_models
from nextbest.flows.decision.strategy import Model
from nextbest.learners import SegmentOfOne, Stamp

KEYS = Keys("shop", "spring")
LINE, OTHER = "0" * 16, "1" * 16


def taught(n: int) -> SegmentOfOne:
    learner = new_learner(Model(contexts={"page": "context.page"}))
    place = learner.model.add_arm("tea")  # type: ignore[attr-defined]  # it is a ranker
    for i in range(n):
        learner.learn({"page": "home"}, None, place, float(i % 2))
    return learner


def stored(n: int, timeline: str | None = LINE, sequence: int = 0) -> bytes:
    stamp = None if timeline is None else Stamp(timeline, sequence)
    return publish(taught(n)).stamped(stamp).to_bytes()


def versions(seen: PublishedModels) -> dict[str, int]:
    return {name: model.version for name, model in seen.models.items()}


def test_no_model_goes_back_in_its_timeline(store: redis.Redis) -> None:
    seen = PublishedModels(KEYS, ["sale", "click"])
    assert read_models(store, seen) is False
    store.set(KEYS.model("sale"), stored(5, LINE, 50))
    store.set(KEYS.model("click"), stored(3, None))
    assert read_models(store, seen) is True
    assert read_models(store, seen) is False
    assert versions(seen) == {"sale": 5, "click": 3}
    for n, timeline, sequence, taken in (
        (9, LINE, 49, False),  # a worker that was killed goes on behind
        (9, LINE, 48, False),
        (4, LINE, 50, True),  # as new, but of another shape, say
        (6, LINE, 51, True),
        (1, OTHER, 1, True),  # begun anew
        (2, OTHER, 0, False),
        (7, None, 0, True),  # of a worker that says nothing
        (8, OTHER, 0, True),
    ):
        before = seen.models["sale"].version
        store.set(KEYS.model("sale"), stored(n, timeline, sequence))
        assert read_models(store, seen) is taken, (n, timeline, sequence)
        assert seen.models["sale"].version == (n if taken else before)
        assert read_models(store, seen) is False
    # A store that lost everything takes nothing away; whoever goes on from it knows as much.
    store.flushall()
    assert read_models(store, seen) is False
    after = PublishedModels(KEYS, ["sale"], seen)
    assert versions(after) == {"sale": 8}
    store.set(KEYS.model("sale"), stored(1, OTHER, 0))
    assert read_models(store, after) is True
    assert PublishedModels(Keys("shop", "other"), ["sale"], seen).models == {}


def changed_major(data: bytes, major: int) -> bytes:
    body = data[:4] + bytes([major]) + data[5:-16]
    return body + hashlib.blake2b(body, digest_size=16).digest()


def test_what_cannot_be_used_is_said_once_and_what_was_there_stays(store: redis.Redis) -> None:
    seen = PublishedModels(KEYS, ["sale"])
    store.set(KEYS.model("sale"), stored(5))
    assert read_models(store, seen)
    good = stored(6)
    for data, said in (
        (b"x", "not a model snapshot"),
        (good[:-40], "is damaged: wrong checksum"),
        (good[:200] + bytes([good[200] ^ 1]) + good[201:], "is damaged: wrong checksum"),
        (changed_major(good, 3), "version 3.0; this code reads 1 to 2: upgrade nextbest"),
    ):
        store.set(KEYS.model("sale"), data)
        with pytest.raises(ModelError, match=f"objective 'sale': .*{said}"):
            read_models(store, seen)
        assert read_models(store, seen) is False
        assert versions(seen) == {"sale": 5}
    store.set(KEYS.model("sale"), good)
    assert read_models(store, seen)
    assert versions(seen) == {"sale": 6}


def test_what_earlier_workers_stored_is_read() -> None:
    learner = taught(7)
    found = model_of("sale", learner.to_bytes())
    assert (found.version, found.stamp) == (7, None)
    assert found.to_bytes() == publish(learner).to_bytes()


def test_a_model_that_is_too_large_is_not_read(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, data = PublishedModels(KEYS, ["sale"]), stored(5)
    store.set(KEYS.model("sale"), data)
    monkeypatch.setattr(published, "MOST_BYTES", len(data) - 1)
    with pytest.raises(ModelError, match=f"a model of more than {len(data) - 1} bytes"):
        read_models(store, seen)
    monkeypatch.setattr(published, "MOST_BYTES", len(data))
    assert read_models(store, PublishedModels(KEYS, ["sale"]))
