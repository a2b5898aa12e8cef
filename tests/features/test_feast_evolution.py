"""Rows of another declaration than the registry's, read through the real Feast SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import feast
import pytest
import redis
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from nextbest.features import Catalog, Feature, FeatureView, StateError, event
from nextbest.features import aggregations as agg
from nextbest.features.declared import declare_commands, schema_key
from nextbest.features.feast_plugin import serving
from nextbest.features.feast_plugin.errors import RowError
from nextbest.features.feast_plugin.repo import apply
from nextbest.features.plan import Plan
from tests.features.online_cases import EVENTS, NOW, WORDS, shop, write_rows

KEPT = [
    agg.sum("spend", of="value", window="1d"),
    agg.last("word", of="word", vocabulary=WORDS),
]


def _declared(*features: Feature) -> Catalog:
    return Catalog(name="grown", views=[FeatureView(name="v", source=shop, features=features)])


def _catalogs() -> tuple[Catalog, Catalog]:
    """A declaration and the next: what both have stands in other places."""
    old = _declared(*KEPT, agg.count("n"), agg.decayed("warm", half_life="1h"))
    bought = agg.count("bought", where=event.type == "buy")
    new = _declared(
        agg.last_k("words", of="word", k=2, vocabulary=WORDS), agg.max("most", of="value"),
        bought, *KEPT[::-1], agg.decayed("warm", half_life="2h"),
    )  # fmt: skip
    return old, new


REFS = {
    "older rows": ["v:most", "v:words", "v:bought", "v:word", "v:spend", "v:warm"],
    "newer rows": ["v:n", "v:warm", "v:spend", "v:word"],
}
IDS = ["ann", "nobody", "ben"]


@pytest.fixture(autouse=True)
def unlearned() -> None:
    """A process keeps what it was told of other declarations: every test begins without."""
    serving._compiled.cache_clear()


@pytest.fixture(params=REFS)
def case(request: pytest.FixtureRequest) -> tuple[Catalog, Catalog, list[str]]:
    """What the rows were written with, what the registry holds, and what is asked for."""
    catalogs = _catalogs()
    written, applied = catalogs if request.param == "older rows" else catalogs[::-1]
    return written, applied, REFS[request.param]


@pytest.fixture(params=["fast", "fast async", "feast", "feast async"])
def ask(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[feast.FeatureStore, list[str]], OnlineResponse]:
    """Look customers up; with versions of views, which only Feast's own way tells."""
    monkeypatch.setattr(serving, "now_us", lambda: NOW)
    settings = {"include_feature_view_version_metadata": "feast" in request.param}

    def look_up(fs: feast.FeatureStore, refs: list[str]) -> OnlineResponse:
        rows = [{"customer_id": name} for name in IDS]
        if "async" not in request.param:
            return fs.get_online_features(refs, rows, **settings)

        async def wait() -> OnlineResponse:
            try:
                return await fs.get_online_features_async(refs, rows, **settings)
            finally:
                await fs.close()

        return asyncio.run(wait())

    return look_up


def _statuses(answer: OnlineResponse) -> dict[str, list[int]]:
    names = answer.proto.metadata.feature_names.val
    return {n: list(v.statuses) for n, v in zip(names, answer.proto.results, strict=True)}


def test_what_both_declarations_have_is_present_and_the_rest_null(
    store: redis.Redis,
    store_url: str,
    tmp_path: Path,
    case: tuple[Catalog, Catalog, list[str]],
    ask: Callable[..., OnlineResponse],
) -> None:
    written, applied, refs = case
    fs = apply(applied, tmp_path, store_url)
    state = write_rows(store, written, EVENTS)["customer"].state
    stored = dict(zip(written.columns, state.read(["ann"], NOW).values[0].tolist(), strict=True))
    answer = ask(fs, refs)
    found, statuses = answer.to_dict(include_event_timestamps=True), _statuses(answer)
    assert list(statuses) == ["customer_id", *(ref[2:] for ref in refs)]
    for name in (ref[2:] for ref in refs):
        kept = name in ("spend", "word")
        there = FieldStatus.PRESENT if kept else FieldStatus.NULL_VALUE
        assert statuses[name] == [there, FieldStatus.NOT_FOUND, there], name
        assert kept or found[name] == [None, None, None]
        assert found[f"{name}__ts"][0] > found[f"{name}__ts"][1] == 0
    assert found["spend"] == [stored["v:spend"], None, 7.0]
    assert found["word"][0] == WORDS[int(stored["v:word"])]


