"""Reading several streams of a Valkey or Redis server with one command."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from ...features.errors import StoreError
from ..connection import ask, pool, store_errors
from .outage import AwayError, OnOutage
from .shared import Feed, SharedReader

Entry = tuple[bytes, dict[bytes, bytes]]

_FETCH_BYTES = 4 << 20
_FETCH_ENTRIES = 512
_ANSWER_SECONDS = 1.0
_LOST_TAIL_MS = 10_000
_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.BusyLoadingError,
    redis.exceptions.MasterDownError,
    redis.exceptions.ReadOnlyError,
)
# Counts the entries behind one, so many at most; at the end it corrects what the server thinks
# that it has been given. Producers go on meanwhile, hence a script.
_RECOUNT = b"""
local function order(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local key, last, counted, from = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
for page = 1, 16 do
  local found = redis.call('XRANGE', key, '(' .. from, '+', 'COUNT', 16)
  if #found == 0 then
    local facts, known = redis.call('XINFO', 'STREAM', key), {}
    for i = 1, #facts, 2 do known[facts[i]] = facts[i + 1] end
    local top = known['last-generated-id']
    local a, b = order(last)
    local c, d = order(top)
    local behind = a > c or (a == c and b > d)
    if behind or counted > known['entries-added'] then
      redis.call('XSETID', key, behind and last or top, 'ENTRIESADDED', counted)
    end
    return false
  end
  counted = counted + #found
  from = found[#found][1]
end
return {counted, from}
"""


@dataclass(slots=True)
class Place:
    """How far one stream has been fetched.

    Attributes
    ----------
    key
        The stream.
    last
        Id of the last entry that was fetched.
    entries
        How many were, up to it.
    trimmed
        Entries that were gone from the stream before the first one was fetched; None: not known
        yet.
    server
        The run of the server that the stream was last looked at in; None: not known yet.
    """

    key: str
    last: str
    entries: int
    trimmed: int | None
    server: str | None = None


class StreamReader(SharedReader[Entry]):
    """Reads the streams of a source with one `XREAD`; the parameters are those of the source."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        outage_seconds: float,
        on_outage: OnOutage | None,
        reconnect: Callable[[], None] | None,
    ) -> None:
        super().__init__(outage_seconds=outage_seconds, on_outage=on_outage, reconnect=reconnect)
        self._url = url
        self._places: dict[int, Place] = {}
        self._count = 16
        self._patient = pool(url, seconds=timeout)
        # A worker must not stand still while a server does not answer.
        self._pool = pool(url, seconds=min(timeout, _ANSWER_SECONDS))
        self._client = redis.Redis(connection_pool=self._pool)

    def begin(self, number: int, place: Place) -> tuple[Feed[Entry], str]:
        """Begin to read a partition; return its feed, and the id of its last entry at present.

        Raises
        ------
        StoreError
            The server does not answer or refuses, or the stream is not the one that was read.
        """
        end = self._check(redis.Redis(connection_pool=self._patient), place)
        self._patient.disconnect()
        feed = self.open(number)
        self._places[number] = place
        return feed, end

    def fetch(self, feeds: Sequence[Feed[Entry]], seconds: float) -> Mapping[int, Sequence[Entry]]:
        """The next entries of several streams."""
        places = {self._places[feed.number].key.encode(): feed.number for feed in feeds}
        block = ("BLOCK", max(1, round(seconds * 1000))) if seconds else ()
        with self._answering():
            found: Any = ask(
                self._client,
                *("XREAD", "COUNT", self._count, *block, "STREAMS", *places),
                *(self._places[number].last for number in places.values()),
            )
        read: dict[int, Sequence[Entry]] = {}
        size = 0
        for key, entries in dict(found or ()).items():
            number = places[key]
            read[number] = entries
            place = self._places[number]
            place.last = text(entries[-1][0])
            place.entries += len(entries)
            size += sum(len(value) for _, fields in entries for value in fields.values())
        if read:
            total = sum(map(len, read.values()))
            share = _FETCH_BYTES // len(places)
            self._count = max(1, min(_FETCH_ENTRIES, share * total // (size + 1)))
        return read

    def lags(self) -> Mapping[int, int]:
        """By partition: entries that were not fetched; on a connection of its own."""
        places = dict(self._places)
        connections = pool(self._url, seconds=_ANSWER_SECONDS)
        client = redis.Redis(connection_pool=connections)
        try:
            pipeline = client.pipeline(transaction=False)
            for place in places.values():
                ask(pipeline, "XINFO STREAM", place.key)
            found: list[Any] = pipeline.execute(raise_on_error=False)
        finally:
            connections.disconnect()
        lags = {}
        for (number, place), answer in zip(places.items(), found, strict=True):
            facts = {} if isinstance(answer, Exception) else dict(answer)
            added = {text(name): value for name, value in facts.items()}.get("entries-added", 0)
            lags[number] = max(0, int(added) - (place.trimmed or 0) - place.entries)
        return lags

    def ask(self) -> None:
        """Does the server answer, and is each stream still the one that was read?"""
        with self._answering():
            for number in list(self._feeds):
                self._check(self._client, self._places[number])

    def disconnect(self) -> None:
        """Close the connections."""
        self._pool.disconnect()
        self._patient.disconnect()

    def trim(self, key: str, committed: str, age_seconds: float) -> None:
        """Trim what is older than an age and not after an entry; about, as the server likes.

        Raises
        ------
        StoreError
            The server refuses. That it is away is no error: the next time will do.
        """
        if self._outage is not None:
            return
        oldest = f"{max(0, int((time.time() - age_seconds) * 1000))}-0"
        limit = min(oldest, committed, key=order)
        with contextlib.suppress(AwayError), self._answering():
            ask(self._client, "XTRIM", key, "MINID", "~", limit)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Tell a server that is away from one that refuses."""
        try:
            with store_errors(self._url):
                yield
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, _AWAY) and not isinstance(cause, redis.AuthenticationError):
                raise AwayError(str(error)) from cause
            raise

    def _check(self, client: redis.Redis, place: Place) -> str:
        """Refuse a stream that is not the one that was read; return the id of its last entry.

        If the server has lost entries that were read, as one that was killed may, its last id and
        its count of entries are made what they were: an id given out a second time would be
        passed over, and receipts would name places that others had. Receipts of the moment
        between the server's start and this one do.
        """
        facts: dict[str, Any] = {}
        with store_errors(self._url):
            if ask(client, "EXISTS", place.key):
                answer: Any = ask(client, "XINFO STREAM", place.key)
                facts = {text(name): value for name, value in dict(answer).items()}
        length = int(facts.get("length", 0))
        added = facts.get("entries-added")  # Redis has counted them since 7.0
        gone = 0 if added is None else int(added) - length
        if place.trimmed is None:
            place.trimmed = gone
        end = text(facts.get("last-generated-id", "0-0"))
        counted = place.trimmed + place.entries
        behind = order(end) < order(place.last)
        if behind and order(place.last)[0] - order(end)[0] > _LOST_TAIL_MS:
            count = "" if added is None else f" ENTRIESADDED {counted}"
            made = "" if facts else f"XGROUP CREATE {place.key} any 0 MKSTREAM, then "
            raise StoreError(
                f"{place.key}: ends at {end}, before {place.last}, which was read already: it "
                "was deleted or restored from an older copy. If it is to go on from here: "
                f"{made}XSETID {place.key} {place.last}{count}"
            )
        with store_errors(self._url):
            server = _run_of(client)
            fewer = added is not None and (behind or int(added) < counted)
            if fewer or (added is not None and facts and place.server not in (None, server)):
                _recount(client, place.key, place.last, counted)
            elif behind:
                ask(client, "XSETID", place.key, place.last)
            place.server = server
        if behind:
            return place.last
        lost = gone - counted
        if lost > 0:
            raise StoreError(
                f"{place.key}: {lost} entries after {place.last} were trimmed before they were "
                "read; keep more of the stream than a worker can be behind"
            )
        newest = facts.get("last-entry")
        return text(newest[0]) if newest else "0-0"


def _run_of(client: redis.Redis) -> str:
    """What no other run of a server has in common with this one."""
    answer: Any = ask(client, "INFO", "server")
    return text(dict(answer).get("run_id", ""))


def _recount(client: redis.Redis, key: str, last: str, counted: int) -> None:
    """Let the server have been given as many entries as it was: `counted` up to `last`.

    As long as what it takes in anew when it starts, and in small steps.
    """
    found: Any = (counted, last)
    while found:
        found = ask(client, "EVAL", _RECOUNT, 1, key, last, *found)


def order(entry_id: str) -> tuple[int, int]:
    """An id as numbers, which compare as the entries do.

    >>> order("9-2") < order("10-1")
    True
    """
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def text(value: bytes | str) -> str:
    """What a server says, which may be no text, as text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
