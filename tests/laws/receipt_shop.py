"""What the worker of the receipts' law runs with: for each writer, the last number it wrote.

Reading processes begin here, so that it imports little.
"""

from __future__ import annotations

from nextbest.features import Catalog, EventSchema, FeatureView
from nextbest.features import aggregations as agg
from nextbest.features.online import FeatureClient

WRITERS = tuple(f"w{number}" for number in range(8))
notes = EventSchema("notes", types=("note",), properties={"writer": str, "number": int})
catalog = Catalog(
    name="notes",
    views=[
        FeatureView(
            name="v",
            source=notes,
            features=[
                agg.count("all"),
                agg.max("latest", of="number", by="writer", vocabulary=WRITERS),
            ],
        )
    ],
)
WAIT_SECONDS = 25.0
_client: FeatureClient | None = None


def begin(url: str) -> None:
    """Make a reading process ready."""
    global _client
    _client = FeatureClient(url, catalog)


def read(customer: str, writer: str, receipt: str) -> tuple[bool, object]:
    """Whether an answer is stale, and the last number of a writer in it."""
    assert _client is not None
    found = _client.get([customer], after=receipt, wait_seconds=WAIT_SECONDS)
    return found.stale, found.to_dict(customer)[f"v:latest[{writer}]"]
