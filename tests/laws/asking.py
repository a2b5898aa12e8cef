"""The same question over HTTP and of Feast, and whether the answers are the twin's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import feast
import httpx
import numpy as np
import pandas as pd
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from nextbest.features import Catalog
from nextbest.features.declaration import Feature
from nextbest.features.events import MAX_TIMESTAMP
from nextbest.features.feast_plugin.repo import apply
from nextbest.features.online import AsyncFeatureClient
from nextbest.flows.publisher import AsyncPublisher
from nextbest.flows.service.app import App, Routes
from nextbest.flows.service.events import EventsRoute
from nextbest.flows.service.lookups import FeaturesRoute
from nextbest.flows.service.pages import pages
from nextbest.flows.service.serving import _events
from nextbest.flows.settings import Settings
from tests.laws.flowing import STRANGER, Flow, Twin, Twins, any_times, assert_near_cells, shown
from tests.naive.formulas import Cell

STATUS = {
    "present": FieldStatus.PRESENT,
    "missing": FieldStatus.NULL_VALUE,
    "expired": FieldStatus.OUTSIDE_MAX_AGE,
}


def is_unsure(cells: Iterable[Cell]) -> bool:
    """Does rounding decide what one of them is?"""
    return any(np.isinf(cell.scale) for cell in cells)


def state_of(cells: Sequence[Cell]) -> str:
    """The state of a whole feature: present if anything in it is."""
    states = [cell.state for cell in cells]
    return next((s for s in ("present", "expired") if s in states), "missing")


def numbers(feature: Feature, values: Iterable[Any]) -> list[float | None]:
    """Values of a feature as numbers, words as their places; checks that their types are right."""
    types: dict[str, Any] = {"int64": int, "float64": float, "string": str}
    found: list[float | None] = []
    for value in values:
        if value is None or value != value or (value == "" and "" not in feature.vocabulary):
            found.append(None)
            continue
        assert type(value) is types[feature.dtype], (feature.name, value)
        is_word = feature.dtype == "string"
        found.append(float(feature.vocabulary.index(value) if is_word else value))
    return found


def http_app(client: AsyncFeatureClient, publisher: AsyncPublisher) -> App:
    """The service's application, over a client with a clock of its own."""
    settings = Settings()
    events: EventsRoute = _events(settings, client.catalog, publisher)
    lookups = FeaturesRoute(client, None, max_bytes=8 << 20, body_seconds=30.0)
    return App(Routes(events, lookups, pages(client, max_events=100, keyed=False)))


def ask_http(
    url: str, catalog: Catalog, requests: Sequence[dict[str, Any]], clock: Callable[[], int]
) -> list[Any]:
    """Post lookups to the application, one after the other; return the answers."""

    async def ask() -> list[Any]:
        async with (
            AsyncFeatureClient(url, catalog, clock=clock) as client,
            AsyncPublisher(url, "log", partitions=1, shards=1) as publisher,
            httpx.AsyncClient(
                transport=httpx.ASGITransport(http_app(client, publisher)),  # type: ignore[arg-type]
                base_url="http://service",
            ) as http,
        ):
            answers = []
            for request in requests:
                answer = await http.post("/v1/features", json=request)
                assert answer.status_code == 200, answer.text
                answers.append(answer.json())
            return answers

    return asyncio.run(ask())


def http_request(twin: Twin, at: int | None) -> dict[str, Any]:
    """A lookup of all features of an entity, of all keys and an unknown one."""
    keys = [*twin.keys.values(), (STRANGER,) * len(twin.entity.join_keys)]
    columns = zip(*keys, strict=True)
    ids: Any = {k: list(c) for k, c in zip(twin.entity.join_keys, columns, strict=True)}
    if twin.entity.is_customer:
        ids = ids["customer_id"]
    asked: dict[str, Any] = {"ids": ids, "features": [view.name for view in twin.catalog.views]}
    return asked if at is None else {**asked, "at": at}


def assert_http(twin: Twin, answer: Any, at: int) -> None:
    """Assert that what the service answered is what the twin says at that time."""
    assert answer["at"] == at
    assert len(answer["rows"]) == len(twin.texts())
    for text, row in zip(twin.texts(), answer["rows"], strict=True):
        age = twin.naive.age_ms(text, at)
        assert (row["known"], row["age_ms"]) == (age >= 0, age if age >= 0 else None)
        wanted = {name for name, _, _ in shown(twin, text, at)}
        assert row["values"].keys() == wanted
        for name, feature, cells in shown(twin, text, at):
            value = row["values"][name]
            if feature.by is not None and isinstance(value, dict):
                assert [*value] == [*feature.key_words]
                value = [*value.values()]
            got = numbers(feature, value if feature.is_vector else [value])
            whose = f"of {text} at {at} over HTTP"
            assert_near_cells(feature.columns, cells, got, whose)
            if not is_unsure(cells):
                states = {cell.state for cell in cells}
                worst = next(s for s in ("expired", "missing", "present") if s in states)
                assert row["states"].get(name, "present") == worst, (name, whose)


