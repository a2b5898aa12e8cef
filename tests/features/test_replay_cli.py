"""`nextbest backfill` on the archive of a real run: what was served comes back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextbest.flows import cli
from nextbest.flows.embedded import stop_server

SHOP = """
from nextbest.features import Catalog, EventSchema, FeatureService, FeatureView, event
from nextbest.features import aggregations as agg

shop = EventSchema("shop", types=("view", "purchase"), properties={"value": float})
visits = FeatureView(
    name="visits",
    source=shop,
    features=[
        agg.count("events"),
        agg.sum("spend", of="value", where=event.type == "purchase"),
        agg.count("now", window="session"),
        agg.decayed("recency", half_life="1d"),
    ],
)
ranking = FeatureService(name="ranking", features=["visits:spend", "visits:events"])
catalog = Catalog(name="shop", views=[visits], services=[ranking])
"""
START = 1_767_225_600_000_000  # 2026-01-01
Nextbest = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a catalog and events; the data directory is below it."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("NEXTBEST_")]:
        monkeypatch.delenv(name)
    (tmp_path / "backfill_shop.py").write_text(SHOP)
    events = [
        {
            "event_id": f"e{n}", "event_timestamp": START + n * 60_000_000,
            "customer_id": f"c{n % 7}", "type": "purchase" if n % 3 else "view",
            "properties": {"value": 0.1 * n},
        }
        for n in range(300)
    ]  # fmt: skip
    (tmp_path / "events.ndjson").write_text("".join(json.dumps(e) + "\n" for e in events))
    yield tmp_path
    stop_server(tmp_path / ".nextbest")
    sys.modules.pop("backfill_shop", None)


@pytest.fixture
def nextbest(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Nextbest:
    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nextbest", *args])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err

    return call


def test_what_was_served_comes_back_from_the_archive(home: Path, nextbest: Nextbest) -> None:
    code, _, err = nextbest("run", "events.ndjson", "--catalog", "backfill_shop:catalog")
    assert code == 0, err
    ids = [f"c{n}" for n in range(7)]
    at = START + 300 * 60_000_000
    code, out, err = nextbest("features", "get", *ids, "--at", str(at), "--json")
    assert code == 0, err
    served = json.loads(out)
    stamp = pa.array([at] * 7, pa.timestamp("us", "UTC"))
    queries = pa.table({"customer_id": ids, "event_timestamp": stamp, "seen": [299] * 7})
    pq.write_table(queries, home / "queries.parquet")
    code, out, err = nextbest(
        "backfill", "--entities", "queries.parquet", "--known", "seen", "--out", "known.parquet"
    )
    assert code == 0, err
    assert "known.parquet: 7 rows with 4 columns of features" in out
    assert "after 7 rows are of a time after the archive's last event" in " ".join(out.split())
    table = pq.read_table(home / "known.parquet")
    for name in ("events", "spend", "now", "recency"):
        expected = [row["features"][f"visits:{name}"]["value"] for row in served]
        assert table[f"visits__{name}"].to_pylist() == expected  # bit for bit

    code, _, err = nextbest(
        "backfill", "--at", str(at), "--service", "ranking", "--states", "--out", "all.parquet",
        "--threads", "1", "--memory-mb", "16",
    )  # fmt: skip
    assert code == 0, err
    table = pq.read_table(home / "all.parquet")
    assert table.column_names == [
        "customer_id", "event_timestamp", "visits__spend", "visits__spend__state",
        "visits__events", "visits__events__state",
    ]  # fmt: skip
    assert table["customer_id"].to_pylist() == ids
    assert sum(table["visits__events"].to_pylist()) == 300

    stamps = [START - 1, START, START + 299 * 60_000_000]
    pq.write_table(pa.table({"customer_id": ["c0"] * 3, "event_timestamp": stamps}), "q.parquet")
    code, out, err = nextbest("backfill", "--entities", "q.parquet", "--out", "early.parquet")
    assert code == 0, err
    words = " ".join(out.split())
    assert "before 1 rows are of a time before the archive begins" in words
    assert "after" not in words
    counts = pq.read_table("early.parquet")["visits__events"].to_pylist()
    assert counts == [None, 1, 43]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--entities", "none.parquet"), "none.parquet: no such file"),
        ((), "give --entities FILE, or --at TIME"),
        (("--at", "2026-01-01", "--service", "ranking", "--features", "visits"), "not both"),
        (("--at", "2026-01-01", "--service", "other"), "no feature service 'other'"),
        (("--at", "soon"), "--at 'soon': expected a time"),
        (("--at", "2026-01-01"), "archive/events: there is no such directory"),
    ],
    ids=["file", "nothing", "both", "service", "time", "archive"],
)
def test_a_failure_is_one_line(
    home: Path, nextbest: Nextbest, args: tuple[str, ...], message: str
) -> None:
    code, _, err = nextbest(
        "backfill", "--catalog", "backfill_shop:catalog", "--out", "out.parquet", *args
    )
    assert code == 1
    assert message in err
    assert err.count("\n") == 1
    assert not (home / "out.parquet").exists()
