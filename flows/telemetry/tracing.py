"""Traces by OpenTelemetry, if its standard variables say where they are to go.

A request is a span, as its ``traceparent`` header says part of a longer trace. An event that is
published in it carries that through the log; when its row is stored the worker adds a span from
the moment that it read the event. A decision is a span of its own, whose ids follow from the
decision's id: an outcome that is told to whichever process, at any later time, links to it,
whether it is posted or comes by the log. A batch is a span with its size; of its decisions the
first ones have spans too. Of customers nothing is said but what a decision's id has, a hash.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ...features.errors import SettingsError
from ..decision.errors import RequestError
from ..decision.ids import parse_id
from ..decision.record import RESPONSES, Record, Response
from .context import Traced
from .names import OTHER
from .policies import policy_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext

SHARE = 0.01
"""Of the requests that come without a trace, that begin one; ``OTEL_TRACES_SAMPLER`` says other."""
MOST_DECISIONS = 64
"""Of a batch that have spans of their own."""
MOST_OUTCOMES = 64
"""Of a chunk of the log that have spans, those first that are part of a trace."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_SAMPLERS = (
    "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
    "parentbased_traceidratio",
)  # fmt: skip
_SHARE_FORM = re.compile(r"0?\.\d+|[01](\.0*)?")
_CLOSE_SECONDS = 5.0
_given: ContextVar[tuple[int, int] | None] = ContextVar("given", default=None)
_tracing: Tracing | None = None


def wanted(environ: Mapping[str, str]) -> bool:
    """Return whether the environment says where traces go.

    >>> wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}), wanted({})
    (True, False)
    """
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    none = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    return not off and not none and any(environ.get(name, "").strip() for name in _ENDPOINTS)


def decision_ids(decision: str) -> tuple[int, int]:
    """Return the ids of the trace and of the span of a decision.

    >>> decision_ids("d-1") == decision_ids("d-1") != decision_ids("d-2")
    True
    """
    made = blake2b(decision.encode(), digest_size=24).digest()
    return int.from_bytes(made[:16]) or 1, int.from_bytes(made[16:]) or 1