def check_http(url: str, catalog: Catalog, twins: Twins, times: Callable[[Twin], list[int]]) -> int:
    """Ask the service at times; return how many rows were read."""
    asked = [(twin, at) for twin in twins for at in times(twin)]
    requests = [http_request(twin, at) for twin, at in asked]
    answers = ask_http(url, catalog, requests, lambda: MAX_TIMESTAMP)
    for (twin, at), answer in zip(asked, answers, strict=True):
        assert_http(twin, answer, at)
    return sum(len(twin.texts()) for twin, _ in asked)


def feast_store(flow: Flow) -> feast.FeatureStore:
    """Apply the catalog to a new registry."""
    home = flow.settings.data_dir / "feast"
    return apply(flow.catalog, home, flow.url, archive=flow.archive)


def feast_refs(twin: Twin) -> list[str]:
    """What Feast is asked for."""
    return [f"{view.name}:{feature.name}" for view, feature in twin.catalog.features()]


def assert_feast(feature: Feature, value: Any, cells: Sequence[Cell], whose: str) -> None:
    """Assert that a value of Feast's is the twin's: null exactly where nothing is present."""
    if is_unsure(cells):
        return
    assert (value is None) == (state_of(cells) != "present"), (whose, value, cells)
    if value is None:
        return
    if feature.is_ragged:
        gap = next((i for i, cell in enumerate(cells) if cell.value is None), len(cells))
        cells = cells[:gap]
        assert len(value) == gap, (whose, value, cells)
    got = numbers(feature, value if feature.is_vector else [value])
    if feature.dtype == "string" and feature.is_vector and "" in feature.vocabulary:
        # A list of words has no other gap than the empty word.
        got = [g if c.value is not None else None for g, c in zip(got, cells, strict=True)]
    columns = feature.columns[: len(cells)]
    assert_near_cells(columns, cells, got, whose)


def check_feast_history(store: feast.FeatureStore, twins: Twins) -> int:
    """Ask Feast for history at any times; return how many rows were read."""
    read = 0
    for twin in twins:
        keys = [*twin.keys.values(), (STRANGER,) * len(twin.entity.join_keys)]
        asked = [(text, key, at) for at in any_times(twin, 12)
                 for text, key in zip(twin.texts(), keys, strict=True)]  # fmt: skip
        asked = asked[::-1]  # neither in the order of time nor of keys
        frame = pd.DataFrame([key for _, key, _ in asked], columns=[*twin.entity.join_keys])
        frame["event_timestamp"] = pd.to_datetime([at for _, _, at in asked], unit="us", utc=True)
        table = store.get_historical_features(
            frame, feast_refs(twin), full_feature_names=True
        ).to_arrow()
        assert table.num_rows == len(asked)
        then = {at: Twin(twin.catalog, twin.naive.as_of(at)) for _, _, at in asked}
        columns = {name: table[name].to_pylist() for name in table.column_names}
        for row, (text, _, at) in enumerate(asked):
            for name, feature, cells in shown(then[at], text, at):
                value = columns[name.replace(":", "__")][row]
                assert_feast(feature, value, cells, f"history of {text} at {at}: {name}")
        read += len(asked)
    return read


def check_feast_online(store: feast.FeatureStore, twin: Twin, at: int) -> int:
    """Ask Feast online, its clock being at that time; return how many rows were read."""
    keys = [*twin.keys.values(), (STRANGER,) * len(twin.entity.join_keys)]
    rows = [dict(zip(twin.entity.join_keys, key, strict=True)) for key in keys]
    answer = store.get_online_features(feast_refs(twin), rows, full_feature_names=True)
    values = answer.to_dict()
    names = list(answer.proto.metadata.feature_names.val)
    for i, text in enumerate(twin.texts()):
        for name, feature, cells in shown(twin, text, at):
            flat = name.replace(":", "__")
            whose = f"online of {text} at {at}: {name}"
            assert_feast(feature, values[flat][i], cells, whose)
            status = answer.proto.results[names.index(flat)].statuses[i]
            if text not in twin.naive.customers:
                assert status == FieldStatus.NOT_FOUND, whose
            elif not is_unsure(cells):
                assert status == STATUS[state_of(cells)], whose
    return len(keys)


def home_of(flow: Flow) -> Path:
    """Where a flow keeps everything."""
    return flow.settings.data_dir
