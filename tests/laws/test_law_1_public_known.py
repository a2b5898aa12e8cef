"""One definition, equal answers, as known: replay at a served position is what was served.

The online client is asked between two runs of the real dataflow; later, when the archive knows
more, the replay at those positions must give every value back bit for bit.
"""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nextbest.features import Catalog
from nextbest.features.events import MAX_TIMESTAMP
from nextbest.features.online import FeatureClient, Features
from nextbest.features.replay import backfill
from tests.laws import strategies as some
from tests.laws.driver import law, patience
from tests.laws.flowing import STRANGER, Shape, Twins, flowing, shapes, streams
from tests.laws.strategies import CUSTOMERS, Row

pytestmark = patience
IDS = (*CUSTOMERS, STRANGER)
STAGES = 3


@st.composite
def runs(draw: st.DrawFn) -> tuple[Catalog, list[list[Row]], Shape]:
    """A stream in up to three parts, each of which a run of its own takes in."""
    catalog = draw(some.catalogs())
    rows = draw(streams(catalog, 36))
    cuts = sorted(draw(st.lists(st.integers(1, len(rows)), min_size=0, max_size=STAGES - 1)))
    bounds = [0, *cuts, len(rows)]
    parts = [rows[a:b] for a, b in itertools.pairwise(bounds) if a < b]
    return catalog, parts, draw(shapes)


@law(10)
@given(runs())
def test_replay_at_the_served_position_is_what_was_served(
    embedded_store: str, drawn: tuple[Catalog, list[list[Row]], Shape]
) -> None:
    catalog, parts, shape = drawn
    served: list[Features] = []
    twins = Twins(catalog)
    with (
        flowing(catalog, shape, embedded_store) as flow,
        FeatureClient(embedded_store, catalog, clock=lambda: MAX_TIMESTAMP) as client,
    ):
        for part in parts:
            flow.take(part)
            twins.apply(part)
            now = part[-1]["event_timestamp"]
            # The first is before the newest event of some.
            times = (now, now + 1_800_000_001, now + 40 * some.DAY)
            served += [client.get(IDS, at=at) for at in times]
        again = backfill(
            catalog,
            flow.archive,
            list(IDS) * len(served),
            np.repeat(np.array([each.at for each in served], np.int64), len(IDS)),
            known=np.concatenate([each.positions for each in served]),
            threads=2,
        )
    values = np.concatenate([each.values for each in served])
    assert np.array_equal(again.values.view(np.uint64), values.view(np.uint64))
    assert np.array_equal(again.state, np.concatenate([each.state for each in served]))
    assert np.array_equal(again.age_ms, np.concatenate([each.rows.age_ms for each in served]))
    if not twins.repeated:  # a repeated event is not in the archive, but its position was seen
        positions = np.concatenate([each.positions for each in served])
        assert np.array_equal(again.positions, positions)
