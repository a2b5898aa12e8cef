"""Features at any customer and time, from the archive: the stream's own kernels, run again.

There is no join of events with a table of times that could look into the future: a customer's
events are applied one after the other to one row, and the row is read where a query stands.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .archive import Archive, ArchiveFile
from .catalog import Catalog
from .declaration import Feature, FeatureView
from .errors import SettingsError
from .kernels.layout import I64
from .plan import Plan
from .reads import Sources
from .replay_buckets import BUCKETS, Buckets
from .replay_scan import Queries, Scan
from .replay_walk import Walker, order_queries
from .state import FeatureRows, empty_rows

_FURTHEST = 2**62  # microseconds; kernels subtract times without overflow
_LEAST_MEMORY = 1 << 20
_MOST_THREADS = 256
_SCANNING = 0.7  # of the progress


def backfill(
    catalog: Catalog,
    archive: str | Path,
    ids: Sequence[str] | pa.Array[Any],
    at: npt.NDArray[np.int64],
    *,
    known: npt.NDArray[np.int64] | None = None,
    features: Sequence[str] | None = None,
    entity: str | None = None,
    threads: int | None = None,
    memory_bytes: int = 1 << 30,
    spill_directory: str | Path | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> FeatureRows:
    """Compute features of n (key, time) pairs from the archive.

    *As of* a time (``known`` is None), a pair sees all events up to and including its time, late
    ones too, in the order of time; an event that was late when it came still counts in no session.
    *As known* at a log position, it sees the customer's events up to that position in the order in
    which they came, read at its time: bit for bit what was served then.

    Parameters
    ----------
    catalog
        The declarations; they may be newer than the archive.
    archive
        The directory that holds ``partition=*``: ``archive/events`` in a data directory.
    ids
        n key texts (`nextbest.features.entity_keys.key_text`): for customers, their ids.
    at
        int64[n], microseconds since 1970. Before the first event of a key, or if there is none,
        everything is missing; no row is read before its newest event.
    known
        int64[n], log positions. Only of customers: their events are in one partition of the log.
    features
        ``"view:feature"`` or ``"view"``; default: all of the entity's.
    entity
        Whose rows; default: the catalog's first entity.
    threads
        How many to use; default: one a processor.
    memory_bytes
        For events, besides queries and answers; what does not fit waits in a file that has no
        name. The events of the heaviest key must fit in any case.
    spill_directory
        Where that file lies; default: the system's directory for temporary files.
    on_progress
        Called with 0 to 1 as it goes on.

    Returns
    -------
    FeatureRows
        In the order of the pairs; columns in the order of ``features``. The position is that of
        the event that was applied last: as of a time, the newest.

    Raises
    ------
    SettingsError
        If an argument cannot be used; the message names it.
    DeclarationError
        If there is no such entity or feature.
    SourceError
        If the archive is missing or a file cannot be read; the message names it.
    StateError
        If events cannot be kept in a file.

    Examples
    --------
    >>> import tempfile, pyarrow.parquet as pq
    >>> from nextbest.features import EventSchema, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> visits = FeatureView(name="visits", source=shop, features=[agg.count("events")])
    >>> day = 86_400_000_000
    >>> events = {
    ...     "customer_id": ["ann", "ben", "ann"],
    ...     "event_timestamp": pa.array([day, 2 * day, 3 * day], pa.timestamp("us", "UTC")),
    ...     "position": [0, 1, 2],
    ...     "late": [False, False, False],
    ... }
    >>> with tempfile.TemporaryDirectory() as name:
    ...     Path(name, "partition=0").mkdir()
    ...     pq.write_table(pa.table(events), Path(name, "partition=0", "epoch-00000000.parquet"))
    ...     catalog = Catalog(name="demo", views=[visits])
    ...     rows = backfill(catalog, name, ["ann", "ann", "eve"], np.array([2 * day, 4 * day, day]))
    >>> rows.values.tolist(), rows.positions.tolist()
    ([[1.0], [2.0], [nan]], [0, 2, -1])
    """
    times = _whole("at", at)
    limits = times if known is None else _whole("known", known)
    if len(limits) != len(times):
        raise SettingsError(f"{len(limits)} known positions of {len(times)} pairs")
    if (np.abs(times) > _FURTHEST).any():
        raise SettingsError("at: a time is not microseconds since 1970")
    count = _threads(threads)
    if memory_bytes < _LEAST_MEMORY:
        raise SettingsError(f"memory_bytes={memory_bytes}: at least {_LEAST_MEMORY}")
    choice = choose_features(catalog, features, entity)
    if known is not None and not choice.plan.catalog.entity.is_customer:
        raise SettingsError(
            f"known: the events of a {choice.plan.catalog.entity.name} are in many partitions, "
            "whose positions have no order; only customers can be read as known"
        )
    queries = Queries(ids, limits)
    files = Archive(archive).files
    told = on_progress or (lambda _: None)
    rows = empty_rows(len(times), choice.plan.reads.columns)
    if len(times):
        scan = Scan(choice.plan, queries, known is not None)
        with (
            Buckets(scan.words, memory_bytes // 2, spill_directory) as buckets,
            _pool(count) as pool,
        ):
            _scan(scan, files, buckets, pool, told)
            buckets.seal()
            question = order_queries(queries.slots, queries.things, limits, times)
            most_rows = max(1, memory_bytes // 2 // count // (8 * buckets.words + 16))
            _walk(choice.plan, known is not None, buckets, question, most_rows, rows, pool, told)
    told(1.0)
    return choice.of(rows)


class Choice(NamedTuple):
    """A plan that computes the chosen features and what they need, and no others.

    ``columns`` (int64[m]) says which of its columns are the chosen ones, in order.
    """

    plan: Plan
    columns: I64
    features: tuple[tuple[FeatureView, Feature], ...]

    def of(self, rows: FeatureRows) -> FeatureRows:
        """Return the chosen columns of what the plan reads."""
        if np.array_equal(self.columns, np.arange(rows.values.shape[1])):
            return rows
        return rows._replace(values=rows.values[:, self.columns], state=rows.state[:, self.columns])


def choose_features(
    catalog: Catalog, features: Sequence[str] | None = None, entity: str | None = None
) -> Choice:
    """Compile the chosen features of one entity; the parameters are those of `backfill`.

    A row's sums do not depend on which others it has, so that a smaller plan gives the same
    numbers, bit for bit, for less work.

    Raises
    ------
    DeclarationError
        If there is no such entity, or no such feature of it.
    SettingsError
        If no feature is named.
    """
    whole = catalog.of(entity or catalog.entity.name)
    if isinstance(features, str) or (features is not None and not features):
        raise SettingsError(f"features={features!r}: expected a list of 'view:feature' or 'view'")
    named = [view.name for view in whole.views] if features is None else features
    where = f"{catalog.name}, entity {whole.entity.name!r}"
    chosen = whole.select(named, where)
    needed = Sources(whole).needed((view.name, feature.name) for view, feature in chosen)
    views = []
    for view in whole.views:
        kept = tuple(feature for feature in view.features if (view.name, feature.name) in needed)
        if kept:
            views.append(msgspec.structs.replace(view, features=kept))
    smaller = Catalog(name=whole.name, views=views, lateness=whole.lateness)
    place = {name: number for number, name in enumerate(smaller.columns)}
    columns = [
        place[f"{view.name}:{column}"] for view, feature in chosen for column in feature.columns
    ]
    return Choice(Plan.compile(smaller), np.array(columns, np.int64), chosen)


def _scan(
    scan: Scan,
    files: Sequence[ArchiveFile],
    buckets: Buckets,
    pool: Pool,
    told: Callable[[float], None],
) -> None:
    """Read all files; files of many bytes count for more of the progress."""
    sizes = [_size(file) for file in files]
    total = sum(sizes) or 1
    done = 0

    def read(file: ArchiveFile, size: int) -> int:
        for records in scan.records(file):
            if pool.stopped():
                return 0
            buckets.add(records)
        return size

    for size in pool.run(read, zip(files, sizes, strict=True)):
        done += size
        told(_SCANNING * done / total)


def _walk(
    plan: Plan,
    as_known: bool,
    buckets: Buckets,
    question: Any,
    most_rows: int,
    rows: FeatureRows,
    pool: Pool,
    told: Callable[[float], None],
) -> None:
    own = threading.local()

    def answer(bucket: int) -> None:
        if pool.stopped():
            return
        if not hasattr(own, "walker"):
            own.walker = Walker(plan, plan.reads, as_known=as_known)
        own.walker.answer(buckets, bucket, question, most_rows, rows)

    asked = [(b,) for b in range(BUCKETS) if question.bounds[b][0] < question.bounds[b][-1]]
    for number, _ in enumerate(pool.run(answer, asked), 1):
        told(_SCANNING + (1.0 - _SCANNING) * number / len(asked))


class Pool:
    """Threads that end, all of them, before an error or Ctrl-C goes on."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._stop = threading.Event()
        self.stopped = self._stop.is_set

    def run(self, work: Callable[..., Any], arguments: Any) -> Iterator[Any]:
        """Yield the results of work, as they come."""
        for future in as_completed([self._executor.submit(work, *given) for given in arguments]):
            yield future.result()

    def stop(self) -> None:
        """Have all work end soon."""
        self._stop.set()
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _pool(threads: int) -> Iterator[Pool]:
    pool = Pool(ThreadPoolExecutor(threads, thread_name_prefix="replay"))
    try:
        yield pool
    finally:
        pool.stop()


def _size(file: ArchiveFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:
        return 0  # whoever reads it will say what is wrong


def _whole(name: str, given: npt.NDArray[np.int64]) -> I64:
    array = np.asarray(given)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and len(array)):
        raise SettingsError(f"{name}: expected int64[n], not {array.dtype}{list(array.shape)}")
    # Arrow's memory is read-only: to a kernel that would be another type, and compiled anew.
    return np.require(array, np.int64, ["C", "W"])


def _threads(given: int | None) -> int:
    if given is None:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if isinstance(given, bool) or not 1 <= given <= _MOST_THREADS:
        raise SettingsError(f"threads={given!r}: from 1 to {_MOST_THREADS}")
    return given
