"""The routes that need not be fast: health, the catalog, OpenAPI, documentation."""

from __future__ import annotations

import asyncio
import logging

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...features.errors import NextbestError, RowError
from ...features.online import AsyncFeatureClient
from . import wire
from .app import pages_problem
from .docs_page import page
from .lookups import probe
from .openapi import document
from .problems import PROBLEM_TYPE, ProblemError

_READY_SECONDS = 1.0
_API = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_PAGE = {
    **_API,
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'",
}
_log = logging.getLogger("nextbest.service")


def pages(client: AsyncFeatureClient, *, max_events: int, keyed: bool) -> Starlette:
    """Return the routes as an application; errors are problem details."""
    api = document(client.catalog, max_events=max_events, keyed=keyed)
    document_body = msgspec.json.encode(api)
    docs_body = page(api).encode()
    nobody = probe(client.catalog)
    catalog_body = msgspec.json.encode(wire.declared(client.catalog))

    def json(body: bytes) -> Response:
        return Response(body, media_type="application/json", headers=_API)

    async def healthz(_: Request) -> Response:
        return json(msgspec.json.encode(wire.HealthAnswer("up")))

    async def readyz(request: Request) -> Response:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await client.get(nobody.ids, features=nobody.features)
        except RowError:
            pass  # the store answers
        except (TimeoutError, NextbestError) as error:
            _log.warning("not ready: %s", error or "no answer within a second")
            problem = ProblemError(
                "not-ready", "the online store does not answer", headers=[(b"retry-after", b"1")]
            )
            return _refused(request, problem)
        return json(msgspec.json.encode(wire.HealthAnswer("ready")))

    async def catalog(_: Request) -> Response:
        return json(catalog_body)

    async def openapi(_: Request) -> Response:
        return json(document_body)

    async def docs(_: Request) -> Response:
        return Response(docs_body, media_type="text/html", headers=_PAGE)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _refused(request, pages_problem(error))

    routes = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/v1/catalog", catalog),
        Route("/openapi.json", openapi),
        Route("/docs", docs),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: refused})
    app.router.redirect_slashes = False
    return app


def _refused(request: Request, problem: ProblemError) -> Response:
    headers = {name.decode(): value.decode() for name, value in problem.headers}
    return Response(
        problem.body(request.url.path),
        problem.status,
        media_type=PROBLEM_TYPE.decode(),
        headers={**_API, **headers},
    )
