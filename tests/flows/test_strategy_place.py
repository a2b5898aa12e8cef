"""A data directory and its strategy: which may follow which, what a rebuild keeps, what is warm."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
import redis
from rich.console import Console

from nextbest.features import Catalog, FeatureView, SettingsError, StateError
from nextbest.features import aggregations as agg
from nextbest.flows.commands.inputs import Job
from nextbest.flows.commands.job import run_job
from nextbest.flows.commands.rebuild import run_rebuild
from nextbest.flows.settings import Settings
from nextbest.learners import PublishedArms
from tests.chaos import declared
from tests.chaos.log import make_blobs
from tests.chaos.offers import STRATEGY

OLD = "tests.chaos.declared:catalog"
NEW = "tests.flows.test_strategy_place:changed"
OTHER_NAME = STRATEGY.replace("name: offers", "name: winter")
MORE = STRATEGY.replace("objectives:", "objectives:\n  left: {event: leave, window: 5m}")
_more = FeatureView(name="m", source=declared.shop, features=[agg.count("leaves", window="1d")])
changed = Catalog(name="chaos", views=[*declared.catalog.views, _more])


@dataclass
class Place:
    home: Path
    url: str

    @property
    def settings(self) -> Settings:
        return Settings(
            data_dir=self.home / "data", redis_url=self.url, shards=4, epoch_seconds=0.05
        )

    @property
    def log(self) -> Path:
        return self.home / "log.ndjson"

    def run(self, strategy: str | None, catalog: str = OLD) -> str:
        job = Job(paths=(self.log,), catalog=catalog, strategy=strategy)
        return said(lambda console: run_job(job, self.settings, console))

    def rebuild(self, catalog: str, strategy: str | None = None) -> str:
        return said(
            lambda console: run_rebuild(
                self.settings, catalog, publish=True, threads=1, console=console, strategy=strategy
            )
        )

    def archived(self) -> dict[str, bytes]:
        """What is archived of decisions and of what was learned."""
        root = self.settings.archive_dir
        files = [path for what in ("decisions", "credits") for path in root.glob(f"{what}/*/*")]
        return {str(path.relative_to(root)): path.read_bytes() for path in files}

    def learned(self) -> dict[bytes, bytes]:
        """The models, without their stamps, and the customers' own weights in the store."""
        with redis.Redis.from_url(self.url) as client:
            keys: Any = sorted(client.scan_iter("nextbest:chaos:offers:*", count=10_000))
            keys = [key for key in keys if not key.endswith(b":published")]
            values: Any = client.mget(keys)
        return {
            key: PublishedArms.from_bytes(value).stamped(None).to_bytes()
            if b":model:" in key
            else value
            for key, value in zip(keys, values, strict=True)
        }


