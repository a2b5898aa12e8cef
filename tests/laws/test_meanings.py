"""What missing, expired and filtered mean, with answers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nextbest.features import aggregations as agg
from nextbest.features import event, feature
from nextbest.features.declaration import Feature
from tests.laws.cases import EXPIRED, GAP, MISSING, PRESENT, START, answer, catalog, row
from tests.laws.driver import Kernels
from tests.laws.strategies import DAY, HOUR, MINUTE

COUNT_NOW = agg.count("now", window="session")


def test_ratios_are_missing_over_zero_and_expire_with_their_parts() -> None:
    kernels = Kernels(
        catalog(
            COUNT_NOW,
            agg.count("good", where=event.good == True),  # noqa: E712
            agg.mean("mean", of="value"),
            agg.ratio("a", "good", "now"),
            agg.ratio("b", "now", "good"),
            agg.ratio("c", "mean", "now"),
        )
    )
    kernels.apply([row(0), row(1)])
    assert answer(kernels, 1)[3:] == [0.0, "missing", "missing"]
    kernels.apply([row(2, good=True, value=9.0)])
    assert answer(kernels, 2)[3:] == [1 / 3, 3.0, 3.0]
    assert answer(kernels, 2 * HOUR)[3:] == ["expired"] * 3


def check_missing(features: Sequence[Feature], *properties: dict[str, Any]) -> list[float | str]:
    """Answers after one event with each of these properties."""
    kernels = Kernels(catalog(*features))
    kernels.apply([row(n, **given) for n, given in enumerate(properties)])
    return answer(kernels, len(properties))


def test_comparisons_with_a_missing_property_are_false_and_their_inverse_true() -> None:
    filters: tuple[Any, ...] = (
        event.value != 1, ~(event.value != 1), event.value == 1, event.value <= 1, event.value > 1,
        event.word != "x", ~(event.word == "x"), event.word.isin(["x", "y"]),
        event.good != True, event.good < 1, ~event.good.present(), event.channel == "",  # noqa: E712
    )  # fmt: skip
    features = [agg.count(f"f{n}", where=where) for n, where in enumerate(filters)]
    empty: dict[str, Any] = {}
    nulls = {"value": None, "word": None, "good": None}
    for missing in (empty, nulls):
        assert check_missing(features, missing) == [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    present = {"value": 1, "word": "z", "good": False}
    assert check_missing(features, present) == [0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0]


def test_values_are_nan_exactly_where_nothing_is_present() -> None:
    kernels = Kernels(catalog(COUNT_NOW, agg.mean("mean", of="value"), agg.count("all")))
    kernels.apply([row(0)])
    rows = kernels.state.read(["ada", "nobody"], START + DAY)
    assert rows.values.dtype == np.float64
    assert rows.state.tolist() == [[EXPIRED, MISSING, PRESENT], [MISSING] * 3]
    assert [[math.isnan(v) for v in line] for line in rows.values] == [
        [True, True, False],
        [True] * 3,
    ]


def test_a_key_s_own_first_last_and_distinct() -> None:
    by: dict[str, Any] = {"by": "word", "vocabulary": ["x", "y", "z"], "window": "session"}
    words: dict[str, Any] = {"of": "word", "vocabulary": ["x", "y"], "by": "type"}
    kernels = Kernels(
        catalog(
            agg.first("first", of="value", **by),
            agg.last("last", of="value", **by),
            agg.evidence("evidence", where=event.value > 1, **by),
            agg.last("word", keys=["cart", "view"], **words),
            agg.distinct("words", keys=["cart", "view"], **words),
        )
    )
    kernels.apply([row(3, word="y", value=5.0), row(1, word="y", value=2.0)])
    kernels.apply([row(2, word="x", value=1.0), row(4, word="else", value=9.0)])
    first, last, evidence = [1.0, 2.0, "missing"], [1.0, 5.0, "missing"], [0.0, 2.0, 0.0]
    assert answer(kernels, 4) == [*first, *last, *evidence, "missing", 1.0, 0.0, 2.0]
    assert answer(kernels, DAY)[:9] == ["expired"] * 9


def test_the_top_k_are_those_above_zero_and_expire_with_their_source() -> None:
    by: dict[str, Any] = {"by": "word", "vocabulary": ["x", "y", "z"]}
    kernels = Kernels(
        catalog(
            agg.sum("spend", of="value", **by),
            agg.top_k("most", "spend", k=3),
            agg.count("now", window="session", **by),
            agg.top_k("seen", "now", k=2),
            agg.derived("lead", feature["spend[z]"] - feature["spend[x]"]),
            agg.derived("share", (feature["now[z]"] / feature["spend[y]"]).fill(-1)),
        )
    )
    kernels.apply([row(0, word="z", value=4.0), row(1, word="x", value=-2.0)])
    kernels.apply([row(2, word="y", value=4.0)])
    most = [1.0, 2.0, "missing"]
    assert answer(kernels, 2)[3:6] == most
    assert answer(kernels, 2)[9:] == [0.0, 1.0, 6.0, 0.25]
    assert answer(kernels, DAY)[3:6] == most
    assert answer(kernels, DAY)[9:] == ["expired", "expired", 6.0, -1.0]
    assert answer(kernels, 2, "nobody") == ["missing"] * 13


def test_a_bridge_joins_what_two_sessions_hold_of_every_key() -> None:
    keys = ["x", "y", "z"]
    by: dict[str, Any] = {"by": "word", "vocabulary": keys, "window": "session"}
    many = [str(n) for n in range(70)]  # more than one mask a key holds
    kernels = Kernels(
        catalog(
            agg.first("first", of="value", **by),
            agg.last("last", of="value", **by),
            agg.evidence("evidence", where=event.value > 0, **by),
            agg.distinct(
                "channels", of="channel", vocabulary=many, by="word", keys=keys, window="session"
            ),
        )
    )
    sent = [(0, "y", 1.0, "0"), (1, "z", 2.0, "69"), (40, "z", 3.0, "1"), (41, "x", 4.0, "69")]
    for minute, word, value, channel in (*sent, (20, "z", 9.0, "1")):
        kernels.apply([row(minute * MINUTE, word=word, value=value) | {"channel": channel}])
    first, last = [4.0, 1.0, 2.0], [4.0, 1.0, 3.0]
    assert answer(kernels, 41 * MINUTE) == [*first, *last, 1.0, 1.0, 3.0, 1.0, 1.0, 2.0]


def test_a_session_is_open_for_its_gap_and_not_a_microsecond_longer() -> None:
    kernels = Kernels(catalog(COUNT_NOW, agg.count("before", window="last_session")))
    kernels.apply([row(0), row(GAP)])  # exactly a gap later: the same visit
    assert answer(kernels, 2 * GAP) == [2.0, "missing"]
    assert answer(kernels, 2 * GAP + 1) == ["expired", 2.0]
    kernels.apply([row(2 * GAP + 1)])
    assert answer(kernels, 3 * GAP + 1) == [1.0, 2.0]
    assert answer(kernels, 3 * GAP + 2) == ["expired", 1.0]


@pytest.mark.parametrize("filler", [None, 59], ids=["alone", "with-a-newer"])
def test_a_window_reaches_back_to_the_tile_in_which_it_begins(filler: int | None) -> None:
    """The window's first tile counts whole, the one before it not at all."""
    kernels = Kernels(catalog(agg.count("n", window="1h", hop="5m")))
    hop = 5 * MINUTE
    first = hop - START % hop  # a tile begins here
    kernels.apply([row(first - 1), row(first), row(first + hop - 1)])
    newer = 0
    if filler is not None:
        kernels.apply([row(first + filler * MINUTE)])
        newer = 1
    assert answer(kernels, first + HOUR - 1) == [3.0 + newer]
    assert answer(kernels, first + HOUR) == [2.0 + newer]
    assert answer(kernels, first + HOUR + hop - 1) == [2.0 + newer]
    assert answer(kernels, first + HOUR + hop) == [0.0 + newer]


def test_a_ring_holds_every_tile_of_its_window() -> None:
    """One event in each: those that a window needs are all there, the overwritten one is not."""
    kernels = Kernels(catalog(agg.sum("total", of="value", window="1h", hop="5m")))
    hop = 5 * MINUTE
    first = hop - START % hop
    for n in range(40):
        at = first + n * hop
        kernels.apply([row(at, value=float(n))])
        assert answer(kernels, at) == [sum(range(max(0, n - 12), n + 1))]
        assert answer(kernels, at + hop) == [sum(range(max(0, n - 11), n + 1))]
