"""The reference: the benchmark's 40 features as a careful person writes them in plain Python.

One object a customer, dictionaries and floats, updated event by event, with the same meanings as
the catalog (sessions, sawtooth windows, decay) for events in time order.
"""

from __future__ import annotations

import math
from typing import Any

from .catalog import CATEGORIES

HOUR = 3_600_000_000
WINDOWS = {"1h": HOUR, "1d": 24 * HOUR, "7d": 7 * 24 * HOUR, "30d": 30 * 24 * HOUR}
HALF_LIVES = {"1d": 24 * HOUR, "7d": 7 * 24 * HOUR, "30d": 30 * 24 * HOUR}
GAP = HOUR // 2
RECENT = 16


class PlainCustomer:
    """One customer's features."""

    def __init__(self) -> None:
        self.recent: list[str] = []
        self.last = 0
        self.events = 0
        self.spend = 0.0
        self.first_value: float | None = None
        self.last_value: float | None = None
        self.last_purchase = 0
        self.tiles: dict[str, dict[int, list[float]]] = {name: {} for name in WINDOWS}
        self.decayed = {f"{kind}_{h}": 0.0 for h in HALF_LIVES for kind in ("recency", "money")}
        self.affinity = dict.fromkeys(CATEGORIES, 0.0)
        self.bought = dict.fromkeys(CATEGORIES, 0.0)
        self._new_session()

    def _new_session(self) -> None:
        self.s_counts = {"events": 0, "view": 0, "cart": 0, "search": 0, "purchase": 0}
        self.s_spend = 0.0
        self.s_max = -math.inf
        self.s_min = math.inf
        self.s_last: float | None = None
        self.s_categories: set[str] = set()
        self.s_dead_ends = 0

    def update(self, event: dict[str, Any]) -> None:
        """Take one event: event_id, time (microseconds), type, category, value, results."""
        if event["event_id"] in self.recent:
            return
        self.recent.append(event["event_id"])
        if len(self.recent) > RECENT:
            self.recent.pop(0)
        t, kind, value = event["time"], event["type"], event["value"]
        purchase = kind == "purchase"
        if self.events and t - self.last > GAP:
            self._new_session()
        for name, half_life in HALF_LIVES.items():
            factor = 2.0 ** (-(t - self.last) / half_life) if self.events else 1.0
            for kept in (f"recency_{name}", f"money_{name}"):
                self.decayed[kept] *= factor
            self.decayed[f"recency_{name}"] += 1.0
            if purchase:
                self.decayed[f"money_{name}"] += value
        for affinity, name in ((self.affinity, "7d"), (self.bought, "30d")):
            factor = 2.0 ** (-(t - self.last) / HALF_LIVES[name]) if self.events else 1.0
            for category in affinity:
                affinity[category] *= factor
        if kind == "view":
            self.affinity[event["category"]] += 1.0
        if purchase:
            self.bought[event["category"]] += 1.0
        self.last = t
        self.events += 1
        self.s_counts["events"] += 1
        self.s_counts[kind] += 1
        self.s_categories.add(event["category"])
        if value is not None:
            self.s_max, self.s_min = max(self.s_max, value), min(self.s_min, value)
            self.s_last = value
        if purchase:
            self.spend += value
            self.s_spend += value
            if self.first_value is None:
                self.first_value = value
            self.last_value, self.last_purchase = value, t
        if kind == "search" and event["results"] == 0:
            self.s_dead_ends += 1
        for name, width in WINDOWS.items():
            hop = width // 12
            tiles = self.tiles[name]
            tile = tiles.setdefault(t // hop, [0, 0, 0.0, -math.inf])
            tile[0] += 1
            if purchase:
                tile[1] += 1
                tile[2] += value
                tile[3] = max(tile[3], value)
            for old in [number for number in tiles if number < (t - width) // hop]:
                del tiles[old]

    def features(self, t: int) -> dict[str, float | int | None]:
        """Return the 40 features as of ``t``; keyed ones as a list."""
        is_open = t - self.last <= GAP
        out: dict[str, Any] = {
            "s_events": self.s_counts["events"],
            "s_views": self.s_counts["view"],
            "s_carts": self.s_counts["cart"],
            "s_purchases": self.s_counts["purchase"],
            "s_spend": self.s_spend,
            "s_max_value": self.s_max if self.s_max > -math.inf else None,
            "s_min_value": self.s_min if self.s_min < math.inf else None,
            "s_last_value": self.s_last,
            "s_categories": len(self.s_categories),
            "s_dead_end": min(self.s_dead_ends, 3),
        }
        if not is_open:
            out = dict.fromkeys(out)
        for name, width in WINDOWS.items():
            hop = width // 12
            low, high = (t - width) // hop, t // hop
            tiles = [cells for n, cells in self.tiles[name].items() if low <= n <= high]
            out[f"events_{name}"] = int(sum(cells[0] for cells in tiles))
            out[f"purchases_{name}"] = int(sum(cells[1] for cells in tiles))
            out[f"spend_{name}"] = float(sum(cells[2] for cells in tiles))
            most = max((cells[3] for cells in tiles), default=-math.inf)
            out[f"max_value_{name}"] = most if most > -math.inf else None
        for name, value in self.decayed.items():
            half_life = HALF_LIVES[name.rsplit("_", 1)[1]]
            out[name] = value * 2.0 ** (-(t - self.last) / half_life)
        for name, cells, half_life in (
            ("affinity", self.affinity, HALF_LIVES["7d"]),
            ("bought", self.bought, HALF_LIVES["30d"]),
        ):
            factor = 2.0 ** (-(t - self.last) / half_life)
            out[name] = [cells[category] * factor for category in CATEGORIES]
        out["events"] = self.events
        out["spend"] = self.spend
        out["first_value"] = self.first_value
        out["last_value"] = self.last_value
        out["since_last_event"] = (t - self.last) * 1e-6
        purchased = self.last_purchase
        out["since_last_purchase"] = (t - purchased) * 1e-6 if purchased else None
        return out


def plain_events(table: Any) -> list[tuple[str, dict[str, Any]]]:
    """Turn a table of events into ``(customer_id, event)`` pairs in order."""
    stamps = table["event_timestamp"].cast("int64").to_pylist()
    return [
        (
            row["customer_id"],
            {
                "event_id": row["event_id"],
                "time": t,
                "type": row["type"],
                "category": row["category"],
                "value": row["value"],
                "results": row["results"],
            },
        )
        for t, row in zip(stamps, table.drop_columns(["event_timestamp"]).to_pylist(), strict=True)
    ]
