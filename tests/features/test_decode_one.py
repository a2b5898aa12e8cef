"""Reading one row by itself says what reading it among others says, or fails as that does."""

from __future__ import annotations

import numpy as np
import pytest
import redis

from nextbest.features.errors import RowError, UnknownSchemaError
from nextbest.features.online import RowDecoder, key_prefix
from nextbest.features.plan import Plan
from tests.features.online_cases import EVENTS, HOUR, NOW, catalog, write_rows


@pytest.fixture
def stored(store: redis.Redis) -> dict[str, bytes]:
    """The customers' packed rows."""
    write_rows(store, catalog, EVENTS)
    prefix = key_prefix(catalog.of("customer"))
    found = {name: store.get(prefix + name.encode()) for name in ("ann", "ben")}
    return {name: row for name, row in found.items() if isinstance(row, bytes)}


@pytest.mark.parametrize("at", [NOW, NOW + 3 * HOUR, NOW + 400 * HOUR], ids=["now", "3h", "400h"])
@pytest.mark.parametrize("features", [None, ["visits:share", "visits:word"]], ids=["all", "some"])
def test_one_row_reads_as_it_does_among_others(
    stored: dict[str, bytes], at: int, features: list[str] | None
) -> None:
    customers = catalog.of("customer")
    chosen = None if features is None else customers.select(features)
    decoder = RowDecoder(Plan.compile(customers), chosen)
    assert set(stored) == {"ann", "ben"}
    rows = decoder.decode(list(stored.values()), at)
    for i, row in enumerate(stored.values()):
        values, state, position, age_ms = decoder.decode_one(row, at)
        np.testing.assert_array_equal(values, rows.values[i])
        assert state.tolist() == rows.state[i].tolist()
        assert (position, age_ms) == (rows.positions[i], rows.age_ms[i])


def test_what_cannot_be_read_is_refused_as_among_others(stored: dict[str, bytes]) -> None:
    decoder = RowDecoder(Plan.compile(catalog.of("customer")))
    row = stored["ann"]
    for bad in (row[:-8], row[:-3], row[:-1] + bytes([row[-1] ^ 1]), b""):
        with pytest.raises(RowError):
            decoder.decode_one(bad, NOW)
    other = (int.from_bytes(row[:4], "little") ^ 1).to_bytes(4, "little") + row[4:]
    with pytest.raises((RowError, UnknownSchemaError)):
        decoder.decode_one(other, NOW)
