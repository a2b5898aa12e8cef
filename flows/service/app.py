"""The service as an ASGI application.

The hot routes are called straight from a dict; everything else goes through Starlette.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from ...features.errors import LogAwayError, NextbestError, RowError, StateError, StoreError
from ..telemetry.serving import GONE, STATUS, noting, route_of
from .customers import CustomersRoute
from .decide import DecideRoute
from .decide_batch import BatchRoute
from .events import EventsRoute
from .hosts import Hosts
from .http import (
    ClientGoneError,
    Receive,
    Reply,
    Scope,
    Send,
    header,
    send_answer,
    send_problem,
)
from .lookups import FeaturesRoute
from .outcomes import OutcomesRoute
from .problems import ProblemError
from .whys import WhyRoute

Handler = Callable[[Scope, Receive], Awaitable[tuple[int, bytes]]]

Below = Callable[[Scope, bytes], Awaitable[tuple[int, bytes]]]
"""A handler of paths that have an id in them, which it is given as it was escaped."""

Straight = Callable[[Scope, bytes, Reply], bool]
"""A handler that needs no task: it begins to answer, or returns False and has done nothing."""

OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that need no API key."""
_log = logging.getLogger("nextbest.service")


class LoopRoutes(NamedTuple):
    """What is served of a strategy."""

    decide: DecideRoute
    batch: BatchRoute
    outcomes: OutcomesRoute
    whys: WhyRoute
    customers: CustomersRoute


class Routes(NamedTuple):
    """What is served of one declaration.

    Attributes
    ----------
    events, lookups
        The hot routes.
    rest
        An ASGI application for all other paths.
    loop
        The routes of decisions; None: there are none.
    """

    events: EventsRoute
    lookups: FeaturesRoute
    rest: Callable[[Scope, Receive, Send], Awaitable[None]]
    loop: LoopRoutes | None = None


