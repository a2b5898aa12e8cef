"""What tests of the dataflow share: a data directory with a server of its own, a run of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from bytewax import operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink

from nextbest.flows.embedded import stop_server
from nextbest.flows.sources import EventSource, RawChunk
from tests.conftest import RunFlow


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory; a server that a test starts there ends with it."""
    yield tmp_path / "data"
    stop_server(tmp_path / "data")


class Run(Protocol):
    """Run a real dataflow and return the chunks that came out of it."""

    def __call__(
        self,
        source: EventSource[Any],
        recovery: Path | None = None,
        look: Callable[[RawChunk], None] = ...,
    ) -> list[RawChunk]: ...


@pytest.fixture
def run(run_flow: RunFlow) -> Run:
    """See `Run`."""

    def run(
        source: EventSource[Any],
        recovery: Path | None = None,
        look: Callable[[RawChunk], None] = lambda chunk: None,
    ) -> list[RawChunk]:
        chunks: list[RawChunk] = []
        flow = Dataflow("flow")
        stream = op.input("in", flow, source)

        def step(chunk: RawChunk) -> RawChunk:
            look(chunk)
            return chunk

        op.output("out", op.map("look", stream, step), TestingSink(chunks))
        run_flow(flow, recovery, every=0.02)
        return chunks

    return run
