"""What the columns of a user's file are, judged by their names and values."""

from __future__ import annotations

import itertools
import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ...features.columns import Columns
from ...features.errors import SettingsError, SourceError
from ...features.events import ADDED_COLUMNS, EXTRA, RESERVED
from ..sources.row_times import time_reader
from .sampling import Sample

MISSING_WORDS = ("NULL", "null", "NA", "N/A", "n/a", "NaN", "nan", "None", "none", "\\N", "-")
MOST_TYPES = 64
_MOST_TEXT = 4096
_MOST_CATEGORIES = 200
_ENOUGH = 0.9
_CUSTOMERS = (
    "customer_id", "customerid", "customer", "user_id", "userid", "user", "client_id", "client",
    "member_id", "member", "account_id", "account", "household_id", "household", "visitor_id",
    "visitor", "shopper_id", "buyer_id", "buyer", "person_id", "contact_id", "email", "kunde",
    "kundennummer", "client_no", "customer_no", "customer_number", "session_id",
)  # fmt: skip
_TIMES = (
    "event_timestamp", "timestamp", "event_time", "time", "datetime", "created_at", "occurred_at",
    "ts", "date", "order_date", "invoicedate", "invoice_date", "purchased_at", "datum",
)  # fmt: skip
_TYPES = ("type", "event_type", "event", "event_name", "action", "activity", "kind")
_LIKE_TIME = re.compile(r"time|date|stamp|_at$|^ts$|when|datum|created", re.I)
_LIKE_ID = re.compile(r"(^|_)(id|code|zip|sku|number|no|nr|ean|uuid|phone)$")
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
_SHAPES = ("auto", *(day + clock for day, clock in itertools.product(_DAYS, _CLOCKS)))
_TRIED = 500
_BOOLS = {"true", "false", "yes", "no", "t", "f", "y", "n"}


