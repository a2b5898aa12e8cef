"""What becomes of a decision that others keep getting in the way of."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nextbest.features.online import AsyncFeatureClient
from nextbest.flows.decision.commit import AsyncCommitter, Log
from nextbest.flows.decision.request import Request
from nextbest.flows.service import turns
from nextbest.flows.service.deciding import Decider
from nextbest.flows.service.live import Asked, Decided
from nextbest.flows.service.strategies import Strategies
from nextbest.flows.service.strategy_store import StrategyStore
from tests.flows.service import shop
from tests.flows.service.loop_cases import TEXT, logged


def decide_at_once(url: str, file: Path, many: int, processes: int) -> list[Decided]:
    """Decide for one customer, so that all have read before one has committed."""

    async def decide() -> list[Decided]:
        log = Log("events", None, 16)
        async with AsyncFeatureClient(url, shop.customers) as client:
            strategies = Strategies(
                StrategyStore(url),
                client,
                file,
                lambda keys, seconds: AsyncCommitter(url, keys, log, record_seconds=seconds),
                60.0,
            )
            await strategies.start()
            # Each is as in a process of its own: they know nothing of each other.
            deciders = [Decider(30.0, lambda live, record: None) for _ in range(processes)]
            asked = Asked(Request(customer="ann", channel="web"), None, 1.0, None)
            live = strategies.live
            try:
                return await asyncio.gather(
                    *(deciders[i % processes].decide(live, asked) for i in range(many))
                )
            finally:
                await strategies.close()

    return asyncio.run(decide())


@pytest.mark.parametrize(
    ("tries", "processes"),
    [(1, 8), (64, 8), (1, 1)],
    ids=["one-try", "as-served", "one-try-in-turn"],
)
def test_nothing_is_offered_that_was_not_counted(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tries: int, processes: int
) -> None:
    monkeypatch.setattr(turns, "TRIES", tries)
    file = tmp_path / "s.yaml"
    file.write_text(TEXT)
    found = decide_at_once(store_url, file, 8, processes)
    kept = [one for one in found if one.receipt is not None]
    lost = [one for one in found if one.receipt is None]
    assert len(logged(store_url)) == len(kept)
    if tries < processes:
        assert lost
        assert kept
    else:
        assert not lost
        assert sum(len(one.record.offers) for one in kept) == 4  # the cap
    for one in lost:
        assert one.record.offers == []
        assert one.record.fallback.startswith("contention: ")
