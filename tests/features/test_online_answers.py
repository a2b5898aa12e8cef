"""An answer of the store that does not fit what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from nextbest.features import StoreError
from nextbest.features.online import FeatureClient
from tests.features.online_cases import EVENTS, NOW, catalog, write_rows

ONE = (["ann", "ben"], ["visits:n"])
MANY = ({"customer_id": ["ann", "ben"], "product": ["hat", "hat"]}, ["visits:n", "items:seen"])

Rows = list[bytes | None]


class Altered(redis.Redis):
    """A client of the store behind something that meddles with its rows."""

    alter: Callable[[Rows], Any]

    def execute_command(self, *words: Any, **options: Any) -> Any:
        reply = super().execute_command(*words, **options)  # type: ignore[no-untyped-call]
        return self.alter(reply) if words[0] == "MGET" else reply


@pytest.fixture
def altered(store: redis.Redis, store_url: str) -> Iterator[Altered]:
    write_rows(store, catalog, EVENTS)
    with Altered.from_url(store_url) as client:
        yield client


@pytest.mark.parametrize(
    "alter",
    [
        lambda rows: rows[:-1],
        lambda rows: rows[1:],
        lambda rows: [*rows, None],
        lambda rows: [],
        lambda rows: b"OK",
        lambda rows: None,
    ],
    ids=["without-the-last", "without-the-first", "one-more", "none", "text", "null"],
)
@pytest.mark.parametrize(("ids", "features"), [ONE, MANY], ids=["one-entity", "two-entities"])
def test_rows_that_are_not_as_many_as_were_asked_for(
    altered: Altered, ids: Any, features: list[str], alter: Callable[[Rows], Any]
) -> None:
    """A row is told by its place among them: one that is missing would shift all others."""
    altered.alter = lambda rows: rows
    client = FeatureClient(altered, catalog, clock=lambda: NOW)
    assert client.get(ids, features=features).values[:, 0].tolist() == [3, 1]
    altered.alter = alter
    with pytest.raises(StoreError, match=r"feature lookup failed: MGET of \d was answered"):
        client.get(ids, features=features)
