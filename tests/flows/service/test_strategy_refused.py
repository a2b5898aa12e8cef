"""A strategy that is wrong is shown as refused until it is fine again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from nextbest.features.online import AsyncFeatureClient
from nextbest.flows.decision.commit import AsyncCommitter, Log
from nextbest.flows.service import strategies as module
from nextbest.flows.service.strategies import Strategies
from nextbest.flows.service.strategy_store import StrategyStore
from nextbest.flows.telemetry import names as n
from nextbest.flows.telemetry.serving import ServiceMeter
from tests.flows.service import shop
from tests.flows.service.loop_cases import TEXT

WRONG = TEXT.replace("visits.spend > 5", "visits.spent > 5")


def test_it_is_shown_as_long_as_the_file_is_wrong(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter, file = ServiceMeter(), tmp_path / "s.yaml"
    meter.turn_on()
    monkeypatch.setattr(module, "SERVICE", meter)
    file.write_text(TEXT)

    async def looked(strategies: Strategies) -> list[float]:
        """What is shown after each of four looks."""
        found = []
        for _ in range(4):
            await strategies.look()
            found.append(meter.values(n.STRATEGY_REFUSED)[0][1])
        return found

    async def ask() -> None:
        async with AsyncFeatureClient(store_url, shop.customers) as client:
            log = Log("events", None, 16)
            strategies = Strategies(
                StrategyStore(store_url), client, file,
                lambda keys, seconds: AsyncCommitter(store_url, keys, log, record_seconds=seconds),
                60.0,
            )  # fmt: skip
            await strategies.start()
            assert await looked(strategies) == [0, 0, 0, 0]
            file.write_text(WRONG)
            assert (await looked(strategies))[1:] == [1, 1, 1]
            os.utime(file)
            assert await looked(strategies) == [1, 1, 1, 1]
            file.write_text(TEXT)
            assert (await looked(strategies))[2:] == [0, 0]
            file.write_text(WRONG)
            assert (await looked(strategies))[2:] == [1, 1]
            refused = dict(meter.values(n.STRATEGY_REFRESHES))["refused",]
            assert refused == 2, "the same complaint is counted once"
            await strategies.close()

    asyncio.run(ask())
