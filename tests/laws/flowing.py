"""The whole way that users take: events go into a log, the real dataflow runs, clients ask."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import redis
from hypothesis import strategies as st

from nextbest.features import Catalog, Entity
from nextbest.features.batch import DUPLICATE, LATE
from nextbest.features.entity_keys import key_text
from nextbest.features.online import FeatureClient, Features
from nextbest.features.plans import Plans
from nextbest.features.replay import backfill
from nextbest.features.state import FeatureRows
from nextbest.flows.partitions import partitions_of
from nextbest.flows.pipeline import build_flow
from nextbest.flows.publisher import Publisher
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources import FileSource, ValkeyStreamSource
from tests.laws import strategies as some
from tests.laws.driver import _wire, assert_equal_cells, assert_near, batches, reading_times
from tests.laws.strategies import Row
from tests.naive.features import NaiveFeatures
from tests.naive.formulas import Cell

Key = tuple[str, ...]
STRANGER = "never seen"
_SKEW = 4e9
"""Seconds: streams of the laws go on for decades."""


@dataclass(frozen=True)
class Shape:
    """How a log is cut up and worked on; none of it may matter."""

    partitions: int
    shards: int
    sizes: tuple[int, ...]
    """Of what is published, or of the batches that files are read in."""
    stream: bool
    """A stream of the store, or files."""
    stages: int
    """Runs of the worker, each over a part of the log; the next goes on where one ended."""


shapes = st.builds(
    Shape,
    partitions=st.integers(1, 4),
    shards=st.sampled_from((1, 3, 4)),
    sizes=st.lists(st.sampled_from((1, 2, 7, 20)), min_size=1, max_size=3).map(tuple),
    stream=st.booleans(),
    stages=st.sampled_from((1, 1, 2)),
)


class Long(list[Row]):
    """A seeded stream, too long to be shown whole."""

    def __init__(self, catalog: Catalog, seed: int) -> None:
        super().__init__(some.long_stream(catalog, seed, 100))
        self._seed = seed

    def __repr__(self) -> str:
        return f"<long stream of seed {self._seed}>"


@st.composite
def streams(draw: st.DrawFn, catalog: Catalog, most: int = 30) -> list[Row]:
    """Events in arrival order: a few that hypothesis can make fewer, or a seeded hundred."""
    if draw(st.booleans()):
        return some.arrivals(catalog, draw(some.moves(catalog, most=most)), draw(some.starts))
    return Long(catalog, draw(st.integers(0, 2**32)))


class Flow:
    """A log and the worker that runs over it, from an empty store and data directory on."""

    def __init__(self, catalog: Catalog, shape: Shape, url: str, home: Path) -> None:
        self.catalog = catalog
        self.shape = shape
        self.url = url
        self.settings = Settings(
            data_dir=home / "data",
            shards=shape.shards,
            epoch_seconds=0.01,
            batch_rows=shape.sizes[0],
            future_skew_seconds=_SKEW,
        )
        self._log = home / "log"
        self._parts = 0
        with redis.Redis.from_url(url) as client:
            client.flushall()

    @property
    def archive(self) -> Path:
        """Where accepted events are."""
        return self.settings.archive_dir / "events"

    def take(self, rows: Sequence[Row]) -> None:
        """Append events to the log, and let the worker take them in."""
        if self.shape.stream:
            self._publish(rows)
            source: Any = ValkeyStreamSource(
                self.url, "log", partitions=self.shape.partitions, drain=True
            )
        else:
            self._write(rows)
            source = FileSource(
                self._log, partitions=self.shape.partitions, batch_rows=self.settings.batch_rows
            )
        flow = build_flow(source, self.catalog, self.settings, self.url)
        run_flow(flow, self.settings)
        refused = self.settings.dead_letters_dir / "dead.ndjson"
        assert not refused.exists() or not refused.read_text(), refused.read_text()

    def _publish(self, rows: Sequence[Row]) -> None:
        shape = self.shape
        with Publisher(
            self.url, "log", partitions=shape.partitions, shards=shape.shards
        ) as publisher:
            for part in batches(rows, shape.sizes):
                lines = [json.dumps(_wire(row)).encode() for row in part]
                publisher.publish(lines, [row["customer_id"] for row in part])

    def _write(self, rows: Sequence[Row]) -> None:
        names = [row["customer_id"] for row in rows]
        where = partitions_of(names, self.shape.partitions, self.shape.shards).tolist()
        for number in range(self.shape.partitions):
            folder = self._log / f"partition={number}"
            folder.mkdir(parents=True, exist_ok=True)
            mine = [row for row, own in zip(rows, where, strict=True) if own == number]
            lines = [json.dumps(_wire(row)) + "\n" for row in mine]
            (folder / f"{self._parts:04}.ndjson").write_text("".join(lines))
        self._parts += 1


@contextmanager
def flowing(catalog: Catalog, shape: Shape, url: str) -> Iterator[Flow]:
    """A flow whose directory is gone afterwards."""
    with TemporaryDirectory() as name:
        yield Flow(catalog, shape, url, Path(name))


@dataclass
class Twin:
    """The naive twin of one entity's rows, and the keys that found them."""

    catalog: Catalog
    naive: NaiveFeatures
    keys: dict[str, Key] = field(default_factory=dict)
    """The join keys' values, by key text."""

    @property
    def entity(self) -> Entity:
        """Whose rows."""
        return self.catalog.entity

    @property
    def newest(self) -> int:
        """The time of the newest event of all."""
        return max(customer.newest for customer in self.naive.customers.values())

    def ids(self) -> list[Any]:
        """All keys and an unknown one, as a client is asked for them."""
        keys = [*self.keys.values(), (STRANGER,) * len(self.entity.join_keys)]
        return [key[0] for key in keys] if len(self.entity.join_keys) == 1 else keys

    def texts(self) -> list[str]:
        """The key texts of the same."""
        return [*self.keys, key_text(self.entity, (STRANGER,) * len(self.entity.join_keys))]


