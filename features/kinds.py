"""What one feature can be: its aggregation, its window, and what it reads as."""

from __future__ import annotations

from typing import Literal

import msgspec

from .derived import AnyExpression, Operand, check_expression, split_ref
from .durations import check_microseconds, describe
from .errors import DeclarationError
from .expressions import AnyPredicate, Predicate, depth
from .ordered import ordered
from .texts import check_texts

Aggregation = Literal[
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "first",
    "last",
    "last_k",
    "distinct",
    "decayed",
    "time_since",
    "evidence",
    "ratio",
    "derived",
    "top_k",
]
WindowKind = Literal["lifetime", "session", "last_session", "sliding", "decay"]

MAX_VOCABULARY = 4096
MAX_TILES = 1024
MAX_K = 64
MAX_CONDITIONS = 512
FROM_FEATURES = frozenset({"ratio", "derived", "top_k"})
"""Aggregations of other features, made when they are read: they keep nothing in a row."""

_NEEDS_OF = frozenset({"sum", "mean", "min", "max", "first", "last", "last_k", "distinct"})
_READS_WORDS = frozenset({"first", "last", "last_k", "distinct"})
_VALUE_IS_WORD = frozenset({"first", "last", "last_k", "top_k"})
_INTEGERS = frozenset({"count", "distinct", "evidence"})
_NOT_KEYED = {
    "last_k": ": it reads as k values already",
    "top_k": ": it reads as k values already",
    "ratio": "",
    "derived": "",
}


class Window(msgspec.Struct, frozen=True):
    """Over which of a customer's events a feature looks.

    ``width`` and ``hop`` (sliding) and ``half_life`` (decay) are in microseconds, else 0.
    """

    kind: WindowKind
    width: int = 0
    hop: int = 0
    half_life: int = 0

    def __str__(self) -> str:
        if self.kind == "sliding":
            return f"{describe(self.width)} (hop {describe(self.hop)})"
        if self.kind == "decay":
            return f"half-life {describe(self.half_life)}"
        return self.kind


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One feature. Made by the functions of `nextbest.features.aggregations`.

    ``vocabulary`` holds the words of ``of`` where that is a string, and else those of ``by``;
    ``keys`` those of ``by`` where both are strings. ``expression`` is the formula of a derived
    feature; of a top_k, the feature whose words it ranks.
    """

    name: str
    aggregation: Aggregation
    window: Window
    of: str | float | None = None
    where: AnyPredicate | None = None
    by: str | None = None
    vocabulary: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    k: int = 0
    numerator: str | None = None
    denominator: str | None = None
    expression: AnyExpression | None = None
    description: str = ""
    owner: str = ""
    tags: dict[str, str] = {}

    @property
    def key_words(self) -> tuple[str, ...]:
        """The words of ``by``, one value each; none without ``by``."""
        return () if self.by is None else self.keys or self.vocabulary

    @property
    def of_words(self) -> tuple[str, ...]:
        """The words of a string that is aggregated; none where it is a number."""
        return self.vocabulary if self.by is None or self.keys else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers that the feature reads as: one, or one a key, or ``k``."""
        if self.by is not None:
            return tuple(f"{self.name}[{key}]" for key in self.key_words)
        if self.is_ragged:
            return tuple(f"{self.name}[{rank}]" for rank in range(self.k))
        return (self.name,)

    @property
    def is_vector(self) -> bool:
        """Does the feature read as several numbers (keyed, the last k, or the top k)?"""
        return self.by is not None or self.is_ragged

    @property
    def is_ragged(self) -> bool:
        """Does a vector end at its first missing number (the last k, the top k)?"""
        return self.aggregation in ("last_k", "top_k")

    @property
    def is_categorical(self) -> bool:
        """Is a value a position in ``vocabulary`` (first, last, last_k of a string, top_k)?"""
        if self.aggregation == "top_k":
            return True
        return self.aggregation in _VALUE_IS_WORD and bool(self.of_words)

    @property
    def dtype(self) -> Literal["int64", "float64", "string"]:
        """The type of one value."""
        if self.aggregation in _INTEGERS:
            return "int64"
        return "string" if self.is_categorical else "float64"


