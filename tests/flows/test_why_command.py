"""`nextbest why` tells a person how a decision came about, from the store or from the archive."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import redis

from nextbest.flows.decision.ids import new_id
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.record import Record, Response, event_of
from nextbest.flows.embedded import ensure_server
from nextbest.flows.strategy_versions import Stored, StrategyVersions
from tests.flows.decision.evaluate_cases import MINUTE, TEXT, logged
from tests.flows.loop_archive_cases import decided, put_credits, put_decisions, told
from tests.flows.loop_archive_cases import event_of as placed
from tests.flows.test_cli import Nextbest, home, nextbest, one_line
from tests.flows.test_evaluate_command import CATALOG

__all__ = ["home", "nextbest"]

KEYS = Keys("shop", "spring")


@pytest.fixture
def record(home: Path) -> Record:
    """A decision that is archived, with its strategy and what came of it."""
    (home / "shop.py").write_text(CATALOG)
    made: Record = logged(1, wanted=2)[0][0]
    archive, loaded = home / ".nextbest" / "archive", load(TEXT)
    StrategyVersions(archive / "strategies").keep("spring", loaded.version, loaded.text)
    refuse = Response(decision_id=made.id, response="refuse", action="tea")
    put_decisions(archive, 0, [
        decided(made, 8), placed(refuse, made.at + 9, made.customer, "o-1", 9),
    ])  # fmt: skip
    put_credits(archive, 0, [
        told(made, 1.0, after=9), told(made, 0.0, after=MINUTE, rank=1, silence=True),
    ])  # fmt: skip
    return made


def test_a_decision_is_told_from_the_archive_then_from_the_store(
    home: Path, record: Record, nextbest: Nextbest
) -> None:
    asked = ("why", record.id, "--catalog", "shop.py:catalog")
    found = nextbest(*asked)
    assert found.code == 0, found.err
    first, second = (offer.action for offer in record.offers)
    for said in (
        f"decision {record.id} for c0 on web",
        "equal true: made again from its record, byte for byte",
        "record from the archive; strategy version",
        f"1. {first}: score",
        "outcome o-1: refuse of tea",
        f"1. {first}, accept: 1 of 1",
        f"2. {second}, accept: no response until then",
        "visits:views 0",
    ):
        assert said in found.words, found.out

    offers = [msgspec.structs.replace(record.offers[0], score=9.0), *record.offers[1:]]
    forged = msgspec.structs.replace(record, offers=offers)
    with redis.Redis.from_url(ensure_server(home / ".nextbest")) as store:
        store.sadd(KEYS.all_strategies(), KEYS.strategy)
        store.set(KEYS.decision(record.id), b"0-1/8 " + event_of(forged))
    told_ = nextbest(*asked).words
    assert "equal false: made again, it differs in offers offers: logged" in told_
    plain = json.loads(nextbest(*asked, "--strategy", "spring", "--json").out)
    assert (plain["source"], plain["reproduced"]) == ("store", False)
    assert [one["part"] for one in plain["differences"]] == ["offers"]
    assert plain["came"]["outcomes"][0]["response"] == "refuse"


def test_what_cannot_be_explained_is_told_in_a_line(
    home: Path, record: Record, nextbest: Nextbest
) -> None:
    where = ("--catalog", "shop.py:catalog")
    assert "'d-1', which is no decision's id" in one_line(nextbest("why", "d-1", *where))
    unknown = new_id(record.at, "nobody")
    assert f"the store has no decision {unknown}, nor the archive in .nextbest/archive" in one_line(
        nextbest("why", unknown, *where)
    )
    away = ("--redis-url", f"unix://{home}/none.sock")
    assert "(the store does not answer: " in one_line(nextbest("why", unknown, *where, *away))
    assert nextbest("why", record.id, *where, *away).code == 0  # the archive is enough
    (path,) = home.glob(".nextbest/archive/strategies/spring/*.yaml")
    path.unlink()
    assert "whose text neither the store nor the archive has" in one_line(
        nextbest("why", record.id, *where)
    )
    text = TEXT.replace("objectives:", "zone: Europe/Berlin\nobjectives:")
    with redis.Redis.from_url(ensure_server(home / ".nextbest")) as store:
        stored = Stored(record.strategy, text)
        store.sadd(KEYS.all_strategies(), KEYS.strategy)
        store.set(KEYS.version(record.strategy), msgspec.json.encode(stored))
    assert "is of version" in one_line(nextbest("why", record.id, *where))
    nothing = nextbest("why", record.id, *where, "--data-dir", "other", *away)
    assert "there is no archive of decisions in other/archive" in one_line(nothing)
