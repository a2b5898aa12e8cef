"""Rows of an older declaration, or a newer one, are read: what both have has its value."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
import redis

from nextbest.features import Catalog, Feature, FeatureView, StateError, event
from nextbest.features import aggregations as agg
from nextbest.features.declared import declare_commands, schema_key
from nextbest.features.errors import RowError, UnknownSchemaError
from nextbest.features.online import AsyncFeatureClient, FeatureClient, Features, RowDecoder
from nextbest.features.plan import Plan
from tests.features.online_cases import EVENTS, NOW, WORDS, shop, write_rows
from tests.laws.driver import Kernels

spend = agg.sum("spend", of="value", window="1d")
n = agg.count("n", description="then")
word = agg.last("word", of="word", vocabulary=WORDS)
bought = agg.count("bought", where=event.type == "buy")
share = agg.ratio("share", "bought", "n")


def declared(*features: Feature, gap: str = "30m", ttl: str | None = None) -> Catalog:
    view = FeatureView(name="v", source=shop, features=features, session_gap=gap, ttl=ttl)
    return Catalog(name="grown", views=[view])


OLD = declared(spend, n, word, agg.decayed("warm", half_life="1h"))
NEW = declared(
    agg.max("most", of="value"), bought, agg.count("n"), share, word, spend,
    agg.decayed("warm", half_life="2h"),
)  # fmt: skip
IDS = ["ann", "nobody", "ben"]


def ask(url: str, catalog: Catalog, kind: str, features: Sequence[str] | None = None) -> Features:
    """A lookup by one client or the other."""
    if kind == "blocking":
        with FeatureClient(url, catalog, clock=lambda: NOW) as client:
            return client.get(IDS, features=features)

    async def get() -> Features:
        async with AsyncFeatureClient(url, catalog, clock=lambda: NOW) as client:
            return await client.get(IDS, features=features)

    return asyncio.run(get())


both_clients = pytest.mark.parametrize("kind", ["blocking", "async"])


@both_clients
def test_what_an_older_row_has_is_read_and_the_rest_is_missing(
    store: redis.Redis, store_url: str, kind: str
) -> None:
    old = write_rows(store, OLD, EVENTS)["customer"]
    found = ask(store_url, NEW, kind)
    stored = dict(zip(OLD.columns, old.state.read(["ann"], NOW).values[0].tolist(), strict=True))
    assert found.to_dict("ann") == {
        "v:most": None,
        "v:bought": None,
        "v:n": stored["v:n"],
        "v:share": None,
        "v:word": WORDS[int(stored["v:word"])],
        "v:spend": stored["v:spend"],
        "v:warm": None,
    }
    assert found.states("ann")["v:warm"] == "missing"
    assert set(found.states("nobody").values()) == {"missing"}
    assert found.rows.positions.tolist() == old.state.read(IDS, NOW).positions.tolist()
    chosen = ask(store_url, NEW, kind, ["v:spend", "v:most"])
    assert chosen.values[0].tolist() == pytest.approx([stored["v:spend"], np.nan], nan_ok=True)


@both_clients
def test_rows_of_both_in_one_lookup(store: redis.Redis, store_url: str, kind: str) -> None:
    write_rows(store, OLD, EVENTS)
    new = write_rows(store, NEW, EVENTS[:3])["customer"]
    found = ask(store_url, NEW, kind)
    assert found.values[0].tobytes() == new.state.read(["ann"], NOW).values[0].tobytes()
    assert found.to_dict("ben")["v:spend"] == 7.0
    assert found.to_dict("ben")["v:most"] is None
    back = ask(store_url, OLD, kind)
    assert back.to_dict("ann")["v:n"] == 3
    assert back.to_dict("ann")["v:warm"] is None
    assert back.to_dict("ben")["v:warm"] is not None


def test_another_time_to_live_is_no_other_row(store: redis.Redis, store_url: str) -> None:
    write_rows(store, OLD, EVENTS)
    found = ask(store_url, declared(spend, bought, ttl="10m"), "blocking")
    assert found.states("ann") == {"v:spend": "present", "v:bought": "missing"}
    assert found.states("ben")["v:spend"] == "expired"


@both_clients
def test_a_row_whose_declaration_is_not_there(
    store: redis.Redis, store_url: str, kind: str
) -> None:
    write_rows(store, OLD, EVENTS, declare=False)
    schema = Plan.compile(OLD).schema_id
    says = f"row of customer 'ann' was written under another .* the unknown schema {schema:08x}"
    with pytest.raises(UnknownSchemaError, match=says) as caught:
        ask(store_url, NEW, kind)
    assert (caught.value.ordinal, caught.value.schema_id) == (0, schema)


def test_a_declaration_is_asked_for_once(store: redis.Redis, store_url: str) -> None:
    write_rows(store, OLD, EVENTS, declare=False)

    def asked() -> int:
        return int(store.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"])

    with FeatureClient(store_url, NEW) as client:
        before = asked()
        for _ in range(3):
            with pytest.raises(UnknownSchemaError):
                client.get(IDS)
        assert asked() == before + 1
    for command in declare_commands(OLD):
        store.execute_command(*command)
    with FeatureClient(store_url, NEW) as client:
        for refs in (None, ["v:n"], ["v:spend"], None):
            client.get(IDS, features=refs)
        assert asked() == before + 2


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (b"no catalog", "a stored catalog cannot be read"),
        (declare_commands(NEW)[0][2], "is of another schema, or of another version"),
        (declare_commands(Catalog(name="other", views=OLD.views))[0][2], "is of other rows"),
    ],
    ids=["damaged", "schema", "catalog"],
)
def test_a_declaration_that_is_not_the_rows(
    store: redis.Redis, store_url: str, stored: bytes, says: str
) -> None:
    write_rows(store, OLD, EVENTS)
    store.set(schema_key("grown", OLD.entity, Plan.compile(OLD).schema_id), stored)
    with pytest.raises(StateError, match=says):
        ask(store_url, NEW, "blocking")


def test_a_decoder_without_a_store_is_told(store: redis.Redis) -> None:
    write_rows(store, OLD, EVENTS)
    rows: list[bytes | None] = [None, store.get("nextbest:grown:customer:ben")]  # type: ignore[list-item]
    decoder = RowDecoder(Plan.compile(NEW))
    with pytest.raises(UnknownSchemaError) as caught:
        decoder.decode(rows, NOW)
    assert caught.value.ordinal == 1
    assert decoder.learn(OLD) == caught.value.schema_id
    found = decoder.decode(rows, NOW)
    at = NEW.columns.index("v:spend")
    assert found.values[:, at].tolist() == pytest.approx([np.nan, 7.0], nan_ok=True)
    assert found.values.shape == (2, len(NEW.columns))
    with pytest.raises(StateError, match="is not of the rows of 'grown'"):
        decoder.learn(Catalog(name="other", views=OLD.views))
    cut = rows[1] or b""
    with pytest.raises(RowError, match="stored row 2 is cut off"):
        decoder.decode([*rows, cut[:-8]], NOW)


def test_reading_times_of_each_row(store: redis.Redis) -> None:
    """A row of another declaration is read as of its own time, too."""
    old, new = Kernels(OLD), Kernels(NEW)
    old.apply(EVENTS)
    new.apply(EVENTS)
    write_rows(store, OLD, EVENTS)
    rows = [store.get("nextbest:grown:customer:ann")]
    write_rows(store, NEW, EVENTS)
    rows += [store.get("nextbest:grown:customer:ann"), rows[0]]
    decoder = RowDecoder(Plan.compile(NEW))
    decoder.learn(OLD)
    day = 86_400_000_000
    times = np.array([NOW, NOW + 2 * day, NOW + 2 * day])
    found = decoder.decode(rows, times)  # type: ignore[arg-type]
    at = NEW.columns.index("v:spend")
    assert found.values[:, at].tolist() == [7.5, 0.0, 0.0]
    assert found.age_ms.tolist() == [120_000, 120_000 + 172_800_000, 120_000 + 172_800_000]
