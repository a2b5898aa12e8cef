"""One definition, equal answers, on a year of real shopping.

Households of the demo's data go through the real dataflow with the demo's own declarations. What is
replayed from the archive at any household and time equals the plain recomputation, and what the
online client reads after the year does too.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nextbest.features.events import MAX_TIMESTAMP
from nextbest.features.online import FeatureClient
from nextbest.features.replay import backfill
from nextbest.flows.demo import journey
from nextbest.flows.demo.catalog import catalog
from nextbest.flows.pipeline import build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from nextbest.flows.sources import FileSource
from tests.laws.driver import LONG, assert_equal_cells, patience
from tests.naive.features import Customer, Event, NaiveFeatures

pytestmark = patience
HOUSEHOLDS = 80
PAIRS = 10_000 if LONG else 600
SEED = 2017
MINUTE = 60_000_000
DAY = 1440 * MINUTE
COLUMNS = (
    "event_id", "customer_id", "type", "channel", "category", "value", "quantity",
    *journey.CONTEXTS,
)  # fmt: skip


@dataclass
class Year:
    """What the dataflow made of the households' year, and their events as they were bought."""

    url: str
    archive: Path
    twins: dict[str, NaiveFeatures]
    """One a household: nobody else's events are in the way."""
    first: int
    last: int


@pytest.fixture
def year(store_url: str, tmp_path: Path) -> Year:
    events = journey.build_events()
    everyone = sorted(pc.unique(events["customer_id"]).to_pylist())
    chosen = random.Random(SEED).sample(everyone, HOUSEHOLDS)
    events = events.filter(pc.is_in(events["customer_id"], pa.array(chosen)))
    assert events.num_rows > 20_000
    log = tmp_path / "year.parquet"
    pq.write_table(events, log)
    settings = Settings(data_dir=tmp_path / "data", epoch_seconds=0.05)
    source = FileSource(log, batch_rows=3000)
    run_flow(build_flow(source, catalog, settings, store_url), settings)
    twins = {household: NaiveFeatures(catalog) for household in chosen}
    times = events["event_timestamp"].cast(pa.int64()).to_pylist()
    for at, row in zip(times, events.select(COLUMNS).to_pylist(), strict=True):
        household, event_id = row.pop("customer_id"), row.pop("event_id")
        known = {name: value for name, value in row.items() if value is not None}
        events_of = twins[household].customers.setdefault(household, Customer()).events
        events_of.append(Event(at, event_id, known, late=False))
    return Year(store_url, settings.archive_dir / "events", twins, times[0], times[-1])


def some_pairs(year: Year, count: int) -> list[tuple[str, int]]:
    """Households and times: of their events, right beside, in and after visits, and any."""
    rng = random.Random(SEED)
    households = list(year.twins)
    pairs = []
    for _ in range(count):
        household = rng.choice(households)
        own = year.twins[household].customers[household].events
        event = rng.choice(own).timestamp
        at = rng.choice(
            (
                event,
                event - 1,
                event + rng.choice((1, MINUTE, 30 * MINUTE, 30 * MINUTE + 1)),
                event + rng.choice((7, 30, 90)) * DAY,
                rng.randrange(year.first - DAY, year.last + 100 * DAY),
            )
        )
        pairs.append((household, at))
    return pairs


def compare(rows: Any, i: int, twin: NaiveFeatures, household: str, at: int) -> None:
    """Assert that one row equals the twin's."""
    assert int(rows.age_ms[i]) == twin.age_ms(household, at), (household, at)
    assert_equal_cells(catalog, rows.values[i], rows.state[i], twin, household, at)


def test_a_year_of_real_shopping(year: Year) -> None:
    check_replay(year)
    check_lookups(year)


def check_replay(year: Year) -> None:
    pairs = some_pairs(year, PAIRS)
    times: npt.NDArray[np.int64] = np.array([at for _, at in pairs], np.int64)
    began = time.perf_counter()
    rows = backfill(catalog, year.archive, [household for household, _ in pairs], times)
    replayed = time.perf_counter()
    for i, (household, at) in enumerate(pairs):
        compare(rows, i, year.twins[household].as_of(at), household, at)
    present = (rows.state == 0).mean()
    assert 0.3 < present < 0.999, "the pairs meet values that are there, and that are not"
    print(
        f"{len(pairs):,} pairs, {rows.values.size:,} values equal, {present:.0%} of them present; "
        f"replay {replayed - began:.2f} s, twin {time.perf_counter() - replayed:.1f} s"
    )


def check_lookups(year: Year) -> None:
    """Every household online, at its newest event and at times to come."""
    households = list(year.twins)
    with FeatureClient(year.url, catalog, clock=lambda: MAX_TIMESTAMP) as client:
        for at in (year.last, year.last + 31 * MINUTE, year.last + 45 * DAY):
            found = client.get(households, at=at)
            for i, household in enumerate(households):
                compare(found.rows, i, year.twins[household], household, at)
