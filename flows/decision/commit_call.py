"""One call of the store for many lines: how it is told of them, and how its answer is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from ...features.errors import StateError
from ..partitions import LINE_BITS
from .commit_types import Called, Line
from .keys import Keys
from .scripts import COMMIT, DONE, ONE

ENTRY_BYTES = 1 << 14
"""How large an entry of the log with several decisions may become; a receipt costs the store a look
at the last one."""


class Answer(NamedTuple):
    """What became of a line.

    Attributes
    ----------
    status
        `DONE`, `AGAIN` or `CONFLICT`.
    position
        Where it is in the log, if it is done and the log is here.
    told
        What is kept, of one that was there before, or the present contacts.
    """

    status: int
    position: int | None
    told: bytes


_NONE = Answer(DONE, None, b"")


class Layout(NamedTuple):
    """How lines are told of: in which order, and how many are in each entry of the log."""

    order: list[int]
    sizes: list[int]


class _Entry:
    """Lines that are one entry of the log, by their places among all."""

    __slots__ = ("partition", "places", "size")

    def __init__(self, partition: int) -> None:
        self.partition, self.size = partition, 0
        self.places: list[int] = []


class Calling(NamedTuple):
    """How a strategy's lines are written.

    Attributes
    ----------
    keys
        The strategy's.
    log
        The keys of the log's partitions; None: it is not in the store.
    shards
        How many the log has.
    whole
        Whether lines are kept, rather than where they are in the log.
    keep_ms
        For how long.
    outbound_length
        Entries of an outbound stream.
    """

    keys: Keys
    log: Sequence[str] | None
    shards: int
    whole: bool
    keep_ms: int
    outbound_length: int

    def call(self, lines: Sequence[Line]) -> tuple[Called, Layout]:
        """Return the call that writes lines, and how to read its answer."""
        if len(lines) == 1:
            return self._call_one(lines[0]), Layout([0], [1])
        log, shards = self.log, self.shards
        here: dict[str, int] = {}
        entries: list[_Entry] = []
        open_: dict[int, _Entry] = {}  # of each partition
        for place, line in enumerate(lines):
            partition = 0
            if log is not None:
                partition = here.setdefault(log[line.hash % shards % len(log)], len(here) + 1)
            entry = open_.get(partition)
            size = len(line.text) + 1
            if entry is None or entry.size + size > ENTRY_BYTES:
                entry = open_[partition] = _Entry(partition)
                entries.append(entry)
            entry.size += size
            entry.places.append(place)
        order = [place for entry in entries for place in entry.places]
        outs = {} if log is None else self._outs(lines)
        keys, told = self._told(lines, order, outs)
        texts: list[bytes | str | int] = []
        for entry in entries:
            some = [lines[place].text for place in entry.places]
            texts += (entry.partition, len(some), b"\n".join([*some, b""]))
        head = (
            len(here), len(outs), self.keep_ms, self.outbound_length, len(entries),
            int(self.whole), int(len(set(keys)) < len(keys)),
        )  # fmt: skip
        called = Called(
            COMMIT, (*here, *map(self.keys.outbound, outs), *keys), (*head, *texts, *told)
        )
        return called, Layout(order, [len(entry.places) for entry in entries])

    def _call_one(self, line: Line) -> Called:
        text, key, customer, channel, first, before, update, outbound = line
        keys: list[str] = [self.keys.contacts(customer), key]
        told: list[bytes | str | int] = [b"", b"", b"", text + b"\n", self.keep_ms]
        if update is not None:
            told[:3] = before, update.contacts, max(update.keep_ms, 1)
        if self.log is not None:
            keys.append(self.log[first % self.shards % len(self.log)])
        if self.whole:
            told.append(1)
        if outbound is not None and self.log is not None:
            keys.append(self.keys.outbound(channel))
            told[5:] = int(self.whole), outbound, self.outbound_length
        return Called(ONE, tuple(keys), tuple(told))

    def _outs(self, lines: Sequence[Line]) -> dict[str, int]:
        """Return the channels that something goes out through, and their numbers."""
        outs: dict[str, int] = {}
        for line in lines:
            if line.outbound is not None:
                outs.setdefault(line.channel, len(outs) + 1)
        return outs

    def _told(
        self, lines: Sequence[Line], order: Sequence[int], outs: Mapping[str, int]
    ) -> tuple[list[str], list[bytes | str | int]]:
        """Return the keys of the lines, in an order, and what is told of each."""
        contacts = self.keys.contacts("")
        keys: list[str] = []
        told: list[bytes | str | int] = []
        for place in order:
            _, key, customer, channel, _, before, update, outbound = lines[place]
            keys += (contacts + customer, key)
            if update is None:
                told += (b"", b"", b"")
            else:
                told += (before, update.contacts, max(update.keep_ms, 1))
            if outs:
                told += (0, b"") if outbound is None else (outs[channel], outbound)
        return keys, told


def answers(reply: Any, layout: Layout) -> list[Answer]:
    """Return what became of each line, from the answer to a `Calling.call`.

    Raises
    ------
    StateError
        It is no answer to it.
    """
    try:
        ordinals, odd = reply
        others = {odd[i] - 1: (odd[i + 1], odd[i + 2]) for i in range(0, len(odd), 3)}
        found: list[Answer] = [_NONE] * len(layout.order)
        sent = iter(enumerate(layout.order))
        for ordinal, many in zip(ordinals, layout.sizes, strict=True):
            position = (ordinal - 1) << LINE_BITS if ordinal else None
            for i, place in islice(sent, many):
                if i in others:
                    found[place] = Answer(others[i][0], None, others[i][1])
                    continue
                found[place] = Answer(DONE, position, b"")
                if position is not None:
                    position += 1
    except (TypeError, ValueError, IndexError) as error:
        raise StateError(f"the store answered {str(reply)[:80]!r} to a commit: {error}") from None
    return found
