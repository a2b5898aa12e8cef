"""How logs are written to standard error: text for people, or JSON, one object a line.

At ``info`` and above there is no customer's data in a log: no id of one, no value.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from .context import current_ids

FORMAT = "NEXTBEST_LOG_FORMAT"
_TEXT = "%(asctime)s %(levelname)s %(message)s"
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_LONGEST = 8192
_ENCODER = msgspec.json.Encoder(enc_hook=repr)


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object.

    It has ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message``; ``error`` and ``stack``
    of an exception; ``trace_id`` and ``span_id`` within a trace; and whatever was given as
    ``extra``.

    Examples
    --------
    >>> record = logging.makeLogRecord(
    ...     {"name": "nextbest.run", "levelname": "INFO", "msg": "%d rows", "args": (3,),
    ...      "created": 1767225600.25, "partition": 2})
    >>> print(JsonFormatter().format(record))
    {"time":"2026-01-01T00:00:00.250000Z","level":"info","logger":"nextbest.run",\
"message":"3 rows","partition":2}
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_LONGEST],
        }
        ids = current_ids()
        if ids is not None:
            line["trace_id"], line["span_id"] = ids
        line |= {name: value for name, value in record.__dict__.items() if name not in _OWN}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            line["stack"] = self.formatException(record.exc_info)
        return _written(line)


def set_up(kind: str) -> None:
    """Write logs as ``text`` or ``json``, unless the program has a way of its own."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if kind == "json" else logging.Formatter(_TEXT))
    root.addHandler(handler)


def say(message: str, level: str = "error", environ: Mapping[str, str] | None = None) -> None:
    """Write one line of the command line's own to standard error, in the way of the logs."""
    chosen = (os.environ if environ is None else environ).get(FORMAT)
    text = f"nextbest: {message}"
    if chosen == "json":
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = {"time": at, "level": level, "logger": "nextbest", "message": message}
        text = _written(line)
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _written(line: Mapping[str, Any]) -> str:
    try:
        return _ENCODER.encode(line).decode()
    except Exception:  # lone surrogates, or what cannot say what it is: a log must not fail
        safe = {key: repr(value).encode("ascii", "backslashreplace").decode()
                for key, value in line.items()}  # fmt: skip
        return _ENCODER.encode(safe).decode()
