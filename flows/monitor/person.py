"""One customer: their events, what was decided for them, their features as of any moment."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ...features.catalog import Catalog
from ...features.errors import NextbestError, SettingsError
from ...features.online import FeatureClient
from ...features.online.answer import STATES, Layout
from ...features.replay import backfill
from ...features.rows import FeatureRows
from ..commands.why import explain_decision
from ..decision.record import OUTCOME, Response
from ..decision.why import Why
from ..embedded import find_server
from ..settings import Settings
from .decided import Decided, DecisionLog
from .newest import Newest, Table, times_of

DEFAULT_EVENTS = 2000
"""Events of a customer that are looked at, unless told."""
MOST_MOMENTS = 2000
"""Moments of a history, at most."""
_OWN = ("event_id", "event_timestamp", "customer_id", "type", "channel", "position", "late")
_RECORDS = ("event_id", "event_timestamp", "customer_id", "type", "record")
_RESPONSE = msgspec.json.Decoder(Response)

I64 = npt.NDArray[np.int64]


class Person(NamedTuple):
    """What is archived of a customer.

    Attributes
    ----------
    events
        In the order of time: ``at`` (int64 microseconds), ``event_id``, ``type``, ``channel``,
        ``position`` and ``late`` as in the archive, ``properties`` as text.
    outcomes
        ``at``, ``outcome``, ``decision``, ``response``, ``arm``.
    decided
        See `Decided`.
    complete
        Whether these are all events.
    faults
        What was wrong with files that could not be read.
    """

    events: Table
    outcomes: Table
    decided: Decided
    complete: bool
    faults: tuple[str, ...]


class PersonLog:
    """Reads the newest events of one customer, again and again while a run adds to them.

    The first reading goes through the archive from its end until there are enough of them.

    Parameters
    ----------
    archive
        ``archive`` in a data directory.
    customer
        Their id.
    most
        Events at most, and as many decisions.

    Examples
    --------
    >>> PersonLog(Path("/no/such/archive"), "ann").read().events.num_rows
    0
    """

    def __init__(self, archive: Path, customer: str, most: int = DEFAULT_EVENTS) -> None:
        self._customer = customer
        self._events = Newest(archive / "events", None, self._event_rows, most)
        self._outcomes = Newest(archive / "decisions", _RECORDS, self._outcome_rows, most)
        self._decided = DecisionLog(archive, most, customer=customer)

    def read(self) -> Person:
        """Return what there is now."""
        events, outcomes = self._events.read(), self._outcomes.read()
        decided = self._decided.read()
        faults = tuple(dict.fromkeys([*events.faults, *outcomes.faults, *decided.faults]))
        table = events.table if events.table.num_rows else _NO_EVENTS
        came = outcomes.table if outcomes.table.num_rows else _NO_OUTCOMES
        return Person(table, came, decided, events.complete, faults)

    def _own(self, rows: Any) -> Any:
        return rows.filter(pc.equal(rows["customer_id"], pa.scalar(self._customer)))

    def _event_rows(self, rows: Any) -> Table:
        rows = self._own(rows)
        names = [name for name in rows.schema.names if name not in _OWN]
        properties = rows.select(names).to_pylist()
        return pa.table(
            {
                "at": times_of(rows),
                "event_id": rows["event_id"],
                "type": rows["type"].cast(pa.string()),
                "channel": rows["channel"].cast(pa.string()),
                "position": rows["position"],
                "late": rows["late"],
                "properties": pa.array(map(_said, properties), pa.string()),
            }
        )

    def _outcome_rows(self, rows: Any) -> Table:
        rows = self._own(rows)
        rows = rows.filter(pc.equal(rows["type"], pa.scalar(OUTCOME)))
        found = []
        for at, name, text in zip(
            times_of(rows).to_pylist(), rows["event_id"].to_pylist(), rows["record"].to_pylist(),
            strict=True,
        ):  # fmt: skip
            with contextlib.suppress(msgspec.DecodeError):
                own = _RESPONSE.decode(text)
                found.append((at, name, own.decision_id, own.response, own.action))
        columns = list(zip(*found, strict=True)) or [(), (), (), (), ()]
        return pa.table(
            [pa.array(list(c), k) for c, k in zip(columns, _OUTCOME_KINDS, strict=True)],
            names=["at", "outcome", "decision", "response", "arm"],
        )


_OUTCOME_KINDS = (pa.int64(), pa.string(), pa.string(), pa.string(), pa.string())
_NO_OUTCOMES: Table = pa.table(
    [pa.array([], kind) for kind in _OUTCOME_KINDS],
    names=["at", "outcome", "decision", "response", "arm"],
)
_NO_EVENTS: Table = pa.table(
    {
        "at": pa.array([], pa.int64()),
        **{n: pa.array([], pa.string()) for n in ("event_id", "type", "channel", "properties")},
        "position": pa.array([], pa.int64()),
        "late": pa.array([], pa.bool_()),
    }
)


class History(NamedTuple):
    """A customer's features at moments.

    Attributes
    ----------
    at
        int64[n], ascending, microseconds.
    columns
        ``view:column``.
    rows
        Features as of each moment, as `backfill` returns them.
    layout
        Which words and integers the numbers are.
    """

    at: I64
    columns: tuple[str, ...]
    rows: FeatureRows
    layout: Layout

    def place(self, at: int) -> int:
        """Return the place of the last moment that is not after a time; the first one if none."""
        return max(0, int(np.searchsorted(self.at, at, side="right")) - 1)

    def told(self, place: int) -> list[dict[str, Any]]:
        """Return what is known at a moment: ``feature``, ``value``, ``state``."""
        typed = self.layout.typed(self.rows.values[place].tolist())
        return [
            {"feature": name, "value": _text(value), "state": STATES.get(state, "unknown")}
            for (name, value), state in zip(
                typed.items(), self.rows.state[place].tolist(), strict=True
            )
        ]

    def varying(self) -> list[str]:
        """Return the columns that are numbers, those that change most often first."""
        values = self.rows.values
        with np.errstate(invalid="ignore"):
            changed = (np.diff(values, axis=0) != 0) & ~np.isnan(values[1:])
        counts = changed.sum(axis=0)
        numeric = [column.feature.dtype != "string" for column in self.layout.details]
        order = np.argsort(-counts, kind="stable")
        return [self.columns[place] for place in order if numeric[place] and counts[place]]

    def course(self, column: str) -> Table:
        """Return a column over time: ``at`` (int64), ``value`` (null: none), ``state``."""
        place = self.columns.index(column)
        return pa.table(
            {
                "at": self.at,
                "value": pa.array(self.rows.values[:, place], from_pandas=True),
                "state": [STATES.get(s, "unknown") for s in self.rows.state[:, place].tolist()],
            }
        )


def history(
    catalog: Catalog, archive: Path, customer: str, events: Sequence[int], *, moments: int = 300
) -> History:
    """Return a customer's features over time, by replaying the archive.

    They are as of each event and as of moments between: values move on without events.

    Parameters
    ----------
    catalog
        The declarations; they may be newer than the archive.
    archive
        ``archive/events`` in a data directory.
    customer
        Their id.
    events
        The times of their events, microseconds; the newest ones if there are too many.
    moments
        Evenly spaced ones between the first event and a tenth of the time past the last one.

    Raises
    ------
    SettingsError
        If there is no event, or there are too many moments.
    NextbestError
        If the archive cannot be read.
    """
    if not events:
        raise SettingsError(f"customer {customer!r} has no events")
    if not 2 <= moments <= MOST_MOMENTS // 2:
        raise SettingsError(f"moments={moments}: from 2 to {MOST_MOMENTS // 2}")
    own = catalog.of(next((e.name for e in catalog.entities if e.is_customer), catalog.entity.name))
    times = np.sort(np.asarray(events, np.int64))[-MOST_MOMENTS // 2 :]
    end = int(times[-1]) + max(60_000_000, int(times[-1] - times[0]) // 10)
    grid = np.linspace(int(times[0]), end, moments).astype(np.int64)
    at = np.unique(np.concatenate([times, grid]))
    rows = backfill(own, archive, [customer] * len(at), at, threads=1)
    chosen = tuple(own.features())
    return History(at, own.columns, rows, Layout(chosen, [own.entity.name], 0))


class Now(NamedTuple):
    """A customer's row in the store, as of now.

    Attributes
    ----------
    told
        As of `History.told`; empty if there is no row, or the store is not to be had.
    age_ms
        Milliseconds since their newest event; -1: there is no row.
    fault
        Why the store is not to be had; empty if it is.
    """

    told: list[dict[str, Any]]
    age_ms: int = -1
    fault: str = ""


def in_store(settings: Settings, catalog: Catalog, customer: str) -> Now:
    """Return what a lookup would answer now; starts no server.

    Examples
    --------
    >>> from nextbest.flows.simulate.catalog import catalog
    >>> in_store(Settings(data_dir=Path("/no/such/place")), catalog, "ann").fault
    'the store of /no/such/place is not running'
    """
    url = settings.redis_url or find_server(settings.data_dir)
    if url is None:
        return Now([], fault=f"the store of {settings.data_dir} is not running")
    own = catalog.of(next((e.name for e in catalog.entities if e.is_customer), catalog.entity.name))
    try:
        with FeatureClient(url, own) as client:
            found = client.get([customer])
    except NextbestError as error:
        return Now([], fault=str(error))
    age = int(found.rows.age_ms[0])
    if age < 0:
        return Now([])
    states = found.states(customer)
    values = found.to_dict(customer)
    told = [{"feature": n, "value": _text(v), "state": states[n]} for n, v in values.items()]
    return Now(told, age)


def explained(settings: Settings, catalog: Catalog, decision: str) -> Why | str:
    """Return why a decision came out as it did, or one sentence that says why that is not known.

    The store is asked if it runs; the archive in any case.
    """
    url = settings.redis_url or find_server(settings.data_dir)
    away = f"unix://{settings.data_dir.absolute()}/away.sock"
    with_store = msgspec.structs.replace(settings, redis_url=url or away)
    try:
        return explain_decision(with_store, catalog, decision)
    except NextbestError as error:
        return str(error)


def newest_customers(archive: Path, most: int = 50) -> list[str]:
    """Return customers of the newest events, those with most of these first."""
    take = lambda rows: pa.table(  # noqa: E731
        {"at": times_of(rows), "customer": rows["customer_id"].cast(pa.string())}
    )
    newest = Newest(archive / "events", ("event_timestamp", "customer_id"), take, 100 * most)
    table = newest.read().table
    if not table.num_rows:
        return []
    counts: Any = table["customer"].value_counts()
    pairs = sorted(((n["counts"], n["values"]) for n in counts.to_pylist()), reverse=True)
    return [name for _, name in pairs[:most]]


def _said(properties: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in properties.items() if value is not None)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
