"""A topic that has other partitions than when the state of a data directory was made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextbest.flows.sources.kafka import KafkaSource
from tests.flows.kafka_peer import QUICK, make_topic, mock_broker, produce, tansu_broker
from tests.flows.test_cli import Nextbest, event, home, nextbest, one_line

__all__ = ["home", "nextbest"]


def test_it_is_refused_for_customers_would_be_in_two_of_them(
    home: Path, nextbest: Nextbest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTBEST_KAFKA_CONFIG", json.dumps(QUICK))
    run = ("run", "--topic", "clicks", "--drain", "--catalog", "shop:catalog")
    with mock_broker() as brokers:  # its topics have four
        produce(brokers, "clicks", 0, [json.dumps(event(0)).encode()])
        assert "1 accepted" in nextbest(*run, "--kafka", brokers).words
    with tansu_broker() as port:
        brokers = f"127.0.0.1:{port}"
        make_topic(brokers, "clicks", 8)
        produce(brokers, "clicks", 0, [json.dumps(event(0)).encode()])
        message = one_line(nextbest(*run, "--kafka", brokers))
        assert "topic clicks had 4 partitions when its state was made, and has 8 now" in message
        again = one_line(nextbest(*run, "--kafka", brokers, "--supervise"))
        assert "had 4 partitions" in again
        # A state of an earlier version does not say how many there were.
        source = KafkaSource(brokers, "clicks", config=QUICK)
        part = source.build_part("in", "0", {"version": 2, "offset": 0, "seq": 1})
        assert part.snapshot()["partitions"] == 8
        part.close()
