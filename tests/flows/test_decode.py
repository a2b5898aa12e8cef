"""Chunks of the log become events of shards, scripts of decisions, and dead letters."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from nextbest.features import (
    Catalog,
    DeclarationError,
    EventSchema,
    FeatureView,
    SourceError,
    event,
)
from nextbest.features import aggregations as agg
from nextbest.features.batch import ID_TEXT, KEY_1, EventBatch, shard_of
from nextbest.features.kernels.hashing import hash_string
from nextbest.features.plan import Plan
from nextbest.flows.assemble import ChunkTable
from nextbest.flows.dead_letters import DeadLetter
from nextbest.flows.decisions import CLOSE, REWARD, TRIGGER, DecisionPoint, Script
from nextbest.flows.decode import ChunkDecoder, ShardEvents
from nextbest.flows.settings import Settings
from nextbest.flows.sources import RawChunk

Event = dict[str, Any]
START = 1_767_225_600_000_000  # 2026-01-01
MINUTE = 60_000_000
ARMS = ("tea", "milk", "bread")

shop = EventSchema(
    "shop",
    types=("visit", "buy", "leave", "view"),
    properties={"category": str, "value": float, "results": int, "good": bool, "mood": str},
)
_bought = event.type == "buy"
catalog = Catalog(
    name="mart",
    views=[
        FeatureView(
            name="v",
            source=shop,
            features=[
                agg.decayed("affinity", by="category", vocabulary=ARMS, half_life="7d"),
                agg.count("n"),
                agg.count("recent", window="1h"),
                agg.sum("spend", of="value", where=_bought, window="session"),
                agg.last("last_value", of="value"),
                agg.count("known", where=event.good.present() & (event.results >= 0)),
            ],
        )
    ],
)
plan = Plan.compile(catalog)


def features_of(row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Two features of each arm: its affinity, and how busy the customer is."""
    return np.stack([row[:3], np.full(3, np.log1p(row[4]))], axis=1)


def decision_point(**changes: Any) -> DecisionPoint:
    given: dict[str, Any] = {
        "name": "next",
        "trigger": "visit",
        "arms": ARMS,
        "contexts": ("channel", "mood"),
        "action_features": features_of,
        "action_feature_names": ("affinity", "busy"),
        "reward_type": "buy",
        "reward_property": "category",
        "close_type": "leave",
        "window": "1h",
    }
    return DecisionPoint(**{**given, **changes})


point = decision_point()


def make_event(n: int, customer: str, kind: str, minute: float, **properties: Any) -> Event:
    channel = {"channel": properties.pop("channel")} if "channel" in properties else {}
    return {
        "event_id": f"e{n}",
        "event_timestamp": START + round(minute * MINUTE),
        "customer_id": customer,
        "type": kind,
        **channel,
        "properties": properties,
    }


def make_log(seed: int, n: int, customers: int = 12) -> list[Event]:
    """A log with late events, repeated ones, silent customers and answers out of order."""
    rng = random.Random(seed)
    names = [f"kunde-{i} ÄÖ" if i % 3 == 0 else f"c{i}" for i in range(customers)]
    log: list[Event] = []
    minute = 0.0
    for i in range(n):
        if log and rng.random() < 0.06:
            log.append(rng.choice(log[-12:]))
            continue
        minute += rng.choice((0, 0.3, 2, 2, 9))
        kind = rng.choices(("visit", "buy", "leave", "view"), (3, 4, 1, 2))[0]
        given: Event = {"value": round(rng.uniform(-5, 90), 2)} if rng.random() < 0.8 else {}
        if kind == "buy":
            given["category"] = rng.choice((*ARMS, "nuts"))
        if rng.random() < 0.3:
            given |= {"results": rng.randrange(4), "good": rng.random() < 0.5}
        if kind == "visit" and rng.random() < 0.8:
            given |= {"mood": rng.choice(("fine", "dull")), "channel": rng.choice(("web", "app"))}
        delay = rng.uniform(0, 70) if rng.random() < 0.15 else 0.0
        log.append(make_event(i, rng.choice(names), kind, max(0.0, minute - delay), **given))
    return log


