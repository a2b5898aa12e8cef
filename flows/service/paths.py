"""The parts of a URL, as a caller escaped them."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote_to_bytes

from .http import Scope
from .problems import Fault, ProblemError


def unescaped(raw: bytes) -> str:
    """Return an id that is the part of a path.

    Raises
    ------
    ProblemError
        If it is not UTF-8.

    Examples
    --------
    >>> unescaped(b"k%C3%B6ln%2F1")
    'köln/1'
    """
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise ProblemError(
            "malformed-request", f"the id is not UTF-8 (byte {error.start})"
        ) from None


def query(raw: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query.

    Raises
    ------
    ProblemError
        If it is not UTF-8, or too long.
    """
    try:
        return parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=2048
        )
    except ValueError:
        raise ProblemError("malformed-request", "the query is not UTF-8, or too long") from None


def invalid(reason: str, path: str) -> ProblemError:
    """Return the problem of a value that cannot be used, and where it is."""
    return ProblemError("invalid-request", reason, [Fault(reason, path=path)])


def no_query(scope: Scope) -> None:
    """Refuse parameters where there are none.

    Raises
    ------
    ProblemError
        Naming the first of them.
    """
    for name, _ in query(scope["query_string"]):
        raise invalid(f"no parameter {name!r:.80}; there are none", f"$.{name:.80}")
