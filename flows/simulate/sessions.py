"""What customers look at, as events of the log, and their features at each visit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...features.arrow_columns import TIME_TYPE
from ...features.codec import EventDecoder
from ...features.encoder import RecordEncoder
from ...features.plan import Plan
from ...features.rows import FeatureRows
from ...features.state import ShardState
from .catalog import KINDS, LEAVE, VIEW, catalog, shop
from .world import CHANNELS, World

_JSON = msgspec.json.Encoder()


def events_of(world: World, visit: int) -> list[dict[str, Any]]:
    """Return the events of a visit; the last one is at the time of the decision.

    A decision by mail follows an event of type `LEAVE`.
    """
    at, n = int(world.at[visit]), len(world.views[visit])
    gap = world.setting.day_us // 2880  # half a minute of a whole day
    common = {
        "customer_id": world.customers[world.who[visit]],
        "channel": CHANNELS[world.channel[visit]],
    }
    if not n:
        return [
            {"event_id": f"{world.seed}-{visit}", "event_timestamp": at, **common, "type": LEAVE}
        ]
    return [
        {
            "event_id": f"{world.seed}-{visit}-{i}",
            "event_timestamp": at - (n - 1 - i) * gap,
            **common,
            "type": VIEW,
            "properties": {"kind": KINDS[kind]},
        }
        for i, kind in enumerate(world.views[visit])
    ]


def lines_of(world: World) -> Iterator[bytes]:
    """Yield all events as lines of JSON, visit by visit."""
    for visit in range(len(world)):
        for event in events_of(world, visit):
            yield _JSON.encode(event) + b"\n"


def rows_of(world: World) -> FeatureRows:
    """Return the customer's features at each visit, after its events: one row a visit.

    They come from the state that the stream keeps, not from the world.
    """
    events = [event for visit in range(len(world)) for event in events_of(world, visit)]
    table = pa.table(
        {
            "event_id": [event["event_id"] for event in events],
            "event_timestamp": pa.array(
                [event["event_timestamp"] for event in events], pa.int64()
            ).cast(TIME_TYPE),
            "customer_id": [event["customer_id"] for event in events],
            "type": [event["type"] for event in events],
            "channel": [event["channel"] for event in events],
            "kind": pa.array(
                [event.get("properties", {}).get("kind") for event in events], pa.string()
            ),
        }
    )
    plan = Plan.compile(catalog)
    end = int(world.at[-1])
    decoded = EventDecoder(shop, now=lambda: end).decode_arrow(table)
    batch = RecordEncoder(plan.categorical, plan.numeric).encode(decoded.table, decoded.index)
    last: npt.NDArray[np.bool_] = np.zeros(len(batch), np.bool_)
    last[np.cumsum([max(1, len(views)) for views in world.views]) - 1] = True
    return ShardState(plan).apply_and_read(batch, last)[1]
