"""The aggregations a feature can be: ``agg.count("carts", where=event.type == "cart")``.

Import the module, not its names (some are builtins'):

    from nextbest.features import aggregations as agg

Arguments that recur
--------------------
name
    An identifier, unique in its view.
window
    ``"session"`` (the open session), ``"last_session"`` (the last closed one), ``"lifetime"``,
    or a duration: a sliding window. A sliding window of width W moves in hops of
    h = W/12 unless ``hop`` says otherwise: at time t it holds the events of the tiles
    ``floor((t - W)/h)`` to ``floor(t/h)`` (the sawtooth window of Chronon).
of
    The property that is aggregated; events without it do not count. A sum, mean or decayed value
    beyond what a float64 holds is missing.
where
    A filter such as ``event.type == "cart"``.
by, vocabulary
    One value for each word of the vocabulary, over the events whose ``by`` is that word.
keys
    Where ``of`` is a string itself, ``vocabulary`` holds its words, and ``keys`` those of ``by``.
description, owner, tags
    For people; they change nothing that is computed.

Every function raises `DeclarationError`, naming the feature and the reason, and `TypeError` for an
argument that it does not have.
"""
# ruff: noqa: A001  # sum, min and max are the field's names for these aggregations

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from .derived import Formula, Operand
from .durations import Duration, microseconds
from .errors import DeclarationError
from .expressions import AnyPredicate
from .kinds import Aggregation, Feature, Window, check_feature
from .ordered import ordered

TILES = 12
_NAMED_WINDOWS = ("lifetime", "session", "last_session")


class Described(TypedDict, total=False):
    """For people."""

    description: str
    owner: str
    tags: dict[str, str]


class Filtered(Described, total=False):
    """Which events count."""

    where: AnyPredicate | None


class Keyed(Filtered, total=False):
    """Which events count, for one value or one a word."""

    by: str | None
    vocabulary: Sequence[str]


class Windowed(Filtered, total=False):
    """Which events count, and when."""

    window: Duration
    hop: Duration | None


class KeyedWindow(Keyed, Windowed, total=False):
    """Which events count, and when, for one value or one a word."""


class WordsWindow(KeyedWindow, total=False):
    """As `KeyedWindow`, where what is aggregated may be a string."""

    keys: Sequence[str]


