"""What goes over the wire: the bodies of requests and answers, checked as they are decoded.

OpenAPI's schemas are made from these types.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ...features.events import MAX_TIMESTAMP
from ...features.online import MAX_IDS

MAX_CELLS = 2_000_000
MAX_FEATURES = 4096
MAX_RECEIPTS = 1024
MAX_WAIT_SECONDS = 30.0

Key = Annotated[str, Meta(min_length=1, max_length=4096)]
Keys = Annotated[list[Key], Meta(max_length=MAX_IDS)]
# Events may carry the empty word, and what it finds is there to be asked for.
Parts = Annotated[list[Annotated[str, Meta(max_length=4096)]], Meta(max_length=MAX_IDS)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Ref = Annotated[str, Meta(min_length=1, max_length=512)]
ReceiptText = Annotated[str, Meta(max_length=64, pattern=r"^\d{1,5}-[0-9a-f]{1,16}-[0-9a-f]{16}$")]
Moment = Annotated[int, Meta(ge=1, le=MAX_TIMESTAMP, description="microseconds since 1970, UTC")]


class FeaturesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose features are wanted, which, and as of when."""

    ids: Annotated[
        Keys | Annotated[dict[Name, Parts], Meta(min_length=1, max_length=8)],
        Meta(
            description="customer ids; or for each join key of an entity its values, as many each"
        ),
    ]
    service: Annotated[
        Name | None, Meta(description="a feature service: only its features, in its order")
    ] = None
    features: Annotated[
        Annotated[list[Ref], Meta(min_length=1, max_length=MAX_FEATURES)] | None,
        Meta(description='"view:feature", or "view" for all of a view\'s; default: all'),
    ] = None
    at: Annotated[
        int | str | None,
        Meta(description="as of when: microseconds since 1970 or ISO 8601; default: now"),
    ] = None
    after: Annotated[
        ReceiptText | Annotated[list[ReceiptText], Meta(max_length=MAX_RECEIPTS)] | None,
        Meta(description="receipts of events that the answer should have seen"),
    ] = None
    wait_seconds: Annotated[
        float,
        Meta(ge=0.0, le=MAX_WAIT_SECONDS, description="how long to wait for these events"),
    ] = 1.0


Scalar = int | float | str | None


class FeaturesRow(msgspec.Struct, frozen=True):
    """The features of one thing."""

    id: Annotated[
        str | dict[str, str],
        Meta(description="as asked for; of a composite entity an object of its join keys"),
    ]
    known: Annotated[bool, Meta(description="whether there is a row: if not, all is missing")]
    age_ms: Annotated[int | None, Meta(description="from the newest event to `at`, milliseconds")]
    values: Annotated[
        dict[str, Scalar | list[Scalar] | dict[str, Scalar]],
        Meta(
            description='by "view:feature": a number, a word or null; of a keyed feature an object '
            "by key, of last_k an array, newest first"
        ),
    ]
    states: Annotated[
        dict[str, str],
        Meta(
            description='by "view:feature", where a value is null: "missing" (there never was one) '
            'or "expired" (the session is over, or the time to live)'
        ),
    ]


class FeaturesAnswer(msgspec.Struct, frozen=True):
    """What a lookup answers: rows in the order of the ids."""

    at: Annotated[Moment, Meta(description="the time that the values are of")]
    stale: Annotated[
        bool, Meta(description="an event of `after` was not seen in time: the values lack it")
    ]
    rows: list[FeaturesRow]


class EventsAnswer(msgspec.Struct, frozen=True):
    """Events are in the log: a receipt for each, in order."""

    receipts: list[ReceiptText]


class FeatureDeclared(msgspec.Struct, frozen=True):
    """A feature as declared."""

    name: str
    type: str
    aggregation: str
    window: str
    keys: Annotated[tuple[str, ...] | None, Meta(description="of a keyed feature")] = None
    length: Annotated[int | None, Meta(description="of last_k and top_k: how many, at most")] = None
    description: str = ""


class ViewDeclared(msgspec.Struct, frozen=True):
    """A view as declared."""

    name: str
    entity: str
    join_keys: tuple[str, ...]
    features: list[FeatureDeclared]
    description: str = ""


class ServiceDeclared(msgspec.Struct, frozen=True):
    """A feature service as declared."""

    name: str
    features: tuple[str, ...]
    description: str = ""


class CatalogAnswer(msgspec.Struct, frozen=True):
    """What is declared."""

    name: str
    event_types: tuple[str, ...]
    properties: dict[str, str]
    views: list[ViewDeclared]
    services: list[ServiceDeclared]


class HealthAnswer(msgspec.Struct, frozen=True):
    """The service's state."""

    status: str


def declared(catalog: Any) -> CatalogAnswer:
    """Return what a catalog declares.

    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> view = FeatureView(name="v", source=shop, features=[agg.count("n", window="1h")])
    >>> declared(Catalog(name="demo", views=[view])).views[0].features[0].window
    '1h (hop 5m)'
    """
    return CatalogAnswer(
        catalog.name,
        tuple(catalog.source.types),
        dict(catalog.source.properties),
        [
            ViewDeclared(
                view.name,
                view.entity.name,
                tuple(view.entity.join_keys),
                [
                    FeatureDeclared(
                        feature.name,
                        feature.dtype,
                        feature.aggregation,
                        str(feature.window),
                        feature.key_words if feature.by is not None else None,
                        feature.k if feature.aggregation in ("last_k", "top_k") else None,
                        feature.description,
                    )
                    for feature in view.features
                ],
                view.description,
            )
            for view in catalog.views
        ],
        [
            ServiceDeclared(service.name, tuple(service.features), service.description)
            for service in catalog.services
        ],
    )
