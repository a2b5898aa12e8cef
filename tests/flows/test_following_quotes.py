"""A quote that is never closed, in CSV that is followed: it costs its row, and soon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flows.row_cases import OURS, decode, part_of
from tests.flows.test_following import Clock, append, clock, read_for

__all__ = ["clock"]


def row(n: int, category: str = "hats") -> bytes:
    return f"{n},1767225600,ann,view,{category},,,\n".encode()


def read(part: Any, clock: Clock, seconds: float) -> tuple[list[str], list[int]]:
    """The ids of the events that came, and the lines of the dead letters."""
    events, letters = decode(read_for(part, clock, seconds))
    return [event["event_id"] for event in events], [letter.line for letter in letters]


def test_what_is_behind_a_stray_quote_comes_soon(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(OURS.encode() + row(1) + row(2, '"5 inch') + row(3))
    part = part_of(file, follow=True)
    assert read(part, clock, 4.9) == (["1"], [])
    state = part.snapshot()
    # Without another byte.
    assert read(part, clock, 0.3) == (["3"], [3])
    assert read(part_of(file, state=state, follow=True), clock, 5.3) == (["3"], [3])
    append(file, row(4))
    assert read(part, clock, 0.1) == (["4"], [])


@pytest.mark.parametrize("each", [0.2, 1.0])
def test_a_file_that_never_rests_goes_on_too(tmp_path: Path, clock: Clock, each: float) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(OURS.encode() + row(0, '"odd'))
    part = part_of(file, follow=True)
    came: list[str] = []
    for n in range(1, int(12 / each)):
        append(file, row(n))
        came += read(part, clock, each)[0]
    assert came == [str(n) for n in range(1, int(12 / each))]


def test_a_row_that_is_being_written_is_waited_for(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(OURS.encode() + b'1,1767225600,ann,view,"two\nli')
    part = part_of(file, follow=True)
    assert read(part, clock, 60.0) == ([], [])
    append(file, b'nes",,,\n' + row(2))
    assert read(part, clock, 0.1) == (["1", "2"], [])
    # Not for ever, and a long one not for long.
    append(file, row(3, '"odd') + row(4) * 3000 + b"torn")
    assert read(part, clock, 4.0) == ([], [])
    events, letters = read(part, clock, 2.0)
    assert (set(events), letters) == ({"4"}, [5])