def test_rows_of_both_in_one_lookup(
    store: redis.Redis,
    store_url: str,
    tmp_path: Path,
    case: tuple[Catalog, Catalog, list[str]],
    ask: Callable[..., OnlineResponse],
) -> None:
    written, applied, refs = case
    fs = apply(applied, tmp_path, store_url)
    write_rows(store, written, EVENTS)
    write_rows(store, applied, [row for row in EVENTS if row["customer_id"] == "ann"])
    statuses = _statuses(ask(fs, refs))
    assert statuses["warm"] == [
        FieldStatus.PRESENT, FieldStatus.NOT_FOUND, FieldStatus.NULL_VALUE
    ]  # fmt: skip
    assert statuses["spend"] == [
        FieldStatus.PRESENT, FieldStatus.NOT_FOUND, FieldStatus.PRESENT
    ]  # fmt: skip


def test_a_row_whose_declaration_is_not_there_names_customer_and_schema(
    store: redis.Redis,
    store_url: str,
    tmp_path: Path,
    case: tuple[Catalog, Catalog, list[str]],
    ask: Callable[..., OnlineResponse],
) -> None:
    written, applied, refs = case
    fs = apply(applied, tmp_path, store_url)
    write_rows(store, written, EVENTS, declare=False)
    schema = Plan.compile(written).schema_id
    with pytest.raises(RowError, match=f"customer 'ann' was written .* schema {schema:08x}: is"):
        ask(fs, refs)
    for command in declare_commands(written):
        store.execute_command(*command)
    assert ask(fs, refs).to_dict()["spend"][2] == 7.0


@pytest.mark.parametrize(
    ("stored", "says"),
    [(b"no catalog", "a stored catalog cannot be read"), (None, "is of another schema")],
    ids=["damaged", "schema"],
)
def test_a_declaration_that_is_not_the_rows_names_the_customer(
    store: redis.Redis, store_url: str, tmp_path: Path, stored: bytes | None, says: str
) -> None:
    written, applied = _catalogs()
    fs = apply(applied, tmp_path, store_url)
    write_rows(store, written, EVENTS)
    key = schema_key(written.name, written.entity, Plan.compile(written).schema_id)
    store.set(key, declare_commands(applied)[0][2] if stored is None else stored)
    with pytest.raises(RowError, match=rf"customer 'ann' was .*{says}") as refused:
        fs.get_online_features(["v:spend"], [{"customer_id": "ann"}])
    assert isinstance(refused.value, feast.errors.FeastError)
    assert isinstance(refused.value, StateError)


def test_the_lower_level_contract_reads_them_too(
    store: redis.Redis, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, applied = _catalogs()
    fs = apply(applied, tmp_path, store_url)
    write_rows(store, written, EVENTS)
    monkeypatch.setattr(serving, "now_us", lambda: NOW)
    online: Any = fs._get_provider().online_store
    keys = [
        EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=name)]) for name in IDS
    ]
    view = fs.get_feature_view("v")
    ann, nobody, ben = online.online_read(fs.config, view, keys, ["spend", "most"])
    assert ben[1]["spend"].double_val == 7.0
    assert ben[1]["most"].WhichOneof("val") is None
    assert nobody == (None, None)
    assert (ann[0] - ben[0]).total_seconds() == 28 * 60
