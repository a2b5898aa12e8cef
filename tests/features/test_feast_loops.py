"""Awaited lookups in one event loop after another, and in several at once."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import feast
import pytest
import redis

from nextbest.features.feast_plugin.repo import apply
from tests.features.feast_cases import CATALOG, publish

# Connections of event loops that are closed are Python's to close, and it says so.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
ROWS = [{"customer_id": "ada"}]


@pytest.fixture(params=["url", "host and port"])
def shop(
    request: pytest.FixtureRequest, store: redis.Redis, store_url: str, tmp_path: Path
) -> Iterator[feast.FeatureStore]:
    """Feast's store over a server that has customers' rows."""
    publish(store)
    made = apply(CATALOG, tmp_path, store_url)
    if request.param == "host and port":
        path = store_url.removeprefix("unix://")
        options = {**made.config.online_config, "connection_string": f"h:1,unix_socket_path={path}"}
        made = feast.FeatureStore(
            config=made.config.model_copy(update={"online_config": options, "_online_store": None})
        )
    yield made
    _clients(made).clear()
    gc.collect()


async def _ask(shop: feast.FeatureStore) -> Any:
    answer = await shop.get_online_features_async(["visit:trail"], ROWS)
    return answer.to_dict()["trail"]


def _clients(shop: feast.FeatureStore) -> Any:
    online: Any = shop._get_provider().online_store
    return online._async_clients


def test_one_event_loop_after_another(shop: feast.FeatureStore) -> None:
    found = [asyncio.run(_ask(shop)) for _ in range(4)]
    assert found == [[["shoes", "hats", 'naïve, "odd"']]] * 4
    assert len(_clients(shop)) == 1


def test_event_loops_of_threads_at_once(shop: feast.FeatureStore) -> None:
    together = threading.Barrier(3, timeout=30)

    async def several() -> list[Any]:
        await asyncio.to_thread(together.wait)
        found = [await _ask(shop) for _ in range(20)]
        await asyncio.to_thread(together.wait)
        assert len(_clients(shop)) == 3
        await asyncio.to_thread(together.wait)
        await shop.close()
        return found

    with ThreadPoolExecutor(3) as pool:
        found = [each.result() for each in [pool.submit(asyncio.run, several()) for _ in range(3)]]
    assert len({str(answer) for answers in found for answer in answers}) == 1
    assert not _clients(shop)


def test_a_closed_store_answers_again(shop: feast.FeatureStore) -> None:
    async def twice() -> list[Any]:
        found = []
        for _ in range(2):
            found.append(await _ask(shop))
            await shop.close()
        return found

    first, second = asyncio.run(twice())
    assert first == second
