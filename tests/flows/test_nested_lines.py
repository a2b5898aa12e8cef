"""A line that is nested without end is one line that cannot be read, and stops no other."""

from __future__ import annotations

import redis

from nextbest.flows.partitions import customers_of
from nextbest.flows.sources import publish_events

DEEP = b'{"customer_id":"ada","properties":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
GOOD = b'{"customer_id":"ada"}'


def test_it_has_no_customer() -> None:
    assert customers_of([GOOD, DEEP, GOOD]) == ["ada", "", "ada"]


def test_it_goes_to_the_first_partition_and_the_others_where_they_belong(
    store: redis.Redis,
) -> None:
    publish_events(store, "deep", [DEEP, GOOD], 2, 16)
    found = {
        key: b"".join(fields[b"events"] for _, fields in store.xrange(key))
        for key in ("deep:0", "deep:1")
    }
    assert DEEP in found["deep:0"].splitlines()
    assert GOOD in b"\n".join(found.values()).splitlines()
