"""Never stale, through the store: what the client reads equals plain Python as time passes."""

from __future__ import annotations

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nextbest.features.online import FeatureClient
from tests.features.online_cases import send
from tests.laws import strategies as some
from tests.laws.driver import assert_equal_cells, both, law, reading_times
from tests.laws.strategies import CUSTOMERS
from tests.laws.test_law_1_equal_answers import newest_times


@settings(law(20), suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_a_moving_clock(data: st.DataObject, store: redis.Redis, store_url: str) -> None:
    """At every moment when something changes, of all features and of some in another order."""
    store.flushall()
    catalog = data.draw(some.catalogs())
    rows = some.arrivals(catalog, data.draw(some.moves(catalog, most=12)), data.draw(some.starts))
    kernels, naive = both(catalog)
    assert kernels.apply(rows) == [naive.apply(row) for row in rows]
    send(store, kernels)
    refs = [f"{view.name}:{feature.name}" for view, feature in catalog.features()]
    chosen = data.draw(st.lists(st.sampled_from(refs), min_size=1, unique=True))
    clock = [0]
    with FeatureClient(store_url, catalog, clock=lambda: clock[0]) as client:
        for now in reading_times(catalog, newest_times(rows)):
            clock[0] = now
            found = client.get(CUSTOMERS)
            assert found.at == now
            for i, customer in enumerate(CUSTOMERS):
                assert found.rows.age_ms[i] == naive.age_ms(customer, now)
                assert_equal_cells(catalog, found.values[i], found.state[i], naive, customer, now)
            some_of_them = client.get(CUSTOMERS, features=chosen)
            places = [found.columns.index(column) for column in some_of_them.columns]
            assert some_of_them.values.tobytes() == found.values[:, places].tobytes()
            assert some_of_them.state.tobytes() == found.state[:, places].tobytes()