def _window(name: str, window: Duration, hop: Duration | None) -> Window:
    if window in _NAMED_WINDOWS:
        if hop is not None:
            raise DeclarationError(name, f"a {window} window has no hop")
        return Window(kind=window)  # type: ignore[arg-type]  # one of the literals, just checked
    try:
        width = microseconds(window)
        if hop is None and width % TILES:
            raise ValueError(f"{window!r} does not divide into {TILES} hops: give one")
        return Window("sliding", width, width // TILES if hop is None else microseconds(hop))
    except ValueError as error:
        raise DeclarationError(name, f"window: {error}") from None


def _make(kind: Aggregation, name: str, allowed: type, options: Any, /, **rest: Any) -> Feature:
    """Make a feature of what a caller gave by name, and of what the function itself says."""
    unknown = [option for option in options if option not in allowed.__annotations__]
    if unknown:
        raise TypeError(f"{kind}() got an unexpected keyword argument {unknown[0]!r}")
    given = {**rest, **options}
    for words in ("vocabulary", "keys"):
        if isinstance(given.get(words), str):
            text = "the vocabulary" if words == "vocabulary" else "`keys`"
            raise DeclarationError(str(name), f"{text} must be words, not {given[words]!r}")
        given[words] = ordered(str(name), words, given.get(words, ()))
    window, hop = given.pop("window", "lifetime"), given.pop("hop", None)
    made = window if isinstance(window, Window) else _window(name, window, hop)
    return check_feature(Feature(name=name, aggregation=kind, window=made, **given))


def count(name: str, **options: Unpack[KeyedWindow]) -> Feature:
    """Count events. int64; 0 when there are none.

    >>> count("events", window="session").dtype
    'int64'
    """
    return _make("count", name, KeyedWindow, options)


def sum(name: str, *, of: str, **options: Unpack[KeyedWindow]) -> Feature:
    """Sum a property. float64; 0 when there is none."""
    return _make("sum", name, KeyedWindow, options, of=of)


def mean(name: str, *, of: str, **options: Unpack[KeyedWindow]) -> Feature:
    """Mean of a property. float64; missing when there is none."""
    return _make("mean", name, KeyedWindow, options, of=of)


def min(name: str, *, of: str, **options: Unpack[KeyedWindow]) -> Feature:
    """Least value of a property. float64; missing when there is none."""
    return _make("min", name, KeyedWindow, options, of=of)


def max(name: str, *, of: str, **options: Unpack[KeyedWindow]) -> Feature:
    """Greatest value of a property. float64; missing when there is none."""
    return _make("max", name, KeyedWindow, options, of=of)


def first(name: str, *, of: str, **options: Unpack[WordsWindow]) -> Feature:
    """Value of a property at its earliest event; of equal times the least value.

    For a string property give its ``vocabulary``: the value is then one of its words, and events
    with another word do not count. Missing when there is none.

    >>> brands = first("b", of="brand", vocabulary=["x", "y"], by="category", keys=["hats"])
    >>> brands.columns, brands.dtype
    (('b[hats]',), 'string')
    """
    return _make("first", name, WordsWindow, options, of=of)


def last(name: str, *, of: str, **options: Unpack[WordsWindow]) -> Feature:
    """Value of a property at its latest event; of equal times the greatest value.

    Strings as in `first`. Missing when there is none.
    """
    return _make("last", name, WordsWindow, options, of=of)


def last_k(
    name: str, *, of: str, k: int, vocabulary: Sequence[str] = (), **options: Unpack[Windowed]
) -> Feature:
    """The ``k`` latest values of a property, newest first; missing where there are fewer."""
    return _make("last_k", name, Windowed, options, of=of, k=k, vocabulary=vocabulary)


def distinct(
    name: str,
    *,
    of: str,
    vocabulary: Sequence[str],
    by: str | None = None,
    keys: Sequence[str] = (),
    **options: Unpack[Windowed],
) -> Feature:
    """Count the different words of ``vocabulary`` that a string property took. int64, exact.

    >>> distinct("brands", of="brand", vocabulary=["x", "y"], by="category", keys=["hats"]).columns
    ('brands[hats]',)
    """
    return _make(
        "distinct", name, Windowed, options, of=of, vocabulary=vocabulary, by=by, keys=keys
    )


def decayed(
    name: str, *, of: str | float = 1.0, half_life: Duration, **options: Unpack[Keyed]
) -> Feature:
    """Sum of a property (or of a constant) that halves every ``half_life``. float64.

    At time t the value is ``Σ v · 2^(-(t - e)/half_life)`` over all events, e their times.

    >>> decayed("affinity", by="category", vocabulary=["a", "b"], half_life="7d").columns
    ('affinity[a]', 'affinity[b]')
    """
    try:
        window = Window("decay", half_life=microseconds(half_life))
    except ValueError as error:
        raise DeclarationError(name, f"half_life: {error}") from None
    try:
        value = of if isinstance(of, str) else float(of)
    except OverflowError:
        raise DeclarationError(name, "of is an integer that no float64 holds") from None
    return _make("decayed", name, Keyed, options, of=value, window=window)


def time_since(name: str, **options: Unpack[KeyedWindow]) -> Feature:
    """Seconds since the latest event. float64; missing when there is none."""
    return _make("time_since", name, KeyedWindow, options)


def evidence(
    name: str,
    *,
    where: AnyPredicate,
    window: Duration = "session",
    hop: Duration | None = None,
    by: str | None = None,
    vocabulary: Sequence[str] = (),
    **options: Unpack[Described],
) -> Feature:
    """How firmly a signal repeats: 0 none, 1 coincidence, 2 pattern, 3 trend (3 or more). int64.

    Duplicates of an event do not count.
    """
    return _make(
        "evidence", name, Described, options, where=where, window=window, hop=hop, by=by,
        vocabulary=vocabulary,
    )  # fmt: skip


def ratio(name: str, numerator: str, denominator: str, **options: Unpack[Described]) -> Feature:
    """One feature of the view over another. float64; missing when the denominator is 0.

    Expired when either is expired, missing when either is missing.
    """
    return _make("ratio", name, Described, options, numerator=numerator, denominator=denominator)


def derived(name: str, formula: Formula, **options: Unpack[Described]) -> Feature:
    """Compute a feature from others when it is read. float64; see `nextbest.features.derived`.

    It keeps nothing in a row, and may be added without computing anything again.

    >>> from nextbest.features import feature
    >>> derived("spend_per_view", feature.spend / feature.views).dtype
    'float64'
    """
    expression = formula.expression if isinstance(formula, Formula) else formula
    return _make("derived", name, Described, options, expression=expression)


def top_k(name: str, of: str, *, k: int, **options: Unpack[Described]) -> Feature:
    """The ``k`` words for which a keyed feature of the view is greatest, the greatest first.

    Only values that are present and greater than 0 count; of equal ones the word that stands first
    in the vocabulary. A string each, missing where there are fewer; expired with the feature.

    >>> top_k("favourites", "affinity", k=2).columns
    ('favourites[0]', 'favourites[1]')
    """
    expression = Operand(of) if isinstance(of, str) else of
    return _make("top_k", name, Described, options, expression=expression, k=k)
