"""What an expression's text means, and where it means nothing."""

from __future__ import annotations

import pytest

from nextbest.flows.decision.errors import ExpressionError
from nextbest.flows.decision.expressions import (
    Names,
    Scope,
    canonical,
    evaluate,
    parse,
    typed,
)
from nextbest.flows.decision.expressions.prose import in_words


def value(text: str, **context: object) -> object:
    return evaluate(typed(parse(text), "any", Names()), Scope(context=context))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 2 - 3", 5.0),
        ("8 / 2 / 2", 2.0),
        ("-2 * -3", 6.0),
        ("1 / 0", None),
        ("1 / 0 ?? 4", 4.0),
        ("context.none ?? 1 + 1", 2.0),
        ("(context.none ?? 1) > 0 and not false", True),
        ("context.none ?? 0 > 1 or 2 >= 2", True),
        ("not 1 > 2 and 3 > 2", True),
        ("not (1 > 2 or 3 > 2)", False),
        ("true or false and false", True),
        ("context.none > 1", False),
        ("context.none != 1", False),
        ("not context.none > 1", True),
        ("not context.none", True),
        ("context.none is missing", True),
        ("context.none is not missing", False),
        ("context.none not in [1]", False),
        ("2 not in [1, -3]", True),
        ("""'a' in ["a", 'b']""", True),
        ("clip(5, 0, 2) + abs(-1) + min(3, 1, 2) + max(1, 2)", 6.0),
        ("log1p(0) + log1p(-1)", None),
        ("'it' == \"it\"", True),
        ("1 == 1.0 and .5 == 5e-1", True),
    ],
    ids=lambda item: str(item),
)
def test_precedence_and_meaning(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [(3, True), (2.5, True), (2, False), ("3", False), (True, False), (None, False)],
    ids=str,
)
def test_a_value_of_another_type_is_missing(given: object, expected: bool) -> None:
    assert value("context.n > 2", n=given) is expected
    assert value("context.n is missing", n=given) is (given is None)


@pytest.mark.parametrize(
    ("text", "at", "reason"),
    [
        ("", 1, "a value is expected, not the end"),
        ("a.b = 3", 5, "'=': write == to compare"),
        ("a.b && c.d", 5, "'&': write and"),
        ("a.b == 'x", 8, '"\'": the quotation mark has no partner'),
        ("1 < a.b < 3", 9, "combine two comparisons with and"),
        ("(a.b > 1", 9, "')' is expected, not the end"),
        ("a.b > 1)", 8, "the end is expected, not ')'"),
        ("web == channel", 1, "'web' means nothing by itself"),
        ("a.b in 3", 8, "'[' is expected, not '3'"),
        ("a.b in [c.d]", 9, "a constant is expected, not 'c'"),
        ("a.b is 3", 8, "'missing' is expected, not '3'"),
        ("sqrt(2) > 1", 1, "no function 'sqrt'; there are: min, max, abs, log1p, clip"),
        ("min(1) > 0", 1, "min is of 2 to 8, not 1"),
        ("now.minute > 3", 1, "now has no 'minute'; there are: hour, weekday, day, month"),
        ("a.b[c.d] > 1", 6, "']' is expected, not '.'"),
        ("1e999 > 1", 1, "1e999 is too large a number"),
        ("__import__('os')", 1, "no function '__import__'"),
        ("a.b.c > 1", 4, "the end is expected, not '.'"),
        ("(" * 40 + "1" + ")" * 40, 33, "more than 32 levels"),
        ("not " * 40 + "true", 129, "more than 32 levels"),
        ("-" * 40 + "1", 33, "more than 32 levels"),
        ("+".join("1" * 130), 2, "more than 256 operands and operations"),
        ("1 ?? " * 40 + "1", 161, "more than 32 levels"),
        ("a.b in [" + "1, " * 300 + "1]", 778, "a list has at most 256 constants"),
        (" " * 2001, 2001, "more than 2000 characters"),
    ],
    ids=lambda item: str(item)[:20],
)
def test_what_means_nothing_is_told_with_its_place(text: str, at: int, reason: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert (caught.value.at, caught.value.reason[: len(reason)]) == (at, reason)


def test_long_and_deep_expressions_are_read_at_once() -> None:
    """The types of each side are asked for once, not once for each level above."""
    chain = " ?? ".join(["context.a"] * 30)
    assert value(chain, a=7) == 7
    assert value(f"{chain} == 7", a=7) is True
    assert value(" and ".join(["context.a == 7"] * 60), a=7) is True


def test_spaces_make_no_difference() -> None:
    assert canonical("a.b>= 3  and\n c.d") == canonical("a . b >=3 and c.d")
    assert canonical("a.b > 3") != canonical("a.b > 4")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(a.b > 1 or a.b < 0) and channel == 'web'",
         "(a.b is more than 1 or a.b is less than 0) and the channel is web"),
        ("now.weekday in [6, 7]", "the weekday is one of Saturday, Sunday"),
        ("a.b[shoes] not in [1]", "a.b of shoes is none of 1"),
        ("a.top[0] == action.kind", "a.top (1.) is the action's kind"),
        ("a.b is not missing", "a.b is known"),
        ("-a.b + clip(a.c, 0, 1) * log1p(a.d)",
         "(minus a.b) + (a.c (at least 0, at most 1) * log(1 + a.d))"),
        ("max(a.b, 1) == abs(a.c)", "the greatest of a.b, 1 is the size of a.c"),
    ],
    ids=lambda item: item[:16],
)  # fmt: skip
def test_words_say_what_an_expression_says(text: str, words: str) -> None:
    assert in_words(parse(text)) == words
