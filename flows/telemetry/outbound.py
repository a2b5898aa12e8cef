"""Messages that this process sent."""

from __future__ import annotations

from collections import Counter

OUTBOUND: Counter[tuple[str, bool]] = Counter()
"""By channel, and whether in place of one that was not delivered."""
