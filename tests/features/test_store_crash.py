"""A store that is stopped at any step on disk goes on from either of the last two manifests."""

from __future__ import annotations

import errno
import itertools
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from nextbest.features import StateError, background, durable, merging
from nextbest.features.batch import EventBatch
from nextbest.features.manifest import Manifest
from nextbest.features.state_log import StateLog
from nextbest.features.store import ShardStore
from tests.features.store_cases import (
    apply,
    bytes_for,
    dense,
    dense_state,
    make_events,
    new_kernels,
)

ROUNDS = 14


class Crash(BaseException):
    """The process ends here."""


class Disk:
    """Counts what is done to files; at one step the process ends, or the disk is full.

    At the end, ``image`` is what is left of the directory: after a kill, what was written; after
    a power failure, only what was waited for.
    """

    def __init__(self, directory: Path, image: Path, kind: str, at: int) -> None:
        self.directory, self.image, self.kind, self.at = directory, image, kind, at
        self.steps = 0
        self.synced: dict[Path, int] = {}
        self.names: dict[FileIO, Path] = {}

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("create", "write", "sync", "sync_path", "truncate", "allocate", "rename",
                     "remove"):  # fmt: skip
            monkeypatch.setattr(durable, name, self.step(name, getattr(durable, name)))

    def step(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            self.steps += 1
            if self.steps == self.at:
                if name == "write":
                    operation(args[0], bytes(args[1])[: len(bytes(args[1])) // 2])
                self.end()
            result = operation(*args)
            if name == "sync":
                path = Path(args[0].name)
                self.synced[path] = path.stat().st_size
            elif name == "rename":
                self.synced[args[1]] = self.synced.get(args[0], 0)
            return result

        return run

    def end(self) -> None:
        if self.kind == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        shutil.copytree(self.directory, self.image)
        if self.kind == "power":
            for path in self.image.iterdir():
                size = self.synced.get(self.directory / path.name, 0)
                with path.open("r+b") as file:
                    file.truncate(min(size, path.stat().st_size))
        raise Crash


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk would have at its end is worked out here, without waiting for one."""
    monkeypatch.setattr(durable, "_fdatasync", lambda descriptor: None)
    monkeypatch.setattr(durable.os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(durable, "sync_map", lambda mapped: None)


def at_once(work: Callable[..., None], *args: Any) -> Future[None]:
    """Do background work when it is asked for, so that each run of a test takes the same steps."""
    future: Future[None] = Future()
    try:
        work(*args)
        future.set_result(None)
    except Exception as error:
        future.set_exception(error)
    return future


def history(
    store: ShardStore, batches: list[EventBatch], first: int = 0
) -> Iterator[tuple[int, Manifest]]:
    """Apply batches; a snapshot after every second, and spilling in between."""
    for number, batch in enumerate(batches[first:], first + 1):
        apply(store, batch)
        if number % 2 == 0:
            yield number, store.snapshot()


@pytest.mark.parametrize("kind", ["kill", "power", "full"])
def test_every_step_may_be_the_last(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "submit", at_once)
    monkeypatch.setattr(merging, "FAN_IN", 2)
    kernels = new_kernels()
    options = {"memory_bytes": bytes_for(kernels, 24), "seal_bytes": 9000}
    batches = [
        kernels.encode(make_events(seed, [(7 * seed + i) % 50 for i in range(10)]))
        for seed in range(ROUNDS)
    ]
    for batch in batches:
        kernels.state.apply(batch)
    expected = dense_state(kernels.state)
    total = 0
    for at in itertools.count():
        if at > total:
            break
        directory, image = tmp_path / f"{at}", tmp_path / f"{at}-image"
        directory.mkdir()
        manifests: list[tuple[int, Manifest | None]] = [(0, None)]
        store = None
        with monkeypatch.context() as patch:
            disk = Disk(directory, image, kind, at)  # there is no step 0
            disk.patch(patch)
            try:
                store = ShardStore(kernels.plan, directory, 0, **options)
                manifests.extend(history(store, batches))
            except Crash:
                pass
            except StateError as error:
                if "No space left on device" not in str(error):
                    raise
            else:
                # Nobody may have asked for a merge that failed yet, and nobody asks for removals.
                assert at == 0 or kind == "full"
                total = total or disk.steps
                assert total > 150
        if at == 0 or kind == "full":
            image = directory
        if store is not None:
            store.close()
        for done, manifest in manifests[-2:]:
            again = tmp_path / "again"
            shutil.copytree(image, again)
            store = ShardStore(kernels.plan, again, 0, manifest, **options)
            list(history(store, batches, done))
            assert dense(store) == expected
            store.close()
            shutil.rmtree(again)
        shutil.rmtree(directory)
        shutil.rmtree(image, ignore_errors=True)


def test_files_stay_as_long_as_somebody_may_resume_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "submit", at_once)
    kernels = new_kernels()
    store = ShardStore(kernels.plan, tmp_path, 0, seal_bytes=1)
    manifests = [store.snapshot()]
    for seed in range(12):
        store.apply(kernels.encode(make_events(seed, range(20))))
        manifests.append(store.snapshot())
        for old in manifests[-4:]:
            named = {*old["runs"], *(name for name, _ in old["logs"])}
            assert named <= {path.name for path in tmp_path.iterdir()}
    for _ in range(5):
        last = store.snapshot()
    assert {path.name for path in tmp_path.iterdir()} == {
        *last["runs"], *(name for name, _ in last["logs"])
    }  # fmt: skip
    assert len(last["runs"]) <= merging.FAN_IN


@pytest.mark.parametrize("kind", ["kill", "power", "full"])
def test_every_step_of_a_state_log_may_be_the_last(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = [bytes([n]) * (50 * n) for n in range(12)]
    at = 0
    ended = True
    while ended:
        at += 1
        directory, image = tmp_path / f"{at}", tmp_path / f"{at}-image"
        directory.mkdir()
        saved: list[tuple[bytes | None, Manifest | None]] = [(None, None)]
        with monkeypatch.context() as patch:
            Disk(directory, image, kind, at).patch(patch)
            patch.setattr(background, "submit", at_once)
            try:
                log = StateLog(directory, "learner", seal_bytes=600)
                saved.extend((blob, log.save(blob)) for blob in blobs)
                ended = kind == "full" and at < 60  # removals that fail are of no consequence
            except (Crash, StateError):
                pass
        for blob, manifest in saved[-2:]:
            again = tmp_path / "again"
            shutil.copytree(image if ended and kind != "full" else directory, again)
            log = StateLog(again, "learner", manifest, seal_bytes=600)
            assert log.load() == blob
            assert len(list(again.iterdir())) == 1
            assert StateLog(again, "learner", log.save(b"more")).load() == b"more"
            shutil.rmtree(again)
    assert at > 40
