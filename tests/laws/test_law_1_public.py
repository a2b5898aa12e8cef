"""One definition, three equal answers, by the interfaces that users have.

Random declarations and streams go through the real dataflow. What the online client answers, what
is replayed from the archive that the flow wrote, and the plain recomputation are equal.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.features import Catalog
from nextbest.features.events import MAX_TIMESTAMP
from nextbest.features.feast_plugin import serving
from nextbest.features.online import FeatureClient
from tests.laws import strategies as some
from tests.laws.asking import check_feast_history, check_feast_online, check_http, feast_store
from tests.laws.driver import law, patience
from tests.laws.flowing import (
    Flow,
    Shape,
    Twins,
    check_backfill,
    check_client,
    flowing,
    later_times,
    shapes,
    streams,
)
from tests.laws.strategies import Row
from tests.laws.test_law_1_entities import several_entities

pytestmark = patience


@st.composite
def runs(draw: st.DrawFn, most: int = 30) -> tuple[Catalog, list[Row], Shape]:
    """A catalog, a stream in arrival order, and how the log of it is cut up."""
    catalog = draw(st.one_of(some.catalogs(), several_entities()))
    return catalog, draw(streams(catalog, most)), draw(shapes)


def stages(rows: list[Row], shape: Shape) -> list[list[Row]]:
    """The parts of a stream that each run takes in."""
    middle = len(rows) // 2
    return [rows] if shape.stages == 1 or not middle else [rows[:middle], rows[middle:]]


def run(flow: Flow, twins: Twins, rows: list[Row]) -> None:
    for part in stages(rows, flow.shape):
        flow.take(part)
        twins.apply(part)


@law(15)
@given(runs())
def test_online_and_replayed(embedded_store: str, drawn: tuple[Catalog, list[Row], Shape]) -> None:
    catalog, rows, shape = drawn
    twins = Twins(catalog)
    with (
        flowing(catalog, shape, embedded_store) as flow,
        FeatureClient(embedded_store, catalog, clock=lambda: MAX_TIMESTAMP) as client,
    ):
        for part in stages(rows, shape):
            flow.take(part)
            twins.apply(part)
            assert check_client(client, twins) > 0 or not list(twins)
        check_backfill(flow, twins)


@law(6)
@given(runs())
def test_over_http(embedded_store: str, drawn: tuple[Catalog, list[Row], Shape]) -> None:
    catalog, rows, shape = drawn
    twins = Twins(catalog)
    with flowing(catalog, shape, embedded_store) as flow:
        run(flow, twins, rows)
        check_http(embedded_store, catalog, twins, later_times)


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
@law(3)
@given(runs(most=20))
def test_by_feast(embedded_store: str, drawn: tuple[Catalog, list[Row], Shape]) -> None:
    catalog, rows, shape = drawn
    twins = Twins(catalog)
    with flowing(catalog, shape, embedded_store) as flow, pytest.MonkeyPatch.context() as patch:
        run(flow, twins, rows)
        store = feast_store(flow)
        check_feast_history(store, twins)
        for twin in twins:
            for at in later_times(twin, 3):
                patch.setattr(serving, "now_us", lambda at=at: at)
                check_feast_online(store, twin, at)
