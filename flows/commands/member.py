"""A worker process of `nextbest run --processes N`: ordered, watched and ended by its supervisor.

Its standard input brings the order, then words; when it ends, the supervisor is gone, and so is
this process. Its standard output brings messages, one JSON line each.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import BinaryIO

from ...features.catalog import Catalog
from ...features.errors import NextbestError, SourceError
from ...features.plans import Plans
from ..cluster import ClusterError, Member
from ..decisions import DecisionPoint
from ..peers import watching
from ..pipeline import build_flow
from ..run import run_flow
from ..telemetry.logs import set_up
from ..telemetry.observing import metered
from ..telemetry.showing import run_meter, showing_run
from .inputs import Job, acting_of, loop_of, open_source
from .measures import Measures
from .quiet import without_native_reports
from .references import load
from .reports import Ended, Failed, Message, Order, Ready, Stopping, decode_order, encode, report_of
from .warm import warm_kernels

GO, STOP = b"go\n", b"stop\n"
_REPORT_SECONDS = 0.5
_ORPHANED = 3


class _Supervisor:
    """The other end of the pipes."""

    def __init__(self, words: BinaryIO, messages: BinaryIO) -> None:
        self.stop = threading.Event()
        self.asked = threading.Event()
        self.member: Member | None = None
        self._go = threading.Event()
        self._words = words
        self._messages = messages
        self._writing = threading.Lock()

    def tell(self, message: Message) -> None:
        with self._writing, contextlib.suppress(BrokenPipeError):  # then the end is near
            self._messages.write(encode(message))
            self._messages.flush()

    def give_up(self, reason: str) -> None:
        """End at once."""
        self.tell(Failed(ClusterError.__name__, reason))
        os._exit(1)

    def listen(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()

    def let_go(self) -> bool:
        """Wait for the word to begin; False: it will not come."""
        self._go.wait()
        return not self.stop.is_set()

    def _listen(self) -> None:
        for word in self._words:
            if word == STOP:
                self.stop.set()
                if (
                    self.member is not None
                    and self._go.is_set()
                    and not self.member.formed.is_set()
                ):
                    # It waits for others who may never come, and has read nothing.
                    self.tell(Ended())
                    os._exit(0)
            self._go.set()
        os._exit(_ORPHANED)  # an orphan would work on beside the next run


def main() -> int:
    """Do what the first line of standard input says."""
    order = decode_order(sys.stdin.buffer.readline(), Order)
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What others print is no message, and what the engine prints is for nobody.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    supervisor = _Supervisor(sys.stdin.buffer, messages)
    supervisor.listen()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's business
    signal.signal(signal.SIGTERM, lambda *_: supervisor.asked.set())
    try:
        _run(order, supervisor)
    except NextbestError as error:
        supervisor.tell(Failed(type(error).__name__, str(error), lasts(error, order.job)))
        return 1
    except Exception as error:
        traceback.print_exc()
        supervisor.tell(Failed(type(error).__name__, str(error)))
        return 1
    supervisor.tell(Ended())
    return 0


def lasts(error: BaseException, job: Job) -> bool:
    """Whether a start anew would meet the same: files that are not what they were.

    A log's server comes back by itself. So may a file that could not be read, which another error
    tells of: somebody may still be writing it.
    """
    return bool(job.paths) and isinstance(error, SourceError) and error.__cause__ is None


def _run(order: Order, supervisor: _Supervisor) -> None:
    job, settings = order.job, order.settings
    set_up(settings.log_format)
    catalog = load(job.catalog, Catalog)
    point = None if job.decisions is None else load(job.decisions, DecisionPoint)
    member = Member(order.index, order.addresses) if order.addresses else None
    supervisor.member = member
    loop = loop_of(job, catalog)
    measures, meter = Measures(), run_meter(settings)
    source = open_source(job, settings, order.url, supervisor.stop, measures.outage)
    flow = build_flow(
        source,
        catalog,
        settings,
        order.url,
        decisions=point,
        loop=loop,
        acting=acting_of(job, loop, settings),
        observers=metered(measures.observers(), meter),
        member=member,
        stop=supervisor.stop,
    )
    with contextlib.ExitStack() as around:
        around.enter_context(
            showing_run(
                meter,
                settings,
                catalog.name,
                source,
                member,
                beside=order.index if job.processes > 1 else 0,
                compiled=lambda: measures.compiled_seconds,
            )
        )
        with measures.running():
            warm_kernels(Plans.compile(catalog), settings, point, loop)
        supervisor.tell(Ready())
        if not supervisor.let_go():
            return
        if member is not None:
            around.enter_context(watching(settings.data_dir, member, supervisor.give_up))
        around.enter_context(_reporting(measures, supervisor))
        around.enter_context(measures.running())
        around.enter_context(without_native_reports())
        run_flow(flow, settings, member=member)


@contextlib.contextmanager
def _reporting(measures: Measures, supervisor: _Supervisor) -> Iterator[None]:
    done = threading.Event()

    def report() -> None:
        while not done.wait(_REPORT_SECONDS):
            supervisor.tell(report_of(measures))
            if supervisor.asked.is_set():
                supervisor.tell(Stopping())  # one cannot stop alone

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        supervisor.tell(report_of(measures))


if __name__ == "__main__":
    sys.exit(main())
