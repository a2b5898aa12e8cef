"""Directories of event files: all of it is found, each file once, or it is said why not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nextbest.features.errors import SourceError
from nextbest.flows.sources import FileSource
from nextbest.flows.sources.finding import find


def make(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"n":1}\n')


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of directories that cannot be listed: a test may run as root, who can list all."""
    names: set[str] = set()
    scandir = os.scandir

    def refuse(path: Any = ".") -> Any:
        if os.path.basename(path) in names:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return names


def test_an_unreadable_directory_is_named(tmp_path: Path, closed: set[str]) -> None:
    make(tmp_path / "a.ndjson", tmp_path / "sub" / "deep" / "b.ndjson", tmp_path / "_x" / "c.csv")
    source = FileSource(tmp_path, follow=True)
    assert len(source.files) == 2
    closed.add("_x")  # nobody asks for what is in it
    assert len(find(tmp_path)) == 2
    for name in ("deep", tmp_path.name):
        closed.add(name)
        with pytest.raises(SourceError, match=rf"{name}: cannot be read: Permission denied"):
            find(tmp_path)
        with pytest.raises(SourceError, match=rf"{name}: cannot be read: Permission denied"):
            source.files_of(0, anew=True)


def test_linked_directories_are_followed_once(tmp_path: Path) -> None:
    top, far = tmp_path / "in", tmp_path / "far"
    make(top / "z" / "a.ndjson", far / "b.ndjson", far / "sub" / "c.ndjson")
    (top / "a_z").symlink_to(top / "z")  # what lies here keeps its name
    (top / "day1").symlink_to(far)
    (top / "day2").symlink_to(far)
    (far / "back").symlink_to(top)
    (far / "self").symlink_to("self")
    (far / "sub" / "up").symlink_to("..")
    (top / "_hidden").symlink_to(tmp_path)
    (top / "nowhere").symlink_to(tmp_path / "nothing")
    assert sorted(find(top)) == [
        top / "day1" / "b.ndjson", top / "day1" / "sub" / "c.ndjson", top / "z" / "a.ndjson",
    ]  # fmt: skip


def test_linked_files_and_a_linked_top_are_read(tmp_path: Path) -> None:
    make(tmp_path / "far" / "a.ndjson")
    (tmp_path / "in").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "b.ndjson").symlink_to(tmp_path / "far" / "a.ndjson")
    assert sorted(find(tmp_path / "in")) == [
        tmp_path / "in" / "a.ndjson", tmp_path / "in" / "b.ndjson",
    ]  # fmt: skip
