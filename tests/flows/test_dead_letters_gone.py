"""The dead letters file may be removed, moved or made shorter: no later run ends because of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nextbest.flows.dead_letters import DeadLetter
from nextbest.flows.sinks import DeadLetterSink
from tests.flows.test_sinks import letter


@pytest.mark.parametrize("left", [None, 0, 1, 10, -1], ids=["gone", "empty", "torn", "more", "one"])
def test_a_run_goes_on_from_what_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: int | None
) -> None:
    path = tmp_path / "dead" / "letters.ndjson"
    sink = DeadLetterSink(path)
    part = sink.build_part("dead", "0", None)
    part.write_batch([letter(0)])
    one = part.snapshot()
    part.write_batch([letter(1), letter(2)])
    size = part.snapshot()
    part.close()
    if left is None:
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.truncate(left if left in (0, 1) else one if left < 0 else size - left)
    again = sink.build_part("dead", "0", size)
    assert "were written; it was moved, or made shorter" in caplog.text
    again.write_batch([letter(3)])
    after = again.snapshot()
    again.close()
    kept = [msgspec.json.decode(line, type=DeadLetter) for line in path.read_bytes().splitlines()]
    before = {None: [], 0: [], 1: [], -1: [0], 10: [0, 1]}[left]
    assert kept == [letter(n) for n in (*before, 3)]
    caplog.clear()
    sink.build_part("dead", "0", after)
    assert caplog.text == ""
    assert path.stat().st_size == after
