"""Searches of the archive are bounded, and the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from nextbest.flows.decision.ids import new_id
from nextbest.flows.service.archive import MOST_WAITING, ArchiveSearch
from nextbest.flows.service.problems import ProblemError
from tests.flows.decision.evaluate_cases import logged
from tests.flows.loop_archive_cases import decided, put_decisions

RECORD = logged(1)[0][0]


def kind(found: object) -> str:
    return found.kind if isinstance(found, ProblemError) else type(found).__name__


def test_one_search_at_a_time_and_few_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_decisions(tmp_path, 0, [decided(RECORD)])
    search, usual = ArchiveSearch(tmp_path), sys.getswitchinterval()
    held = threading.Event()

    async def run() -> list[Any]:
        await search.warm()
        archive: Any = search._archive
        real = archive.decision
        monkeypatch.setattr(archive, "decision", lambda *a, **k: held.wait(30) and real(*a, **k))
        asked = [asyncio.create_task(search.decision(RECORD.id)) for _ in range(MOST_WAITING + 3)]
        await asyncio.sleep(0)  # the loop is free
        assert not any(task.done() for task in asked[:MOST_WAITING])
        held.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(run())
    assert [one.record for one in found[:MOST_WAITING]] == [RECORD] * MOST_WAITING
    assert [kind(one) for one in found[MOST_WAITING:]] == ["archive-busy"] * 3
    assert sys.getswitchinterval() == pytest.approx(usual)
    search.close()


def test_a_search_ends_in_time(tmp_path: Path) -> None:
    put_decisions(tmp_path, 0, [decided(RECORD)])
    search = ArchiveSearch(tmp_path, seconds=0.0, came_seconds=0.0)

    async def run() -> Any:
        came = await search.came(RECORD, 60)
        assert came is not None
        assert not came.complete
        return await search.decision(new_id(RECORD.at, "nobody"))

    with pytest.raises(ProblemError) as late:
        asyncio.run(run())
    assert late.value.kind == "archive-busy"
    assert "could not be searched to its end in time (0 s)" in late.value.detail


def test_without_an_archive_nothing_is_searched(tmp_path: Path) -> None:
    search = ArchiveSearch(tmp_path / "none")

    async def run() -> tuple[Any, Any]:
        await search.warm()
        return await search.decision(RECORD.id), await search.came(RECORD, 60)

    assert asyncio.run(run()) == (None, None)
    assert not search.there
