"""Who shows metrics where, and what an audit leaves for them."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from nextbest.features import SettingsError
from nextbest.flows.cluster import Member
from nextbest.flows.dead_letters import DeadLetter
from nextbest.flows.decision.credits import Earned
from nextbest.flows.decision.loop_events import LoopEvent
from nextbest.flows.decision.open_decisions import Credit
from nextbest.flows.decision.record import Offer, Record, Response
from nextbest.flows.loop_steps import Clock, Credits, Earnings, LoopEvents, PublishedLoop
from nextbest.flows.settings import Settings
from nextbest.flows.sources import ValkeyStreamSource
from nextbest.flows.telemetry import names as n
from nextbest.flows.telemetry.looping import LoopMeter
from nextbest.flows.telemetry.outbound import OUTBOUND
from nextbest.flows.telemetry.process import audit_refresher, remember_audit
from nextbest.flows.telemetry.running import RunMeter
from nextbest.flows.telemetry.serving import ServiceMeter, rule_class
from nextbest.flows.telemetry.showing import check_ports, run_meter, showing_run
from tests.flows.telemetry.scraping import Scrape, free_ports
from tests.flows.test_cli import Nextbest, event, home, ndjson, nextbest, one_line
from tests.test_house import loaded_by

__all__ = ["home", "nextbest"]


class Log:
    def partitions(self) -> int:
        return 4

    def lags(self) -> dict[int, int]:
        return {1: 7, 3: 0}


def test_a_worker_of_several_shows_its_own_partitions_at_its_own_port(tmp_path: Path) -> None:
    with free_ports(3) as port:
        settings = Settings(data_dir=tmp_path, metrics_port=port)
        check_ports(settings, 3)
        meter = run_meter(settings)
        assert meter is not None
        meter.newest[1] = 1.0
        member = Member(1, ("a:1", "b:1"))
        with showing_run(meter, settings, "shop", Log(), member, beside=1):
            shown = Scrape(port + 1)
            with pytest.raises(SettingsError, match=rf"--metrics-port: 127.0.0.1:{port + 1}: "):
                check_ports(settings, 3)
        assert shown(n.BUILD_INFO, worker="1") == 1
        assert {dict(has)["partition"] for name, has in shown.series
                if name == n.EVENTS_APPLIED.name} == {"1", "3"}  # fmt: skip
        assert shown(n.LAG_RECORDS) == 7
        assert shown(n.LAG_SECONDS, partition="1") > 1e9
        assert shown(n.LAG_SECONDS, partition="3") == 0
    assert run_meter(Settings(data_dir=tmp_path)) is None


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("import nextbest.flows.pipeline, nextbest.flows.commands.member", id="run"),
        pytest.param("import nextbest.flows.service.serving", id="serve"),
    ],
)
def test_what_shows_metrics_is_loaded_when_it_is_wanted(statement: str) -> None:
    loaded = loaded_by(statement)
    assert "nextbest" in loaded
    assert "prometheus_client" not in loaded


def test_an_audit_is_shown_by_who_works_in_its_directory(tmp_path: Path) -> None:
    settings, meter = Settings(data_dir=tmp_path), RunMeter()
    refresh = audit_refresher(meter, settings)
    refresh()
    assert not meter.values(n.AUDIT_VALUES)
    remember_audit(settings, 900, 0)
    remember_audit(settings, 1000, 2)
    refresh()
    assert meter.values(n.AUDIT_VALUES) == [((), 1000)]
    assert meter.values(n.AUDIT_DIFFERING) == [((), 2)]
    assert meter.values(n.AUDIT_TIME)[0][1] > 1.7e9
    (tmp_path / "audit.json").write_text("{")
    with pytest.raises(msgspec.DecodeError):
        refresh()


def test_a_port_in_use_ends_a_command_in_one_line(home: Path, nextbest: Nextbest) -> None:
    (home / "a.ndjson").write_text(ndjson(event(1)))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = ("run", "a.ndjson", "--catalog", "shop:catalog", "--metrics-port", str(port))
        wanted = f"--metrics-port: 127.0.0.1:{port}: metrics cannot be shown there: Address already"
        assert wanted in one_line(nextbest(*run))
        assert not (home / ".nextbest").exists()
    assert "metrics_host=''" in one_line(nextbest(*run, "--metrics-host", ""))
    assert nextbest(*run[:-1], "70000").code == 2
    before = signal.getsignal(signal.SIGTERM)
    assert "1 accepted" in nextbest(*run).words
    assert signal.getsignal(signal.SIGTERM) is before


def test_how_far_behind_a_stream_is(store_url: str) -> None:
    source = ValkeyStreamSource(store_url, "clicks", partitions=2)
    assert source.lags() == {}  # nothing is read here
    import redis

    with redis.Redis.from_url(store_url) as client:
        for number in range(3):
            client.xadd("clicks:0", {"events": b'{"event_id":"%d"}\n' % number})
        part = source.build_part("in", "0", None)
        empty = source.build_part("in", "1", None)
        assert source.lags() == {0: 3, 1: 0}
        assert sum(chunk.records for chunk in part.next_batch()) == 3
        client.xadd("clicks:0", {"events": b"{}\n"})
        client.xtrim("clicks:0", maxlen=1, approximate=False)
        assert source.lags() == {0: 1, 1: 0}
    part.close()
    empty.close()


def record(number: int, **more: object) -> Record:
    offer = Offer(action="tea", score=1.0, propensity=0.5, draw=0.1)
    known = {"eligible": ["tea"], "scores": b"\0\0\0\0\0\0\xf0?", "offers": [offer]}
    return Record(
        id=f"d{number}", customer="ann", at=1, channel="web", strategy="s", **known | more
    )  # type: ignore[arg-type]  # of several types


def credit(number: int, reward: float, revision: int = 0, **more: bool) -> Credit:
    said = {"silence": False, "withdrawn": False} | more
    return Credit(
        "sale", f"d{number}/0", 1, 1, "ann", "tea", reward, said["silence"], said["withdrawn"],
        revision, {}, [],
    )  # fmt: skip


def test_rewards_are_summed_up_by_policy_and_corrected() -> None:
    meter = RunMeter()
    loop = LoopMeter(meter, "s", "v", ["sale"], ["accept"], {"key": "3"})
    decisions = [record(1), record(2, control=True), record(3, scores=b"\0\0\0\0\0\0\0@")]
    events = [LoopEvent(r.id, 1, "ann", "web", r, "") for r in decisions]
    said = LoopEvent("o", 1, "ann", "web", Response(decision_id="d1", response="w" * 90), "")
    loop.take(("key", LoopEvents([*events, said])))
    told = [
        credit(1, 0.5), credit(2, 1.0), credit(3, 0.0, silence=True), credit(4, 0.25),
        credit(3, 0.75, 1), credit(1, 0.6, 1), credit(2, 0.0, 1, withdrawn=True),
    ]  # fmt: skip
    loop.take(("key", Credits(told)))
    order = credit(9, 0.0)
    loop.take(("key", Credits([msgspec.structs.replace(order, objective="fleet order")])))
    earned = [
        Earned("sale", "exploit", 0.5, 1), Earned("sale", "control", 1.0, 1),
        Earned("sale", "explore", 0.0, 1), Earned("sale", "explore", 0.75, 0),
        Earned("sale", "exploit", 0.1, 0), Earned("sale", "explore", -0.5, 0),
        Earned("sale", "control", -1.0, -1),
    ]  # fmt: skip
    loop.take(("key", Earnings(earned)))
    letter = DeadLetter.of(b"x", reason="r", origin="o", line=1, position=1, received_at=1)
    loop.take(("key", letter))
    assert dict(meter.values(n.REWARD)) == {
        ("sale", "exploit"): pytest.approx(0.6), ("sale", "control"): 1.0,
        ("sale", "explore"): 0.75,
    }  # fmt: skip
    assert dict(meter.values(n.REWARD_TAKEN_BACK)) == {
        ("sale", "exploit"): 0, ("sale", "control"): 1.0, ("sale", "explore"): 0.5,
    }  # fmt: skip
    for metric, taken in ((n.REWARDED, 1), (n.REWARDED_TAKEN_BACK, 0)):
        assert {labels[1]: value for labels, value in meter.values(metric)} == {
            "exploit": taken, "control": 1, "explore": taken,
        }  # fmt: skip
    assert {labels[1]: value for labels, value in meter.values(n.EXAMPLES)} == {
        "response": 3, "silence": 1, "repaired": 2, "withdrawn": 1,
    }  # fmt: skip
    assert dict(meter.values(n.OUTCOMES_LOGGED)) == {("accept",): 0, ("other",): 1}
    assert dict(meter.values(n.DEAD_LETTERS)) == {("3", "loop"): 1}
    step = loop.published(lambda item: iter([item]))
    list(step(("loop", PublishedLoop({}, None, {"sale": 4}, kept={"sale": 3}))))
    assert meter.values(n.MODEL_VERSION) == [(("sale",), 4)]
    assert meter.values(n.EXAMPLES_KEPT) == [(("sale",), 3)]
    loop.take(("key", Clock(3, 7, waiting=2)))
    assert meter.values(n.DECISIONS_WAITING) == [(("3",), 2)]


def test_what_is_sent_out_is_shown_by_channel() -> None:
    before = Counter(OUTBOUND)
    OUTBOUND["mail", True] += 2
    meter = RunMeter()
    meter.refresh()
    found = dict(meter.values(n.OUTBOUND))
    assert found["mail", "true"] == before["mail", True] + 2
    OUTBOUND.clear()
    OUTBOUND.update(before)


def test_exclusions_of_any_text_are_counted_by_class_in_bounded_memory() -> None:
    meter = ServiceMeter()
    meter.decided(record(1), tried=False, repeated=False)  # before it is turned on
    meter.turn_on()
    for number in range(5000):
        rules = {"a": f"cool-down after refuse until {number}", "b": "cap of web: 2 per 1d"}
        meter.decided(record(number, excluded=rules), tried=False, repeated=False)
    meter.decided(record(1, fallback="models: old", offers=[]), tried=False, repeated=False)
    meter.decided(record(1), tried=False, repeated=True)
    for _ in range(2):
        meter.refresh()
    assert len(meter._rules) <= 4096
    shown = {labels[0]: value for labels, value in meter.values(n.EXCLUSIONS)}
    assert shown == dict.fromkeys(n.RULES, 0) | {"cool_down": 5000, "cap": 5000}
    assert dict(meter.values(n.DECISIONS)) == {("web", "exploit"): 5000, ("web", "fallback"): 1}
    assert meter.values(n.OFFERS) == [(("tea",), 5000)]
    assert dict(meter.values(n.FALLBACKS))["models",] == 1
    assert meter.values(n.DECISIONS_REPEATED) == [((), 1)]
    assert rule_class("something new") == "other"
