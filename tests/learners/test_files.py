"""Files that hold a snapshot: the old bytes or the new ones, whatever happens between."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nextbest.learners import ActionRanker, LearnerError, files, load, save
from tests.learners.test_ranker import decisions, make, run

ROOT = Path(__file__).parents[2]


def test_what_was_saved_is_loaded_and_nothing_else_left(tmp_path):
    path = tmp_path / "model.nbcp"
    for data in (b"first", bytearray(b"second"), memoryview(b"third, which is longer"), b""):
        save(path, data)
        assert load(str(path)) == bytes(data)
    assert os.listdir(tmp_path) == ["model.nbcp"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_bytes(step, tmp_path, monkeypatch):
    path = tmp_path / "model.nbcp"
    save(path, b"old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((files.os, "fsync", fail) if step == "fsync" else (Path, step, fail)))
    with pytest.raises(LearnerError, match=r"model\.nbcp: cannot be written: No space left"):
        save(path, b"new")
    assert load(path) == b"old"
    assert os.listdir(tmp_path) == ["model.nbcp"]


def test_bytes_are_on_disk_before_they_have_the_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(files.os, "fsync", lambda fd: done.append("sync") or fsync(fd))
    monkeypatch.setattr(Path, "replace", lambda a, b: done.append("name") or replace(a, b))
    save(tmp_path / "model", b"data")
    assert done == ["sync", "name", "sync"]  # the bytes, and after its change the directory


KILLED = """
import os, sys
from nextbest.learners import files
from pathlib import Path
step, path = sys.argv[1:]
end = lambda *args: os._exit(9)
if step == "fsync":
    files.os.fsync = end
else:
    Path.replace = end
files.save(path, b"new" * 100_000)
"""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_killed_writer_leaves_the_old_bytes(step, tmp_path):
    path = tmp_path / "model.nbcp"
    save(path, b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, step, path], cwd=ROOT.parent, check=False)
    assert done.returncode == 9
    assert load(path) == b"old"
    assert len(list(tmp_path.glob("*.tmp"))) == 1
    save(path, b"newer")
    assert load(path) == b"newer"


def test_a_file_above_the_limit_is_not_read(tmp_path):
    path = tmp_path / "model"
    save(path, b"x" * 1000)
    assert len(load(path, limit=1000)) == 1000
    with pytest.raises(LearnerError, match="1000 bytes, more than 999"):
        load(path, limit=999)
    with path.open("wb") as file:
        file.truncate(5 << 30)  # a hole: it has no bytes on disk
    with pytest.raises(LearnerError, match="more than"):
        load(path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "no regular file"), ("", "cannot be read"), ("no", "No such")):
        with pytest.raises(LearnerError, match=message):
            load(tmp_path / name)
    with pytest.raises(LearnerError, match="no regular file"):
        load("/dev/zero")
    with pytest.raises(LearnerError, match="cannot be written: No such"):
        save(tmp_path / "none" / "model", b"")
    with pytest.raises(LearnerError, match="does not name a file"):
        save("/", b"")


OTHER_PROCESS = """
import sys
from nextbest.learners import ActionRanker, load, save
from tests.learners.test_ranker import bits, decisions, run
ranker = ActionRanker.from_bytes(load(sys.argv[1]))
pulls = run(ranker, decisions(40, seed=8))
save(sys.argv[2], repr(bits(pulls)).encode() + ranker.to_bytes())
"""


def test_another_process_decides_and_learns_bit_for_bit_the_same(tmp_path):
    from tests.learners.test_ranker import bits

    ranker = make()
    run(ranker, decisions(40))
    save(tmp_path / "model", ranker.to_bytes())
    here = ActionRanker.from_bytes(load(tmp_path / "model"))
    expected = repr(bits(run(here, decisions(40, seed=8)))).encode() + here.to_bytes()
    subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, tmp_path / "model", tmp_path / "answer"],
        cwd=ROOT,
        check=True,
    )
    assert load(tmp_path / "answer") == expected
    assert np.isfinite(here.model.mean).all()
