"""Computed views through the real Feast SDK and a real server, against the state they come from."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import Any

import feast
import numpy as np
import pandas as pd
import pytest
import redis
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.transformation.python_transformation import PythonTransformation
from feast.types import Float64

from nextbest.features import Catalog, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.feast_plugin import serving
from nextbest.features.feast_plugin.repo import apply
from nextbest.features.online import key_prefix
from nextbest.features.row_commands import RowCommands
from nextbest.features.state import FeatureRows
from tests.laws.driver import Kernels

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 1440 * MINUTE
START = 1_767_225_600 * SECOND + 999_999  # the last microsecond of its second
NEWEST = {"ada": START + 5 * MINUTE, "bob": START, "é, ß": START - 3 * DAY}
NOW = START + 10 * MINUTE
CATEGORIES = ("shoes", "hats", 'naïve, "odd"', "")
STATUS = {0: FieldStatus.PRESENT, 1: FieldStatus.NULL_VALUE, 2: FieldStatus.OUTSIDE_MAX_AGE}

SHOP = EventSchema(
    "shop", types=("view", "cart"), properties={"category": str, "value": float, "n": int}
)
CART = event.type == "cart"
VISIT = FeatureView(
    name="visit",
    source=SHOP,
    features=[
        agg.count("events", window="session"),
        agg.count("carts", where=CART, window="session"),
        agg.ratio("cart_share", "carts", "events"),
        agg.mean("mean_value", of="value", where=CART, window="session"),
        agg.last("last_category", of="category", vocabulary=CATEGORIES, window="session"),
        agg.last_k("trail", of="category", k=3, vocabulary=CATEGORIES),
        agg.last_k("values", of="value", k=4),
        agg.count("by_category", by="category", vocabulary=CATEGORIES, window="session"),
        agg.mean("mean_by_category", of="value", by="category", vocabulary=CATEGORIES),
        agg.count("before", window="last_session"),
        agg.evidence("doubt", where=event.n == 0),
    ],
)
HISTORY = FeatureView(
    name="history",
    source=SHOP,
    ttl="2d",
    features=[
        agg.count("all_events"),
        agg.sum("total", of="value", window="1d"),
        agg.decayed("affinity", by="category", vocabulary=CATEGORIES, half_life="7d"),
        agg.time_since("since_cart", where=CART),
        agg.distinct("categories", of="category", vocabulary=CATEGORIES),
    ],
)
CATALOG = Catalog(name="feast_shop", views=[VISIT, HISTORY])
REFS = [f"{view.name}:{feature.name}" for view, feature in CATALOG.features()]
IDS = ["bob", "nobody", "ada", "é, ß", "ada"]


def _events() -> list[dict[str, Any]]:
    def row(customer: str, at: int, **properties: Any) -> dict[str, Any]:
        kind = "cart" if "value" in properties else "view"
        return {
            "event_id": f"{customer} {at}",
            "event_timestamp": at,
            "customer_id": customer,
            "type": kind,
            "properties": properties,
        }

    ada = NEWEST["ada"]
    return [
        row("ada", ada - 2 * DAY, category="shoes", n=0),
        row("ada", ada - 3 * MINUTE, category=CATEGORIES[2], value=-0.5, n=0),
        row("ada", ada - 2 * MINUTE, category="hats", value=2.5),
        row("ada", ada, category="", n=2**40),
        row("bob", NEWEST["bob"], n=1),
        row("é, ß", NEWEST["é, ß"], category="hats", value=1e300),
    ]


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    made = Kernels(CATALOG)
    made.apply(_events())
    return made


@pytest.fixture(scope="module")
def shop(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> feast.FeatureStore:
    """Feast's store with an ordinary view beside ours."""
    store = apply(CATALOG, tmp_path_factory.mktemp("feast"), embedded_store)
    source = feast.PushSource(
        name="crm",
        batch_source=feast.FileSource(path="/nowhere.parquet", timestamp_field="event_timestamp"),
    )
    profile = feast.FeatureView(
        name="profile",
        entities=[store.get_entity("customer")],
        schema=[feast.Field(name="score", dtype=Float64)],
        source=source,
    )
    store.apply([profile])
    return store


@pytest.fixture(scope="module")
def commands(kernels: Kernels) -> RowCommands:
    """What a worker sends to publish all the rows."""
    return kernels.state.encode_changes(key_prefix(CATALOG))