def said(work: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    work(console)
    text: Any = console.file
    return " ".join(text.getvalue().split())


@pytest.fixture
def lines() -> list[bytes]:
    return list(next(make_blobs(5, ahead=900, customers=40, offers=True)))


def write(place: Place, lines: list[bytes]) -> None:
    place.log.parent.mkdir(parents=True, exist_ok=True)
    place.log.write_bytes(b"\n".join(lines) + b"\n")


def test_a_data_directory_keeps_its_strategy(
    tmp_path: Path, store_url: str, lines: list[bytes]
) -> None:
    place = Place(tmp_path, store_url)
    first = next(n for n, line in enumerate(lines) if b'"type":"decision"' in line)
    write(place, lines[:first])
    place.run(OTHER_NAME)  # a mistake that binds nobody: there were no decisions
    write(place, lines[:300])
    assert "loop" not in place.run(None)
    write(place, lines[:600])
    told = place.run(STRATEGY)
    assert "offers learns from here on; this directory's run had none before" in told
    assert int(told.partition(" decisions,")[0].rpartition("loop ")[2]) > 20
    learned = place.learned()
    for other, name in ((None, "none"), (OTHER_NAME, "'winter'")):
        with pytest.raises(StateError, match=rf"made with strategy 'offers', this run has {name}"):
            place.run(other)
    assert place.learned() == learned
    # What else is in the file may change: an objective more begins to learn from here on.
    write(place, lines)
    assert "learns from here on" not in place.run(MORE)
    with redis.Redis.from_url(store_url) as client:
        assert client.exists("nextbest:chaos:offers:model:left")
    before = 600
    decided = {json.loads(x)["event_id"] for x in lines[before:] if b'"decision"' in x[:200]}
    rows = ds.dataset(place.settings.archive_dir / "credits").to_table().to_pylist()
    left = {row["example"].partition("/")[0] for row in rows if row["objective"] == "left"}
    assert left
    assert left <= decided


def test_a_rebuild_leaves_the_loop_as_it_was(
    tmp_path: Path, store_url: str, store: redis.Redis, lines: list[bytes]
) -> None:
    undisturbed, place = Place(tmp_path / "a", store_url), Place(tmp_path / "b", store_url)
    for each in (undisturbed, place):
        store.flushall()
        write(each, lines[:500])
        each.run(STRATEGY)
        if each is place:
            kept, learned = each.archived(), each.learned()
            told = each.rebuild(NEW)
            assert "is gone" not in told
            assert each.archived() == kept
            assert each.learned() == learned
        write(each, lines)
        each.run(STRATEGY, NEW if each is place else OLD)
        if each is undisturbed:
            expected = each.learned()
    assert len(expected) > 10
    assert place.learned() == expected

    def rows(each: Place, what: str) -> list[Any]:
        return ds.dataset(each.settings.archive_dir / what).to_table().to_pylist()

    for what in ("decisions", "credits"):
        assert rows(place, what) == rows(undisturbed, what)


def test_lost_state_of_a_strategy_is_said_and_its_models_learn_again(
    tmp_path: Path, store_url: str, store: redis.Redis, lines: list[bytes]
) -> None:
    place = Place(tmp_path, store_url)
    write(place, lines)
    place.run(STRATEGY)
    learned = place.learned()
    for text in (STRATEGY, None):
        shutil.rmtree(place.settings.state_dir)
        store.flushall()
        with pytest.raises(StateError, match="nextbest rebuild"):
            place.run(STRATEGY)
        with pytest.raises(SettingsError, match="what ran here was offers, not winter"):
            place.rebuild(OLD, OTHER_NAME)
        told = place.rebuild(OLD, text)
        assert "decisions that were open are forgotten" in told
        write(place, [*lines, lines[-1]])
        place.run(STRATEGY)
        if text is None:
            assert "its models begin anew; with --strategy they learn all again" in told
            assert set(place.learned()) < set(learned)
        else:
            assert re.search(r"its models learned \d+ examples again", told)
            # Bit for bit, customers' own weights too.
            assert place.learned() == learned


_WARM = """
import gc, sys
from pathlib import Path
from numba.core.dispatcher import Dispatcher
from nextbest.features.plans import Plans
from nextbest.flows.commands.inputs import Job, loop_of, open_source
from nextbest.flows.commands.warm import warm_kernels
from nextbest.flows.pipeline import build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.settings import Settings
from tests.chaos.declared import catalog
from tests.chaos.offers import STRATEGY

def compiled():
    found = [each for each in gc.get_objects() if isinstance(each, Dispatcher)]
    named = {(k.py_func.__module__, k.py_func.__name__, len(k.signatures)) for k in found}
    return {(name, n) for module, name, n in named if "learners" in module and n}

home, url, log = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
settings = Settings(data_dir=home, redis_url=url, shards=2)
job = Job(paths=(log,), catalog="tests.chaos.declared:catalog", strategy=STRATEGY)
loop = loop_of(job, catalog)
flow = build_flow(open_source(job, settings, None, None), catalog, settings, url, loop=loop)
cold = compiled()
warm_kernels(Plans.compile(catalog), settings, None, loop)
warm = compiled()
run_flow(flow, settings)
print(len(cold), len(warm - cold), sorted(compiled() - warm))
"""


def test_workers_of_a_strategy_load_its_kernels_before_the_first_epoch(
    tmp_path: Path, store_url: str, lines: list[bytes]
) -> None:
    place = Place(tmp_path, store_url)
    write(place, lines[:300])
    done = subprocess.run(
        [sys.executable, "-c", _WARM, str(tmp_path / "data"), store_url, str(place.log)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    cold, warmed, later = done.stdout.strip().splitlines()[-1].split(" ", 2)
    assert (cold, later) == ("0", "[]")
    assert int(warmed) > 3
