"""Text → tokens."""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple

from ..errors import ExpressionError

MAX_LENGTH = 2000
"""Characters of an expression."""

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<number>(?:\d+\.\d+|\d+|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<text>'[^'\\\n]*'|"[^"\\\n]*")
    | (?P<sign>\?\?|==|!=|<=|>=|[-+*/<>()\[\],.])""",
    re.VERBOSE,
)
_HINTS = {
    "=": "write == to compare",
    "&": "write and",
    "|": "write or",
    "!": "write not",
    "'": "the quotation mark has no partner",
    '"': "the quotation mark has no partner",
    "%": "there is no such operator",
}


class Token(NamedTuple):
    """A piece of an expression; ``at`` is its place in the text, from 1."""

    kind: Literal["number", "word", "text", "sign", "end"]
    text: str
    at: int

    @property
    def shown(self) -> str:
        """As an error names it."""
        return "the end" if self.kind == "end" else repr(self.text)


def tokens(text: str) -> list[Token]:
    """Split an expression; the last token is its end.

    Raises
    ------
    ExpressionError
        If it is too long, or a character means nothing.

    Examples
    --------
    >>> [token.text for token in tokens("visits.views >= 3")]
    ['visits', '.', 'views', '>=', '3', '']
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(MAX_LENGTH + 1, f"more than {MAX_LENGTH} characters")
    found: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            hint = _HINTS.get(text[place], "the character means nothing here")
            raise ExpressionError(place + 1, f"{text[place]!r}: {hint}")
        kind = match.lastgroup
        if kind != "space":
            if kind == "number" and not math.isfinite(float(match[0])):
                raise ExpressionError(place + 1, f"{match[0]} is too large a number")
            found.append(Token(kind, match[0], place + 1))  # type: ignore[arg-type]  # a group's name
        place = match.end()
    found.append(Token("end", "", len(text) + 1))
    return found


def canonical(text: str) -> str:
    """Return the expression with the same spaces however it is written.

    >>> canonical("visits.views>=  3")
    'visits . views >= 3'
    """
    return " ".join(token.text for token in tokens(text)[:-1])
