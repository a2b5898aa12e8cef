"""The command line on logs of several partitions, on files that grow, and on Kafka."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from nextbest.flows.embedded import ensure_server
from nextbest.flows.partitions import partitions_of
from nextbest.flows.run import FORMAT
from tests.conftest import row_names
from tests.flows.kafka_peer import QUICK, consume_all, mock_broker, produce
from tests.flows.test_cli import Nextbest, event, get, home, ndjson, nextbest, one_line

__all__ = ["home", "nextbest"]
SHOP = ("--catalog", "shop:catalog")
CUSTOMERS = [f"c{n}" for n in range(20)]


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with mock_broker() as found:
        yield found


def events_of(nextbest: Nextbest, *customers: str) -> list[int]:
    return [row["features"]["visits:events"]["value"] for row in get(nextbest, *customers)]


def test_a_stream_of_partitions(home: Path, nextbest: Nextbest) -> None:
    (home / "a.ndjson").write_text(ndjson(*(event(n, CUSTOMERS[n % 20]) for n in range(60)), "{"))
    published = nextbest("publish", "a.ndjson", "--stream", "clicks", "--partitions", "3")
    assert published.words.startswith("61 events in 1 entries of stream clicks")
    with redis.Redis.from_url(ensure_server(home / ".nextbest")) as client:
        found = [client.xrange(f"clicks:{number}") for number in range(3)]
    for number, entries in enumerate(found):
        there = b"".join(fields[b"events"] for _, fields in entries)
        for customer, partition in zip(CUSTOMERS, partitions_of(CUSTOMERS, 3, 16), strict=True):
            assert (b'"%b"' % customer.encode() in there) == (partition == number)
    run = ("run", "--stream", "clicks", "--drain", *SHOP)
    result = nextbest(*run, "--partitions", "3")
    assert "60 accepted (0 of them late), 0 duplicate, 1 dead letters" in result.words
    assert events_of(nextbest, *CUSTOMERS) == [3] * 20
    assert "0 accepted" in nextbest(*run, "--partitions", "3").words

    message = one_line(nextbest(*run, "--partitions", "2"))
    assert "made with source 'stream clicks of 3', not 'stream clicks of 2'" in message
    for command in (run, ("publish", "a.ndjson")):
        assert "--partitions" in (used := nextbest(*command, "--partitions", "0")).err
        assert used.code == 2


def test_files_in_directories_of_partitions(home: Path, nextbest: Nextbest) -> None:
    numbers = partitions_of(CUSTOMERS, 2, 16)
    for number in range(2):
        mine = [c for c, partition in zip(CUSTOMERS, numbers, strict=True) if partition == number]
        directory = home / "log" / f"partition={number}"
        directory.mkdir(parents=True)
        (directory / "a.ndjson").write_text(ndjson(*(event(n, c) for c in mine for n in range(4))))
    result = nextbest("run", "log", "--partitions", "2", *SHOP)
    assert "80 accepted" in result.words, result.err
    assert events_of(nextbest, *CUSTOMERS) == [4] * 20
    message = one_line(nextbest("run", "log", *SHOP))
    assert "made with source 'files of 2', not 'files'" in message
    message = one_line(nextbest("run", "log", "--partitions", "1", *SHOP, "--data-dir", "new"))
    assert "partition=1" in message
    (home / "flat").mkdir()
    (home / "flat" / "a.ndjson").write_text(ndjson(event(1)))
    message = one_line(nextbest("run", "flat", "--partitions", "2", *SHOP, "--data-dir", "new"))
    assert "partition=" in message


def asked_to_end_after(what: Callable[[], object]) -> threading.Thread:
    """Send this process a SIGTERM, which the command takes, when something has been done."""

    def work() -> None:
        try:
            what()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_files_that_grow(home: Path, nextbest: Nextbest) -> None:
    log = home / "log.ndjson"
    log.write_text(ndjson(event(0)) + '{"event_id"')
    url = ensure_server(home / ".nextbest")

    def written() -> int:
        with redis.Redis.from_url(url) as client:
            return len(row_names(client, "nextbest:shop:customer:"))

    def wait_for_rows(count: int) -> None:
        end = time.monotonic() + 200
        while written() < count and time.monotonic() < end:
            time.sleep(0.01)

    def grow() -> None:
        wait_for_rows(1)
        with log.open("r+") as file:  # the line that was half there is now whole, and none was gone
            file.write(ndjson(event(0), event(1, "bob")))
        wait_for_rows(2)

    asked = asked_to_end_after(grow)
    result = nextbest("run", "log.ndjson", "--follow", *SHOP)
    asked.join()
    assert (result.code, result.err) == (0, "")
    assert "2 accepted (0 of them late), 0 duplicate, 0 dead letters" in result.words
    assert "stopped as asked" in result.words
    assert events_of(nextbest, "ada", "bob") == [1, 1]
    message = one_line(nextbest("run", "--stream", "s", "--follow", *SHOP))
    assert "--follow goes with files" in message


def test_a_topic_and_a_topic_of_dead_letters(
    home: Path, nextbest: Nextbest, brokers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTBEST_KAFKA_CONFIG", json.dumps(QUICK | {"linger.ms": "1"}))
    good = [json.dumps(event(n)).encode() for n in range(5)]
    produce(brokers, "clicks", 0, [*good, b"{broken", b"\xff"])
    monkeypatch.setenv("NEXTBEST_DEAD_LETTER_TOPIC", "refused")
    run = ("run", "--topic", "clicks", "--drain", *SHOP)
    result = nextbest(*run, "--kafka", brokers)
    assert "5 accepted (0 of them late), 0 duplicate, 2 dead letters" in result.words, result.err
    assert events_of(nextbest, "ada") == [5]
    lines = (home / ".nextbest/dead_letters/dead.ndjson").read_bytes().splitlines()
    assert sorted(consume_all(brokers, "refused")) == sorted(lines)
    assert [json.loads(line)["raw"] for line in lines] == ["{broken", "/w=="]
    monkeypatch.setenv("NEXTBEST_KAFKA_BROKERS", brokers)
    assert "0 accepted" in nextbest(*run).words
    assert len(consume_all(brokers, "refused")) == 2

    assert "--kafka needs a --topic" in one_line(nextbest("run", "--kafka", brokers, *SHOP))
    away = ("--topic", "none", "--kafka", "127.0.0.1:1", "--data-dir", "new")
    message = one_line(nextbest("run", *away, *SHOP))
    assert "none at 127.0.0.1:1: no answer" in message
    monkeypatch.delenv("NEXTBEST_KAFKA_BROKERS")
    assert "NEXTBEST_KAFKA_BROKERS" in one_line(nextbest(*run))
    (home / "a.ndjson").write_text("{\n")
    message = one_line(nextbest("run", "a.ndjson", *SHOP, "--data-dir", "new"))
    assert "NEXTBEST_DEAD_LETTER_TOPIC='refused' needs the brokers" in message


def test_a_data_directory_of_an_earlier_version_is_refused(home: Path, nextbest: Nextbest) -> None:
    (home / "a.ndjson").write_text(ndjson(event(1)))
    run = ("run", "a.ndjson", *SHOP)
    assert nextbest(*run).code == 0
    data_dir = home / ".nextbest"
    assert (data_dir / "format").read_text() == f"{FORMAT}\n"
    (data_dir / "format").unlink()  # the first format had no number
    shutil.rmtree(data_dir / "state")
    (data_dir / "state").mkdir()
    (data_dir / "state" / "shard-0000.log").write_bytes(b"old")
    for more in ((), ("--supervise",)):
        message = one_line(nextbest(*run, *more))
        assert f"its state is of format 1, this version of nextbest has format {FORMAT}" in message
    assert [path.name for path in (data_dir / "state").iterdir()] == ["shard-0000.log"]
    shutil.rmtree(data_dir / "recovery")
    assert "its recovery store 'recovery' is gone" in one_line(nextbest(*run))
