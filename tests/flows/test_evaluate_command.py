"""`nextbest evaluate` reads the archive of a run and says whether another strategy is better."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from nextbest.flows.decision.chunk_events import credits_table, decisions_table
from nextbest.flows.decision.loading import load
from nextbest.flows.decision.loop_events import LoopEvent
from nextbest.flows.decision.record import Response
from nextbest.flows.strategy_versions import StrategyVersions
from tests.flows.decision.evaluate_cases import AT, MINUTE, TEXT, archived, credit, logged
from tests.flows.test_cli import Nextbest, home, nextbest, one_line

__all__ = ["home", "nextbest"]

CATALOG = """
from nextbest.features import Catalog, EventSchema, FeatureView
from nextbest.features import aggregations as agg

shop = EventSchema("shop", types=("view",))
catalog = Catalog(
    name="shop",
    views=[FeatureView(name="visits", source=shop, features=[agg.count("views")])],
)
"""
ASKED = ("evaluate", "--policy", "new.yaml", "--catalog", "shop.py:catalog")


@pytest.fixture
def told(home: Path) -> Path:
    """The archive's directory; the catalog and the strategies lie in the working directory."""
    (home / "shop.py").write_text(CATALOG)
    (home / "old.yaml").write_text(TEXT)
    new = TEXT.replace("pot: {", "pot: {lever: 3, ").replace("0.9", "0.2")
    (home / "new.yaml").write_text(new)
    return home / ".nextbest" / "archive"


def test_a_better_strategy_is_found_in_the_archive(told: Path, nextbest: Nextbest) -> None:
    records, rewards = logged(2000, wanted=2)
    broken = LoopEvent("bad", AT, "ann", "web", records[0], '{"id":5}', position=9)
    outcome = LoopEvent("o", AT, "ann", "web", Response(decision_id="d", response="x"), "{}")
    again = LoopEvent(records[0].id, AT, "ann", "web", records[0], "{}", position=10)
    archived(told, records, rewards, more=[broken, outcome, again])
    found = nextbest(*ASKED, "--json")
    assert found.code == 0, found.err
    answer = json.loads(found.out)
    assert answer["verdict"] == "better"
    assert answer["judged"] == 2000
    assert answer["left_out"] == {"with a damaged record": 1}
    score = answer["objectives"]["weighted score"]
    assert score["logged"] == pytest.approx(sum(rewards) / len(rewards))
    assert score["value"] == pytest.approx(0.55, abs=0.05)
    assert set(score["estimates"]) == {"ips", "snips", "dm", "dr", "sndr", "switch_dr", "dros"}

    said = nextbest(*ASKED).words
    assert said.startswith("Better: it would have earned 0.5")
    assert "judged: the first action of 2,000 decisions" in said
    assert "positions: 2,000 of them had more than one offer" in said
    assert "left out: 1 with a damaged record" in said
    assert "note: 2,000 of them of a version whose text is not kept" in said
    old = load(TEXT)
    StrategyVersions(told / "strategies").keep("spring", old.version, old.text)
    answer = json.loads(nextbest(*ASKED, "--json").out)
    assert (answer["versions"], answer["notes"]) == ({old.version: 2000}, {})
    same = nextbest("evaluate", "--policy", "old.yaml", *ASKED[3:]).words
    assert same.startswith("Cannot tell whether it is better, because it would have chosen as the")
    late = nextbest(*ASKED, "--since", "2030-01-01")
    assert "no decision can be judged: there is none" in one_line(late)


def test_failed_and_open_offers_are_left_out(told: Path, nextbest: Nextbest) -> None:
    records, rewards = logged(300)
    archived(told, records, rewards)
    failed = [credit(record, 0.0, 7, withdrawn=True) for record in records[:20]]
    open_ = msgspec.structs.replace(records[30], id="unknown")
    pq.write_table(credits_table(failed), told / "credits/partition=0/epoch-00000001.parquet")
    lone = LoopEvent("lone", AT, "ann", "web", open_, msgspec.json.encode(open_).decode())
    pq.write_table(decisions_table([lone]), told / "decisions/partition=0/epoch-00000001.parquet")
    answer = json.loads(nextbest(*ASKED, "--json").out)
    assert answer["judged"] == 280
    assert answer["left_out"] == {
        "not delivered": 20,
        "still open: their windows are not over": 1,
    }


def test_a_response_counts_when_silence_would(told: Path, nextbest: Nextbest) -> None:
    records, rewards = logged(800)
    archived(told, records, rewards)
    late = [
        msgspec.structs.replace(record, id=f"late-{i}", at=record.at + 10 * MINUTE)
        for i, record in enumerate(records[:50])
    ]
    events = [
        LoopEvent(one.id, one.at, "ann", "web", one, msgspec.json.encode(one).decode())
        for one in late
    ]
    quick = credits_table([credit(one, 1.0) for one in late])
    pq.write_table(quick, told / "credits/partition=0/epoch-00000001.parquet")
    pq.write_table(decisions_table(events), told / "decisions/partition=0/epoch-00000001.parquet")
    answer = json.loads(nextbest(*ASKED, "--json").out)
    assert answer["judged"] == 800
    assert answer["left_out"] == {"still open: their windows are not over": 50}
    assert answer["objectives"]["accept"]["logged"] == pytest.approx(sum(rewards) / 800)


def test_what_cannot_be_evaluated_is_told_in_a_line(told: Path, nextbest: Nextbest) -> None:
    assert "no decision has been archived" in one_line(nextbest(*ASKED))
    assert "no 'hope'" in one_line(nextbest(*ASKED[:-1], "shop.py:hope"))
    assert "--method is 'hope'" in one_line(nextbest(*ASKED, "--method", "hope"))
    assert "--alpha is 2.0" in one_line(nextbest(*ASKED, "--alpha", "2"))
    (told.parent.parent / "new.yaml").write_text("name: [")
    assert nextbest(*ASKED).code == 1
    (told.parent.parent / "new.yaml").write_text(TEXT)
    path = told / "decisions" / "partition=0" / "epoch-00000000.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 no")
    assert "epoch-00000000.parquet: cannot be read" in one_line(nextbest(*ASKED))
