"""Feast definitions of a catalog: what the registry holds, repositories, imports, the wire."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import feast
import numba
import numpy as np
import pytest
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import (
    DoubleList,
    Int64List,
    StringList,
    Value,
)
from feast.types import Array, Float64, Int64, String
from pydantic import ValidationError

from nextbest.features import Catalog, DeclarationError, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.feast_plugin import repo, wire
from nextbest.features.feast_plugin.definitions import feast_objects, named_objects
from nextbest.features.feast_plugin.errors import ComputedViewError, RegistryError
from nextbest.features.feast_plugin.online_store import (
    NextbestOnlineStore,
    NextbestOnlineStoreConfig,
)
from nextbest.features.feast_plugin.source import EventSource
from nextbest.features.kernels.read import EXPIRED, MISSING, PRESENT
from nextbest.features.plan import Plan

SHOP = EventSchema(
    "shop",
    types=("view", "cart"),
    properties={"word": str, "value": float, "good": bool, "n": int},
)
WORDS = ("b", "a", "ü")
STRANGE = (
    (event.type == "cart") & ~(event.value > 1.0)
    | event.word.isin(["a", "b"])
    | (event.good == True)  # noqa: E712  # an expression over events, not a truth value
)


def _view(name: str = "visits", **settings: Any) -> FeatureView:
    return FeatureView(
        name=name,
        source=SHOP,
        features=[
            agg.count("n_events", window="session", description="Events now"),
            agg.sum("spend", of="value", where=STRANGE, window="1d"),
            agg.last("word", of="word", vocabulary=WORDS),
            agg.count("by_word", by="word", vocabulary=WORDS),
            agg.decayed("liking", by="word", vocabulary=WORDS, half_life="7d"),
            agg.last_k("words", of="word", vocabulary=WORDS, k=2),
        ],
        **settings,
    )


CATALOG = Catalog(
    name="repo_shop",
    views=[
        _view(ttl="7d", description="What now", owner="a@b", tags={"team": "web"}),
        _view("others", session_gap="1h"),
    ],
    lateness="10m",
)


def test_a_catalog_becomes_feast_objects() -> None:
    entity, visits, others, service = feast_objects(CATALOG)
    assert (entity.name, entity.join_key) == ("customer", "customer_id")
    assert {f.name: f.dtype for f in visits.features} == {
        "n_events": Int64,
        "spend": Float64,
        "word": String,
        "by_word": Array(Int64),
        "liking": Array(Float64),
        "words": Array(String),
    }
    assert (visits.description, visits.owner, visits.ttl) == ("What now", "a@b", timedelta(days=7))
    assert others.ttl == timedelta(0)
    assert visits.online is False
    schema = f"{Plan.compile(CATALOG).schema_id:08x}"
    ours = {"nextbest.catalog": "repo_shop", "nextbest.schema": schema}
    assert visits.tags == {"team": "web", **ours}
    by_name = {f.name: f for f in visits.features}
    assert by_name["n_events"].description == "Events now"
    assert by_name["liking"].tags == {
        "nextbest.aggregation": "decayed",
        "nextbest.window": "half-life 1w",
        "nextbest.keys": '["b","a","ü"]',
    }
    assert [p.name for p in service.feature_view_projections] == ["visits", "others"]
    assert all(name.isidentifier() for name in named_objects(CATALOG))


def test_the_registry_holds_the_whole_declaration() -> None:
    visits = feast_objects(CATALOG)[1]
    source = feast.FeatureView.from_proto(visits.to_proto()).batch_source
    assert isinstance(source, EventSource)
    assert source == visits.batch_source
    assert source != EventSource(name=source.name, declaration=b"")
    assert source.catalog == CATALOG
    assert Plan.compile(source.catalog).schema_id == Plan.compile(CATALOG).schema_id
    with pytest.raises(RegistryError, match="shop_events"):
        _ = EventSource(name="shop_events", declaration=b"?").catalog
    with pytest.raises(ComputedViewError):
        source.get_table_query_string()


def test_tags_and_names_that_would_collide() -> None:
    tagged = _view(tags={"nextbest.schema": "mine"})
    with pytest.raises(DeclarationError, match=r"visits: tag 'nextbest.schema'"):
        feast_objects(Catalog(name="c", views=[tagged]))
    keyed = FeatureView(name="v", source=SHOP, features=[agg.count("customer_id")])
    with pytest.raises(DeclarationError, match="v:customer_id"):
        feast_objects(Catalog(name="c", views=[keyed]))


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("tests.bench.catalog", "a catalog is named"),
        ("no.such.module:catalog", "No module named 'no'"),
        ("tests.bench.catalog:catalogue", "'catalogue' is nothing"),
        ("tests.bench.catalog:shop", "'shop' is a EventSchema"),
    ],
)
def test_a_reference_that_names_no_catalog(reference: str, reason: str) -> None:
    with pytest.raises(DeclarationError, match=reason) as refused:
        repo.load_catalog(reference)
    assert reference in str(refused.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"connection_string": "${NO_SUCH_URL}"}, "NO_SUCH_URL is not set"),
        ({"connection_string": "http://cache"}, "does not begin with redis://"),
        ({"redis_type": "redis_cluster"}, "in one server"),
        ({"connection_string": "unix:///s", "client": "glide"}, "needs host:port"),
        ({"timeout_seconds": 0}, "greater than 0"),
        ({"catalogue": "x"}, "Extra inputs"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        NextbestOnlineStoreConfig(**options)


def test_a_password_is_not_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "redis://:s3cret@localhost:6379/1"
    file = repo.write_repo(tmp_path / "f", "tests.bench.catalog:catalog", url)
    assert "s3cret" not in file.read_text()
    monkeypatch.setenv("NEXTBEST_REDIS_URL", url)
    store = feast.FeatureStore(repo_path=str(tmp_path / "f"))
    assert store.config.online_store.connection_string == url


def test_a_view_that_is_declared_no_more_leaves_the_registry(
    tmp_path: Path, store_url: str
) -> None:
    repo.apply(CATALOG, tmp_path, store_url)
    less = Catalog(name="repo_shop", views=CATALOG.views[:1], lateness="10m")
    store = repo.apply(less, tmp_path, store_url)
    assert [view.name for view in store.list_feature_views()] == ["visits"]
    service = store.get_feature_service("repo_shop")
    assert [p.name for p in service.feature_view_projections] == ["visits"]


def _python(code: str, *arguments: str) -> str:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


_COMMAND = """
import sys
import nextbest.features.feast_plugin.offline_store
import nextbest.features.feast_plugin.online_store
import nextbest.features.feast_plugin.source
heavy = {"numba", "nextbest.features.plan", "nextbest.flows"} & set(sys.modules)
assert not heavy, f"imported before the first lookup: {heavy}"
from feast.cli.cli import cli
cli(["-c", sys.argv[1], "apply"])
"""


def test_the_command_line_applies_a_repository(tmp_path: Path, store_url: str) -> None:
    directory = tmp_path / "a b"
    repo.write_repo(directory, "tests.bench.catalog:catalog", store_url)
    assert "for project bench" in _python(_COMMAND, str(directory))
    store = feast.FeatureStore(repo_path=str(directory))
    answer = store.get_online_features(
        store.get_feature_service("bench"), [{"customer_id": "nobody"}]
    )
    assert len(answer.proto.results) == 1 + 40
    statuses = {s for vector in answer.proto.results[1:] for s in vector.statuses}
    assert statuses == {FieldStatus.NOT_FOUND}


def test_a_reader_without_feast_does_not_import_it() -> None:
    heavy = {"feast", "pandas", "pyarrow", "pydantic", "google.protobuf"}
    code = f"import sys, nextbest.features.online\nprint(*({heavy} & set(sys.modules)))"
    assert _python(code).split() == []


@pytest.mark.parametrize(
    "method",
    [
        "get_online_features",
        "get_online_features_async",
        "_read_features_per_fv",
        "_read_features_per_fv_async",
        "_build_feature_types",
        "online_read",
        "online_read_async",
        "online_write_batch",
        "online_write_batch_async",
        "update",
        "teardown",
        "_get_client",
        "_get_client_async",
    ],
)
def test_feasts_methods_are_those_that_the_store_overrides(method: str) -> None:
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(getattr(store, method)).parameters.values()]
        for store in (NextbestOnlineStore, RedisOnlineStore)
    )
    assert ours == theirs


def _naive_value(kind: int, numbers: list[float], words: list[str]) -> Value:
    whole = [int(n) for n in numbers if n == n]
    match kind:
        case wire.W_INT:
            return Value(int64_val=whole[0])
        case wire.W_FLOAT:
            return Value(double_val=numbers[0])
        case wire.W_STRING:
            return Value(string_val=words[whole[0]])
        case wire.W_INTS:
            return Value(int64_list_val=Int64List(val=whole))
        case wire.W_FLOATS:
            return Value(double_list_val=DoubleList(val=numbers))
    return Value(string_list_val=StringList(val=[words[n] for n in whole]))


# Typed by the compiler, from the arrays that it is called with.
@numba.njit
def _twice(values, bits, state, newest, features, bounds, arena, out):  # type: ignore[no-untyped-def]
    """The kernel called by other compiled code, as a larger one would."""
    for _ in range(2):
        end = wire.encode_features(values, bits, state, newest, features, bounds, arena, out)  # type: ignore[no-untyped-call]
    return end


def test_the_wire_is_that_of_messages_made_one_by_one() -> None:
    random = np.random.default_rng(7)
    words = ["", "a", "é" * 200]
    bounds = np.cumsum([0, *(len(w.encode()) for w in words)])
    arena = np.frombuffer("".join(words).encode(), np.uint8)
    widths = [1, 1, 1, 4, 4, 4]
    starts = np.cumsum([0, *widths])
    ragged = wire.W_STRINGS
    features = np.array(
        [[kind, starts[kind], w, 0, int(kind == ragged)] for kind, w in enumerate(widths)],
        np.int64,
    )
    n = 60
    state = random.choice([PRESENT, PRESENT, MISSING, EXPIRED], (n, starts[-1])).astype(np.uint8)
    for kind in (wire.W_INTS, wire.W_STRINGS):  # all or none, and a prefix
        here = slice(starts[kind], starts[kind + 1])
        state[:, here] = (
            np.sort(state[:, here], axis=1) if kind == ragged else state[:, here][:, :1]
        )
    values = random.standard_normal((n, starts[-1]))
    for kind, high in ((wire.W_INT, 2**53), (wire.W_INTS, 300), (2, 3), (wire.W_STRINGS, 3)):
        here = slice(starts[kind], starts[kind + 1])
        values[:, here] = random.integers(0, high, values[:, here].shape)
    values[state != PRESENT] = np.nan
    newest = random.integers(1, 4_102_444_800_000_000, n)
    newest[::7] = 0
    out = np.zeros(1 << 20, np.uint8)
    length = _twice(values, values.view(np.uint64), state, newest, features, bounds, arena, out)
    parsed = GetOnlineFeaturesResponse.FromString(out[:length].tobytes())

    expected = GetOnlineFeaturesResponse()
    names = {0: FieldStatus.PRESENT, 1: FieldStatus.NULL_VALUE, 2: FieldStatus.OUTSIDE_MAX_AGE}
    for kind, width in enumerate(widths):
        vector = expected.results.add()
        for r in range(n):
            states = state[r, starts[kind] : starts[kind] + width].tolist()
            numbers = values[r, starts[kind] : starts[kind] + width].tolist()
            status = names[0 if 0 in states else 2 if 2 in states else 1]
            time = vector.event_timestamps.add()
            if newest[r]:
                time.FromMicroseconds(int(newest[r]))
            else:
                status = FieldStatus.NOT_FOUND
            vector.statuses.append(status)
            present = status == FieldStatus.PRESENT
            vector.values.append(_naive_value(kind, numbers, words) if present else Value())
    # As text, since NaN is not equal to itself.
    assert str(parsed) == str(expected)
