"""What is asked of a decision, and what was read for it."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ...features.events import MAX_TIMESTAMP
from ...features.rows import FeatureRows
from .errors import RequestError
from .record import Value

MOST_OFFERS = 100
"""The most actions of one answer."""
MOST_CONTEXT = 64
"""The most values of a context."""
LONGEST_NAME, LONGEST_TEXT, LONGEST_CUSTOMER = 64, 1024, 256
"""Characters of a context's name and of its text, and bytes of a customer's id."""
LONGEST_CONTEXT = 16_384
"""Bytes of a whole context as JSON, which stands in every decision that it is given for."""
LARGEST_INTEGER = 2**53
"""The largest magnitude of an integer: the last that a float64 can hold with its neighbours."""


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decision that is asked for.

    Attributes
    ----------
    customer
        Their id; any id of one's own for somebody who is not known.
    channel
        Where the answer will be shown.
    n
        How many actions are wanted, 1 to `MOST_OFFERS`.
    context
        What the app knows of the moment: what expressions call ``context.<name>``.
    """

    customer: str
    channel: str
    n: int = 1
    context: dict[str, Value] = {}


class Row(NamedTuple):
    """A customer's features as they were read.

    Attributes
    ----------
    values
        float64[columns], NaN where there is no value; a word is its place in the vocabulary.
    state
        uint8[columns], see `features.online`.
    position
        The log position of the row, -1: there is none.
    age_ms
        Of the row, -1 if unknown.
    """

    values: npt.NDArray[np.float64]
    state: npt.NDArray[np.uint8]
    position: int = -1
    age_ms: int = -1


def row_of(rows: FeatureRows, i: int = 0) -> Row:
    """Return the features of one customer of those that were read."""
    return Row(rows.values[i], rows.state[i], int(rows.positions[i]), int(rows.age_ms[i]))


def check(
    request: Request,
    channels: Container[str],
    at: int,
    checked: dict[str, Value] | None = None,
) -> None:
    """Refuse what cannot be decided.

    Parameters
    ----------
    channels
        Of the strategy.
    checked
        A context that was found good just now: the very same one is not looked at again.

    Raises
    ------
    RequestError
        Naming the part that is wrong.

    Examples
    --------
    >>> check(Request(customer="ann", channel="web", n=0), {"web"}, 0)
    Traceback (most recent call last):
    nextbest.flows.decision.errors.RequestError: n is 0, not 1 to 100
    """
    customer = request.customer
    if not isinstance(customer, str) or not customer:
        raise RequestError("customer", f"is {customer!r:.80}, not an id")
    if not customer.isascii():
        _encodable("customer", customer)
    if len(customer) > LONGEST_CUSTOMER or (
        not customer.isascii() and len(customer.encode()) > LONGEST_CUSTOMER
    ):
        raise RequestError("customer", f"is longer than {LONGEST_CUSTOMER} bytes")
    if not isinstance(request.channel, str) or request.channel not in channels:
        raise RequestError("channel", f"is {request.channel!r:.80}, which the strategy has not")
    n = request.n
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= MOST_OFFERS:
        raise RequestError("n", f"is {n!r:.80}, not 1 to {MOST_OFFERS}")
    if not isinstance(at, int) or isinstance(at, bool) or not 0 < at <= MAX_TIMESTAMP:
        raise RequestError("at", f"is {at!r:.80}, not microseconds since 1970")
    if request.context and request.context is not checked:
        _check_context(request.context)


def _check_context(context: dict[str, Value]) -> None:
    if not isinstance(context, dict):
        raise RequestError("context", f"is {type(context).__name__}, not values by name")
    if len(context) > MOST_CONTEXT:
        raise RequestError("context", f"has {len(context)} values; the most are {MOST_CONTEXT}")
    texts = 0
    for name, value in context.items():
        if isinstance(value, str):
            texts += len(value)
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise RequestError("context", f"has a name that is none: {name!r:.80}")
        if not name.isascii():
            _encodable("context", name)
        if value is None or isinstance(value, bool):
            continue
        if isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isascii():
            continue
        where = f"context.{name}"
        if isinstance(value, str):
            if len(value) > LONGEST_TEXT:
                raise RequestError(where, f"is longer than {LONGEST_TEXT} characters")
            _encodable(where, value)
        elif isinstance(value, int):
            if abs(value) > LARGEST_INTEGER:
                raise RequestError(where, f"is beyond {LARGEST_INTEGER}")
        elif not isinstance(value, float):
            raise RequestError(where, f"is {type(value).__name__}: neither text nor number")
        elif not math.isfinite(value):
            raise RequestError(where, f"is {value}, which is no number")
    # A character is at most six bytes: most contexts are too small to be measured.
    if texts > LONGEST_CONTEXT // 12 or len(context) > MOST_CONTEXT // 4:
        size = len(msgspec.json.encode(context))
        if size > LONGEST_CONTEXT:
            raise RequestError("context", f"has {size} bytes; the most are {LONGEST_CONTEXT}")


def _encodable(where: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(where, "is no Unicode text (a lone surrogate)") from None