def ndjson(events: Iterable[Event]) -> bytes:
    return b"".join(json.dumps(e, ensure_ascii=False).encode() + b"\n" for e in events)


def arrow(events: Sequence[Event]) -> pa.Table:
    """The same events as a Parquet file would give them."""
    kinds = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "string": pa.string()}
    columns: dict[str, Any] = {
        "event_id": [e["event_id"] for e in events],
        "event_timestamp": pa.array([e["event_timestamp"] for e in events]).cast(
            pa.timestamp("us", tz="UTC")
        ),
        "customer_id": [e["customer_id"] for e in events],
        "type": pa.array([e["type"] for e in events]).dictionary_encode(),
        "channel": pa.array([e.get("channel") for e in events], pa.string()),
    }
    for name, kind in shop.properties.items():
        columns[name] = pa.array([e["properties"].get(name) for e in events], kinds[kind])
    return pa.table(columns)


def chunk_of(payload: bytes | pa.Table, records: int, **changes: Any) -> RawChunk:
    given: dict[str, Any] = {
        "partition": 0,
        "position": 0,
        "format": "ndjson" if isinstance(payload, bytes) else "arrow",
        "payload": payload,
        "origin": "log.ndjson",
        "line": 1,
        "seq": 0,
        "records": records,
    }
    return RawChunk(**{**given, **changes})


def chunks(events: Sequence[Event], sizes: Sequence[int]) -> Iterator[RawChunk]:
    """Cut a log into chunks whose sizes repeat in a cycle."""
    start = seq = 0
    while start < len(events):
        part = events[start : start + sizes[seq % len(sizes)]]
        yield chunk_of(ndjson(part), len(part), position=start, line=start + 1, seq=seq)
        start, seq = start + len(part), seq + 1


def decoder(
    tmp: Path,
    decisions: DecisionPoint | None = point,
    **settings: Any,
) -> ChunkDecoder:
    chosen = Settings(data_dir=tmp, **{"shards": 4, **settings})
    return ChunkDecoder(plan, chosen, decisions, now=lambda: START + 10_000 * MINUTE)


Out = ShardEvents | Script | DeadLetter


def letters(out: Sequence[Out]) -> list[DeadLetter]:
    return [item for item in out if isinstance(item, DeadLetter)]


def scripts(out: Sequence[Out]) -> list[Script]:
    return [item for item in out if isinstance(item, Script)]


def parts(out: Sequence[Out]) -> list[ShardEvents]:
    return [item for item in out if isinstance(item, ShardEvents)]


def tables(out: Sequence[Any]) -> list[ChunkTable]:
    return [item for item in out if isinstance(item, ChunkTable)]


def customers_of(batch: EventBatch) -> list[str]:
    words = batch.records[:, ID_TEXT].tolist()
    text = batch.ids.tobytes()
    return [text[w >> 16 : (w >> 16) + (w & 0xFFFF)].decode() for w in words]


def test_every_event_reaches_its_customers_shard_in_log_order(tmp_path: Path) -> None:
    log = make_log(1, 200)
    (chunk,) = chunks(log, [200])
    out = list(decoder(tmp_path)(chunk))
    assert not letters(out)
    seen = []
    for part in parts(out):
        assert part.seq == 0
        assert part.marked is not None
        assert {shard_of(int(k), 4) for k in part.batch.records[:, KEY_1].tolist()} == {part.shard}
        positions = part.batch.positions.tolist()
        assert positions == sorted(positions)
        assert customers_of(part.batch) == [log[p]["customer_id"] for p in positions]
        assert part.batch.timestamps.tolist() == [log[p]["event_timestamp"] for p in positions]
        assert part.marked.tolist() == [log[p]["type"] == "visit" for p in positions]
        assert part.order is not None
        assert part.order.tolist() == positions
        seen += positions
    assert sorted(seen) == list(range(200))
    (table,) = tables(out)
    assert (table.seq, table.parts, table.positions.tolist()) == (0, 4, list(range(200)))
    assert table.events.table["event_id"].to_pylist() == [e["event_id"] for e in log]
    assert len(parts(out)) == 4
    ids = {e["customer_id"] for e in log}
    assert {c for p in parts(out) for c in customers_of(p.batch)} == ids
    assert {shard_of(int(hash_string(i)[0]), 4) for i in ids} == {p.shard for p in parts(out)}


