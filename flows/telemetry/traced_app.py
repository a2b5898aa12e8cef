"""An ASGI application each of whose requests is a span."""

from __future__ import annotations

from typing import Any

from .serving import GONE, STATUS, route_of
from .tracing import Tracing

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_UNTRACED = frozenset({"/healthz", "/readyz"})


class TracedApp:
    """Traces what an application is asked; see `nextbest.flows.telemetry.tracing`.

    Parameters
    ----------
    app
        Which notes the status of its answers in a request's scope, under `STATUS`.
    tracing
        Makes the spans.
    """

    def __init__(self, app: Any, tracing: Tracing) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, use_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app, self._tracer = app, tracing.tracer
        self._extract = TraceContextTextMapPropagator().extract
        self._kind, self._use = SpanKind.SERVER, use_span
        self._error = Status(StatusCode.ERROR)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["path"] in _UNTRACED:
            await self._app(scope, receive, send)
            return
        given = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        route = route_of(scope["path"])
        about = {"http.request.method": method, "http.route": route}
        parent = self._extract(given)
        span = self._tracer.start_span(f"{method} {route}", parent, self._kind, about)
        with self._use(span, end_on_exit=True):
            try:
                await self._app(scope, receive, send)
            finally:
                status = scope.get(STATUS, GONE)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(self._error)
