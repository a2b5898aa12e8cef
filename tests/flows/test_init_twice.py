"""`nextbest init`: what a run would refuse is not drafted."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from nextbest.features import SourceError
from nextbest.flows.commands.init import init


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = "".join(f"u{n},2026-01-0{n},{n},{n},,\n" for n in range(1, 9))
    file.write_text(f"user,time,value, value,,\n{rows}")
    with pytest.raises(SourceError, match=r"a\.csv: the column 'value' stands 2 times"):
        init(file, tmp_path / "shop.py", Console(file=io.StringIO()))
    assert not (tmp_path / "shop.py").exists()
    file.write_text(f"user,time,value,pieces,,\n{rows}")
    init(file, tmp_path / "shop.py", Console(file=io.StringIO()))
