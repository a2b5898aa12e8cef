"""Every feature recomputed from the raw events, in plain Python.

Nothing is kept but the events themselves, and nothing is shared with the kernels: a read sorts,
filters and aggregates the events afresh, in the words of the declaration.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from nextbest.features.batch import ACCEPTED, DUPLICATE, LATE
from nextbest.features.catalog import Catalog
from nextbest.features.declaration import Feature, FeatureView, Window
from nextbest.features.derived import Operand
from nextbest.features.expressions import And, AnyPredicate, Compare, IsIn, Not, Or, Present
from tests.naive.formulas import EXPIRED, MISSING, Cell, State, divide, evaluate, greatest

TINY = 1e-270
"""A decayed value so small may have lost digits: it is near the smallest floats."""
HUGE = 1e284
"""The kernels hold a decayed value times up to 2^64, which a float64 may not hold beyond this."""
RECENT_IDS = 16
"""How many of a customer's latest events a duplicate is recognised among."""

_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Event:
    """An accepted event."""

    timestamp: int
    event_id: str
    columns: dict[str, Any]
    """Type, channel and the properties, without those that are missing."""
    late: bool


@dataclass
class Customer:
    """A customer's accepted events in arrival order."""

    events: list[Event] = field(default_factory=list)

    @property
    def newest(self) -> int:
        """Time of the newest event."""
        return max(event.timestamp for event in self.events)


class NaiveFeatures:
    """What `nextbest.features.state.ShardState` computes, recomputed at every read."""

    def __init__(self, catalog: Catalog, absent: Collection[str] = ()) -> None:
        """``absent``: names ``view:feature`` of what the rows were written without."""
        self.catalog = catalog
        self.absent = absent
        self.customers: dict[str, Customer] = {}

    def apply(self, event: dict[str, Any]) -> int:
        """Take the next event in arrival order; return ACCEPTED, LATE or DUPLICATE."""
        customer = self.customers.setdefault(event["customer_id"], Customer())
        if event["event_id"] in [e.event_id for e in customer.events[-RECENT_IDS:]]:
            return DUPLICATE
        timestamp = event["event_timestamp"]
        lateness = self.catalog.lateness_us
        late = bool(customer.events) and timestamp < customer.newest - lateness
        columns = {"type": event["type"], "channel": event["channel"] or None}
        columns |= event["properties"]
        present = {name: value for name, value in columns.items() if value is not None}
        customer.events.append(Event(timestamp, event["event_id"], present, late))
        return LATE if late else ACCEPTED

    def as_of(self, at: int) -> NaiveFeatures:
        """What is known of the events up to ``at``, whenever they came; late ones stay late."""
        then = NaiveFeatures(self.catalog)
        for name, customer in self.customers.items():
            events = [event for event in customer.events if event.timestamp <= at]
            if events:
                then.customers[name] = Customer(events)
        return then

    def age_ms(self, customer_id: str, at: int) -> int:
        """Milliseconds since the customer's newest event, -1 for an unknown customer."""
        if customer_id not in self.customers:
            return -1
        newest = self.customers[customer_id].newest
        return (max(at, newest) - newest) // 1000

    def read(self, customer_id: str, at: int) -> list[tuple[float | None, State]]:
        """Return value and state of every column of the catalog at time ``at``."""
        return [(cell.value, cell.state) for cell in self.cells(customer_id, at)]

    def cells(self, customer_id: str, at: int) -> list[Cell]:
        """As `read`, with the scales of the values."""
        if customer_id not in self.customers:
            return [MISSING] * len(self.catalog.columns)
        customer = self.customers[customer_id]
        now = max(at, customer.newest)
        events = sorted(customer.events, key=lambda event: event.timestamp)
        known: dict[str, Cell] = {}
        for view in self.catalog.views:
            _read_view(view, events, now, known, self.absent)
        return list(known.values())


def _read_view(
    view: FeatureView,
    events: list[Event],
    now: int,
    known: dict[str, Cell],
    absent: Collection[str],
) -> None:
    """Add every cell of one view, from events sorted by time, to those of the views before it."""
    is_over = view.ttl_us > 0 and now - events[-1].timestamp > view.ttl_us
    sessions = split_sessions([e for e in events if not e.late], view.gap_us)
    # History as of a time may begin with events that were late when they came.
    is_open = bool(sessions) and now - sessions[-1][-1].timestamp <= view.gap_us
    for feature in view.features:
        kind = feature.window.kind
        if f"{view.name}:{feature.name}" in absent:
            made = [MISSING for _ in feature.columns]
        elif is_over:
            made = [EXPIRED for _ in feature.columns]
        elif feature.aggregation in ("ratio", "derived", "top_k"):
            made = _made_of_others(feature, view.name, known)
        elif kind == "session" and not is_open:
            made = [EXPIRED for _ in feature.columns]
        elif kind == "session":
            made = _read_feature(feature, sessions[-1], now)
        elif kind == "last_session":
            closed = sessions[:-1] if is_open else sessions
            if closed:
                made = _read_feature(feature, closed[-1], now)
            else:
                made = [MISSING for _ in feature.columns]
        elif kind == "sliding":
            made = _read_feature(feature, in_window(events, feature.window, now), now)
        else:
            made = _read_feature(feature, events, now)
        for column, cell in zip(feature.columns, made, strict=True):
            known[f"{view.name}:{column}"] = cell


