"""`nextbest strategy` tells a marketer what a file says, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextbest.flows.decision.explaining import explain
from nextbest.flows.decision.loading import load
from tests.flows.strategy.shop import EXAMPLE, LEAST
from tests.flows.test_cli import Nextbest, home, nextbest, one_line

__all__ = ["home", "nextbest"]


def test_a_good_file_is_told_with_its_version(home: Path, nextbest: Nextbest) -> None:
    (home / "s.yaml").write_text(LEAST)
    version = load(LEAST).version
    alone = nextbest("strategy", "validate", "s.yaml")
    assert alone.code == 0
    said = "s.yaml: offers can be used: 1 objective, 2 channels, 2 actions; version " + version
    assert alone.words == said + "; features and events were not checked: give --catalog"
    checked = nextbest("strategy", "validate", "s.yaml", "--catalog", "shop.py:catalog")
    assert checked.words == said + ", fits the catalog shop"


def test_every_fault_is_a_line(home: Path, nextbest: Nextbest) -> None:
    (home / "s.yaml").write_text(
        LEAST + "zone: Mars\nsuppress: [{when: visits.evnts > 1}]\nfallback: [tea]\n"
    )
    for command in ("validate", "explain"):
        found = nextbest("strategy", command, "s.yaml", "--catalog", "shop.py:catalog")
        assert (found.code, found.out) == (1, "")
        assert found.err.splitlines() == [
            "s.yaml:11: zone: no time zone 'Mars', such as Europe/Berlin",
            "s.yaml:12: suppress[0].when: at 1: no feature 'evnts' in visits; did you mean "
            "'events'?: »visits.evnts > 1",
            "s.yaml:13: fallback[0]: no action 'tea'; there are: shoes, hats",
        ]


def test_what_cannot_be_read_is_told(home: Path, nextbest: Nextbest) -> None:
    missing = nextbest("strategy", "validate", "none.yaml")
    assert "none.yaml" in one_line(missing)
    (home / "s.yaml").write_bytes(b"name: a\nzone: \xff\n")
    assert nextbest("strategy", "validate", "s.yaml").err == "s.yaml:2: not UTF-8\n"
    (home / "s.yaml").write_text(LEAST)
    nowhere = nextbest("strategy", "validate", "s.yaml", "--catalog", "shop.py:no")
    assert "no 'no' in it" in one_line(nowhere)


def test_a_strategy_is_told_in_sentences(home: Path, nextbest: Nextbest) -> None:
    (home / "s.yaml").write_text(EXAMPLE)
    told = nextbest("strategy", "explain", "s.yaml")
    assert told.code == 0
    for sentence in (
        "offers: Offers on the web site, and by mail after a visit that ended with a full cart.",
        "cart_left: at an event `leave`, if visits.hesitates is at least 1, on email; not if it is "
        "learned of more than 10m later.",
        "email: after a failed delivery nothing else is sent.",
        "conversion: an event `purchase`, where the event's category is the action's category, "
        "within 3d of the offer; each is worth 1.",
        "weight -0.2: it is to be avoided.",
        "hats_new, on web, from 2026-01-01, until before 2027-01-01, if visits.affinity of the "
        "action's category is more than 0.1; it is worth 12.",
        "help, on web and email, if visits.hesitates is at least 2; it is worth 5 for conversion "
        "and 1 for refusal.",
        "email: we go to the customer; open only while the hour is at least 8 and the hour is "
        "less than 20; not tried for 1h after a delivery failed.",
        "suppress 1 (has just bought at the full price): while visits.since_purchase is less than "
        "3600, not offered: all actions of kind discount.",
        "at most 1 offer of help in 1d.",
        "after `refuse` all actions of the same kind rest for 2d.",
        "the score of all actions of category shoes is multiplied by 1.5.",
        "every eligible action has a chance of at least 1 %.",
        "5 % of the customers never meet the models: they get any eligible action, by lot.",
        "hats_new or help, the first that is on the channel.",
    ):
        assert sentence in told.words, sentence


MORE = """
suppress:
- {when: channel == 'web'}
- {when: 'true', actions: [shoes], tags: {category: hats}}
boosts: [{when: 'true', times: 3}]
exploration: {method: epsilon, epsilon: 0.1, budget: 0.5}
control: {share: 0.125, actions: [hats, shoes]}
cool_downs: [{after: refuse, pause: 1d, of: all}]
"""


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("", "", "web: the customer is there and the app asks."),
        ("", "", "nothing is offered."),
        ("x", "x", "suppress 1: while the channel is web, nothing is offered."),
        ("x", "x", "suppress 2: while true, not offered: shoes and all actions of category hats."),
        ("x", "x", "while true, the score of all actions is multiplied by 3."),
        ("x", "x", "10 % of the decisions are drawn evenly; else the best wins."),
        ("x", "x", "all actions but the best have at most 50 % together."),
        ("x", "x", "12.5 % of the customers never meet the models: they get the first of hats or "
         "shoes that is eligible."),
        ("x", "x", "after `refuse` all actions rest for 1d."),
        ("method: epsilon", "method: greedy", "the best action wins: nothing is tried out."),
        ("response: convert", "event: purchase, value: price, range: [0, 9]",
         "buy: an event `purchase` within 1d of the offer; each is worth its `price`, from 0 to "
         "9."),
        ("response: convert", "response: convert, silence_after: 2h",
         "buy: the app posts `convert` within 1d of the offer; each is worth 1; nothing for 2h "
         "is learned as no response meanwhile."),
        ("[web], tags: {category: hats}",
         "[web], lever: 2, cost: 1, description: a hat,\n     tags: {category: hats}",
         "hats (a hat), on web, to anyone; it is worth 1 and costs 1; its score is multiplied "
         "by 2."),
    ],
    ids=lambda item: item[:30],
)  # fmt: skip
def test_every_part_has_its_sentence(old: str, new: str, sentence: str) -> None:
    text = LEAST + MORE if old else LEAST
    told = explain(load(text.replace(old, new) if old != "x" else text).strategy)
    assert sentence in [said for chapter in told for said in chapter.sentences]
