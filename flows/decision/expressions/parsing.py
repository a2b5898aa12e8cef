"""Tokens → nodes.

::

    or    = and ("or" and)*
    and   = not ("and" not)*
    not   = "not" not | test
    test  = else [("==" | "!=" | "<" | "<=" | ">" | ">=") else
                  | ["not"] "in" "[" constant ("," constant)* "]"
                  | "is" ["not"] "missing"]
    else  = sum ["??" else]
    sum   = term (("+" | "-") term)*
    term  = sign (("*" | "/") sign)*
    sign  = "-" sign | value
    value = number | text | "true" | "false" | reference | function "(" or ("," or)* ")"
            | "(" or ")"
"""

from __future__ import annotations

from typing import cast, get_args

from ..errors import ExpressionError
from .nodes import (
    Arithmetic,
    ArithmeticOperator,
    Call,
    Compare,
    CompareOperator,
    Constant,
    Default,
    Feature,
    Function,
    Given,
    In,
    Logic,
    Missing,
    Negate,
    Node,
    Not,
    Source,
    children,
)
from .tokens import Token, tokens

MAX_DEPTH = 32
"""Levels of an expression."""
MAX_NODES = 256
"""Operands and operations of an expression."""
MAX_ITEMS = 256
"""Constants of one list."""
NOW = ("hour", "weekday", "day", "month")
"""What ``now`` has: 0 to 23, 1 (Monday) to 7, 1 to 31, 1 to 12."""

_COMPARISONS = frozenset(get_args(CompareOperator))
_WORDS = frozenset({"and", "or", "not", "in", "is", "missing", "true", "false"})
_ARGUMENTS = {"min": (2, 8), "max": (2, 8), "abs": (1, 1), "log1p": (1, 1), "clip": (3, 3)}


