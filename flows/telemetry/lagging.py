"""Asking a log how far behind its reader is, so that nobody waits long for the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

WAIT_SECONDS = 0.5
"""For an answer; those who look at metrics wait two seconds, or less."""


class Lags:
    """What a log last said, and now says if it does so at once.

    Parameters
    ----------
    ask
        Asks the log; it may hang.
    """

    def __init__(self, ask: Callable[[], Mapping[int, int]]) -> None:
        self._ask = ask
        self._asking: threading.Thread | None = None
        self._lock = threading.Lock()
        self._found: Mapping[int, int] = {}
        self._failure: Exception | None = None

    def __call__(self) -> Mapping[int, int]:
        """Return by partition how many entries were not read.

        Raises
        ------
        Exception
            Why the log could not be asked, the last time.
        """
        with self._lock:
            asking = self._asking
            if asking is None or not asking.is_alive():
                asking = threading.Thread(target=self._run, name="lags", daemon=True)
                self._asking = asking
                asking.start()
        asking.join(WAIT_SECONDS)
        if self._failure is not None:
            raise self._failure
        return self._found

    def _run(self) -> None:
        try:
            self._found, self._failure = self._ask(), None
        except Exception as error:  # told to whoever asks
            self._failure = error
