"""The command line on files in a user's own words: init, run and publish."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nextbest.features import DeclarationError, EventError, SettingsError
from nextbest.flows.commands.inputs import Job
from nextbest.flows.commands.job import run_job
from nextbest.flows.commands.publishing import publish_file
from nextbest.flows.commands.rows import rows_of
from nextbest.flows.commands.screen import make_console
from nextbest.flows.embedded import stop_server
from nextbest.flows.settings import Settings
from nextbest.flows.sources.row_events import rows_for

DECLARED = """
from nextbest.features import Catalog, Columns, EventSchema, FeatureView
from nextbest.features import aggregations as agg

shop = EventSchema("shop", types=["order"], properties={"value": float})
visits = FeatureView(name="v", source=shop, features=[agg.sum("spend", of="value")])
catalog = Catalog(name="own", views=[visits])
columns = Columns(customer_id="user", event_timestamp="at", every_row_is="order")
kinds = {"a*.csv": columns, "b*.csv": Columns()}
bad = {"a*.csv": "user"}
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_shop.py").write_text(DECLARED)
    yield Settings(data_dir=tmp_path / "data")
    sys.modules.pop("own_shop", None)
    stop_server(tmp_path / "data")


def test_own_rows_are_published_and_run(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text(
        "user,at,value\n"
        + "".join(f"u{n},{1767225600 + n},{n}\n" for n in range(50))
        + "u,soon,1\n"
    )
    known = {"catalog": "own_shop.py:catalog", "columns": "own_shop.py:columns"}
    publish_file(settings, Path("a.csv"), "clicks", 2, make_console(), **known)
    said = capsys.readouterr().out
    assert "left out, as they are no events: 1\n  line 52: no time that can be read" in said
    assert "50 events in" in said
    with pytest.raises(SettingsError, match=r"a\.csv: what its rows mean is in a declaration"):
        publish_file(settings, Path("a.csv"), "clicks", None, make_console())
    with pytest.raises(SettingsError, match=r"a\.parquet: only lines can be published"):
        publish_file(settings, Path("a.parquet"), "clicks", None, make_console())
    with pytest.raises(DeclarationError, match=r"own_shop\.py:bad: 'a\*\.csv': 'user': expected"):
        rows_of(known["catalog"], "own_shop.py:bad")
    kinds = rows_of(known["catalog"], "own_shop.py:kinds")
    assert rows_for(Path("a.csv.gz"), kinds).columns.customer_id == "user"
    (tmp_path / "b.csv").write_text("user,at,value\n")
    with pytest.raises(EventError, match=r"b\.csv: no event in it"):
        publish_file(settings, Path("b.csv"), "clicks", None, make_console(), **known)
    with pytest.raises(SettingsError, match="--columns goes with files"):
        run_job(Job(stream="clicks", **known), settings, make_console())
    job = Job(stream="clicks", partitions=2, drain=True, catalog=known["catalog"])
    run_job(job, settings, make_console())
    assert "50 accepted (0 of them late), 0 duplicate, 0 dead" in capsys.readouterr().out
    run_job(job, settings, make_console())
    assert "there was nothing to read" in capsys.readouterr().out