def test_the_script_is_the_log_s_own_order(tmp_path: Path) -> None:
    log = make_log(2, 120)
    (chunk,) = chunks(log, [120])
    chunk = chunk_of(chunk.payload, 120, position=1000, seq=7)
    out = list(decoder(tmp_path)(chunk))
    (script,) = scripts(out)
    assert (script.seq, script.parts) == (7, len(parts(out)))
    kinds = {"visit": TRIGGER, "leave": CLOSE}
    expected = []
    for n, e in enumerate(log):
        category = e["properties"].get("category")
        context = None
        kind, arm = kinds.get(e["type"], 0), -1
        if e["type"] == "buy" and category in ARMS:
            kind, arm = REWARD, ARMS.index(category)
        if kind == TRIGGER:
            context = {"channel": e.get("channel"), "mood": e["properties"].get("mood")}
        if kind:
            what = (1000 + n, e["event_timestamp"], kind, arm if kind == REWARD else -1)
            expected.append((*what, e["customer_id"], e["event_id"], context))
    arms = np.where(script.kinds == REWARD, script.arms, -1)
    lists = (script.positions, script.times, script.kinds, arms)
    found = zip(
        *(a.tolist() for a in lists),
        script.customers,
        script.event_ids,
        script.contexts,
        strict=True,
    )
    assert list(found) == expected
    assert script.kinds.tolist().count(TRIGGER) > 10


def test_bad_lines_leave_gaps_in_the_positions_and_nothing_else(tmp_path: Path) -> None:
    log = make_log(3, 6, customers=2)
    lines = ndjson(log).splitlines()
    lines[1:1] = [b"not json", b"", b'{"event_id":"x"}']
    lines.append(b"\xff\xfe")
    chunk = chunk_of(b"\n".join(lines), 9, position=50, line=100, seq=3)
    out = list(decoder(tmp_path)(chunk))
    assert [(x.position, x.line, x.path) for x in letters(out)] == [
        (51, 101, None),
        (52, 103, None),
        (58, 109, None),
    ]
    assert "missing required field" in letters(out)[1].reason
    assert letters(out)[0].raw == "not json"
    assert letters(out)[2].raw_encoding == "base64"
    positions = sorted(p for part in parts(out) for p in part.batch.positions.tolist())
    assert positions == [50, 53, 54, 55, 56, 57]


def test_chunks_without_a_good_event_still_have_a_script(tmp_path: Path) -> None:
    decode = decoder(tmp_path)
    for seq, chunk in enumerate(
        (
            chunk_of(b"nonsense\n{}\n", 2),
            chunk_of(b"{" * 10, 1, fault="longer than 9 bytes", size=77, line=5),
            chunk_of(arrow([make_event(0, "", "visit", 1)]), 1),
        )
    ):
        out = list(decode(chunk))
        assert len(letters(out)) == chunk.records, seq
        (script,) = scripts(out)
        assert (script.parts, len(script.positions), script.customers) == (0, 0, [])
        assert not parts(out)
    (letter,) = letters(list(decode(chunk_of(b"{" * 10, 1, fault="too long", size=77, line=5))))
    assert (letter.reason, letter.raw_bytes, letter.line) == ("too long", 77, 5)
    assert not list(decoder(tmp_path, None)(chunk_of(b"\n", 0)))


