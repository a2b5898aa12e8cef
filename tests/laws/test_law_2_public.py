"""Never stale, by the interfaces that users have: the clock moves, nothing is written.

After one run of the real dataflow, the online client, the HTTP service and Feast are asked by a
clock that goes on and on. Windows slide, sessions end, decay goes on and ages grow, as the plain
recomputation says; and the store is byte for byte what it was.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from hypothesis import assume, given
from hypothesis import strategies as st

from nextbest.features import Catalog
from nextbest.features.feast_plugin import serving
from nextbest.features.online import FeatureClient
from tests.laws import strategies as some
from tests.laws.asking import (
    ask_http,
    assert_http,
    check_feast_online,
    feast_store,
    http_request,
)
from tests.laws.driver import law, patience, reading_times
from tests.laws.flowing import Shape, Twin, Twins, assert_rows, flowing, shapes, streams
from tests.laws.strategies import Row

pytestmark = patience
FULL = some.full_catalog()


@st.composite
def runs(draw: st.DrawFn) -> tuple[Catalog, list[Row], Shape]:
    """A catalog of customers, a stream, and how the log of it is cut up."""
    catalog = draw(st.one_of(some.catalogs(), some.catalogs(), st.just(FULL)))
    return catalog, draw(streams(catalog)), draw(shapes)


def moments(twin: Twin, most: int) -> list[int]:
    """Moments from the newest event on, in order: everything that changes does so at one."""
    newest = twin.newest
    times = [at for at in reading_times(twin.catalog, [newest]) if at >= newest]
    return times[:: 1 + len(times) // most]


def bytes_of(url: str) -> dict[bytes, bytes]:
    """All that the store holds."""
    with redis.Redis.from_url(url) as client:
        found: dict[bytes, bytes] = {key: client.dump(key) for key in client.scan_iter()}
    assert found
    return found


@law(10)
@given(runs())
def test_the_client_s_clock_moves(
    embedded_store: str, drawn: tuple[Catalog, list[Row], Shape]
) -> None:
    catalog, rows, shape = drawn
    twins = Twins(catalog)
    clock: list[int] = [0]
    with (
        flowing(catalog, shape, embedded_store) as flow,
        FeatureClient(embedded_store, catalog, clock=lambda: clock[0]) as client,
    ):
        flow.take(rows)
        twins.apply(rows)
        before = bytes_of(embedded_store)
        (twin,) = twins
        ages: list[int] = []
        for clock[0] in moments(twin, 14):
            found = client.get(twin.ids())
            assert found.at == clock[0]
            assert_rows(twin, twin.texts(), found, found.rows.age_ms, clock[0])
            ages.append(int(found.rows.age_ms[0]))
        assert ages == sorted(ages)
        assert ages[-1] > ages[0]
        assert bytes_of(embedded_store) == before


@law(5)
@given(runs())
def test_the_service_s_clock_moves(
    embedded_store: str, drawn: tuple[Catalog, list[Row], Shape]
) -> None:
    catalog, rows, shape = drawn
    twins = Twins(catalog)
    with flowing(catalog, shape, embedded_store) as flow:
        flow.take(rows)
        twins.apply(rows)
        before = bytes_of(embedded_store)
        (twin,) = twins
        times = moments(twin, 8)
        ticks: Iterator[int] = iter(times)
        requests = [http_request(twin, None)] * len(times)
        answers = ask_http(embedded_store, catalog, requests, lambda: next(ticks))
        for at, answer in zip(times, answers, strict=True):
            assert_http(twin, answer, at)
        assert bytes_of(embedded_store) == before


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
@law(2)
@given(runs())
def test_the_clock_of_feast_s_store_moves(
    embedded_store: str, drawn: tuple[Catalog, list[Row], Shape]
) -> None:
    catalog, rows, shape = drawn
    assume(catalog is not FULL)  # a name for each of its hundreds of columns takes seconds
    twins = Twins(catalog)
    with flowing(catalog, shape, embedded_store) as flow, pytest.MonkeyPatch.context() as patch:
        flow.take(rows)
        twins.apply(rows)
        store = feast_store(flow)
        before = bytes_of(embedded_store)
        (twin,) = twins
        for at in moments(twin, 8):
            patch.setattr(serving, "now_us", lambda at=at: at)
            check_feast_online(store, twin, at)
        assert bytes_of(embedded_store) == before
