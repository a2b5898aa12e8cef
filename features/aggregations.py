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
    The property that is aggregated; events without it do not count.
where
    A filter such as ``event.type == "cart"``.
by, vocabulary
    One value for each word of the vocabulary, over the events whose ``by`` is that word.
"""
# ruff: noqa: A001  # sum, min and max are the field's names for these aggregations

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .declaration import Aggregation, Feature, Window, check_feature
from .durations import Duration, microseconds
from .errors import DeclarationError
from .expressions import AnyPredicate

TILES = 12
_NAMED_WINDOWS = ("lifetime", "session", "last_session")


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


def _make(
    kind: Aggregation,
    name: str,
    *,
    window: Duration | Window,
    hop: Duration | None = None,
    vocabulary: Sequence[str] = (),
    **rest: Any,
) -> Feature:
    if isinstance(vocabulary, str):
        raise DeclarationError(str(name), f"the vocabulary must be words, not {vocabulary!r}")
    made = window if isinstance(window, Window) else _window(name, window, hop)
    return check_feature(
        Feature(name=name, aggregation=kind, window=made, vocabulary=tuple(vocabulary), **rest)
    )


def count(
    name: str,
    *,
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    by: str | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
) -> Feature:
    """Count events. int64; 0 when there are none.

    >>> count("events", window="session").dtype
    'int64'
    """
    return _make(
        "count", name, window=window, hop=hop, where=where, by=by, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def sum(
    name: str,
    *,
    of: str,
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    by: str | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
) -> Feature:
    """Sum a property. float64; 0 when there is none."""
    return _make(
        "sum", name, of=of, window=window, hop=hop, where=where, by=by, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def mean(
    name: str,
    *,
    of: str,
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    by: str | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
) -> Feature:
    """Mean of a property. float64; missing when there is none."""
    return _make(
        "mean", name, of=of, window=window, hop=hop, where=where, by=by, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def min(
    name: str,
    *,
    of: str,
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    by: str | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
) -> Feature:
    """Least value of a property. float64; missing when there is none."""
    return _make(
        "min", name, of=of, window=window, hop=hop, where=where, by=by, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def max(
    name: str,
    *,
    of: str,
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    by: str | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
) -> Feature:
    """Greatest value of a property. float64; missing when there is none."""
    return _make(
        "max", name, of=of, window=window, hop=hop, where=where, by=by, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def first(
    name: str,
    *,
    of: str,
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
) -> Feature:
    """Value of a property at its earliest event; of equal times the least value.

    For a string property give its ``vocabulary``: the value is then one of its words, and events
    with another word do not count. Missing when there is none.
    """
    return _make(
        "first", name, of=of, window=window, hop=hop, where=where, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def last(
    name: str,
    *,
    of: str,
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
) -> Feature:
    """Value of a property at its latest event; of equal times the greatest value.

    Strings as in `first`. Missing when there is none.
    """
    return _make(
        "last", name, of=of, window=window, hop=hop, where=where, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def last_k(
    name: str,
    *,
    of: str,
    k: int,
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
) -> Feature:
    """The ``k`` latest values of a property, newest first; missing where there are fewer."""
    return _make(
        "last_k", name, of=of, k=k, window=window, hop=hop, where=where, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def distinct(
    name: str,
    *,
    of: str,
    vocabulary: Sequence[str],
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    description: str = "",
) -> Feature:
    """Count the different words of ``vocabulary`` that a string property took. int64, exact."""
    return _make(
        "distinct", name, of=of, window=window, hop=hop, where=where, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def decayed(
    name: str,
    *,
    of: str | float = 1.0,
    half_life: Duration,
    where: AnyPredicate | None = None,
    by: str | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
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
    return _make(
        "decayed", name, of=of if isinstance(of, str) else float(of), window=window, where=where,
        by=by, vocabulary=vocabulary, description=description,
    )  # fmt: skip


def time_since(
    name: str,
    *,
    window: Duration = "lifetime",
    hop: Duration | None = None,
    where: AnyPredicate | None = None,
    by: str | None = None,
    vocabulary: Sequence[str] = (),
    description: str = "",
) -> Feature:
    """Seconds since the latest event. float64; missing when there is none."""
    return _make(
        "time_since", name, window=window, hop=hop, where=where, by=by, vocabulary=vocabulary,
        description=description,
    )  # fmt: skip


def evidence(
    name: str,
    *,
    where: AnyPredicate,
    window: Duration = "session",
    hop: Duration | None = None,
    description: str = "",
) -> Feature:
    """How firmly a signal repeats: 0 none, 1 coincidence, 2 pattern, 3 trend (3 or more). int64.

    Duplicates of an event do not count.
    """
    return _make("evidence", name, window=window, hop=hop, where=where, description=description)


def ratio(name: str, numerator: str, denominator: str, *, description: str = "") -> Feature:
    """One feature of the view over another. float64; missing when the denominator is 0.

    Expired when either is expired, missing when either is missing.
    """
    return _make(
        "ratio", name, window="lifetime", numerator=numerator, denominator=denominator,
        description=description,
    )  # fmt: skip