def test_without_a_decision_point_nothing_is_marked(tmp_path: Path) -> None:
    (chunk,) = chunks(make_log(4, 30), [30])
    out = list(decoder(tmp_path, None, archive=False)(chunk))
    assert {type(item) for item in out} == {ShardEvents}
    assert all(p.marked is None and p.order is None for p in parts(out))


def test_arrow_and_ndjson_are_encoded_alike(tmp_path: Path) -> None:
    log = make_log(5, 150)
    (chunk,) = chunks(log, [150])
    one = list(decoder(tmp_path)(chunk))
    two = list(decoder(tmp_path)(chunk_of(arrow(log), 150)))
    assert pickle.dumps(scripts(one)[0].contexts) == pickle.dumps(scripts(two)[0].contexts)
    for a, b in zip(parts(one), parts(two), strict=True):
        assert a.batch.records.tobytes() == b.batch.records.tobytes()
    (a_table,), (b_table,) = tables(one), tables(two)
    assert a_table.events.table.schema == b_table.events.table.schema
    assert a_table.events.table.to_pylist() == b_table.events.table.to_pylist()


def test_undeclared_columns_are_kept_as_undeclared_properties_are(tmp_path: Path) -> None:
    """Else files that differ in such a column could not be archived together."""
    log = [make_event(n, "ann", "view", n) for n in range(3)]
    day = datetime(2026, 1, 1, tzinfo=UTC)
    extra: dict[str, Any] = {
        "note": ['"quoted" é', None, ""],
        "when": pa.array([day, None, None], pa.timestamp("ns", "UTC")),
        "late": [1, None, 3],
    }
    table = arrow(log)
    for name, values in extra.items():
        table = table.append_column(name, pa.array(values))
    (found,) = tables(list(decoder(tmp_path, None)(chunk_of(table, 3))))
    kept = [json.loads(x) if x else None for x in found.events.table["extra"].to_pylist()]
    when = int(day.timestamp() * 1_000_000)
    assert kept == [{"note": '"quoted" é', "when": when, "late": 1}, None, {"note": "", "late": 3}]
    assert "late" not in found.events.table.column_names
    (other,) = tables(list(decoder(tmp_path, None)(chunk_of(ndjson(log), 3))))
    assert found.events.table.schema == other.events.table.schema


def test_a_file_with_the_wrong_columns_is_named(tmp_path: Path) -> None:
    table = arrow(make_log(6, 5)).drop(["customer_id"])
    with pytest.raises(SourceError, match=r"a\.parquet: column 'customer_id' is missing"):
        list(decoder(tmp_path)(chunk_of(table, 5, origin="a.parquet")))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"contexts": ("weather",)}, "next: 'shop' has no strings 'weather'"),
        ({"contexts": ("value",)}, "next: 'shop' has no strings 'value'"),
        ({"reward_property": "results"}, "has no strings 'results'"),
        ({"trigger": "knock"}, "next: 'shop' has no event type 'knock'"),
    ],
)
def test_a_decision_point_must_fit_its_events(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DeclarationError, match=reason):
        decoder(tmp_path, decision_point(**changes))


def test_items_travel_between_processes(tmp_path: Path) -> None:
    (chunk,) = chunks(make_log(7, 40), [40])
    for item in decoder(tmp_path)(chunk):
        again = pickle.loads(pickle.dumps(item))
        if isinstance(item, ShardEvents):
            others = [w for w in range(item.batch.records.shape[1]) if w != ID_TEXT]
            same = again.batch.records[:, others] == item.batch.records[:, others]
            assert same.all()
            assert customers_of(again.batch) == customers_of(item.batch)
        elif isinstance(item, ChunkTable):
            assert again.events.table == item.events.table
        elif isinstance(item, Script):
            assert again.event_ids == item.event_ids