class Property(msgspec.Struct, frozen=True, kw_only=True):
    """A column that becomes a property: its name, its type and its commonest words."""

    column: str
    name: str
    kind: str
    words: tuple[tuple[str, int], ...] = ()
    distinct: int = 0
    present: int = 0

    @property
    def is_category(self) -> bool:
        """Whether a few words are nearly all of its values."""
        most = sum(times for _, times in self.words)
        few = 2 <= self.distinct <= _MOST_CATEGORIES and most >= _ENOUGH * self.present
        return self.kind == "str" and few and not _LIKE_ID.search(self.name)

    @property
    def is_id(self) -> bool:
        """Whether it names something else than the customer."""
        repeats = 1 < self.distinct < _ENOUGH * self.present
        return self.kind == "str" and repeats and bool(_LIKE_ID.search(self.name))


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: the columns of an event, the words of its type, and its properties."""

    columns: Columns
    types: tuple[tuple[str, int], ...]
    properties: tuple[Property, ...]
    customers: int
    first: int
    last: int
    example: str
    unread: int
    ambiguous: bool
    left_out: tuple[tuple[str, str], ...]


def find_roles(
    sample: Sample,
    name: str,
    customer: str | None = None,
    time: str | None = None,
    kind: str | None = None,
) -> Roles:
    """Judge what a file's columns are.

    Parameters
    ----------
    sample
        Its first rows.
    name
        What the file is called, without its suffix: of what type every row is, if no column says.
    customer, time, kind
        The columns that are known already.

    Raises
    ------
    SourceError
        If no column holds customers, or none holds times.
    SettingsError
        If a column that was named is not there.
    """
    for given in (customer, time, kind):
        if given is not None and given not in sample.columns:
            known = ", ".join(sample.columns)
            raise SettingsError(f"no column {given!r} in the file; it has: {known}")
    missing = _missing(sample)
    values = {column: _values(sample, column, missing) for column in sample.columns}
    at, shape, ambiguous = _time(values, time)
    who = customer or _named(values, _CUSTOMERS, lambda found: len(found) > 0)
    if who is None or who == at:
        raise SourceError(
            f"no column is seen to name the customer, of {', '.join(sample.columns)}; "
            "say which one does with --customer"
        )
    types = _types(values, kind, sample, (who, at))
    left = [column for column in sample.columns if column not in (who, at, types)]
    identity = _identity(values, left, len(sample.rows))
    left = [column for column in left if column not in (identity, "channel")]
    decimal = "," if sample.text and sample.delimiter != "," and _has_commas(values, left) else "."
    properties, left_out = _properties(values, left, sample, decimal)
    words = (
        tuple(Counter(map(str, values[types])).most_common())
        if types is not None
        else ((_word(name), len(sample.rows)),)
    )
    columns = Columns(
        customer_id=who, event_timestamp=at, type=types or "type",
        every_row_is=None if types is not None else words[0][0],
        event_id=None if identity == "event_id" else identity,
        properties={p.name: p.column for p in properties if p.name != p.column},
        time_format=shape, delimiter=sample.delimiter, decimal=decimal, missing=("", *missing),
        encoding=sample.encoding,
    )  # fmt: skip
    read = time_reader(columns)
    stamps = [stamp for value in values[at] if (stamp := _read(read, value)) is not None]
    people = Counter(map(str, values[who]))
    return Roles(
        columns=columns, types=words, properties=properties, customers=len(people),
        first=min(stamps), last=max(stamps), example=people.most_common(1)[0][0],
        unread=len(sample.rows) - len(stamps), ambiguous=ambiguous, left_out=left_out,
    )  # fmt: skip


def identifier(text: str) -> str:
    """Make an identifier of what a person wrote.

    >>> identifier("Order Value (EUR)"), identifier("2nd"), identifier("class")
    ('order_value_eur', 'n2nd', 'class_')
    """
    name = re.sub(r"\W+", "_", text.strip()).strip("_").lower() or "column"
    name = name if name[0].isalpha() else f"n{name}"
    taken = (*RESERVED, EXTRA, *ADDED_COLUMNS, "properties")
    return f"{name}_" if keyword.iskeyword(name) or name in taken else name


def _word(name: str) -> str:
    word = identifier(name)
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _normal(column: str) -> str:
    return re.sub(r"\W+", "_", column.strip()).strip("_").lower()


def _missing(sample: Sample) -> tuple[str, ...]:
    if not sample.text:
        return ()
    found = {value for row in sample.rows for value in row.values() if value in MISSING_WORDS}
    return tuple(word for word in MISSING_WORDS if word in found)


def _values(sample: Sample, column: str, missing: Sequence[str]) -> list[Any]:
    found = (row.get(column) for row in sample.rows)
    return [v for v in found if v is not None and v != "" and v not in missing]


def _named(
    values: dict[str, list[Any]], names: Iterable[str], fits: Callable[[list[Any]], bool]
) -> str | None:
    known = {_normal(column): column for column in reversed(values)}
    found = (known[name] for name in names if name in known)
    return next((column for column in found if fits(values[column])), None)


def _read(read: Callable[[Any], int], value: Any) -> int | None:
    try:
        return read(value)
    except ValueError:
        return None


def _time(values: dict[str, list[Any]], given: str | None) -> tuple[str, str, bool]:
    """Return the column of times, how they are written, and whether day and month may be mixed."""
    ranked = [given] if given else _by_rank(values)
    for column in ranked:
        tried = values[column][:_TRIED]
        fits = [s for s in _SHAPES if tried and _share(tried, s) >= _ENOUGH]
        if fits:
            best = max(fits, key=lambda shape: _share(values[column], shape))
            twin = best.replace("%d", "?").replace("%m", "%d").replace("?", "%m")
            return column, best, best != "auto" and twin != best and twin in fits
    raise SourceError(
        f"no column is seen to hold times, of {', '.join(values)}; say which one does with --time "
        "if its times are ISO 8601, seconds to nanoseconds since 1970, or like 31.12.2025 18:30"
    )


def _by_rank(values: dict[str, list[Any]]) -> list[str]:
    rank = {name: place for place, name in enumerate(_TIMES)}
    named = [column for column in values if _LIKE_TIME.search(column)]
    named.sort(key=lambda column: rank.get(_normal(column), len(rank)))
    # A number may be anything: without such a name it is no time.
    others = [
        column
        for column, found in values.items()
        if column not in named and any(isinstance(v, str) and not _is_number(v) for v in found[:9])
    ]
    return named + others


def _share(values: Sequence[Any], shape: str) -> float:
    read = time_reader(Columns(time_format=shape))
    return sum(_read(read, value) is not None for value in values) / max(1, len(values))


def _types(
    values: dict[str, list[Any]], given: str | None, sample: Sample, used: Sequence[str]
) -> str | None:
    def fits(found: list[Any]) -> bool:
        words = set(map(str, found))
        return (
            len(found) >= _ENOUGH * len(sample.rows)
            and len(words) <= MOST_TYPES
            and all(isinstance(v, str) for v in found)
            and max(map(len, words)) <= 64
        )

    if given is not None:
        if not fits(values[given]):
            raise SettingsError(
                f"the column {given!r} cannot be the type: it must have at most {MOST_TYPES} "
                "different words of at most 64 characters, and one on each row"
            )
        return given
    left = {column: found for column, found in values.items() if column not in used}
    return _named(left, _TYPES, fits)


def _identity(values: dict[str, list[Any]], left: Sequence[str], rows: int) -> str | None:
    for column in left:
        found = values[column]
        if _LIKE_ID.search(_normal(column)) and len(found) == rows:
            texts = set(map(str, found))
            if len(texts) == rows > 1 and max(len(text.encode()) for text in texts) <= 256:
                return column
    return None


def _has_commas(values: dict[str, list[Any]], left: Sequence[str]) -> bool:
    number = re.compile(r"-?(\d{1,3}(\.\d{3})+|\d+),\d+")
    return any(
        found and sum(bool(number.fullmatch(v)) for v in found) >= 0.3 * len(found)
        for found in (values[column] for column in left)
    )


def _properties(
    values: dict[str, list[Any]], left: Sequence[str], sample: Sample, decimal: str
) -> tuple[tuple[Property, ...], tuple[tuple[str, str], ...]]:
    found: list[Property] = []
    left_out: list[tuple[str, str]] = []
    taken: set[str] = set()
    for column in left:
        own = values[column]
        if not own:
            left_out.append((column, "has no value"))
            continue
        name = identifier(column)
        name = next(
            n for i in itertools.count(1) if (n := name if i == 1 else f"{name}_{i}") not in taken
        )
        kind = _kind(name, own, sample.text, decimal)
        if kind is None:
            left_out.append((column, "neither numbers nor text of at most 4,096 characters"))
            continue
        taken.add(name)
        words = Counter(own) if kind == "str" else Counter()
        found.append(
            Property(
                column=column,
                name=name,
                kind=kind,
                words=tuple(words.most_common(30)),
                distinct=len(words),
                present=len(own),
            )
        )
    return tuple(found), tuple(left_out)


def _kind(name: str, values: Sequence[Any], text: bool, decimal: str) -> str | None:
    if not text:
        if all(isinstance(v, bool) for v in values):
            return "bool"
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            return "float"
        is_text = all(isinstance(v, str) and len(v) <= _MOST_TEXT for v in values)
        return "str" if is_text else None
    if {v.strip().lower() for v in values} <= _BOOLS:
        return "bool"
    if not _LIKE_ID.search(name):
        plain = [v.replace(".", "").replace(",", ".") if decimal == "," else v for v in values]
        if sum(map(_is_number, plain)) >= _ENOUGH * len(plain):
            return "float"
    return "str" if max(map(len, values)) <= _MOST_TEXT else None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", text) is not None