class App:
    """Dispatches requests, and turns every failure into problem details.

    Parameters
    ----------
    routes
        What is served.
    api_keys
        One of which a request must carry; none: all may come.
    hosts
        Which names the service answers to; None: to all.
    """

    def __init__(
        self, routes: Routes, api_keys: Sequence[str] = (), hosts: Hosts | None = None
    ) -> None:
        self._keys = [key.encode() for key in api_keys]
        self._hosts = hosts
        self.take_up(routes)

    def take_up(self, routes: Routes) -> None:
        """Serve these from now on; requests under way end as they began."""
        self._hot: dict[str, dict[str, Handler]] = {
            "/v1/features": {"POST": routes.lookups.post},
            "/v1/events": {"POST": routes.events.post},
        }
        self._below: list[tuple[bytes, bytes, Below]] = [
            (b"/v1/features/", b"", routes.lookups.get)
        ]
        self._straight: dict[str, Straight] = {}
        if routes.loop is not None:
            self._straight["/v1/decide"] = routes.loop.decide.begin
            self._hot["/v1/decide"] = {"POST": routes.loop.decide.post}
            self._hot["/v1/decide/batch"] = {"POST": routes.loop.batch.post}
            self._hot["/v1/outcomes"] = {"POST": routes.loop.outcomes.post}
            self._below += [
                (b"/v1/decisions/", b"/why", routes.loop.whys.get),
                (b"/v1/customers/", b"", routes.loop.customers.get),
            ]
        self._rest = routes.rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["path"]
        try:
            self._check(scope)
            raw: bytes = scope["raw_path"]
            methods = self._hot.get(path)
            if methods is not None:
                handler = methods.get(scope["method"])
                if handler is None:
                    raise not_allowed(scope["method"], tuple(methods))
                status, body = await handler(scope, receive)
            elif (found := self._found_below(raw)) is not None:
                if scope["method"] != "GET":
                    raise not_allowed(scope["method"], ("GET",))
                get, raw_id = found
                status, body = await get(scope, raw_id)
            else:
                await self._rest(scope, receive, noting(scope, send))
                return
        except ClientGoneError:
            return
        except Exception as error:
            problem = self._problem(error, scope)
            scope[STATUS] = problem.status
            await send_problem(send, problem, path)
        else:
            scope[STATUS] = status
            await send_answer(send, status, body)

    def begin(
        self,
        scope: Scope,
        body: bytes,
        send: Send,
        run: Callable[[Coroutine[Any, Any, None]], None],
        done: Callable[[int], None] | None = None,
    ) -> bool:
        """Begin to answer a request without a task of its own, which would cost more than most do.

        Parameters
        ----------
        scope, body, send
            The request.
        run
            Runs a coroutine in a task.
        done
            Told the status when it is answered.

        Returns
        -------
        False: nothing was begun, and the request is for ``__call__``, as is all that is special.
        """
        begin = self._straight.get(scope["path"])
        if begin is None or scope["method"] != "POST":
            return False

        def by(answer: Awaitable[tuple[int, bytes]]) -> None:
            run(self._finish(scope, send, answer, done))

        try:
            self._check(scope)
            return begin(scope, body, Reply(send, run, by, done))
        except Exception:  # whatever it is, it comes up there again, and is answered
            return False

    async def _finish(
        self,
        scope: Scope,
        send: Send,
        answer: Awaitable[tuple[int, bytes]],
        done: Callable[[int], None] | None,
    ) -> None:
        status = GONE
        try:
            try:
                status, body = await answer
            except Exception as error:
                problem = self._problem(error, scope)
                status = problem.status
                await send_problem(send, problem, scope["path"])
            else:
                await send_answer(send, status, body)
        finally:
            if done is not None:
                done(status)

    def _check(self, scope: Scope) -> None:
        """Refuse who may not ask."""
        if self._keys and scope["path"] not in OPEN:
            self._admit(scope)
        if self._hosts is not None and not self._hosts.admit(header(scope, b"host")):
            raise _misdirected(scope)

    def _found_below(self, raw: bytes) -> tuple[Below, bytes] | None:
        """Return the handler of a path with an id in it, and the id."""
        for begin, end, get in self._below:
            if raw.startswith(begin) and raw.endswith(end) and len(raw) > len(begin) + len(end):
                return get, raw[len(begin) : len(raw) - len(end)]
        return None

    def _admit(self, scope: Scope) -> None:
        given = header(scope, b"x-api-key")
        if given is None:
            scheme, _, token = (header(scope, b"authorization") or b"").partition(b" ")
            given = token.strip() if scheme.lower() == b"bearer" else None
        # All are compared, and each in constant time: how long it takes says nothing.
        known = [hmac.compare_digest(given or b"", key) for key in self._keys]
        if given is None or not any(known):
            what = "no API key" if given is None else "this API key is not known"
            raise ProblemError(
                "unauthorized",
                f"{what}; send Authorization: Bearer ... or X-API-Key: ...",
                headers=[(b"www-authenticate", b"Bearer")],
            )

    def _problem(self, error: Exception, scope: Scope) -> ProblemError:
        """Return what the caller is told; the log is told more."""
        if isinstance(error, ProblemError):
            return error
        where = f"{scope['method']!r:.20} {route_of(scope['path'])}"
        if isinstance(error, StoreError):
            _log.warning("%s: %s", where, error)
            # What the store said may name hosts; the caller needs to know that waiting helps.
            away = "event log" if isinstance(error, LogAwayError) else "online store"
            return ProblemError(
                "store-away", f"the {away} does not answer; try again soon",
                headers=[(b"retry-after", b"1")],
            )  # fmt: skip
        if isinstance(error, RowError | StateError):
            _log.error("%s: %s", where, error)
            return ProblemError("unreadable-row", str(error))
        if isinstance(error, NextbestError):
            return ProblemError("invalid-request", str(error))
        _log.error("%s", where, exc_info=error)
        return ProblemError("internal-error", "this is a mistake of ours; the service's log has it")


def _misdirected(scope: Scope) -> ProblemError:
    shown = (header(scope, b"host") or b"").decode("latin-1")
    return ProblemError(
        "misdirected",
        f"Host {shown!r:.80} is not this machine; ask for localhost, or set API keys",
        headers=[(b"connection", b"close")],
    )


def not_allowed(method: str, allowed: Sequence[str]) -> ProblemError:
    """Return the problem of a method that a path does not have.

    >>> not_allowed("PUT", ("GET",)).detail
    'PUT is not allowed here, but GET is'
    """
    listed = ", ".join(allowed)
    return ProblemError(
        "method-not-allowed", f"{method} is not allowed here, but {listed} is",
        headers=[(b"allow", listed.encode())],
    )  # fmt: skip


def pages_problem(error: Any) -> ProblemError:
    """Return Starlette's own errors as problems."""
    allowed = (error.headers or {}).get("Allow")
    if error.status_code == 405 and allowed:
        return not_allowed("this method", allowed.split(", "))
    return ProblemError("not-found", "there is no such route; GET /docs lists them")
