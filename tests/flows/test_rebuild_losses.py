"""What was lost comes back from the archive; what does not fit is refused, and nothing is worse."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from nextbest.features import NextbestError, SourceError, StateError
from nextbest.flows.commands.place import remembered
from nextbest.flows.pipeline import Observers, build_flow
from nextbest.flows.run import run_flow
from nextbest.flows.sources import FileSource
from tests.flows.entity_cases import assert_store_is_right, make_log
from tests.flows.rebuild_cases import CATALOGS, NEW, OLD, Place, fresh_rows, old


@pytest.fixture
def place(tmp_path: Path, store_url: str) -> Place:
    return Place(tmp_path / "data", store_url, tmp_path / "log")


@pytest.mark.parametrize("reference", [None, NEW], ids=["same", "new"])
def test_a_lost_state_directory_comes_back(
    place: Place, store: redis.Redis, reference: str | None
) -> None:
    log = make_log(41, 400)
    place.write(log[:250])
    place.run(OLD)
    shutil.rmtree(place.settings.state_dir)
    with pytest.raises(StateError, match=r"its state 'state' is gone; .*nextbest rebuild"):
        place.run(OLD)
    place.rebuild(reference)
    place.write(log)
    place.run(reference or OLD)
    assert place.rows(reference or OLD) == fresh_rows(place, reference or OLD, store)


def test_a_damaged_file_of_the_state_matters_no_more(place: Place, store: redis.Redis) -> None:
    log = make_log(42, 300)
    place.write(log)
    place.run(OLD)
    for path in place.settings.state_dir.glob("shard-*"):
        path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(StateError):
        place.run(OLD)
    place.rebuild(None)
    place.run(OLD)
    assert place.rows(OLD) == fresh_rows(place, OLD, store)


def test_an_emptied_store_is_filled(place: Place, store: redis.Redis) -> None:
    log = make_log(43, 300)
    place.write(log)
    place.run(OLD)
    store.flushall()
    place.rebuild(None)
    assert_store_is_right(place.url, old, log)


def broken_run(place: Place, at: int) -> None:
    """A run that dies after its shards took in so many parts."""
    left = at

    def tick(_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise ZeroDivisionError

    source = FileSource(place.log, partitions=place.partitions, batch_rows=16)
    flow = build_flow(source, old, place.settings, place.url, observers=Observers(counted=tick))
    with pytest.raises(ZeroDivisionError):
        run_flow(flow, place.settings)


@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize("at", [21, 27])
def test_events_that_were_not_committed_count_once(
    place: Place, store: redis.Redis, partitions: int, at: int
) -> None:
    place.partitions = partitions
    log = make_log(44, 500)
    place.write(log[:200])
    place.run(OLD)
    place.write(log)
    broken_run(place, at)
    # As a run that was killed between its archive and its commit would leave it.
    for partition in range(partitions):
        *_, last = place.archive(partition)
        beyond = last.with_name(f"epoch-{int(last.stem[6:]) + 1:08d}.parquet")
        shutil.copy(last, beyond)
    place.rebuild(NEW)
    place.run(NEW)
    assert_store_is_right(place.url, CATALOGS[NEW], log)
    assert place.rows(NEW) == fresh_rows(place, NEW, store)


def test_rows_that_the_store_has_newer_are_left_to_the_next_run(
    place: Place, store: redis.Redis
) -> None:
    log = make_log(45, 500)
    place.write(log[:200])
    place.run(OLD)
    place.write(log)
    shard = sorted(store.keys("nextbest:mart:shard:[0-9]:published"))[0]
    timeline, version, position, *rest = (store.get(shard) or b"").split(b":")
    ahead = b":".join([timeline, version, b"%d" % (int(position) + 9000), *rest])
    store.set(shard, ahead)
    assert "1 shards to the next run: the store has newer rows" in place.rebuild(NEW)
    assert store.get(shard) == ahead
    place.run(NEW)
    assert place.rows(NEW) == fresh_rows(place, NEW, store)


def test_an_archive_with_a_file_missing_is_refused(place: Place) -> None:
    place.write(make_log(46, 400))
    place.run(OLD)
    before = place.rows(OLD)
    files = place.archive()
    kept = files[1].read_bytes()
    files[1].unlink()
    with pytest.raises(StateError, match=r"the archive holds [\d,]+ of the [\d,]+ events taken"):
        place.rebuild(NEW)
    files[1].write_bytes(kept[:-30])
    with pytest.raises(SourceError, match=files[1].name):
        place.rebuild(NEW)
    files[1].write_bytes(files[0].read_bytes())
    files[0].write_bytes(kept)
    with pytest.raises(SourceError, match="not in log order"):
        place.rebuild(NEW)
    shutil.rmtree(files[0].parent)
    with pytest.raises(StateError, match="lacks a partition that events were archived of"):
        place.rebuild(NEW)
    assert not list(place.settings.state_dir.glob("rebuilt-*"))
    place.run(OLD)
    assert place.rows(OLD) == before


def test_without_an_archive_there_is_nothing_to_make_it_from(place: Place) -> None:
    place.options["archive"] = False
    place.write(make_log(49, 100))
    place.run(OLD)
    with pytest.raises(StateError, match=r"the archive holds 0 of the \d+ events taken in"):
        place.rebuild(NEW)
    place.run(OLD)


def test_an_event_that_is_there_twice_is_refused(place: Place) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    place.write(make_log(47, 200))
    place.run(OLD)
    *_, last = place.archive()
    table = pq.ParquetFile(last).read()
    assert table.num_rows > 2
    twice = table.slice(table.num_rows - 1)
    table = pa.concat_tables([table.slice(0, table.num_rows - 2), twice])
    at = twice.schema.get_field_index("position")
    later = pa.array([twice["position"][0].as_py() + 1])
    pq.write_table(pa.concat_tables([table, twice.set_column(at, "position", later)]), last)
    with pytest.raises(StateError, match=r"partition 0, position \d+: .* an event twice"):
        place.rebuild(None)


def test_killed_anywhere_it_can_be_done_again(
    place: Place, store: redis.Redis, tmp_path: Path
) -> None:
    log = make_log(48, 600)
    place.write(log[:500])
    place.run(OLD)
    killed, state = 0, place.settings.state_dir
    for step in STEPS:
        assert rebuild_until(place, step) == -signal.SIGKILL, step
        killed += 1
        last = remembered(place.data_dir)
        assert last is not None
        # What the record says can be run goes on.
        usable = []
        for reference in (OLD, NEW):
            try:
                place.run(reference)
            except NextbestError:
                continue
            usable.append(reference)
        assert usable == [NEW if step in AFTER else OLD], step
        if step in AFTER:
            place.rebuild(OLD)
    assert killed == len(STEPS)
    place.rebuild(NEW)
    assert len(list(state.iterdir())) == 1
    place.write(log)
    place.run(NEW)
    assert place.rows(NEW) == fresh_rows(place, NEW, store)


STEPS = ("rebuild_shards", "remember", "replace", "remembered", "rows")
AFTER = ("replace", "remembered", "rows")

_KILLED = """
import os, signal, sys
from pathlib import Path
from nextbest.flows.commands import rebuild
from nextbest.flows import rebuild as made
from nextbest.flows.commands import place
from tests.flows.rebuild_cases import Place, NEW

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(module, name, times=1):
    real, left = getattr(module, name), [times]
    def call(*args, **kwargs):
        out = real(*args, **kwargs)
        left[0] -= 1
        if not left[0]:
            die()
        return out
    setattr(module, name, call)

step = sys.argv[1]
if step == "rebuild_shards":
    after(made._Rebuild, "_begin", 9)
elif step in ("remember", "remembered"):
    after(place, "remember", 1 if step == "remember" else 2)
elif step == "replace":
    after(rebuild, "replace_recovered")
else:
    rebuild.republish = die
Place(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])).rebuild(NEW)
"""


def rebuild_until(place: Place, step: str) -> int:
    """Rebuild in a process that kills itself at a step; its exit status."""
    argv = [sys.executable, "-c", _KILLED, step, str(place.data_dir), place.url, str(place.log)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=500)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode
