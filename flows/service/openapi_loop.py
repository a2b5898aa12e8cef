"""The part of the OpenAPI document that is of decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..decision.outbound import OutboundMessage
from ..decision.request import MOST_OFFERS
from ..decision.why import Why
from .batch_wire import BatchAnswer, BatchRequest
from .loop_wire import (
    MOST_RECENT,
    OUTCOMES_MOST,
    Context,
    CustomerAnswer,
    DecideAnswer,
    DecideRequest,
    OutcomeRequest,
    OutcomesAnswer,
)

BODIES = (
    DecideRequest, DecideAnswer, OutcomeRequest, OutcomesAnswer, Why, CustomerAnswer,
    OutboundMessage, BatchRequest, BatchAnswer,
)  # fmt: skip
"""The types whose schemas `paths` needs, and what is found in an outbound stream."""


def paths(refs: Mapping[Any, Any], answers: Callable[..., Any]) -> dict[str, Any]:
    """Return the paths of the loop.

    Parameters
    ----------
    refs
        The schema of each of `BODIES`.
    answers
        Makes the responses of a status, a schema and the statuses of problems.
    """
    one = refs[OutcomeRequest]
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": OUTCOMES_MOST}
    return {
        "/v1/decide": {"post": {
            "operationId": "decide",
            "summary": "What to offer to a customer now; the decision is logged, and counts for "
                       "caps. If the store is away, the strategy's fallback",
            "requestBody": {"required": True, "content": {
                "application/json": {"schema": refs[DecideRequest]}}},
            "responses": answers(
                200, refs[DecideAnswer], 400, 403, 404, 408, 413, 415, 422, 500
            ),
        }},
        "/v1/decide/batch": {"post": {
            "operationId": "decideBatch",
            "summary": "What to offer to each of many customers now; each decision is logged, and "
                       "counts for caps, and says its own state. Or a dry run",
            "requestBody": {"required": True, "content": {
                "application/json": {"schema": refs[BatchRequest]}}},
            "responses": answers(
                200, refs[BatchAnswer], 400, 404, 408, 413, 415, 422, 500, 503
            ),
        }},
        "/v1/outcomes": {"post": {
            "operationId": "reportOutcomes",
            "summary": "What became of offers: all are taken in, or none if one is wrong. The same "
                       "outcome again counts once",
            "requestBody": {"required": True, "content": {
                "application/json": {"schema": {"anyOf": [one, many]}},
                "application/x-ndjson": {"schema": {
                    "type": "string", "description": "an outcome a line"}},
            }},
            "responses": answers(
                202, refs[OutcomesAnswer], 400, 403, 404, 408, 409, 410, 413, 415, 422, 500, 503
            ),
        }},
        "/v1/decisions/{id}/why": {"get": {
            "operationId": "explainDecision",
            "summary": "A decision made again from what was logged of it, why it came out so, "
                       "and what came of it; also long after, from the archive beside the service",
            "parameters": [_id("the decision's id")],
            "responses": answers(200, refs[Why], 400, 404, 410, 422, 500, 503),
        }},
        "/v1/customers/{id}": {"get": {
            "operationId": "showCustomer",
            "summary": "A customer's features, what was offered and what rests, the newest "
                       "decisions with what came of them, and how actions rank now by their "
                       "scores; nothing is decided, logged or counted",
            "parameters": [
                _id("the customer's id"),
                _query("channel", "only this one", {"type": "string", "minLength": 1}),
                _query("n", "how many actions of a channel are listed",
                       {"type": "integer", "minimum": 1, "maximum": MOST_OFFERS}),
                _query("recent", "how many decisions of before are told",
                       {"type": "integer", "minimum": 0, "maximum": MOST_RECENT}),
                {"name": "context", "in": "query", "required": False,
                 "description": "what is known of the moment: what expressions call context.<name>",
                 "content": {"application/json": {"schema": msgspec.json.schema(Context)}}},
            ],
            "responses": answers(200, refs[CustomerAnswer], 400, 404, 422, 500, 503),
        }},
    }  # fmt: skip


def _id(description: str) -> dict[str, Any]:
    return {
        "name": "id", "in": "path", "required": True, "description": description,
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
    }  # fmt: skip


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name, "in": "query", "required": False, "description": description,
        "schema": schema,
    }  # fmt: skip
