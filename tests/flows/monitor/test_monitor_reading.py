"""The newest rows of an archive: which they are, in how much memory, while files are added."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextbest.features import SettingsError
from nextbest.flows.decision.ids import id_of_cause
from nextbest.flows.decision.record import Offer, Record
from nextbest.flows.monitor.decided import DecisionLog
from nextbest.flows.monitor.newest import Newest, times_of
from nextbest.flows.monitor.opened import nothing_decided, nothing_settled
from tests.flows.loop_archive_cases import decided, put_credits, put_decisions, told

HOUR = 3_600_000_000
AT = 1_767_225_600_000_000


def write(archive: Path, part: int, number: int, *times: int) -> Path:
    path = archive / f"partition={part}" / f"epoch-{number:08d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"event_timestamp": pa.array(times, pa.timestamp("us", "UTC"))}), path)
    return path


def newest(archive: Path, most: int, read: list[int] | None = None) -> Newest:
    def take(rows: Any) -> Any:
        if read is not None:
            read.append(rows.num_rows)
        return pa.table({"at": times_of(rows)})

    return Newest(archive, ["event_timestamp"], take, most)


def test_the_newest_rows_of_all_partitions_come_first(tmp_path: Path) -> None:
    for number in range(50):  # one partition has ten times as many
        write(tmp_path, 0, number, 10 * number, 10 * number + 1)
        write(tmp_path, 1, number, *range(10 * number, 10 * number + 10))
    everything = sorted([t for n in range(50) for t in (10 * n, 10 * n + 1)] + list(range(500)))
    found = newest(tmp_path, 10_000).read()
    assert found.table["at"].to_pylist() == everything
    assert found.complete
    assert found.reached == {"partition=0": 491, "partition=1": 499}
    some = newest(tmp_path, 100).read()
    assert some.table["at"].to_pylist() == everything[-100:]
    assert not some.complete
    assert newest(tmp_path, 10_000).read(since=400).table["at"].to_pylist() == everything[-120:]
    large = write(tmp_path / "large", 0, 0, *range(20_000)).parent.parent
    assert newest(large, 5).read().table["at"].to_pylist() == [*range(19_995, 20_000)]
    with pytest.raises(SettingsError, match="most=0: from 1 to 5,000,000 rows"):
        newest(tmp_path, 0)


def test_only_what_is_new_or_may_change_is_read_again(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path, 0, number, number)
    read: list[int] = []
    log = newest(tmp_path, 30, read)
    log.read()
    assert len(read) == 30
    read.clear()
    write(tmp_path, 0, 40, 40, 41)
    again = log.read()
    assert again.table["at"].to_pylist()[-3:] == [39, 40, 41]
    assert len(read) <= 17  # the youngest sixteen may be written anew
    damaged = write(tmp_path, 0, 41, 42)
    damaged.write_bytes(b"PAR1 no")
    found = log.read()
    assert found.table["at"].to_pylist()[-1] == 41
    assert "epoch-00000041.parquet: cannot be read" in found.faults[0]


def record(n: int, at: int, **more: Any) -> Record:
    name = id_of_cause(at, "ann", str(n))
    offers = [Offer(action="tea", score=1.0, propensity=0.5, draw=0.1, chances={"accept": 0.25})]
    return Record(
        id=name, customer="ann", at=at, channel="web", strategy="5e" * 8, offers=offers, **more
    )


def test_rewards_count_when_the_window_is_over_and_the_last_word_holds(tmp_path: Path) -> None:
    """A response comes before silence does: counted at once, it would promise too much."""
    records = [record(n, AT + n * HOUR) for n in range(6)]
    put_decisions(tmp_path, 0, [decided(one, place) for place, one in enumerate(records)])
    window = 2 * HOUR
    put_credits(
        tmp_path, 0,
        [
            told(records[0], 0.0, after=window, silence=True),
            told(records[1], 1.0, after=5),
            told(records[1], 0.0, after=5, revision=1, withdrawn=True),
            told(records[2], 0.0, after=window, silence=True),
            told(records[2], 1.0, after=window - 1, revision=1),
            told(records[5], 1.0, after=5),
        ],
    )  # fmt: skip
    found = DecisionLog(tmp_path).read()
    assert found.objectives == ("accept",)
    # The log has come to the sixth decision: the windows of the first three are over.
    assert found.table["reward.accept"].to_pylist() == [0.0, None, 1.0, None, None, None]
    assert found.settled("accept").num_rows == 2
    with pytest.raises(SettingsError, match="no objective 'hope' in these decisions, which have a"):
        found.settled("hope")
    put_decisions(tmp_path, 1, [decided(record(9, AT + 9 * HOUR), 9)])
    assert DecisionLog(tmp_path).read().table["reward.accept"].to_pylist()[5] == 1.0
    assert DecisionLog(tmp_path, 3).read().table.num_rows == 3


def test_what_is_no_decision_is_counted_not_shown(tmp_path: Path) -> None:
    nothing = DecisionLog(tmp_path).read()
    assert "no decisions yet in shop" in nothing_decided(nothing, Path("shop"))
    empty = record(1, AT)
    empty = Record(id=empty.id, customer="ann", at=AT, channel="web", strategy="5e" * 8)
    broken = decided(record(2, AT + 1), 1)
    broken = type(broken)(
        broken.event_id, broken.at, broken.customer, "web", broken.own, '{"id": 5}', position=1
    )
    put_decisions(tmp_path, 0, [decided(empty), broken])
    found = DecisionLog(tmp_path).read()
    assert (len(found), found.nothing, found.damaged) == (0, 1, 1)
    assert "no decisions could be read: 1 damaged" in nothing_decided(found, Path("shop"))
    twice = decided(record(3, AT + 2), 2)
    put_decisions(tmp_path, 1, [twice, twice])
    once = DecisionLog(tmp_path).read()
    assert len(once) == 1
    assert "no outcomes yet: 1 decisions" in nothing_settled(once, "accept")


def test_examples_of_a_decision_point_are_decisions_too(tmp_path: Path) -> None:
    path = tmp_path / "examples" / "partition=0" / "epoch-00000000.parquet"
    path.parent.mkdir(parents=True)
    n = 30
    table = pa.table(
        {
            "decision_id": [f"d{i}" for i in range(n)],
            "event_timestamp": pa.array([AT + i for i in range(n)], pa.timestamp("us", "UTC")),
            "customer_id": ["ann", "ben", "eve"] * 10,
            "arm": ["tea", "mug"] * 15,
            "propensity": [0.5] * n,
            "score": [0.25] * n,
            "context": pa.array([[("device", "phone")]] * n, pa.map_(pa.string(), pa.string())),
            "reward": [1.0, 0.0] * 15,
        }
    )
    pq.write_table(table, path)
    found = DecisionLog(tmp_path).read()
    assert found.objectives == ("reward",)
    assert found.settled("reward").num_rows == n
    assert found.table["foretold.reward"].to_pylist() == [0.25] * n
    assert found.table["input.device"].to_pylist() == ["phone"] * n
    assert found.fields == ["arm"]