def check_feature(feature: Feature) -> Feature:
    """Check what a feature says by itself; return it.

    Raises
    ------
    DeclarationError
        Naming the feature and the reason.
    """
    name, kind = feature.name, feature.aggregation
    window = feature.window
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("__"):
        raise DeclarationError(repr(name), "a feature's name must be an identifier")
    check_texts(name, feature)
    if kind in _NEEDS_OF and feature.of is None:
        raise DeclarationError(name, f"{kind} needs `of`, the property that it aggregates")
    if feature.where is not None and not isinstance(feature.where, Predicate):
        raise DeclarationError(
            name, f"where must be a filter such as event.type == 'cart', not {feature.where!r}"
        )
    if feature.where is not None and depth(feature.where) > MAX_CONDITIONS:
        raise DeclarationError(
            name, f"the filter is more than {MAX_CONDITIONS} conditions deep: isin takes many words"
        )
    if kind == "evidence" and feature.where is None:
        raise DeclarationError(name, "evidence needs `where`, the signal that it counts")
    if kind in _NEEDS_OF and not isinstance(feature.of, str):
        raise DeclarationError(name, f"of={feature.of!r} is not the name of a property")
    if isinstance(feature.of, float) and not -1e300 < feature.of < 1e300:
        raise DeclarationError(name, f"of={feature.of} is not a finite number")
    _check_words(feature)
    if (window.kind == "decay") != (kind == "decayed"):
        raise DeclarationError(name, "a half-life belongs to decayed features, and only to them")
    for part in {"sliding": ("width", "hop"), "decay": ("half_life",)}.get(window.kind, ()):
        try:
            check_microseconds(getattr(window, part))
        except ValueError as error:
            raise DeclarationError(name, f"{part}: {error}") from None
    if window.kind == "sliding":
        tiles, rest = divmod(window.width, window.hop)
        if rest or not 1 <= tiles <= MAX_TILES:
            raise DeclarationError(
                name, f"the hop must divide the window into 1 to {MAX_TILES} tiles"
            )
    is_k = isinstance(feature.k, int) and not isinstance(feature.k, bool)
    if feature.is_ragged and not (is_k and 1 <= feature.k <= MAX_K):
        raise DeclarationError(name, f"k must be 1 to {MAX_K}, not {feature.k!r}")
    if kind == "derived":
        check_expression(name, feature.expression)
    if kind == "top_k" and not _names_feature(feature.expression):
        raise DeclarationError(name, "top_k is of a keyed feature of its view, given by its name")
    return feature


def _names_feature(expression: object) -> bool:
    """Is it the name of a feature of the same view, as a whole?"""
    if not isinstance(expression, Operand) or not isinstance(expression.ref, str):
        return False
    return split_ref(expression.ref) == (None, expression.ref, None)


def _check_words(feature: Feature) -> None:
    """Check the vocabularies, and that there are those that are needed."""
    name, kind = feature.name, feature.aggregation
    if feature.vocabulary and feature.by is None and kind not in (*_READS_WORDS, "top_k"):
        raise DeclarationError(name, f"a vocabulary means nothing to {kind} without `by`")
    if feature.by is not None and kind in _NOT_KEYED:
        raise DeclarationError(name, f"{kind} cannot be keyed `by`{_NOT_KEYED[kind]}")
    if feature.keys and (feature.by is None or kind not in _READS_WORDS):
        raise DeclarationError(
            name, "`keys` are the words of `by` where `vocabulary` holds those of `of`"
        )
    if (feature.by is not None or kind == "distinct") and not feature.vocabulary:
        raise DeclarationError(name, "`by` and distinct need a bounded `vocabulary`")
    if feature.by is not None and kind == "distinct" and not feature.keys:
        raise DeclarationError(
            name, "distinct `by` needs `keys`, the words of `by`, beside the vocabulary of `of`"
        )
    for field, words in (("vocabulary", feature.vocabulary), ("keys", feature.keys)):
        ordered(name, field, words)
        if not all(isinstance(word, str) for word in words) or len(set(words)) != len(words):
            text = "the vocabulary" if field == "vocabulary" else "`keys`"
            raise DeclarationError(name, f"{text} must be distinct strings")
        if len(words) > MAX_VOCABULARY:
            raise DeclarationError(name, f"a vocabulary has at most {MAX_VOCABULARY} words")
