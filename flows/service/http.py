"""The thin part of HTTP that the hot routes need: reading a body, sending an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from .patience import Patience
from .problems import PROBLEM_TYPE, ProblemError, explained
from .protocol import send_whole

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_T = TypeVar("_T")

JSON = b"application/json"
NDJSON = frozenset({b"application/x-ndjson", b"application/ndjson", b"application/jsonl"})
_HEAD = (
    b"content-type: %b\r\ncontent-length: %d\r\n"
    b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
)
_CLOSE = ((b"connection", b"close"),)
"""What is left of a body that was not read to its end cannot be told from a next request."""


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


def header(scope: Scope, wanted: bytes) -> bytes | None:
    """Return the first header of a name (in small letters), None without one.

    >>> header({"headers": [(b"host", b"here")]}, b"host")
    b'here'
    """
    for name, value in scope["headers"]:
        if name == wanted:
            found: bytes = value
            return found
    return None


def media_type(scope: Scope) -> bytes:
    """Return the body's type without parameters, in small letters.

    Raises
    ------
    ProblemError
        If it is of a character set other than UTF-8, or compressed.

    Examples
    --------
    >>> media_type({"headers": [(b"content-type", b"Application/JSON; charset=utf-8")]})
    b'application/json'
    """
    said: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"content-type":
            said = value if said is None else said
        elif name == b"content-encoding":
            _check_codings(value)
    kind, _, parameters = (said or b"").lower().partition(b";")
    if b"charset" in parameters and b"utf-8" not in parameters and b"utf8" not in parameters:
        shown = parameters.strip().decode(errors="replace")
        raise ProblemError("unsupported-media-type", f"{shown:.80}: JSON is UTF-8")
    return kind.strip()


def is_plain(scope: Scope) -> bool:
    """Whether a body is JSON for sure; else `media_type` says what it is.

    >>> is_plain({"headers": [(b"content-type", JSON)]})
    True
    >>> is_plain({"headers": [(b"content-type", JSON), (b"content-encoding", b"gzip")]})
    False
    """
    found = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value != JSON:
                return False
            found = True
        elif name == b"content-encoding":
            return False
    return found


def _check_codings(codings: bytes) -> None:
    """Refuse a body that would have to be decompressed: of what size it would be, none can tell."""
    for coding in codings.lower().split(b","):
        if coding.strip() not in (b"", b"identity"):
            shown = coding.strip().decode(errors="replace")
            raise ProblemError(
                "unsupported-media-type",
                f"content-encoding {shown!r:.80}: send the body as it is, not compressed",
                headers=[(b"accept-encoding", b"identity")],
            )


async def read_body(scope: Scope, receive: Receive, most: int, seconds: float) -> bytes:
    """Read the body of a request.

    Raises
    ------
    ProblemError
        If it has more than ``most`` bytes, or is not there after so many seconds.
    ClientGoneError
        If the caller went away.
    """
    announced = header(scope, b"content-length")
    if announced is not None and announced.isdigit() and int(announced[:20]) > most:
        raise _too_large(int(announced[:20]), most)
    try:
        with _patience(seconds).limit():
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                body: bytes = message.get("body", b"")
                size = len(body)
            else:
                parts = []
                size = 0
                while True:
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most or not message.get("more_body"):
                        break
                    message = await receive()
                body = b"".join(parts)
    except TimeoutError:
        raise ProblemError(
            "request-timeout", f"the body did not come within {seconds:g} s", headers=_CLOSE
        ) from None
    if size > most:
        raise _too_large(size, most)
    return body


async def read_typed(
    scope: Scope, receive: Receive, most: int, seconds: float, *, lines: bool = False
) -> tuple[bytes, bytes]:
    """Return the type and the body of a request that has to be JSON, or lines of it if allowed.

    Raises
    ------
    ProblemError
        If it is of another type, or compressed, or as `read_body`.
    ClientGoneError
        If the caller went away.
    """
    kind = media_type(scope)
    if kind != JSON and not (lines and kind in NDJSON):
        shown = kind.decode(errors="replace") or "no content type"
        wanted = "application/json or application/x-ndjson" if lines else "application/json"
        raise ProblemError("unsupported-media-type", f"{shown:.80}: send {wanted}")
    return kind, await read_body(scope, receive, most, seconds)


async def read_decoded(
    scope: Scope, receive: Receive, decoder: msgspec.json.Decoder[_T], most: int, seconds: float
) -> _T:
    """Return the body of a request, decoded; it has to be JSON.

    Raises
    ------
    ProblemError
        If it cannot be decoded, or as `read_typed`.
    ClientGoneError
        If the caller went away.
    """
    _, body = await read_typed(scope, receive, most, seconds)
    return decoded(decoder, body)


def decoded(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Return what a body says.

    Raises
    ------
    ProblemError
        If it is no JSON, or has a value of the wrong type.

    Examples
    --------
    >>> decoded(msgspec.json.Decoder(list[int]), b"[1, 2]")
    [1, 2]
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explained(error, body) from None


@lru_cache
def _patience(seconds: float) -> Patience:
    return Patience(seconds)


def _too_large(size: int, most: int) -> ProblemError:
    return ProblemError(
        "too-large", f"a body of {size} bytes or more, of at most {most}", headers=_CLOSE
    )


async def send_answer(
    send: Send,
    status: int,
    body: bytes,
    kind: bytes = JSON,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send a whole answer."""
    if not headers and send_whole(send, status, _HEAD % (kind, len(body)), body):
        return
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", kind),
                (b"content-length", b"%d" % len(body)),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


class Reply:
    """How a request is answered that has no task of its own: once, by either method.

    Parameters
    ----------
    send
        What the application was given to send with.
    run
        Runs a coroutine in a task.
    by
        Sends what a coroutine makes of the request, in a task; or the problem that it raises.
    done
        Told the status of an answer.
    """

    __slots__ = ("_done", "_run", "_send", "by")

    def __init__(
        self,
        send: Send,
        run: Callable[[Coroutine[Any, Any, None]], None],
        by: Callable[[Awaitable[tuple[int, bytes]]], None],
        done: Callable[[int], None] | None = None,
    ) -> None:
        self._send, self._run, self.by, self._done = send, run, by, done

    def whole(self, status: int, body: bytes) -> None:
        """Send an answer."""
        if not send_whole(self._send, status, _HEAD % (JSON, len(body)), body):
            self._run(send_answer(self._send, status, body))
        if self._done is not None:
            self._done(status)


async def send_problem(send: Send, problem: ProblemError, instance: str) -> None:
    """Send an error."""
    body = problem.body(instance)
    await send_answer(send, problem.status, body, PROBLEM_TYPE, problem.headers)
