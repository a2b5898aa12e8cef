"""A decision is found among very many small files, and what came of it too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from nextbest.features.errors import SourceError
from nextbest.flows import loop_files
from nextbest.flows.decision.chunk_events import decisions_table
from nextbest.flows.decision.errors import RequestError
from nextbest.flows.decision.ids import new_id
from nextbest.flows.decision.record import Offer, Record, Response
from nextbest.flows.loop_archive import LoopArchive
from nextbest.flows.loop_files import OutOfTimeError
from tests.flows.loop_archive_cases import decided, event_of, put_credits, put_decisions, told

AT = 1_767_225_600_000_000
SECOND = 1_000_000
HOUR = 3600 * SECOND


def record(at: int, customer: str = "ann") -> Record:
    offers = [
        Offer(action=name, score=1.0, propensity=0.5, draw=0.5, chances={}) for name in ("a", "b")
    ]
    name = new_id(at, customer)
    return Record(id=name, customer=customer, at=at, channel="web", strategy="5e", offers=offers)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened, in order."""
    names: list[str] = []
    real = pq.ParquetFile

    def opening(path: Path, **more: bool) -> object:
        names.append(f"{path.parent.name}/{path.name}")
        return real(path, **more)

    monkeypatch.setattr(loop_files.pq, "ParquetFile", opening)
    return names


def filled(archive: Path, files: int, part: int = 0) -> list[Record]:
    """An archive of a file an hour, of three decisions each."""
    made = []
    for number in range(files):
        three = [record(AT + number * HOUR + i * SECOND, f"c{i}") for i in range(3)]
        put_decisions(archive, number, [decided(r, 3 * number) for r in three], part)
        made += three
    return made


def test_a_decision_is_found_by_few_files(tmp_path: Path, opened: list[str]) -> None:
    made = filled(tmp_path, 200)
    archive = LoopArchive(tmp_path)
    assert archive.there
    for wanted in (made[0], made[301], made[-1]):
        opened.clear()
        found = archive.decision(wanted.id)
        assert found is not None
        assert found.record == wanted
        assert (found.partition, found.position) == ("partition=0", 3 * (made.index(wanted) // 3))
        assert len(opened) <= 10
    later = record(AT + 200 * HOUR)
    assert archive.decision(later.id) is None
    put_decisions(tmp_path, 200, [decided(later)])
    assert archive.decision(later.id) is not None  # a file that is new
    opened.clear()
    assert archive.decision(new_id(AT + 7, "nobody")) is None
    assert len(opened) <= 20  # times are remembered, but for the newest files
    with pytest.raises(RequestError):
        archive.decision("d-1")


def test_times_that_go_back_are_searched_to_the_end(tmp_path: Path) -> None:
    made = filled(tmp_path, 40, part=1)
    replayed = record(AT - 1000 * HOUR)  # taken in long after
    put_decisions(tmp_path, 40, [decided(replayed)], 1)
    put_decisions(tmp_path, 41, [decided(record(AT + 50 * HOUR))], 1)
    filled(tmp_path, 5, part=0)
    archive = LoopArchive(tmp_path)
    assert archive.decision(replayed.id, seconds=60.0) is not None
    assert archive.decision(made[60].id) is not None
    with pytest.raises(OutOfTimeError):
        LoopArchive(tmp_path).decision(new_id(AT, "nobody"), seconds=0.0)


def test_of_many_rows_only_those_of_the_time_are_read(tmp_path: Path) -> None:
    many = [record(AT + i * SECOND) for i in range(400)]
    path = put_decisions(tmp_path, 0, [])
    pq.write_table(decisions_table([decided(r) for r in many]), path, row_group_size=50)
    archive = LoopArchive(tmp_path)
    for wanted in (many[0], many[49], many[50], many[399]):
        found = archive.decision(wanted.id)
        assert found is not None
        assert found.record == wanted


def test_a_file_that_is_gone_or_made_anew_is_no_harm(tmp_path: Path) -> None:
    made = filled(tmp_path, 6)
    archive = LoopArchive(tmp_path)
    assert archive.decision(made[9].id) is not None
    files = sorted((tmp_path / "decisions/partition=0").iterdir())
    files[2].unlink()
    assert archive.decision(made[7].id) is None
    # A worker that resumes cuts its epochs in other places.
    put_decisions(tmp_path, 5, [decided(made[12])])
    put_decisions(tmp_path, 4, [decided(made[15])])
    assert archive.decision(made[12].id) is not None
    assert archive.decision(made[15].id) is not None
    files[3].write_bytes(b"PAR1 no")
    assert archive.decision(made[0].id) is not None  # in another file
    with pytest.raises(SourceError, match=r"it may be in .*epoch-00000003\.parquet: cannot be"):
        LoopArchive(tmp_path).decision(made[9].id)
    assert not archive.came(made[9], HOUR).complete
    damaged = msgspec.structs.replace(decided(made[0]), text="{}")
    put_decisions(tmp_path, 0, [damaged])
    with pytest.raises(SourceError, match=f"the record of {made[0].id} is damaged"):
        LoopArchive(tmp_path).decision(made[0].id)


def test_of_what_came_the_last_word_counts(tmp_path: Path) -> None:
    made = filled(tmp_path, 30)
    mine, other = made[30], made[31]
    accept = Response(decision_id=mine.id, response="accept", action="a", value=2.0)
    refuse = Response(decision_id=other.id, response="refuse")
    put_decisions(tmp_path, 30, [
        event_of(accept, mine.at + 5, mine.customer, "o-1", 90),
        event_of(refuse, mine.at + 6, other.customer, "o-2", 91),
    ], part=1)  # fmt: skip
    put_credits(tmp_path, 0, [told(mine, 1.0, after=5), told(other, 0.0, after=6)])
    put_credits(tmp_path, 1, [
        told(mine, 0.5, after=HOUR, revision=1),
        told(mine, 0.0, after=HOUR, rank=1, silence=True),
        told(other, 0.0, after=HOUR, rank=1, silence=True),
    ])  # fmt: skip
    archive = LoopArchive(tmp_path)
    came = archive.came(mine, HOUR)
    assert came.complete
    assert [(o.outcome_id, o.at, o.response, o.value) for o in came.outcomes] == [
        ("o-1", mine.at + 5, "accept", 2.0)
    ]
    assert [(c.rank, c.action, c.reward, c.silence) for c in came.credits] == [
        (0, "a", 0.5, False), (1, "b", 0.0, True),
    ]  # fmt: skip
    assert not archive.came(mine, HOUR, seconds=0.0).complete
    nothing = LoopArchive(tmp_path / "none")
    assert not nothing.there
    assert nothing.came(mine, HOUR).credits == []
    assert nothing.decision(mine.id) is None


def test_reading_an_archive_brings_no_pandas(tmp_path: Path) -> None:
    made = filled(tmp_path, 3)
    refuse = Response(decision_id=made[0].id, response="refuse")
    put_decisions(tmp_path, 0, [event_of(refuse, made[0].at + 5, made[0].customer, "o-1", 9)], 1)
    put_credits(tmp_path, 0, [told(made[0], 1.0, after=5)])
    code = f"""
import sys
from pathlib import Path
from nextbest.flows.loop_archive import LoopArchive
archive = LoopArchive(Path({str(tmp_path)!r}))
record = archive.decision({made[0].id!r}).record
came = archive.came(record, {HOUR})
print(len(came.outcomes), len(came.credits), "pandas" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "1 1 False\n"