class Twins:
    """The naive twins of a catalog, one an entity."""

    def __init__(self, catalog: Catalog) -> None:
        self._decides = NaiveFeatures(Plans.compile(catalog).customer.catalog)
        self._number = 0
        self.repeated = self.late = 0
        self.all = [Twin(own, NaiveFeatures(own)) for own in map(catalog.of, _names(catalog))]

    def apply(self, rows: Sequence[Row]) -> None:
        """Take events in log order; what a customer's row has seen counts for nobody."""
        for row in rows:
            self._number += 1
            became = self._decides.apply(row)
            self.late += became == LATE
            if became == DUPLICATE:
                self.repeated += 1
                continue
            for twin in self.all:
                key = key_of(twin.entity, row)
                if key is None:
                    continue
                text = key_text(twin.entity, key)
                twin.keys[text] = key
                own = {**row, "customer_id": text}
                if not twin.entity.is_customer:
                    own["event_id"] = str(self._number)
                twin.naive.apply(own)

    def __iter__(self) -> Iterator[Twin]:
        return (twin for twin in self.all if twin.keys)


def _names(catalog: Catalog) -> list[str]:
    return [entity.name for entity in catalog.entities]


def key_of(entity: Entity, row: Row) -> Key | None:
    """The values that an event has of an entity's join keys; None if it lacks one."""
    values = {**row["properties"], "type": row["type"], "channel": row["channel"] or None}
    values["customer_id"] = row["customer_id"]
    found = [values.get(key) for key in entity.join_keys]
    return None if None in found else tuple(map(str, found))


def later_times(twin: Twin, most: int = 5) -> list[int]:
    """Times from the newest event of all on, at which something changes; some of them."""
    newest = twin.newest
    times = [at for at in reading_times(twin.catalog, [newest]) if at >= newest]
    return times[:: 1 + len(times) // most]


def any_times(twin: Twin, most: int = 8) -> list[int]:
    """Times of events, beside them and between them, and times of change after the last."""
    events = [e.timestamp for c in twin.naive.customers.values() for e in c.events]
    own = sorted(set(events))
    chosen = own[:: 1 + len(own) // most]
    beside = [at + offset for at in chosen[::2] for offset in (-1, 1)]
    gaps = [at + view.gap_us for at in chosen[1::3] for view in twin.catalog.views]
    return sorted({*chosen, *beside, *gaps, *later_times(twin, 3)})


def refs_of(catalog: Catalog) -> list[str]:
    """All features, ``view:feature``."""
    return [f"{view.name}:{feature.name}" for view, feature in catalog.features()]


def assert_rows(
    twin: Twin, texts: Sequence[str], rows: FeatureRows | Features, ages: Any, at: int
) -> None:
    """Assert that the rows of keys read at one time equal the twin's."""
    for i, text in enumerate(texts):
        where = f"{twin.entity.name} {text} at {at}"
        assert int(ages[i]) == twin.naive.age_ms(text, at), where
        assert_equal_cells(twin.catalog, rows.values[i], rows.state[i], twin.naive, text, at)


def check_client(client: FeatureClient, twins: Twins, most: int = 5) -> int:
    """Ask the online client at times from the newest event on; return how many rows were read."""
    read = 0
    for twin in twins:
        views = [view.name for view in twin.catalog.views]
        for at in later_times(twin, most):
            found = client.get(twin.ids(), features=views, at=at)
            assert_rows(twin, twin.texts(), found, found.age_ms[:, 0], at)
            read += len(found.ids)
    return read


def check_backfill(flow: Flow, twins: Twins) -> int:
    """Ask the replay for all keys at any times; return how many rows were read."""
    read = 0
    for twin in twins:
        texts = twin.texts()
        times = any_times(twin)
        found = backfill(
            flow.catalog,
            flow.archive,
            texts * len(times),
            np.repeat(np.array(times, np.int64), len(texts)),
            entity=twin.entity.name,
            threads=2,
        )
        for number, at in enumerate(times):
            own = slice(number * len(texts), (number + 1) * len(texts))
            part = FeatureRows(*(column[own] for column in found))
            then = Twin(twin.catalog, twin.naive.as_of(at))
            assert_rows(then, texts, part, part.age_ms, at)
        read += len(found.values)
    return read


def shown(twin: Twin, text: str, at: int) -> Iterator[tuple[str, Any, list[Cell]]]:
    """Each feature by ``view:feature``, with its declaration and the twin's cells."""
    cells = twin.naive.cells(text, at)
    start = 0
    for view, feature in twin.catalog.features():
        width = len(feature.columns)
        yield f"{view.name}:{feature.name}", feature, cells[start : start + width]
        start += width


def assert_near_cells(columns: Sequence[str], cells: Sequence[Cell], got: Any, whose: str) -> None:
    """As `assert_near`, of numbers or None, as an answer that knows no states has them."""
    values = np.array([np.nan if value is None else float(value) for value in got])
    states = [
        0 if value == value else 2 if cell.state == "expired" else 1
        for value, cell in zip(values.tolist(), cells, strict=True)
    ]
    assert_near(columns, cells, values, np.array(states, np.uint8), whose)
