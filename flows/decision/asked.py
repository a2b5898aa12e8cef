"""What some decisions are asked with, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...features.errors import SettingsError
from ...features.rows import FeatureRows
from .request import Request, Row


class Asked(NamedTuple):
    """Some decisions that are to be made; as many of each.

    Attributes
    ----------
    requests
        Checked.
    rows
        The customers' features; None where they are not known.
    contacts, persons, at, ids
        As of `Engine.decide`.
    """

    requests: Sequence[Request]
    rows: FeatureRows | Sequence[Row | None]
    contacts: Sequence[bytes]
    persons: Sequence[bytes]
    at: Sequence[int]
    ids: Sequence[str]

    @classmethod
    def of(
        cls,
        requests: Sequence[Request],
        rows: FeatureRows | Sequence[Row | None],
        contacts: Sequence[bytes],
        persons: Sequence[bytes],
        at: int | Sequence[int],
        ids: Sequence[str],
    ) -> Asked:
        """Return them, if there is one of each for each; the time may be one for all.

        Raises
        ------
        SettingsError
            If the lengths differ.
        """
        n = len(requests)
        times = [at] * n if isinstance(at, int) else list(at)
        wide = len(rows.values) if isinstance(rows, FeatureRows) else len(rows)
        if lengths := {n, wide, *map(len, (contacts, persons, times, ids))} - {n}:
            raise SettingsError(f"{n} requests, but other parts of {sorted(lengths)}")
        return cls(requests, rows, contacts, persons, times, ids)

    def part(self, start: int, end: int) -> Asked:
        """Return those of some places."""
        part = slice(start, end)
        rest = self.contacts[part], self.persons[part], self.at[part], self.ids[part]
        return Asked(self.requests[part], _some(self.rows, part), *rest)

    def at_places(self, places: Sequence[int]) -> Asked:
        """Return those of some places, in that order."""
        rest = self.requests, self.contacts, self.persons, self.at, self.ids
        requests, contacts, persons, at, ids = ([one[i] for i in places] for one in rest)
        some = _some(self.rows, list(places))
        return Asked(requests, some, contacts, persons, at, ids)  # type: ignore[arg-type]  # mixed


def _some(
    rows: FeatureRows | Sequence[Row | None], which: slice | list[int]
) -> FeatureRows | Sequence[Row | None]:
    if isinstance(rows, FeatureRows):
        return FeatureRows(
            rows.values[which], rows.state[which], rows.age_ms[which], rows.positions[which]
        )
    return rows[which] if isinstance(which, slice) else [rows[i] for i in which]