def _made_of_others(feature: Feature, view: str, known: dict[str, Cell]) -> list[Cell]:
    """Cells of a feature of features."""

    def source(ref: str | None) -> Cell:
        assert ref is not None
        return known[ref if ":" in ref.split("[")[0] else f"{view}:{ref}"]

    if feature.aggregation == "ratio":
        return [divide(source(feature.numerator), source(feature.denominator))]
    if feature.aggregation == "derived":
        assert feature.expression is not None
        return [evaluate(feature.expression, source)]
    assert isinstance(feature.expression, Operand)
    name = feature.expression.ref
    return greatest([source(f"{name}[{word}]") for word in feature.vocabulary], feature.k)


def split_sessions(events: Iterable[Event], gap: int) -> list[list[Event]]:
    """Sessions of events sorted by time: more than ``gap`` apart means a new one."""
    sessions: list[list[Event]] = []
    for event in events:
        if sessions and event.timestamp - sessions[-1][-1].timestamp <= gap:
            sessions[-1].append(event)
        else:
            sessions.append([event])
    return sessions


def in_window(events: Iterable[Event], window: Window, now: int) -> list[Event]:
    """Events of the tiles ``floor((now - width)/hop)`` to ``floor(now/hop)``."""
    oldest, newest = (now - window.width) // window.hop, now // window.hop
    return [e for e in events if oldest <= e.timestamp // window.hop <= newest]


def holds(predicate: AnyPredicate, columns: dict[str, Any]) -> bool:
    """Does the filter hold for an event? A comparison with a missing column is false."""
    match predicate:
        case And(left=left, right=right):
            return holds(left, columns) and holds(right, columns)
        case Or(left=left, right=right):
            return holds(left, columns) or holds(right, columns)
        case Not(operand=operand):
            return not holds(operand, columns)
        case Present(column=column):
            return column in columns
        case IsIn(column=column, values=values):
            return column in columns and columns[column] in values
        case Compare(column=column, operator=symbol, value=value):
            return column in columns and bool(_COMPARE[symbol](columns[column], value))


def _read_feature(feature: Feature, events: list[Event], now: int) -> list[Cell]:
    """Cells of one feature over the events of its window."""
    chosen = [e for e in events if feature.where is None or holds(feature.where, e.columns)]
    if feature.by is None:
        return _aggregate(feature, chosen, now)
    keyed: dict[Any, list[Event]] = {}
    for event in chosen:
        keyed.setdefault(event.columns.get(feature.by), []).append(event)
    words = feature.keys or feature.vocabulary
    return [cell for word in words for cell in _aggregate(feature, keyed.get(word, []), now)]


def _values(feature: Feature, events: list[Event]) -> list[tuple[int, float]]:
    """(time, value) of the events that carry what the feature aggregates, in order."""
    of = feature.of
    if not isinstance(of, str):
        return sorted((e.timestamp, 1.0 if of is None else float(of)) for e in events)
    carried = [(e.timestamp, e.columns[of]) for e in events if of in e.columns]
    if feature.vocabulary and (feature.by is None or feature.keys):
        vocabulary = feature.vocabulary
        return sorted((t, float(vocabulary.index(w))) for t, w in carried if w in vocabulary)
    return sorted((t, float(v)) for t, v in carried)


def _aggregate(feature: Feature, events: list[Event], now: int) -> list[Cell]:
    """Cells of one aggregation over exactly the events that it is over."""
    pairs = _values(feature, events)
    values = [value for _, value in pairs]
    match feature.aggregation:
        case "count":
            return [_exactly(len(pairs))]
        case "evidence":
            return [_exactly(min(len(pairs), 3))]
        case "distinct":
            return [_exactly(len(set(values)))]
        case "sum":
            return [_about(values, values)]
        case "decayed":
            half_life = feature.window.half_life
            parts = [value * 2.0 ** (-(now - t) / half_life) for t, value in pairs]
            whole = [*parts, TINY] if parts else []
            if max(map(abs, values), default=0.0) >= HUGE:
                whole = [math.inf]
            return [_about(parts, whole)]
        case "last_k":
            latest = values[::-1][: feature.k]
            return [_exactly(v) for v in latest] + [MISSING] * (feature.k - len(latest))
    if not pairs:
        return [MISSING]
    match feature.aggregation:
        case "mean":
            return [_about(values, values, len(values))]
        case "min":
            return [_exactly(min(values))]
        case "max":
            return [_exactly(max(values))]
        case "first":
            return [_exactly(values[0])]
        case "last":
            return [_exactly(values[-1])]
        case "time_since":
            seconds = (now - pairs[-1][0]) / 1e6
            return [_about([seconds], [seconds])]
    raise AssertionError(feature.aggregation)


def _exactly(value: float) -> Cell:
    return Cell(float(value), "present")


def _about(values: list[float], whole: list[float], size: int = 1) -> Cell:
    """A sum over ``size``; no telling what it is where sums on the way are beyond a float."""
    try:
        return Cell(math.fsum(values) / size, "present", math.fsum(map(abs, whole)) / size)
    except OverflowError:
        return Cell(0.0, "present", math.inf)