@pytest.fixture(autouse=True)
def rows(commands: RowCommands, store: redis.Redis) -> None:
    """Every test begins with the customers' rows in the store, and nothing else."""
    connection: Any = store.connection_pool.get_connection()
    connection.send_packed_command([bytes(commands.payload)])
    assert [connection.read_response() for _ in range(commands.replies)] == [b"OK"]
    store.connection_pool.release(connection)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the time that lookups are made at."""

    def at(now: int) -> None:
        monkeypatch.setattr(serving, "now_us", lambda: now)

    at(NOW)
    return at


@pytest.fixture(params=["sync", "async"])
def ask(
    request: pytest.FixtureRequest, shop: feast.FeatureStore, clock: Callable[[int], None]
) -> Callable[..., OnlineResponse]:
    """Looks features of customers up, both ways."""

    def look_up(features: Any, ids: Sequence[str] = IDS, **settings: Any) -> OnlineResponse:
        arguments = {"features": features, "entity_rows": [{"customer_id": i} for i in ids]}
        if request.param == "sync":
            return shop.get_online_features(**arguments, **settings)

        async def wait() -> OnlineResponse:
            try:
                return await shop.get_online_features_async(**arguments, **settings)
            finally:
                await shop.close()

        return asyncio.run(wait())

    return look_up


def _vectors(answer: OnlineResponse) -> dict[str, Any]:
    names = answer.proto.metadata.feature_names.val
    return dict(zip(names, answer.proto.results, strict=True))


def _expected(read: FeatureRows, i: int) -> dict[str, tuple[Any, int]]:
    """Value and status by ``view:feature`` of one customer, from the numbers of the state."""
    found: dict[str, tuple[Any, int]] = {}
    column = 0
    for view, feature in CATALOG.features():
        width = len(feature.columns)
        numbers = read.values[i, column : column + width].tolist()
        states = read.state[i, column : column + width].tolist()
        column += width
        status = 0 if 0 in states else 2 if 2 in states else 1
        made: list[Any] = numbers
        if feature.aggregation == "last_k":
            made = [n for n, s in zip(numbers, states, strict=True) if s == 0]
        if feature.dtype == "int64" and status == 0:
            made = [int(n) for n in made]
        if feature.is_categorical and status == 0:
            made = [feature.vocabulary[int(n)] for n in made]
        value = None if status else made if feature.is_vector else made[0]
        known = read.age_ms[i] >= 0
        found[f"{view.name}:{feature.name}"] = (
            value,
            STATUS[status] if known else FieldStatus.NOT_FOUND,
        )
    return found


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(theirs, float) and math.isnan(theirs):
        return isinstance(ours, float) and math.isnan(ours)
    return type(ours) is type(theirs) and bool(ours == theirs)


@pytest.mark.parametrize("later", [0, 29 * MINUTE, 31 * MINUTE, DAY, 3 * DAY])
@pytest.mark.parametrize("full_names", [False, True])
def test_every_value_status_and_time_is_the_states(
    ask: Callable[..., OnlineResponse],
    kernels: Kernels,
    clock: Callable[[int], None],
    later: int,
    full_names: bool,
) -> None:
    clock(NOW + later)
    answer = ask(REFS, full_feature_names=full_names)
    read = kernels.state.read(IDS, NOW + later)
    vectors = _vectors(answer)
    plain = OnlineResponse(answer.proto, answer._feature_types).to_dict(True)
    ours = answer.to_dict(True)
    assert list(plain) == list(ours)
    for i, customer in enumerate(IDS):
        for ref, (value, status) in _expected(read, i).items():
            view, _, feature = ref.partition(":")
            name = f"{view}__{feature}" if full_names else feature
            where = f"{ref} of {customer}"
            assert vectors[name].statuses[i] == status, where
            assert _same(plain[name][i], value), (where, plain[name][i], value)
            assert _same(ours[name][i], value), (where, ours[name][i], value)
            time = vectors[name].event_timestamps[i].ToMicroseconds()
            assert time == NEWEST.get(customer, 0), where
            assert ours[f"{name}__ts"][i] == plain[f"{name}__ts"][i] == time // SECOND


def test_the_answer_has_all_kinds_of_status(ask: Callable[..., OnlineResponse]) -> None:
    seen = {s for vector in _vectors(ask(REFS)).values() for s in vector.statuses}
    assert seen == {*STATUS.values(), FieldStatus.NOT_FOUND}


def test_a_session_ends_while_nothing_is_written(
    ask: Callable[..., OnlineResponse], clock: Callable[[int], None]
) -> None:
    end = NEWEST["ada"] + 30 * MINUTE
    for now, status, value in (
        (end, FieldStatus.PRESENT, 3),
        (end + 1, FieldStatus.OUTSIDE_MAX_AGE, None),
    ):
        clock(now)
        answer = ask(["visit:events"], ["ada"])
        assert _vectors(answer)["events"].statuses == [status]
        assert answer.to_dict() == {"customer_id": ["ada"], "events": [value]}


def test_features_come_in_the_order_they_were_asked_for(
    ask: Callable[..., OnlineResponse],
) -> None:
    refs = [REFS[i] for i in np.random.default_rng(0).permutation(len(REFS))]
    names = [ref.split(":")[1] for ref in refs]
    assert list(ask(refs).to_dict()) == ["customer_id", *names]


def test_a_feature_service_is_answered_in_declared_order(
    ask: Callable[..., OnlineResponse], shop: feast.FeatureStore
) -> None:
    answer = ask(shop.get_feature_service("feast_shop")).to_dict()
    assert list(answer) == ["customer_id", *(ref.split(":")[1] for ref in REFS)]
    assert answer["all_events"] == [1, None, 4, None, 4]


def _push(shop: feast.FeatureStore) -> None:
    shop.push(
        "crm",
        pd.DataFrame(
            {
                "customer_id": ["ada", "nobody"],
                "score": [0.25, 0.75],
                "event_timestamp": pd.to_datetime([0, 1], unit="s", utc=True),
            }
        ),
    )


def test_ordinary_views_in_the_same_call_are_as_without_ours(
    ask: Callable[..., OnlineResponse], shop: feast.FeatureStore
) -> None:
    _push(shop)
    alone = _vectors(ask(["profile:score"]))["score"]
    answer = ask(["profile:score", *REFS])
    mixed = _vectors(answer)
    assert mixed["score"] == alone
    assert mixed["all_events"] == _vectors(ask(REFS))["all_events"]
    assert answer.to_dict()["score"] == [None, 0.75, 0.25, None, 0.25]


@pytest.mark.filterwarnings("ignore:On demand feature view is an experimental:RuntimeWarning")
def test_an_on_demand_view_over_both(
    ask: Callable[..., OnlineResponse], shop: feast.FeatureStore
) -> None:
    _push(shop)

    def transform(inputs: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(inputs["all_events"], inputs["score"], strict=True)
        return {"weight": [n * s if n and s else -1.0 for n, s in pairs]}

    udf: Any = transform  # Feast wants a function that is no callable object
    view = feast.OnDemandFeatureView(
        name="weighing",
        sources=[shop.get_feature_view("history"), shop.get_feature_view("profile")],
        schema=[feast.Field(name="weight", dtype=Float64)],
        feature_transformation=PythonTransformation(udf=udf, udf_string="transform"),
        mode="python",
    )
    shop.apply([view])
    try:
        answer = ask(["weighing:weight", "visit:events"]).to_dict()
    finally:
        shop.registry.delete_feature_view("weighing", shop.project)
    assert answer["weight"] == [-1.0, -1.0, 1.0, -1.0, 1.0]
    assert set(answer) == {"customer_id", "events", "weight"}


def test_a_join_key_map_asks_of_other_people(
    shop: feast.FeatureStore, clock: Callable[[int], None]
) -> None:
    partner = shop.get_feature_view("history").with_name("partner")
    partner = partner.with_join_key_map({"customer_id": "partner_id"})
    service = feast.FeatureService(
        name="pair", features=[shop.get_feature_view("history").with_name("own"), partner]
    )
    shop.apply([service])
    answer = shop.get_online_features(
        service,
        {"customer_id": ["ada", "bob"], "partner_id": ["bob", "nobody"]},
        full_feature_names=True,
    ).to_dict()
    shop.delete_feature_service("pair")
    assert answer["own__all_events"] == [4, 1]
    assert answer["partner__all_events"] == [1, None]


def test_the_lower_level_contract_too(
    shop: feast.FeatureStore, clock: Callable[[int], None]
) -> None:
    online: Any = shop._get_provider().online_store
    keys = [
        EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=i)])
        for i in ("ada", "nobody")
    ]
    view = shop.get_feature_view("visit")
    (time, values), unknown = online.online_read(shop.config, view, keys, ["trail", "events"])
    assert time == dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=NEWEST["ada"])
    assert list(values["trail"].string_list_val.val) == ["", "hats", CATEGORIES[2]]
    assert values["events"].int64_val == 3
    assert unknown == (None, None)
    assert len(online.online_read(shop.config, view, keys)[0][1]) == len(VISIT.features)
    assert online.online_read(shop.config, view, []) == []


def test_materialising_everything_passes_computed_views_by(shop: feast.FeatureStore) -> None:
    assert [v.name for v in shop.list_feature_views() if v.online] == ["profile"]


def test_the_versions_of_views_are_told(ask: Callable[..., OnlineResponse]) -> None:
    answer = ask(REFS, include_feature_view_version_metadata=True)
    names = [view.name for view in answer.proto.metadata.feature_view_metadata]
    assert sorted(names) == ["history", "visit"]