class Tracing:
    """Makes spans and sends them, until it is closed.

    Parameters
    ----------
    service
        The name of the service in traces, unless ``OTEL_SERVICE_NAME`` says other.
    version
        Ours.
    environ
        The variables that this module looks at; the exporter reads those of the process.

    Raises
    ------
    SettingsError
        If OpenTelemetry is not installed, or a variable asks for what there is not.
    """

    def __init__(self, service: str, version: str, environ: Mapping[str, str] = os.environ) -> None:
        for name in _PROTOCOLS:
            if environ.get(name, "").strip() not in ("", "http/protobuf"):
                raise SettingsError(f"{name}={environ[name]!r}: there is http/protobuf")
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"{_ENDPOINTS[0]}: traces need {error.name}: pip install 'nextbest[telemetry]'"
            ) from None
        named = {"service.version": version}
        if not environ.get("OTEL_SERVICE_NAME"):
            named["service.name"] = service
        self.provider: TracerProvider = TracerProvider(
            sampler=_sampler(environ), resource=Resource.create(named), id_generator=_ids(),
            shutdown_on_exit=False,
        )  # fmt: skip
        try:
            exporter = OTLPSpanExporter()
        except ValueError as error:
            raise SettingsError(f"{_ENDPOINTS[0]}: {error}") from None
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("nextbest", version)

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        # A collector that is away is tried again and again; nobody is to wait for it.
        last = threading.Thread(target=self.provider.shutdown, daemon=True)
        last.start()
        last.join(_CLOSE_SECONDS)

    def stored(self, traced: Iterable[Traced]) -> None:
        """Say that the rows of some events are in the store."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        now = time.time_ns()
        for one in traced:
            parent = TraceContextTextMapPropagator().extract({"traceparent": one.parent})
            span = self.tracer.start_span(
                "event to row", parent, SpanKind.CONSUMER,
                {"messaging.destination.partition.id": str(one.partition)},
                start_time=one.read,
            )  # fmt: skip
            span.end(max(now, one.read))

    def decided(self, record: Record) -> None:
        """Say that a decision was made in the present request, if that is traced."""
        from opentelemetry.trace import get_current_span

        request = get_current_span()
        if not request.is_recording():
            return
        request.set_attribute("nextbest.decision.id", record.id)
        self._decision(record)

    def _decision(self, record: Record) -> None:
        """Add the span of a decision, which links to the present one."""
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, get_current_span

        about = {
            "nextbest.decision.id": record.id,
            "nextbest.channel": record.channel,
            "nextbest.policy": policy_of(record),
            "nextbest.strategy.version": record.strategy,
            "nextbest.offers": [offer.action for offer in record.offers],
        }
        token = _given.set(decision_ids(record.id))
        try:
            links = [Link(get_current_span().get_span_context())]
            self.tracer.start_span("decision", Context(), attributes=about, links=links).end()
        finally:
            _given.reset(token)

    def responded(self, decision: str, response: str) -> None:
        """Say that the present request tells what came of a decision, if it is traced."""
        from opentelemetry.trace import get_current_span

        request = get_current_span()
        if request.is_recording():
            about = {"nextbest.decision.id": decision, "nextbest.response": response}
            request.add_link(_made(decision), about)

    @contextlib.contextmanager
    def batch(
        self, channel: str, size: int, *, commit: bool
    ) -> Iterator[Callable[[Iterable[Record]], None]]:
        """Say how long a batch of decisions takes, if the present request is traced.

        Parameters
        ----------
        channel, size
            Of all, and how many customers there are.
        commit
            Whether it is no dry run.

        Yields
        ------
        What is to be told the decisions that were made.
        """
        about: dict[str, str | int] = {
            "nextbest.channel": channel, "nextbest.batch.size": size,
            "nextbest.batch.commit": commit,
        }  # fmt: skip
        with self.tracer.start_as_current_span(
            "decide batch", attributes=about, record_exception=False, set_status_on_exception=False
        ) as span:  # what fails is said by the request's span, without words that may name somebody

            def told(records: Iterable[Record]) -> None:
                if not span.is_recording():
                    return
                made = 0
                for record in records:
                    if made < MOST_DECISIONS:
                        self._decision(record)
                    made += 1
                span.set_attribute("nextbest.batch.decided", made)

            yield told

    def heard(self, told: Sequence[tuple[Response, str | None]], partition: int, read: int) -> None:
        """Say that outcomes were found in the log, and which decisions they are of.

        Parameters
        ----------
        told
            Each with the trace that it is part of, as in a ``traceparent``; None: it is in none,
            and the sampler chooses.
        partition
            Of the log.
        read
            When, nanoseconds since 1970.
        """
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        extract = TraceContextTextMapPropagator().extract
        for said, trace in sorted(told, key=lambda one: one[1] is None)[:MOST_OUTCOMES]:
            try:
                parse_id(said.decision_id)
            except RequestError:  # whatever its writer made of it
                continue
            about = {
                "messaging.destination.partition.id": str(partition),
                "nextbest.decision.id": said.decision_id,
                "nextbest.response": said.response if said.response in RESPONSES else OTHER,
            }
            parent = Context() if trace is None else extract({"traceparent": trace}, Context())
            self.tracer.start_span(
                "outcome from the log", parent, SpanKind.CONSUMER, about,
                [Link(_made(said.decision_id))], start_time=read,
            ).end()  # fmt: skip


def begin(service: str, version: str, environ: Mapping[str, str] = os.environ) -> Tracing | None:
    """Begin to trace in this process, if the environment says where to.

    Raises
    ------
    SettingsError
        See `Tracing`.
    """
    global _tracing
    _tracing = Tracing(service, version, environ) if wanted(environ) else None
    return _tracing


def end() -> None:
    """Send what waits, and trace no more."""
    global _tracing
    ended, _tracing = _tracing, None
    if ended is not None:
        ended.close()


def is_on() -> bool:
    """Return whether this process traces."""
    return _tracing is not None


def is_recording() -> bool:
    """Return whether the present span is one that is sent."""
    if _tracing is None:
        return False
    from opentelemetry.trace import get_current_span

    return get_current_span().is_recording()


def stored(traced: Iterable[Traced]) -> None:
    """See `Tracing.stored`; without tracing, nothing."""
    if _tracing is not None:
        _tracing.stored(traced)


def decided(record: Record) -> None:
    """See `Tracing.decided`; without tracing, nothing."""
    if _tracing is not None:
        _tracing.decided(record)


def responded(decision: str, response: str) -> None:
    """See `Tracing.responded`; without tracing, nothing."""
    if _tracing is not None:
        _tracing.responded(decision, response)


@contextlib.contextmanager
def batch(channel: str, size: int, *, commit: bool) -> Iterator[Callable[[Iterable[Record]], None]]:
    """See `Tracing.batch`; without tracing, nothing."""
    if _tracing is None:
        yield lambda records: None
        return
    with _tracing.batch(channel, size, commit=commit) as told:
        yield told


def heard(told: Sequence[tuple[Response, str | None]], partition: int, read: int) -> None:
    """See `Tracing.heard`; without tracing, nothing."""
    if _tracing is not None:
        _tracing.heard(told, partition, read)


def _made(decision: str) -> SpanContext:
    """Return what links to a decision."""
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(*decision_ids(decision), True, TraceFlags(TraceFlags.SAMPLED))


def _sampler(environ: Mapping[str, str]) -> Any:
    """Return the standard's sampler; what has ids of ours is kept in any case."""
    from opentelemetry.sdk.trace import sampling

    named = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if named:
        share = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
        if named not in _SAMPLERS:
            raise SettingsError(f"OTEL_TRACES_SAMPLER={named!r}: there are {', '.join(_SAMPLERS)}")
        if named.endswith("ratio") and not _SHARE_FORM.fullmatch(share):
            raise SettingsError(f"OTEL_TRACES_SAMPLER_ARG={share!r}: {named} needs a share, 0 to 1")
        inner = sampling._get_from_env_or_default()
    else:
        inner = sampling.ParentBased(sampling.TraceIdRatioBased(SHARE))

    class Sampler(sampling.Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> sampling.SamplingResult:
            if _given.get() is not None:
                given = kwargs.get("attributes", args[4] if len(args) > 4 else None)
                return sampling.SamplingResult(sampling.Decision.RECORD_AND_SAMPLE, given)
            return inner.should_sample(*args, **kwargs)

        def get_description(self) -> str:
            return inner.get_description()

    return Sampler()


def _ids() -> Any:
    """Return random ids, but those that are given."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            given = _given.get()
            return super().generate_trace_id() if given is None else given[0]

        def generate_span_id(self) -> int:
            given = _given.get()
            return super().generate_span_id() if given is None else given[1]

    return Ids()
