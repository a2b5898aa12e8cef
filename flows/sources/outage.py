"""A server that goes away in the middle of a run: waiting for it without holding up anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ...features.errors import StoreError
from ..pauses import pauses

OnOutage = Callable[[str, float | None], None]
"""Told the reason and None when an outage begins, the reason and its seconds when it ends."""


class AwayError(StoreError):
    """The server gives no answer now, but may come back."""


class Outage:
    """One stay away of a server. A thread of its own asks until there is an answer.

    Parameters
    ----------
    why
        What failed, for a person.
    retry
        Asks the server. It may take long; it raises `AwayError` as long as there is no answer.
        Any other error ends the outage, and the run.
    seconds
        How long the server may stay away.
    tell
        Told when the outage begins and ends; called where the outage is made and looked at.
    """

    def __init__(
        self, why: str, retry: Callable[[], None], *, seconds: float, tell: OnOutage | None
    ) -> None:
        self._why = self._latest = why
        self._retry = retry
        self._seconds = seconds
        self._tell = tell
        self._began = time.monotonic()
        self._abandoned = threading.Event()
        self._failure: BaseException | None = None
        if tell is not None:
            tell(why, None)
        self._thread = threading.Thread(target=self._ask, name="outage", daemon=True)
        self._thread.start()

    def over(self) -> bool:
        """Whether the server answers again.

        Raises
        ------
        StoreError
            It has stayed away for too long, or came back in a state that we cannot go on from.
        """
        lasted = time.monotonic() - self._began
        if self._thread.is_alive():
            if lasted <= self._seconds:
                return False
            self._abandoned.set()
            raise StoreError(
                f"{self._latest} (away for {lasted:.0f} s; NEXTBEST_OUTAGE_SECONDS says how long "
                "to wait)"
            )
        if self._failure is not None:
            raise self._failure
        if self._tell is not None:
            self._tell(self._why, lasted)
        return True

    def abandon(self) -> None:
        """Stop asking."""
        self._abandoned.set()

    def _ask(self) -> None:
        for pause in pauses():
            if self._abandoned.wait(pause):
                return
            try:
                self._retry()
            except AwayError as error:
                self._latest = str(error)
            except BaseException as error:
                self._failure = error
                return
            else:
                return
