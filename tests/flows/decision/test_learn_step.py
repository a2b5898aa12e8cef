"""What is published when: a customer's own weights at once, what all share at its pace."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from nextbest.flows import loop_steps
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.learning import Learning
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.published import model_of
from nextbest.flows.decision.strategy import Model
from nextbest.flows.loop_steps import Credits, LearnLoopStep, PublishedLoop
from nextbest.flows.settings import Settings
from nextbest.learners import Stamp

KEYS = Keys("shop", "spring")
MODEL = KEYS.model("sale")


def make(full: bytes | None, changes: Sequence[bytes]) -> Learning:
    return Learning(Model(), {"sale": 1000}, full, changes)


def begin(home: Path, resume: object = None, version: str = "v1") -> LearnLoopStep:
    settings = Settings(data_dir=home)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    return LearnLoopStep(make, settings, ("spring", version), KEYS, lambda key: None, resume)  # type: ignore[arg-type]  # a manifest


def told(n: int, customer: str = "ann", **more: object) -> Credits:
    fields = {"reward": 1.0, "silence": False, "withdrawn": False, "revision": 0, **more}
    return Credits(
        [Credit("sale", f"d{n}/0", n, n, customer, "tea", inputs={}, features=[], **fields)]  # type: ignore[arg-type]  # as above
    )


def stamp(out: PublishedLoop) -> Stamp:
    found = model_of("sale", out.values[MODEL]).stamp
    assert found is not None
    return found


def test_weights_of_one_customer_are_published_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_steps, "PUBLISH_SECONDS", 3600.0)
    step = begin(tmp_path)
    (first,), _ = step.on_batch([told(1)])
    assert list(first.values) == [KEYS.person("ann"), MODEL]
    step._people = loop_steps.PublishingPace(0.0, 1.0)  # as if nothing took any time
    (second,), _ = step.on_batch([told(2, "ben"), told(3, "cy")])
    assert list(second.values) == [KEYS.person("ben"), KEYS.person("cy")]
    assert step.on_notify() == ([], False)
    step._people = loop_steps.PublishingPace(3600.0, 1.0)
    step._people.done(0.0)
    assert step.on_batch([told(4, "dan")]) == ([], False)
    (last,), _ = step.on_eof()
    assert list(last.values) == [KEYS.person("dan"), MODEL]
    assert model_of("sale", last.values[MODEL]).version == 4
    assert stamp(last) == (stamp(first).timeline, 4)
    assert step.on_eof() == ([], False)


def test_what_is_learned_again_to_the_same_weights_is_not_published_again() -> None:
    learning = make(None, [])
    learning.learn([*told(10).told, *told(20, "ben").told, *told(30, "cy").told])
    before = learning.changed_people()
    learning.learn(told(25, "dan", silence=True).told)  # of the others only cy comes after it
    after = learning.changed_people()
    assert set(after) == {"cy", "dan"}
    assert after["cy"] != before["cy"]
    assert all(learning.person(name) == before[name] for name in ("ann", "ben"))


def test_a_timeline_goes_on_from_a_snapshot_of_the_same_strategy_only(tmp_path: Path) -> None:
    step = begin(tmp_path)
    (first,), _ = step.on_batch([told(1), told(2)])
    manifest = step.snapshot()
    step.on_batch([told(3)])
    (ahead,), _ = step.on_eof()
    assert stamp(ahead) == (stamp(first).timeline, 3)
    # It was killed: what comes next is behind, and says so.
    again = begin(tmp_path, manifest)
    (behind,), _ = again.on_eof()
    assert stamp(behind) == stamp(first)
    assert stamp(behind).is_older(stamp(ahead))
    other = begin(tmp_path, again.snapshot(), version="v2")
    (anew,), _ = other.on_eof()
    assert (stamp(anew).sequence, stamp(anew).timeline == stamp(first).timeline) == (2, False)
    fresh = begin(tmp_path / "other")
    (begun,), _ = fresh.on_batch([told(1)])
    assert stamp(begun).timeline != stamp(first).timeline


def test_what_was_told_is_counted_through_full_copies() -> None:
    learning = make(None, [])
    for n in range(3):
        learning.learn(told(n).told)
    learning.change()
    full = learning.to_bytes()
    learning.learn([*told(7).told, *told(7).told])
    change = learning.change()
    assert change is not None
    assert (make(full, []).told, make(full, [change]).told, learning.told) == (3, 5, 5)


def test_a_model_too_large_for_anybody_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop_steps, "MOST_BYTES", 1000)
    step = begin(tmp_path)
    with caplog.at_level(logging.ERROR, "nextbest.run"):
        (out,), _ = step.on_batch([told(1)])
    assert list(out.values) == [KEYS.person("ann")]
    assert f"{MODEL}: more than 1000 bytes" in caplog.text
