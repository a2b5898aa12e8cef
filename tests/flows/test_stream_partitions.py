"""A stream that is read in another number of partitions than it was published in is told so."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from nextbest.features import SettingsError
from nextbest.flows.commands.inputs import Job, check_stream
from nextbest.flows.settings import Settings
from tests.flows.test_cli import Nextbest, event, home, ndjson, nextbest, one_line

__all__ = ["home", "nextbest"]


def test_a_stream_of_several_needs_their_number_and_one_of_one_has_none(
    home: Path, nextbest: Nextbest
) -> None:
    (home / "a.ndjson").write_text(ndjson(*(event(n, f"c{n}") for n in range(8))))
    run = ("run", "--drain", "--catalog", "shop:catalog", "--stream")
    assert nextbest("publish", "a.ndjson", "--stream", "parts", "--partitions", "2").code == 0
    message = one_line(nextbest(*run, "parts"))
    assert "no stream parts, but parts:0, parts:1: give --partitions 2" in message
    assert "8 accepted" in nextbest(*run, "parts", "--partitions", "2").words
    assert nextbest("publish", "a.ndjson", "--stream", "whole").code == 0
    message = one_line(nextbest(*run, "whole", "--partitions", "2"))
    assert "no stream whole:0, but whole alone: leave --partitions out" in message


def check(url: str, stream: str, partitions: int | None = None) -> None:
    job = Job(stream=stream, partitions=partitions, catalog="shop:catalog")
    check_stream(job, Settings(), url)


def test_what_nobody_has_published_to_is_waited_for(store: redis.Redis, store_url: str) -> None:
    check(store_url, "new")
    check(store_url, "new", 4)
    store.set("other:0", "no stream")
    check(store_url, "other")
    store.xadd("both", {"events": "{}"})
    store.xadd("both:3", {"events": "{}"})
    check(store_url, "both")
    check(store_url, "both", 4)
    store.delete("both")
    with pytest.raises(SettingsError, match="but both:3: give --partitions 4"):
        check(store_url, "both")


def test_a_store_that_does_not_answer_is_told_where_the_stream_is_read() -> None:
    check("redis://127.0.0.1:1", "clicks")
