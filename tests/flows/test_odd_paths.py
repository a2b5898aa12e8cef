"""Paths whose bytes are not UTF-8: read like others, or refused before anything is done."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from nextbest.features.errors import SettingsError
from nextbest.flows.commands.inputs import Job
from nextbest.flows.commands.reports import Failed, Order, decode_message, encode
from nextbest.flows.embedded import connect, ensure_server
from nextbest.flows.settings import Settings
from nextbest.flows.sinks import DeadLetterSink
from nextbest.flows.sources import FileSource
from tests.flows.row_cases import chunks_of, decode

ODD = os.fsdecode(b"caf\xe9")
pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="its names are always UTF-8")


def test_a_bad_line_of_such_a_file_is_a_dead_letter(tmp_path: Path) -> None:
    file = tmp_path / f"{ODD}.ndjson"
    file.write_text("no\n")
    source = FileSource(file)
    assert source.describe() == f"{tmp_path}/caf\\xe9.ndjson"
    part = source.build_part("in", "0", None)
    [letter] = decode(chunks_of(part))[1]
    assert letter.origin == f"{tmp_path}/caf\\xe9.ndjson"
    sink = DeadLetterSink(tmp_path / "dead.ndjson").build_part("dead", "0", None)
    sink.write_batch([letter])
    sink.close()
    again = source.build_part("in", "0", part.snapshot())
    assert chunks_of(again) == []


def test_other_processes_cannot_be_told_of_such_a_path() -> None:
    for job, settings in (
        (Job(catalog="shop.py:catalog", paths=(Path(ODD),)), Settings()),
        (Job(catalog="shop.py:catalog"), Settings(data_dir=Path(ODD))),
        (Job(catalog=f"{ODD}/shop.py:catalog"), Settings()),
    ):
        with pytest.raises(SettingsError, match=r"caf\\udce9.*: is not UTF-8, and other processes"):
            encode(Order(job=job, settings=settings, url="unix:///x"))


def test_what_ended_a_process_is_told_whatever_it_names() -> None:
    told = decode_message(encode(Failed("SourceError", f"{ODD}: cannot be read")))
    assert told == Failed("SourceError", "caf\\udce9: cannot be read")


def test_no_server_is_started_where_nobody_would_find_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"data_dir=.*caf\\xe9/data: is not UTF-8; give anoth"):
        ensure_server(tmp_path / ODD / "data")
    assert list(tmp_path.iterdir()) == []
    elsewhere = Settings(data_dir=tmp_path / ODD, redis_url="unix:///nowhere/server.sock")
    with pytest.raises(SettingsError, match=r"data_dir=.*caf\\xe9: is not UTF-8"):
        connect(elsewhere)
    with pytest.raises(UnicodeEncodeError):
        msgspec.json.encode(ODD)  # as its record is written
