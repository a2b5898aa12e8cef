"""The routes that need not be fast: health, the catalog, OpenAPI, documentation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...features.errors import NextbestError, RowError
from ...features.online import AsyncFeatureClient
from ..decision.loading import Loaded
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


def pages(
    client: AsyncFeatureClient,
    *,
    max_events: int,
    keyed: bool,
    strategy: Callable[[], Loaded | None] = lambda: None,
) -> Starlette:
    """Return the routes as an application; errors are problem details.

    Parameters
    ----------
    client, max_events, keyed
        See `document`.
    strategy
        Returns the one that decides now.
    """

    @lru_cache(maxsize=4)
    def described(version: str) -> tuple[bytes, bytes]:
        """The document and the page while a version of the strategy decides."""
        now = strategy() if version else None
        api = document(
            client.catalog,
            max_events=max_events,
            keyed=keyed,
            strategy=None if now is None else now.strategy,
        )
        return msgspec.json.encode(api), page(api).encode()

    def api_now() -> tuple[bytes, bytes]:
        now = strategy()
        return described("" if now is None else now.version)

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
        return json(api_now()[0])

    async def docs(_: Request) -> Response:
        return Response(api_now()[1], media_type="text/html", headers=_PAGE)

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
