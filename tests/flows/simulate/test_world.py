"""A simulated world: the same by seed, with the law that its setting asks for."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from nextbest.features import SettingsError
from nextbest.flows.simulate.catalog import KINDS, LEAVE
from nextbest.flows.simulate.sessions import events_of, lines_of, rows_of
from nextbest.flows.simulate.world import Setting, World

SMALL = Setting(people=12, days=10)
ARRAYS = ("at", "who", "channel", "device", "daypart", "segments", "chances", "values", "begins")


def test_equal_seeds_make_equal_worlds_and_others_do_not() -> None:
    one, same, other = World(SMALL, 3), World(SMALL, 3), World(SMALL, 4)
    for name in ARRAYS:
        assert np.array_equal(getattr(one, name), getattr(same, name)), name
    assert list(lines_of(one)) == list(lines_of(same))
    assert list(lines_of(one)) != list(lines_of(other))
    every = [(v, a) for v in range(len(one)) for a in range(len(one.actions))]
    assert [one.answer(*each) for each in every] == [same.answer(*each) for each in every]


def test_people_without_heterogeneity_are_alike() -> None:
    world = World(Setting(people=12, days=10, heterogeneity=0.0), 3)
    moments = np.stack([world.channel, world.device, world.daypart], axis=1)
    for moment in np.unique(moments, axis=0):
        same = world.chances[(moments == moment).all(axis=1)]
        assert np.ptp(same, axis=0).max() < 1e-12
    assert np.ptp(World(SMALL, 3).chances, axis=0).max() > 0.3


def test_a_drift_changes_the_law_at_its_time_and_not_before() -> None:
    still, drifting = World(SMALL, 3), World(msgspec.structs.replace(SMALL, drift=0.5), 3)
    later = still.at >= SMALL.start + SMALL.days * SMALL.day_us // 2
    assert 0 < later.sum() < len(later)
    assert np.array_equal(still.chances[~later], drifting.chances[~later])
    assert np.abs(still.chances - drifting.chances)[later].max() > 0.1


def test_new_actions_are_offered_from_half_way_only() -> None:
    world = World(SMALL, 3)
    early = world.at < SMALL.start + SMALL.days * SMALL.day_us // 2
    assert world.available[:, :-2].all()
    assert not world.available[early, -2:].any()
    assert world.available[~early].all()


def test_answers_are_as_frequent_as_their_chances_and_come_soon_late_or_never() -> None:
    world = World(Setting(people=60, days=60), 3)
    every = [[world.answer(v, a) for a in range(8)] for v in range(len(world))]
    counted = np.array([[each is not None and each.counts for each in row] for row in every])
    assert np.abs(counted.mean(axis=0) - world.chances.mean(axis=0)).max() < 0.03
    after = np.array([each.after_us for row in every for each in row if each is not None])
    counts = np.array([each.counts for row in every for each in row if each is not None])
    window = world.setting.window_us
    assert (after > 0).all()
    assert ((after <= window) == counts).all()
    assert 0.01 < 1.0 - counts.mean() < 0.06
    assert np.quantile(after, 0.9) > 10 * np.quantile(after, 0.1)


def test_views_reveal_taste() -> None:
    world = World(Setting(people=30, days=60, heterogeneity=2.0), 3)
    viewed, liked = np.zeros((30, len(KINDS))), np.zeros((30, len(world.actions)))
    for visit, who in enumerate(world.who):
        np.add.at(viewed[who], world.views[visit], 1.0)
        liked[who] = np.log(world.chances[visit] / (1.0 - world.chances[visit]))
    share = viewed / viewed.sum(axis=1, keepdims=True)
    centred = liked - liked.mean(axis=0)
    assert np.corrcoef(share[:, world.kinds].ravel(), centred.ravel())[0, 1] > 0.3


def test_the_features_at_a_visit_are_those_of_its_events_and_all_before() -> None:
    world = World(SMALL, 3)
    rows = rows_of(world)
    viewed = np.zeros((SMALL.people, len(KINDS)))
    for visit, who in enumerate(world.who):
        np.add.at(viewed[who], world.views[visit], 1.0)
        assert rows.values[visit, 0] == viewed[who].sum()
        assert rows.values[visit, 1 : 1 + len(KINDS)].tolist() == viewed[who].tolist()
        last = events_of(world, visit)[-1]
        assert last["event_timestamp"] == world.at[visit]
        assert (last["type"] == LEAVE) == (world.channel[visit] == 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"people": 0}, r"a world: .* `\$.people`"),
        ({"heterogeneity": -1.0}, r"a world: .* `\$.heterogeneity`"),
        ({"drift": float("nan")}, r"drift"),
        ({"actions": 3, "new_actions": 2}, "2 of 3 actions are new"),
        ({"people": 100_000, "days": 3650}, "visits; the most are 1,000,000"),
    ],
    ids=["nobody", "negative", "no number", "only new actions", "too large"],
)
def test_what_no_world_can_be_is_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        World(Setting(**wrong), 1)  # type: ignore[arg-type]
