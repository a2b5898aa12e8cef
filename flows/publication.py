"""Marks: how far a shard's rows are in the online store, kept in the store itself.

The store may lose what it answered: restarted empty, restarted behind (its append-only file is
written once a second), failed over to a replica, flushed. What it lost is published again, and
nothing else, because each shard has a *mark* beside its rows:

    nextbest:CATALOG:shard:S:published = timeline:version:position:step:base:base_version

    timeline   the run of a worker that wrote it; each process start makes a new one
    version    every change of a row up to this version of that timeline is in the store
    position   no row of the shard in the store is newer than this position of the log
    step       counts the marks of a timeline, so that no two are equal
    base, base_version
               the snapshot that the timeline began from: its writer and its version

**Why a mark can be believed.** Each flush of rows has two marks around it: its *opening* raises
`position`, its *closing* raises `version`. A mark is only ever set by compare-and-set from the one
before it, and `RowSink` sends

1. an opening before the rows, the closing when each row command was answered without an error
   (a full disk may refuse the rows and take what comes after), all on one connection;
2. the next flush of a shard when the closing was answered;
3. after a lost connection every flush again whose closing was not answered.

What survives in a store is a prefix of what it executed. So take a mark that is in it. Its closing
was set from its opening: between the two nothing was lost, or the opening would be gone, or, if
what was lost is only the part behind the opening, the connection was lost too, and the rows were
sent again before the closing. The opening was set from the closing before it, and so on back to a
mark that was there at the start, or to an opening that was set where there was no mark; that one
claims version 0, which is nothing. A `FLUSHALL` at any moment removes the mark, and no later
compare-and-set succeeds. `version` is therefore never too high, `position` never too low. (This
asks that one connection means one server: no proxy that changes the server below a connection.)

**What a start finds.** Versions count on from the snapshot, so those of an attempt that crashed
before its snapshot mean something else in its successor. Two timelines share the versions up to
the snapshot that both know, hence:

- a mark of the snapshot's writer, or of an attempt that began from the very same snapshot: all
  versions up to the smaller of the mark's and the snapshot's are shared and in the store;
- no mark, or any other: nothing is known, and everything is published.

So that the mark is never further away than that, a timeline's first snapshot must come after its
first mark: with its first events a shard sends an empty flush, `command(publication.version, -1)`.
A snapshot without a change since the start keeps the writer and version that it began from.

**Never back in time.** After a crash the store may be ahead of the snapshot. A row published from
a state behind `position` could be older than what a reader saw, so nothing is published before the
shard's own position has passed it. The events that come again bring it there.

**Other entities.** A product's shard takes accepted events of every partition, and positions of
different partitions cannot be compared. Its `position` is a count instead: the ordinal, in the
shard, of the newest event in its rows. Versions know nothing of positions, so that what is said of
them above holds unchanged: nothing is missed. "Never back in time" holds in full for a log of one
partition, because then the same events come again in the same order, and equal counts mean equal
rows. Of several partitions the same events come again, each partition's in order, but interleaved
otherwise: at the old count the shard may still lack an event of one partition that the store's rows
had, and have one of another that they had not. A row may then lack its newest event for as long as
the partitions take to come as far as they were, which is at most what had been read since the last
snapshot; after that every count is as it was, and so is every row.

Knows no dataflow engine and does no I/O.
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import NamedTuple

from ..features.catalog import Catalog
from .resp import encode_command

LAG_SECONDS = 5.0
"""How long a mark may stand still in the store although a later one was sent."""

_REMEMBERED = 4096  # marks that a shard sent and the store was not seen with; usually a few
_NO_BASE = "-"

_SWAP = (
    b"if (redis.call('GET',KEYS[1]) or '')==ARGV[1] then "
    b"redis.call('SET',KEYS[1],ARGV[2]) return 1 end return 0"
)


def mark_key(catalog: Catalog, shard: int) -> bytes:
    """The key of a shard's mark.

    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> v = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> mark_key(Catalog(name="demo", views=[v]), 3)
    b'nextbest:demo:shard:3:published'
    """
    return shard_key(catalog, shard, "published")


def shard_key(catalog: Catalog, shard: int, what: str) -> bytes:
    """A key of one shard of a catalog of one entity; others than customers are named in it."""
    entity = catalog.entity
    name = str(shard) if entity.is_customer else f"{entity.name}-{shard}"
    return f"nextbest:{catalog.name}:shard:{name}:{what}".encode()


def new_timeline() -> str:
    """A name that no other process start has: 16 hexadecimal digits."""
    return secrets.token_hex(8)


class Republish(NamedTuple):
    """What must be sent to the store again: rows changed after version ``since``; None: all."""

    needed: bool
    since: int | None = None


NOTHING = Republish(needed=False)
EVERYTHING = Republish(needed=True)


class Marks(NamedTuple):
    """Two commands (RESP, one reply each) to be executed before and after a flush's rows."""

    opening: bytes
    closing: bytes


class _Mark(NamedTuple):
    timeline: str
    version: int
    position: int
    step: int
    base: str
    base_version: int

    def encode(self) -> bytes:
        return ":".join(map(str, self)).encode()

    @classmethod
    def decode(cls, found: bytes | None) -> _Mark | None:
        """None if it is no mark."""
        try:
            timeline, version, position, step, base, base_version = (
                (found or b"").decode().split(":")
            )
            return cls(timeline, int(version), int(position), int(step), base, int(base_version))
        except ValueError:
            return None


