"""Files that are not what they were end a watched run at once; what may pass starts it anew."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nextbest.features import SourceError, StoreError
from nextbest.flows.commands.inputs import Job
from nextbest.flows.commands.member import lasts
from nextbest.flows.sources.opening import unreadable
from tests.flows.test_cli import Nextbest, event, home, ndjson, nextbest, one_line

__all__ = ["home", "nextbest"]

FILES = Job(paths=(Path("a.ndjson"),), catalog="shop:catalog")
TOPIC = Job(topic="clicks", catalog="shop:catalog")


@pytest.mark.parametrize("how", [("--supervise",), ("--processes", "2")], ids=["one", "two"])
def test_a_file_that_was_cut_off_is_not_tried_again(
    home: Path, nextbest: Nextbest, how: tuple[str, ...]
) -> None:
    path = home / "a.ndjson"
    path.write_text(ndjson(*(event(n) for n in range(5))))
    run = ("run", "a.ndjson", "--catalog", "shop:catalog")
    assert nextbest(*run).code == 0
    os.truncate(path, 10)
    result = nextbest(*run, *how)
    if "2" not in how:  # of two, the other may be the first to be heard of
        assert "has changed since it was read" in one_line(result)
    assert "has changed since it was read" in result.err.splitlines()[-1]
    assert result.code == 1
    assert "gave up" not in result.err


def caused(cause: BaseException) -> SourceError:
    try:
        raise unreadable(Path("a.ndjson.gz"), cause) from cause
    except SourceError as error:
        return error


def test_what_may_pass_is_tried_again() -> None:
    assert lasts(SourceError("a.ndjson: has changed since it was read"), FILES)
    assert not lasts(caused(EOFError("ended before the end")), FILES)
    assert not lasts(caused(OSError(errno.EIO, "Input/output error")), FILES)
    assert not lasts(SourceError("clicks at b:9092: no answer from a Kafka broker"), TOPIC)
    assert not lasts(StoreError("redis://cache: no answer"), FILES)
