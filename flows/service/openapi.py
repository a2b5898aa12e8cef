"""OpenAPI 3.1, made from the very types that requests and answers are decoded and encoded with."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from ...features.catalog import Catalog
from ...features.events import wire_type
from ..decision.strategy import Strategy
from . import openapi_loop, wire
from .outcomes import responses_of
from .problems import KINDS, ProblemDetails

_TEMPLATE = "#/components/schemas/{name}"


def document(
    catalog: Catalog, *, max_events: int, keyed: bool, strategy: Strategy | None = None
) -> dict[str, Any]:
    """Return the OpenAPI document.

    Parameters
    ----------
    catalog
        Whose events are taken in.
    max_events
        Of one request.
    keyed
        Whether requests need an API key.
    strategy
        That decides; None: there is none.

    Examples
    --------
    >>> from nextbest.features import EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",))
    >>> view = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> api = document(Catalog(name="demo", views=[view]), max_events=10, keyed=False)
    >>> sorted(api["paths"])[-3:]
    ['/v1/features', '/v1/features/{id}', '/v1/outcomes']
    """
    event = wire_type(catalog.source)
    bodies = (
        wire.FeaturesRequest, wire.FeaturesAnswer, wire.EventsAnswer, wire.CatalogAnswer,
        wire.HealthAnswer, ProblemDetails,
    )  # fmt: skip
    loop = openapi_loop.BODIES
    refs, components = msgspec.json.schema_components(
        (event, *bodies, *loop), ref_template=_TEMPLATE
    )
    _name_all(_properties(components["FeaturesRequest"]), catalog)
    if strategy is not None:
        for body in ("DecideRequest", "BatchRequest"):
            _properties(components[body])["channel"]["enum"] = list(strategy.channels)
        _properties(components["OutcomeRequest"])["response"]["enum"] = responses_of(strategy)
    one, request, features, receipts, declared, health, problem = refs[: 1 + len(bodies)]
    loop_refs = dict(zip(loop, refs[1 + len(bodies) :], strict=True))
    refused = 401 if keyed else 421

    def answers(good: int, schema: Any, *bad: int, kind: str = "application/json") -> Any:
        found: dict[str, Any] = {
            str(good): {"description": "Good", "content": {kind: {"schema": schema}}}
        }
        for status in sorted({*bad, refused}):
            titles = dict.fromkeys(k.title for k in KINDS.values() if k.status == status)
            found[str(status)] = {
                "description": " / ".join(titles),
                "content": {"application/problem+json": {"schema": problem}},
            }
        return found

    parameters = {"ids": None, **_properties(components["FeaturesRequest"])}
    asked = [
        {"name": "id", "in": "path", "required": True, "description": "the customer's id",
         "schema": {"type": "string", "minLength": 1, "maxLength": 256}},
        _query("service", parameters["service"], {"type": "string", "minLength": 1}),
        _query("features", parameters["features"], {"type": "string", "minLength": 1},
               "comma-separated"),
        _query("at", parameters["at"], {"type": "string", "minLength": 1}),
        _query("after", parameters["after"], {"type": "array", "items": {
            "type": "string", "pattern": "^[0-9]{1,5}-[0-9a-f]{1,15}-[0-9a-f]{16}$"}}),
        _query("wait_seconds", parameters["wait_seconds"],
               {"type": "number", "minimum": 0, "maximum": wire.MAX_WAIT_SECONDS}),
    ]  # fmt: skip
    event_list = {"type": "array", "items": one, "minItems": 1, "maxItems": max_events}
    paths = {
        "/v1/events": {"post": {
            "operationId": "publishEvents",
            "summary": "Append events to the log: all of them, or none if one is wrong",
            "requestBody": {"required": True, "content": {
                "application/json": {"schema": {"anyOf": [one, event_list]}},
                "application/x-ndjson": {"schema": {
                    "type": "string", "description": "an event a line"}},
            }},
            "responses": answers(202, receipts, 400, 408, 413, 415, 422, 500, 503),
        }},
        "/v1/features": {"post": {
            "operationId": "lookUpFeatures",
            "summary": "Features of many ids, as of now or of a time",
            "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
            "responses": answers(200, features, 400, 404, 408, 413, 415, 422, 500, 503),
        }},
        "/v1/features/{id}": {"get": {
            "operationId": "lookUpCustomer",
            "summary": "Features of one customer, as of now or of a time",
            "parameters": asked,
            "responses": answers(200, features, 400, 404, 422, 500, 503),
        }},
        **openapi_loop.paths(loop_refs, answers),
        "/v1/catalog": {"get": {
            "operationId": "describeCatalog",
            "summary": "What is declared: views, features, services",
            "responses": answers(200, declared),
        }},
        "/healthz": {"get": {
            "operationId": "isUp", "summary": "Is the process up? Needs no API key",
            "responses": answers(200, health),
        }},
        "/readyz": {"get": {
            "operationId": "isReady",
            "summary": "Does the store answer within a second? Needs no API key",
            "responses": answers(200, health, 503),
        }},
    }  # fmt: skip
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"nextbest: {catalog.name}", "version": version("nextbest"),
                 "description": "Events in, features and decisions out; all is as of now."},
        "paths": paths,
        "components": {"schemas": components},
    }  # fmt: skip
    if keyed:
        found["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        found["security"] = [{"bearer": []}, {"header": []}]
        for path in ("/healthz", "/readyz"):
            paths[path]["get"]["security"] = []
    return found


def _name_all(request: dict[str, Any], catalog: Catalog) -> None:
    """Say which services, features and join keys there are."""
    names = [service.name for service in catalog.services]
    refs = [view.name for view in catalog.views]
    refs += [f"{view.name}:{feature.name}" for view, feature in catalog.features()]
    keys = {key: None for entity in catalog.entities for key in entity.join_keys}
    for name, known in (("service", names), ("features", refs)):
        for choice in request[name]["anyOf"]:
            if choice["type"] == "string" and known:
                choice["enum"] = known
            elif choice["type"] == "array":
                choice["items"]["enum"] = known
    for choice in request["ids"]["anyOf"]:
        if choice["type"] == "object":
            choice["propertyNames"] = {"enum": list(keys)}


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["properties"]
    return found


def _query(name: str, described: dict[str, Any], schema: Any, note: str = "") -> dict[str, Any]:
    text = described.get("description", "")
    return {
        "name": name, "in": "query", "required": False, "schema": schema,
        "description": f"{text} ({note})" if note else text,
    }  # fmt: skip