def position_of(found: bytes | None) -> int:
    """The position of a mark: no row of its shard in the store is newer; -1 if it is no mark.

    >>> position_of(b"a1:5:40:9:-:0"), position_of(None)
    (40, -1)
    """
    mark = _Mark.decode(found)
    return -1 if mark is None else mark.position


class Publication:
    """How far one shard's rows are in the store, and what is missing there.

    Call `on_resume` first, with what the store has; nothing may be published before. Then
    `command` for each flush of rows, and `on_seen` whenever the store was looked at.

    Parameters
    ----------
    key
        The mark's key, see `mark_key`.
    timeline
        This process start's, see `new_timeline`; the snapshots written now must keep it.
    resumed_timeline, resumed_version
        Who wrote the snapshot that this run begins from, and its version. Before the first
        snapshot: a name of the data directory that outlives the process, and 0; with ``""``
        rows of a run that crashed that early may be seen to go back in time.
    lag_seconds
        How long the store may be behind before that counts as a loss; more than an epoch,
        because closings are sent at its end at the latest.

    Examples
    --------
    >>> shard = Publication(b"k", "b2", resumed_timeline="a1", resumed_version=7)
    >>> shard.on_resume(b"a1:5:40:9:-:0")  # the store is behind the snapshot
    Republish(needed=True, since=5)
    >>> shard.may_publish(39), shard.may_publish(40)
    (False, True)
    >>> marks = shard.command(8, 41)
    >>> shard.on_seen(None, now=0.0)  # the store was emptied
    Republish(needed=True, since=None)
    """

    def __init__(
        self,
        key: bytes,
        timeline: str,
        *,
        resumed_timeline: str,
        resumed_version: int,
        lag_seconds: float = LAG_SECONDS,
    ) -> None:
        self.key = key
        self._timeline = timeline
        self._base = resumed_timeline or _NO_BASE
        self._base_version = resumed_version
        self._lag = lag_seconds
        self._step = 0
        self._version = 0  # what the last mark claims
        self._resumed = False
        self._newest = -1  # the position of the newest row that the store may have
        # The mark that the store was last seen with, and those sent since, in order.
        self._sent: deque[bytes | None] = deque([None], maxlen=_REMEMBERED)
        self._still: tuple[bytes | None, float] | None = None

    def on_resume(self, found: bytes | None) -> Republish:
        """Begin with the mark that the store has; returns what it lacks.

        Publication is then held until the shard's position is at least the mark's.
        """
        mark = _Mark.decode(found)
        known = self._shared(mark)
        self._resumed = True
        self._begin(found, known)
        if known is None or mark is None:
            return EVERYTHING
        self._newest = mark.position
        return Republish(True, known) if known < self._base_version else NOTHING

    def may_publish(self, position: int) -> bool:
        """Whether rows of a shard that is at ``position`` of the log are not older than before."""
        return self._resumed and position >= self._newest

    def command(self, version: int, position: int) -> Marks:
        """Return the marks of a flush.

        Parameters
        ----------
        version
            Every change up to this version is in this flush or an earlier one. If more flushes
            are needed for that, the version of the one before.
        position
            The log position of the newest event in the flush's rows.
        """
        # At the end of its input a shard publishes even if it is behind what the store has.
        self._newest = max(self._newest, position)
        opening = self._next(self._version)
        self._version = max(self._version, version)
        return Marks(opening, self._next(self._version))

    @property
    def version(self) -> int:
        """The version that the last mark claims."""
        return self._version

    def on_seen(self, found: bytes | None, now: float) -> Republish:
        """Compare a mark that the store had at ``now`` (seconds of any clock) with those sent.

        Sightings must be told in order, each after the marks that were sent before it.

        Returns
        -------
        Republish
            If the store lost something, or another worker wrote the mark. The next flush then
            goes on from what was found.
        """
        if not self._resumed:
            return NOTHING
        if found not in self._sent:
            return self._lost(found)
        while self._sent[0] != found:
            self._sent.popleft()
        if len(self._sent) == 1:
            self._still = None
            return NOTHING
        if self._still is None or self._still[0] != found:
            self._still = (found, now)
        return self._lost(found) if now - self._still[1] >= self._lag else NOTHING

    def _lost(self, found: bytes | None) -> Republish:
        mark = _Mark.decode(found)
        own = mark is not None and mark.timeline == self._timeline
        known = mark.version if own and mark is not None else self._shared(mark)
        self._begin(found, known)
        return Republish(needed=True, since=known)

    def _begin(self, found: bytes | None, known: int | None) -> None:
        self._version = known or 0
        self._sent = deque([found], maxlen=_REMEMBERED)
        self._still = None

    def _shared(self, mark: _Mark | None) -> int | None:
        """The newest version of this timeline that another's mark proves to be in the store."""
        if mark is None or self._base == _NO_BASE:
            return None
        snapshot = (self._base, self._base_version)
        if mark.timeline != self._base and (mark.base, mark.base_version) != snapshot:
            return None
        return min(mark.version, self._base_version)

    def _next(self, version: int) -> bytes:
        self._step += 1
        mark = _Mark(
            self._timeline, version, self._newest, self._step, self._base, self._base_version
        ).encode()
        before = self._sent[-1] or b""
        self._sent.append(mark)
        return encode_command(b"EVAL", _SWAP, b"1", self.key, before, mark)
