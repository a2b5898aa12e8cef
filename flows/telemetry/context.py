"""Which trace the code that runs is part of, and how that travels with an event.

Nothing of OpenTelemetry is loaded here: who has not loaded it is in no trace.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

TRACE_FIELD = b"traceparent"
"""Of an entry of a stream, beside its events; of a topic's message, a header."""
_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAMPLED = 1


class Traced(NamedTuple):
    """An event that is part of a trace that is kept.

    Attributes
    ----------
    parent
        Who published it, as in a ``traceparent`` header (W3C Trace Context, level 1).
    read
        When the worker read it, nanoseconds since 1970.
    partition
        Of the log.
    """

    parent: str
    read: int
    partition: int


def current_ids() -> tuple[str, str] | None:
    """Return the ids of the trace and of the span in hexadecimal; None: there are none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def carried() -> bytes | None:
    """Return what is to travel with an event that is published now; None: nothing."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not (context.is_valid and context.trace_flags & _SAMPLED):
        return None
    return b"00-%032x-%016x-01" % (context.trace_id, context.span_id)


def parent_in(value: bytes | None) -> str | None:
    """Return what travelled with an event, if it is of a trace that is kept.

    >>> parent_in(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    >>> parent_in(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), parent_in(b"x")
    (None, None)
    """
    if value is None or len(value) != 55:
        return None
    text = value.decode("latin-1")
    if not _FORM.fullmatch(text) or not int(text[-2:], 16) & _SAMPLED:
        return None
    return text
