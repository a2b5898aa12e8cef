"""A strategy as it is in the store."""

from __future__ import annotations

import msgspec


class Stored(msgspec.Struct, frozen=True):
    """A strategy's text, and the version that it is."""

    version: str
    text: str
