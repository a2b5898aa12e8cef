"""State as a full copy and changes: what is written is bounded, and nothing committed is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextbest.features import StateError
from nextbest.flows.decision.increments import IncrementLog


def _files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.log"))


def test_any_manifest_that_was_committed_is_what_is_found(tmp_path: Path) -> None:
    state: list[bytes] = []
    log = IncrementLog(tmp_path, "x", least_bytes=20)
    for n in range(50):
        change = f"{n:03d}".encode()
        state.append(change)
        manifest = log.save(change, lambda: b"".join(state))
        if n % 7 == 0:
            log.save(b"not committed", lambda: b"nor this")
            log = IncrementLog(tmp_path, "x", manifest, least_bytes=20)
            full, changes = log.load()
            assert (full or b"") + b"".join(changes) == b"".join(state)


def test_what_is_written_is_a_few_times_what_changed(tmp_path: Path) -> None:
    log = IncrementLog(tmp_path, "x", least_bytes=1000)
    changed = written = copies = 0

    def full() -> bytes:
        nonlocal written, copies
        written, copies = written + changed, copies + 1
        return bytes(changed)

    for _ in range(500):
        changed += 100
        log.save(bytes(100), full)
    assert written < 3 * 50_000
    assert copies < 20


def test_old_files_go_and_nothing_changed_writes_nothing(tmp_path: Path) -> None:
    log = IncrementLog(tmp_path, "x", least_bytes=1)
    (tmp_path / "y-00000001-aa.log").write_bytes(b"another's")
    manifest = log.save(b"change", lambda: b"full")
    same = log.save(None, lambda: b"never asked for")
    assert same == manifest
    IncrementLog(tmp_path, "x", manifest)
    assert _files(tmp_path) == [manifest["log"], "y-00000001-aa.log"]


def test_a_manifest_of_something_else_is_refused(tmp_path: Path) -> None:
    manifest = IncrementLog(tmp_path, "x").save(b"a", lambda: b"a")
    with pytest.raises(StateError, match="y: the manifest is of another state or format"):
        IncrementLog(tmp_path, "y", manifest)
    (tmp_path / manifest["log"]).unlink()
    with pytest.raises(StateError, match="is gone"):
        IncrementLog(tmp_path, "x", manifest)
