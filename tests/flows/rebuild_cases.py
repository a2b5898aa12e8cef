"""Declarations before and after, a data directory to rebuild, and what it must hold then."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from rich.console import Console

from nextbest.features import Catalog, Entity, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.online import RowDecoder
from nextbest.features.plan import Plan
from nextbest.flows.commands.inputs import Job
from nextbest.flows.commands.job import run_job
from nextbest.flows.commands.rebuild import run_rebuild
from nextbest.flows.settings import Settings
from tests.conftest import row_names
from tests.flows import entity_cases as cases
from tests.flows.entity_cases import KINDS, catalog, products, shop

HERE = "tests.flows.rebuild_cases"
OLD, NEW = f"{HERE}:old", f"{HERE}:new"
ONE_MORE, SHORTER, LESS = f"{HERE}:one_more", f"{HERE}:shorter", f"{HERE}:less"

old = catalog
_visits, _, busy, taste = catalog.views
by_kind = FeatureView(
    name="drinks", source=shop, entity=Entity("kind", ["kind"]),
    features=[agg.count("n"), agg.max("most", of="value")],
)  # fmt: skip
visits = FeatureView(
    name="visits",
    source=shop,
    features=[
        agg.count("events", window="session"),  # as it was; "spent" is gone
        agg.sum("bought", of="value", where=event.type == "buy"),  # is new
        agg.count("recent", window="1d"),
    ],
)
popular = FeatureView(
    name="popular", source=shop, entity=products.entity,
    features=[agg.count("views", where=event.type == "view", window="2d"), agg.count("all")],
)  # fmt: skip
new = Catalog(name="mart", lateness="5m", views=[visits, popular, taste, by_kind])
one_more = Catalog(name="mart", lateness="5m", views=[*catalog.views, by_kind])
shorter = Catalog(name="mart", lateness="1m", views=list(catalog.views))
less = Catalog(name="mart", lateness="5m", views=[_visits])
CATALOGS = {OLD: old, NEW: new, ONE_MORE: one_more, SHORTER: shorter, LESS: less}

assert KINDS == ("view", "cart", "buy")


@dataclass
class Place:
    """A data directory, its store and its log."""

    data_dir: Path
    url: str
    log: Path
    partitions: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        given: dict[str, Any] = {"shards": cases.SHARDS, "epoch_seconds": 0.01, "batch_rows": 16}
        return Settings(data_dir=self.data_dir, redis_url=self.url, **{**given, **self.options})

    def run(self, reference: str) -> str:
        job = Job(paths=(self.log,), partitions=self.partitions, catalog=reference)
        return said(lambda console: run_job(job, self.settings, console))

    def rebuild(
        self, reference: str | None, *, publish: bool = True, threads: int | None = None
    ) -> str:
        return said(
            lambda console: run_rebuild(
                self.settings, reference, publish=publish, threads=threads, console=console
            )
        )

    def rows(self, reference: str) -> dict[str, Any]:
        """What the store holds of each entity, bit for bit but for positions in the log."""
        found: dict[str, Any] = {}
        given = CATALOGS[reference]
        with redis.Redis.from_url(self.url) as client:
            for entity in given.entities:
                names = row_names(client, f"nextbest:mart:{entity.name}:")
                stored: Any = client.mget(names) if names else []
                rows = RowDecoder(Plan.compile(given.of(entity.name))).decode(stored, cases.LATER)
                cells = (rows.values.tobytes(), rows.state.tobytes(), rows.age_ms.tobytes())
                found[entity.name] = (names, cells)
        return found

    def archive(self, partition: int = 0) -> list[Path]:
        return sorted((self.data_dir / "archive/events" / f"partition={partition}").iterdir())

    def write(self, events: list[cases.Event]) -> None:
        cases.write(self.log, events, self.partitions)


def fresh_rows(place: Place, reference: str, client: redis.Redis) -> dict[str, Any]:
    """The rows of a run that never knew another declaration; the store is emptied."""
    client.flushall()
    other = Place(
        place.data_dir.with_name("fresh"), place.url, place.log, place.partitions, place.options
    )
    other.run(reference)
    return other.rows(reference)


def said(work: Any) -> str:
    """What a command prints, in one line."""
    console = Console(file=io.StringIO(), width=200)
    work(console)
    text: Any = console.file
    return " ".join(text.getvalue().split())
