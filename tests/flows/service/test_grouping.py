"""Which decisions are made together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from nextbest.features.online import AsyncFeatureClient
from nextbest.flows.decision.commit import AsyncCommitter, Log
from nextbest.flows.decision.request import Request
from nextbest.flows.service import deciding
from nextbest.flows.service.deciding import Decider, Found
from nextbest.flows.service.live import Decided, Live
from nextbest.flows.service.strategies import Strategies
from nextbest.flows.service.strategy_store import StrategyStore
from nextbest.flows.service.together import Done
from tests.flows.service import shop
from tests.flows.service.loop_cases import TEXT


class Gated(Decider):
    """Waits before each group, and notes how many are in it."""

    def __init__(self) -> None:
        super().__init__(30.0, lambda live, record: None)
        self.sizes: list[int] = []
        self.gate = asyncio.Event()

    async def decide_many(self, live: Live, requests: Sequence[Request]) -> list[Done]:
        self.sizes.append(len(requests))
        await self.gate.wait()
        return await super().decide_many(live, requests)


def asked(url: str, file: Path, turns: Sequence[int]) -> tuple[list[int], list[int], list[Found]]:
    """Ask for so many decisions a turn of the loop, each of another customer.

    Returns
    -------
    The groups before any ended, all groups, and what was told.
    """
    file.write_text(TEXT)

    async def ask() -> tuple[list[int], list[int], list[Found]]:
        async with AsyncFeatureClient(url, shop.customers) as client:
            log = Log("events", None, 16)
            strategies = Strategies(
                StrategyStore(url), client, file,
                lambda keys, seconds: AsyncCommitter(url, keys, log, record_seconds=seconds), 60.0,
            )  # fmt: skip
            await strategies.start()
            decider, told = Gated(), list[Found]()
            for turn, many in enumerate(turns):
                for i in range(many):
                    request = Request(customer=f"{turn}-{i}", channel="web")
                    decider.begin(strategies.live, request, told.append)
                for _ in range(20):
                    await asyncio.sleep(0)
            begun = list(decider.sizes)
            decider.gate.set()
            while len(told) < sum(turns):
                await asyncio.sleep(0.001)
            await strategies.close()
            return begun, decider.sizes, told

    return asyncio.run(ask())


def test_what_comes_while_others_are_under_way_is_made_together(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "_LONGEST_WAIT", 60.0)
    begun, all_, told = asked(store_url, tmp_path / "s.yaml", [2, 1, 1, 1, 3, 1])
    assert begun == [2, 1, 1]
    assert all_ == [2, 1, 1, 5]
    records = [one.record for one in told if isinstance(one, Decided)]
    assert len({record.id for record in records}) == len({r.customer for r in records}) == 9
    assert not any(record.fallback for record in records)


def test_nobody_waits_long_for_a_store_that_is_slow(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "_LONGEST_WAIT", 0.0)
    begun, all_, _ = asked(store_url, tmp_path / "s.yaml", [1, 1, 1, 2, 1])
    assert begun == all_ == [1, 1, 1, 2, 1]


def test_a_group_has_its_limit(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "_LONGEST_WAIT", 60.0)
    _, all_, told = asked(store_url, tmp_path / "s.yaml", [150])
    assert all_ == [64, 64, 22]
    assert all(isinstance(one, Decided) for one in told)
