"""Failures in one line: the engine's own report of a failure is left out if ours says it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from ...features.errors import NextbestError

_STDERR = 2


@contextlib.contextmanager
def without_native_reports() -> Iterator[None]:
    """Hold back what native code writes to standard error, and drop it after a `NextbestError`.

    The engine reports an error that a step raised as a panic of many lines before it passes the
    error on. Python's own standard error is not held back. After any other failure, and at a
    good end, what was held back is written.
    """
    sys.stderr.flush()
    real = os.dup(_STDERR)
    python = sys.stderr
    direct = open(real, "w", buffering=1, closefd=False)  # noqa: SIM115  # closed below
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), _STDERR)
        if _writes_to_stderr(python):
            sys.stderr = direct
        is_ours = False
        try:
            yield
        except NextbestError:
            is_ours = True
            raise
        finally:
            direct.flush()
            sys.stderr = python
            os.dup2(real, _STDERR)
            held.seek(0)
            if not is_ours:
                os.write(_STDERR, held.read())
            direct.close()
            os.close(real)


def _writes_to_stderr(stream: object) -> bool:
    try:
        return stream.fileno() == _STDERR  # type: ignore[attr-defined, no-any-return]  # if it can
    except (AttributeError, OSError, ValueError):
        return False
