"""Files that were replaced or renamed: nothing is lost, nothing is read twice."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from nextbest.features.errors import SourceError
from nextbest.flows.sources import FileSource
from tests.flows.row_cases import chunks_of
from tests.flows.test_following import Clock, append, clock, followed, lines, payload, read_for

__all__ = ["clock"]


def read(path: Path | str, state: Any = None, **more: Any) -> tuple[bytes, Any]:
    """What is new in files, and the state after it."""
    part = FileSource(path, **more).build_part("in", "0", state)
    found = payload(chunks_of(part))
    state = part.snapshot()
    part.close()
    return found, state


def begun(path: Path) -> Any:
    """The state after the first line of a file."""
    part = FileSource(path, batch_rows=1).build_part("in", "0", None)
    assert len(part.next_batch()) == 1
    state = part.snapshot()
    part.close()
    return state


def without_prints(state: Any) -> Any:
    """A state as older versions wrote it."""
    return {key: value for key, value in state.items() if key != "prints"}


@pytest.mark.parametrize("new", [lines(5, 6), lines(5, 6, 7)], ids=["size", "width"])
@pytest.mark.parametrize("whole", [True, False], ids=["read", "part"])
def test_a_file_replaced_in_place_is_refused(tmp_path: Path, new: bytes, whole: bool) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(0, 1))
    state = read(path)[1] if whole else begun(path)
    path.write_bytes(new)
    with pytest.raises(SourceError, match=r"a\.ndjson: has changed since it was read \("):
        read(path, state)


def test_both_ends_of_what_was_read_are_known(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(*range(9000)))
    state = read(path)[1]
    size = path.stat().st_size
    for place in (5, size - 4):
        with path.open("r+b") as file:
            file.seek(place)
            before = file.read(1)
            file.seek(place)
            file.write(b"5")
            assert before != b"5"
        with pytest.raises(SourceError, match="has changed since it was read"):
            read(path, state)
        with path.open("r+b") as file:
            file.seek(place)
            file.write(before)
    append(path, lines(1))
    assert read(path, state)[0] == lines(1)


def test_a_packed_file_replaced_in_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(lines(0, 1), mtime=0))
    state = read(path)[1]
    assert read(path, state)[0] == b""
    other = gzip.compress(lines(1, 0), mtime=0)
    assert len(other) == path.stat().st_size
    path.write_bytes(other)
    with pytest.raises(SourceError, match="has changed since it was read"):
        read(path, state)


def test_a_followed_file_replaced_in_place_is_refused(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(0, 1))
    part = followed(path)
    assert payload(read_for(part, clock)) == lines(0, 1)
    path.write_bytes(lines(5, 6))
    os.utime(path, (1, 1))  # however coarse the clock of the file system is
    with pytest.raises(SourceError, match=r"has changed since it was read \(16 bytes then, 16 now"):
        read_for(part, clock)


def test_marks_of_older_states_stay(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(lines(0))
    (tmp_path / "b.ndjson").write_bytes(lines(1))
    old = without_prints(read(tmp_path)[1])
    append(tmp_path / "b.ndjson", lines(2))
    found, state = read(tmp_path, old)
    assert found == lines(2)
    # From now on it is known which files they are.
    (tmp_path / "a.ndjson").write_bytes(lines(7))
    with pytest.raises(SourceError, match=r"a\.ndjson: has changed since it was read"):
        read(tmp_path, state)


def test_a_file_has_one_name_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "b.ndjson").write_bytes(lines(0))
    monkeypatch.chdir(tmp_path / "in")
    found, state = read("../b.ndjson")
    assert found == lines(0)
    for again in (tmp_path / "b.ndjson", "../*.ndjson", "..", "../in/../b.ndjson"):
        assert read(again, state)[0] == b""
    # An older state has the path as it was spelled.
    told = os.fsencode(Path("../b.ndjson").absolute())
    mark = struct.pack("<8sqqq", hashlib.sha256(told).digest()[:8], 8, 8, 2)
    old = {"version": 1, "position": 1, "seq": 1, "current": os.fsdecode(told), "files": mark}
    found, state = read("../b.ndjson", old)
    assert found == b""
    assert read(tmp_path / "b.ndjson", state)[0] == b""


def test_dots_behind_a_link_are_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "a.ndjson").write_bytes(lines(1))
    (tmp_path / "a.ndjson").write_bytes(lines(0))
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    assert read(tmp_path / "link" / ".." / "a.ndjson")[0] == lines(1)


def test_a_renamed_file_is_known_again(tmp_path: Path) -> None:
    a, b = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    a.write_bytes(lines(0, 1))
    state = read(tmp_path)[1]
    a.rename(b)
    append(b, lines(2))
    found, state = read(tmp_path, state)
    assert found == lines(2)
    # Its old name is free for another one, and as good for the same again.
    a.write_bytes(lines(0, 1))
    found, state = read(tmp_path, state)
    assert found == lines(0, 1)
    a.unlink()
    b.rename(a)
    assert read(tmp_path, state)[0] == b""


def test_a_file_renamed_when_read_in_part_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(lines(0, 1))
    state = begun(tmp_path / "a.ndjson")
    (tmp_path / "a.ndjson").rename(tmp_path / "b.ndjson")
    assert read(tmp_path, state)[0] == lines(1)


def test_two_names_of_one_file_are_two_files(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(lines(0))
    state = read(tmp_path)[1]
    os.link(tmp_path / "a.ndjson", tmp_path / "b.ndjson")
    found, state = read(tmp_path, state)
    assert found == lines(0)
    assert read(tmp_path, state)[0] == b""


@pytest.mark.parametrize("pause", [0.1, 0.7], ids=["at-once", "later"])
def test_logs_are_rotated_while_they_are_followed(
    tmp_path: Path, clock: Clock, pause: float
) -> None:
    logs = [tmp_path / f"log{n}.ndjson" for n in range(4)]
    part = followed(tmp_path)
    for n in range(4):
        logs[0].write_bytes(lines(10 * n))
        assert payload(read_for(part, clock, 0.7)) == lines(10 * n)
        append(logs[0], lines(10 * n + 1))  # the last word before it is renamed
        for old, new in zip(reversed(logs[:-1]), reversed(logs[1:]), strict=True):
            if old.exists():
                old.rename(new)
        logs[0].write_bytes(lines(10 * n + 5)[:4])
        assert payload(read_for(part, clock, pause) + read_for(part, clock, 0.7)) == lines(
            10 * n + 1
        )
        logs[0].unlink()
    state = part.snapshot()
    assert read_for(followed(tmp_path, state), clock, 0.7) == []


def test_a_file_replaced_while_it_is_read_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(lines(0, 1))
    part = FileSource(path, batch_rows=1).build_part("in", "0", None)
    part.next_batch()
    (tmp_path / "_new").write_bytes(lines(5, 6))
    (tmp_path / "_new").rename(path)
    assert payload(chunks_of(part)) == lines(1)
    with pytest.raises(SourceError, match="has changed since it was read"):
        read(path, part.snapshot())