def parse(text: str) -> Node:
    """Read an expression.

    Raises
    ------
    ExpressionError
        Where it means nothing, or is beyond a limit.

    Examples
    --------
    >>> parse("visits.views > 3")
    Compare(operator='>', left=Feature(view='visits', name='views', key=None, tag=None, at=1, \
kind='any'), right=Constant(value=3.0, at=16), at=14)
    >>> parse("visits.views >")
    Traceback (most recent call last):
        ...
    nextbest.flows.decision.errors.ExpressionError: at 15: a value is expected, not the end
    """
    found = _Parser(tokens(text)).whole()
    waiting, size = [(found, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        size += 1
        if depth > MAX_DEPTH:
            raise ExpressionError(node.at, f"more than {MAX_DEPTH} levels")
        if size > MAX_NODES:
            raise ExpressionError(node.at, f"more than {MAX_NODES} operands and operations")
        waiting += [(child, depth + 1) for child in children(node)]
    return found


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._place = 0
        self._depth = 0

    def whole(self) -> Node:
        found = self._or()
        token = self._next
        if token.kind != "end":
            raise ExpressionError(token.at, f"the end is expected, not {token.shown}")
        return found

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self, *texts: str) -> Token | None:
        token = self._next
        if token.kind in ("sign", "word") and token.text in texts:
            self._place += 1
            return token
        return None

    def _expect(self, text: str) -> Token:
        token = self._take(text)
        if token is None:
            raise ExpressionError(self._next.at, f"{text!r} is expected, not {self._next.shown}")
        return token

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(self._next.at, f"more than {MAX_DEPTH} levels")

    def _or(self) -> Node:
        self._deeper()
        left = self._and()
        while token := self._take("or"):
            left = Logic("or", left, self._and(), token.at)
        self._depth -= 1
        return left

    def _and(self) -> Node:
        left = self._not()
        while token := self._take("and"):
            left = Logic("and", left, self._not(), token.at)
        return left

    def _not(self) -> Node:
        token = self._take("not")
        if token is None:
            return self._test()
        self._deeper()
        found = Not(self._not(), token.at)
        self._depth -= 1
        return found

    def _test(self) -> Node:
        left = self._else()
        if self._next.text in _COMPARISONS:
            token = self._next
            self._place += 1
            found: Node = Compare(cast(CompareOperator, token.text), left, self._else(), token.at)
        elif token_is := self._take("is"):
            negated = self._take("not") is not None
            self._expect("missing")
            found = Missing(left, negated, token_is.at)
        elif self._next.text in ("in", "not") and self._next.kind == "word":
            at = self._next.at
            negated = self._take("not") is not None
            self._expect("in")
            found = In(left, self._items(), negated, at)
        else:
            return left
        if self._next.text in _COMPARISONS:
            raise ExpressionError(self._next.at, "combine two comparisons with and")
        return found

    def _items(self) -> tuple[float | str | bool, ...]:
        self._expect("[")
        items = [self._constant()]
        while self._take(","):
            items.append(self._constant())
            if len(items) > MAX_ITEMS:
                raise ExpressionError(self._next.at, f"a list has at most {MAX_ITEMS} constants")
        self._expect("]")
        return tuple(items)

    def _constant(self) -> float | str | bool:
        minus = self._take("-")
        token = self._next
        self._place += 1
        if token.kind == "number":
            return -float(token.text) if minus else float(token.text)
        if minus is None and token.kind == "text":
            return token.text[1:-1]
        if minus is None and token.kind == "word" and token.text in ("true", "false"):
            return token.text == "true"
        raise ExpressionError(token.at, f"a constant is expected, not {token.shown}")

    def _else(self) -> Node:
        left = self._sum()
        token = self._take("??")
        if token is None:
            return left
        self._deeper()
        found = Default(left, self._else(), token.at)
        self._depth -= 1
        return found

    def _sum(self) -> Node:
        left = self._term()
        while token := self._take("+", "-"):
            left = Arithmetic(cast(ArithmeticOperator, token.text), left, self._term(), token.at)
        return left

    def _term(self) -> Node:
        left = self._sign()
        while token := self._take("*", "/"):
            left = Arithmetic(cast(ArithmeticOperator, token.text), left, self._sign(), token.at)
        return left

    def _sign(self) -> Node:
        token = self._take("-")
        if token is None:
            return self._value()
        self._deeper()
        found = Negate(self._sign(), token.at)
        self._depth -= 1
        return found

    def _value(self) -> Node:
        token = self._next
        if self._take("("):
            found = self._or()
            self._expect(")")
            return found
        if token.kind in ("number", "text") or token.text in ("true", "false"):
            return Constant(self._constant(), token.at)
        if token.kind != "word" or token.text in _WORDS:
            raise ExpressionError(token.at, f"a value is expected, not {token.shown}")
        self._place += 1
        return self._call(token) if self._take("(") else self._reference(token)

    def _call(self, name: Token) -> Node:
        if name.text not in _ARGUMENTS:
            known = ", ".join(_ARGUMENTS)
            raise ExpressionError(name.at, f"no function {name.text!r}; there are: {known}")
        arguments = [self._or()]
        while self._take(","):
            arguments.append(self._or())
        self._expect(")")
        least, most = _ARGUMENTS[name.text]
        if not least <= len(arguments) <= most:
            many = f"{least}" if least == most else f"{least} to {most}"
            raise ExpressionError(name.at, f"{name.text} is of {many}, not {len(arguments)}")
        return Call(cast(Function, name.text), tuple(arguments), name.at)

    def _reference(self, head: Token) -> Node:
        if head.text == "channel":
            return Given("channel", "", head.at)
        if head.text in get_args(Source):
            name = self._key() if self._take("[") else self._name()
            if head.text == "now" and name not in NOW:
                raise ExpressionError(head.at, f"now has no {name!r}; there are: {', '.join(NOW)}")
            return Given(cast(Source, head.text), name, head.at)
        if self._next.text != ".":
            raise ExpressionError(
                head.at,
                f"{head.text!r} means nothing by itself: a text stands in quotation marks, "
                "a feature is written view.feature",
            )
        name = self._name()
        if not self._take("["):
            return Feature(head.text, name, at=head.at)
        if self._next.text == "action" and self._tokens[self._place + 1].text in (".", "["):
            self._place += 1
            tag = self._key() if self._take("[") else self._name()
            self._expect("]")
            return Feature(head.text, name, tag=tag, at=head.at)
        return Feature(head.text, name, key=self._key(), at=head.at)

    def _name(self) -> str:
        self._expect(".")
        token = self._next
        if token.kind != "word":
            raise ExpressionError(token.at, f"a name is expected, not {token.shown}")
        self._place += 1
        return token.text

    def _key(self) -> str:
        """Read what stands in brackets: in quotation marks whatever it is, or a plain word."""
        token = self._next
        if token.kind not in ("word", "number", "text"):
            raise ExpressionError(token.at, f"a key is expected, not {token.shown}")
        self._place += 1
        self._expect("]")
        return token.text[1:-1] if token.kind == "text" else token.text
