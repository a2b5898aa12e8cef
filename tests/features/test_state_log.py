"""One blob that outlives its process: the latest that was committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextbest.features import StateError, background
from nextbest.features.state_log import StateLog


def test_the_latest_wins(tmp_path: Path) -> None:
    log = StateLog(tmp_path, "learner")
    assert log.load() is None
    first = log.save(b"one")
    assert log.load() == b"one"
    second = log.save(b"two" * 1000)
    assert StateLog(tmp_path, "learner", second).load() == b"two" * 1000
    assert StateLog(tmp_path, "learner", first).load() == b"one"  # cuts off what came later
    with pytest.raises(StateError, match="not a state log, or cut off"):
        StateLog(tmp_path, "learner", second)


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    log = StateLog(tmp_path, "learner")
    first = log.save(b"same")
    assert log.save(b"same") == first
    assert log.save(b"other")["end"] > first["end"]
    assert log.load() == b"other"


def test_other_states_are_left_alone(tmp_path: Path) -> None:
    kept = StateLog(tmp_path, "offers").save(b"offers")
    StateLog(tmp_path, "learner").save(b"lost")
    StateLog(tmp_path, "learner").save(b"lost, too")
    assert StateLog(tmp_path, "offers", kept).load() == b"offers"
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(StateError, match="of another state"):
        StateLog(tmp_path, "learner", kept)


def test_old_files_go_three_saves_later(tmp_path: Path) -> None:
    log = StateLog(tmp_path, "learner", seal_bytes=100)
    manifests = []
    for n in range(30):
        manifests.append(log.save(bytes([n]) * 60))
        for manifest in manifests[-3:]:
            assert (tmp_path / manifest["log"]).exists()
    background.submit(lambda: None).result()
    assert len(list(tmp_path.iterdir())) <= 4
    assert StateLog(tmp_path, "learner", manifests[-1]).load() == bytes([29]) * 60


def test_damage_names_file_and_offset(tmp_path: Path) -> None:
    log = StateLog(tmp_path, "learner")
    log.save(b"before")
    manifest = log.save(b"weights")
    path = tmp_path / manifest["log"]
    data = bytearray(path.read_bytes())
    data[-2] ^= 4
    path.write_bytes(data)
    with pytest.raises(StateError, match=rf"{path.name}: the record at byte 22 is damaged"):
        StateLog(tmp_path, "learner", manifest).load()
    path.unlink()
    with pytest.raises(StateError, match=rf"{path.name}: the state log is gone"):
        StateLog(tmp_path, "learner", manifest)
