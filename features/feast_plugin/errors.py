"""What the plugin refuses, as Feast errors that `feast serve` answers with a fitting status.

Each is an error of nextbest too, so that ``except NextbestError`` still catches everything.
"""

from __future__ import annotations

from feast.errors import FeastError

from ..errors import NextbestError, SettingsError, StateError, StoreError


class ComputedViewError(FeastError, NextbestError):
    """Something was asked of a computed view that only a materialised one can do."""

    def http_status_code(self) -> int:
        """Return 400: the request is wrong, not the server."""
        return 400


class EntityFrameError(FeastError, SettingsError):
    """The entity frame of a historical request cannot be used; the message says why."""

    def http_status_code(self) -> int:
        """Return 400: the request is wrong, not the server."""
        return 400


class IdError(FeastError, SettingsError):
    """An id that features are asked for is no text."""

    def http_status_code(self) -> int:
        """Return 400: the request is wrong, not the server."""
        return 400


class StoreAwayError(FeastError, StoreError):
    """The online store does not answer, or refuses."""

    def http_status_code(self) -> int:
        """Return 503: asking again later may help."""
        return 503


class RowError(FeastError, StateError):
    """A customer's stored row is damaged or was written under another declaration."""


class RegistryError(FeastError, StateError):
    """The registry holds a declaration that this version of nextbest reads otherwise."""
