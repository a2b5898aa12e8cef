"""What can be wrong with a request, as the service says it (RFC 9457, problem details)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

PROBLEM_TYPE = b"application/problem+json"


class Kind(NamedTuple):
    """A problem's status, its title, and what it means for the caller."""

    status: int
    title: str
    meaning: str


KINDS = {
    "malformed-request": Kind(400, "Malformed request", "The body is not JSON; where it breaks."),
    "unauthorized": Kind(401, "API key needed", "There is no API key, or one that is not known."),
    "not-theirs": Kind(403, "Another customer's decision", "The decision's id is of another one."),
    "not-found": Kind(404, "Not found", "No such route, feature service, feature or entity."),
    "no-strategy": Kind(404, "No strategy", "None is served: see nextbest serve --strategy."),
    "unknown-decision": Kind(404, "Unknown decision", "None of this id was logged."),
    "method-not-allowed": Kind(405, "Method not allowed", "The header Allow says what is."),
    "request-timeout": Kind(408, "Request timeout", "The body did not come in time."),
    "no-longer-kept": Kind(410, "No longer kept", "The decision, or its strategy, is gone."),
    "outcome-id-taken": Kind(409, "Outcome id taken", "It was taken in, and said something else."),
    "too-large": Kind(413, "Content too large", "The body, or what it asks for, beyond a limit."),
    "misdirected": Kind(421, "Misdirected request", "The header Host names another machine."),
    "unsupported-media-type": Kind(
        415, "Unsupported media type", "Of another type, or compressed."
    ),
    "invalid-request": Kind(422, "Invalid request", "A value of the wrong type; path says which."),
    "invalid-events": Kind(422, "Invalid events", "Nothing was appended; errors says why, each."),
    "invalid-outcomes": Kind(422, "Invalid outcomes", "None was taken in; errors says why, each."),
    "internal-error": Kind(500, "Internal error", "Our mistake; the service's log says more."),
    "unreadable-row": Kind(500, "Unreadable row", "A stored row is damaged, or of another plan."),
    "store-away": Kind(503, "Store away", "The online store, or the log, is away; try again soon."),
    "archive-busy": Kind(503, "Archive busy", "Many search it, or a search took too long."),
    "not-ready": Kind(503, "Not ready", "The store does not answer within a second."),
}
"""Every problem by the name that its ``type`` ends with."""


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong, and where: the event's place in the request, the JSON path."""

    reason: str
    index: int | None = None
    path: str | None = None


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is an error."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: Sequence[Fault] = ()


class ProblemError(Exception):
    """What ends a request with an error.

    Parameters
    ----------
    kind
        A name in `KINDS`.
    detail
        What is wrong with this request.
    errors
        Each fault, where there are several or they have a place.
    headers
        Further headers of the answer.

    Examples
    --------
    >>> ProblemError("not-found", "no route /v2").body("/v2")[:66]
    b'{"type":"/docs#not-found","title":"Not found","status":404,"detail'
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        errors: Sequence[Fault] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = KINDS[kind].status
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def body(self, instance: str) -> bytes:
        """Return the JSON for the request to a path."""
        return msgspec.json.encode(
            ProblemDetails(
                f"/docs#{self.kind}",
                KINDS[self.kind].title,
                self.status,
                self.detail,
                instance,
                tuple(self.errors),
            )
        )


def explained(error: Exception, body: bytes) -> ProblemError:
    """Return what a decoder's error means: no JSON at all, or a value of the wrong type.

    >>> try:
    ...     msgspec.json.decode(b'{"at": NaN}')
    ... except msgspec.DecodeError as error:
    ...     print(explained(error, b""))
    JSON is malformed: invalid character (byte 7)
    """
    if isinstance(error, msgspec.ValidationError):
        reason, at, path = str(error).partition(" - at `")
        fault = Fault(reason, path=path[:-1] if at else "$")
        return ProblemError("invalid-request", str(error), [fault])
    if isinstance(error, UnicodeDecodeError):
        try:
            body.decode()
        except UnicodeDecodeError as whole:  # a decoder counts from the string's beginning
            return ProblemError("malformed-request", f"invalid UTF-8 (byte {whole.start})")
    if isinstance(error, RecursionError):
        return ProblemError("malformed-request", "JSON is nested too deeply")
    text = str(error)
    if "(byte" not in text:
        text = f"{text[:1].lower()}{text[1:]} (byte {len(body)})"
    return ProblemError("malformed-request", text)
