"""Decisions of the archive as they were made: their records, and the strategies of then."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from ..features.errors import SettingsError
from .decision.record import Record
from .decision.strategy import Strategy
from .strategy_versions import StrategyVersions

_RECORD = msgspec.json.Decoder(Record)


class Row(NamedTuple):
    """A decision as the archive has it."""

    partition: str
    event_id: str
    text: str


def records_in(rows: Iterable[Row]) -> Iterator[tuple[str, Record | None]]:
    """Yield the partition and record of each decision, the first time that it stands there.

    None: the record is damaged.

    Examples
    --------
    >>> list(records_in([Row("partition=0", "d", "{"), Row("partition=0", "d", "{")]))
    [('partition=0', None)]
    """
    seen: set[str] = set()
    for partition, event_id, text in rows:
        if event_id in seen:
            continue
        seen.add(event_id)
        try:
            yield partition, _RECORD.decode(text)
        except msgspec.DecodeError:  # also of wrong types
            yield partition, None


class OwnStrategies:
    """The strategies that decided, each read once.

    Parameters
    ----------
    versions
        The archive.
    """

    def __init__(self, versions: StrategyVersions) -> None:
        self._versions = versions
        self._found: dict[str, Strategy | None] = {}

    def of(self, record: Record) -> Strategy | None:
        """Return the strategy that made a decision; None: it is not kept, or no longer one."""
        version = record.strategy
        if version not in self._found:
            self._found[version] = None
            with contextlib.suppress(SettingsError):
                loaded = self._versions.loaded(version, None)
                self._found[version] = None if loaded is None else loaded.strategy
        return self._found[version]
