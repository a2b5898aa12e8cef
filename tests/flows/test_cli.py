"""The command line on a user's own files and streams: summaries, failures in one line, signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nextbest.flows import cli
from nextbest.flows.embedded import stop_server

SHOP = """
from nextbest.features import Catalog, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg

shop = EventSchema(
    "shop", types=("view", "purchase"), properties={"value": float, "category": str}
)
visits = FeatureView(
    name="visits",
    source=shop,
    features=[
        agg.count("events", description="events ever"),
        agg.sum("spend", of="value", where=event.type == "purchase"),
        agg.last("category", of="category", vocabulary=["tea", "coffee"]),
        agg.time_since("since"),
        agg.count("by_category", by="category", vocabulary=["tea", "coffee"]),
    ],
)
catalog = Catalog(name="shop", views=[visits])
other = Catalog(name="shop", views=[
    FeatureView(name="visits", source=shop, features=[agg.count("n")])
])
"""
START = 1_767_225_600_000_000  # 2026-01-01


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        return " ".join(self.out.split())


class Nextbest(Protocol):
    def __call__(self, *args: str | Path) -> Result: ...


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a catalog; the data directory is below it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # before the tests' own directories
    for name in [n for n in os.environ if n.startswith("NEXTBEST_")]:
        monkeypatch.delenv(name)
    (tmp_path / "shop.py").write_text(SHOP)
    for name in ("shop", "broken"):  # another test of this process may have had one
        sys.modules.pop(name, None)
    yield tmp_path
    for name in (".nextbest", "new"):
        stop_server(tmp_path / name)
    for name in ("shop", "broken"):
        sys.modules.pop(name, None)


@pytest.fixture
def nextbest(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Nextbest:
    def call(*args: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["nextbest", *map(str, args)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        code = ended.value.code
        return Result(code if isinstance(code, int) else 0, out, err)

    return call


def event(n: int, customer: str = "ada", **changes: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{n}", "event_timestamp": START + n * 1_000_000, "customer_id": customer,
        "type": "purchase" if n % 2 else "view", "channel": "web",
        "properties": {"value": 1.5, "category": "tea"},
    } | changes  # fmt: skip


def ndjson(*events: dict[str, Any] | str) -> str:
    return "".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events)


def one_line(result: Result) -> str:
    assert result.code == 1
    assert result.err.startswith("nextbest: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    return result.err


def get(nextbest: Nextbest, *args: str) -> Any:
    result = nextbest("features", "get", "--json", *args)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_a_run_counts_good_and_bad_lines_and_says_where_they_are(
    home: Path, nextbest: Nextbest
) -> None:
    bad = [
        "{not json",
        event(10, customer_id=7),
        event(11, type="dance"),
        event(12, properties={"value": "much"}),
        event(13, customer_id="x" * 10_240),
        event(14, event_timestamp=START * 1000),
        event(15, event_timestamp=-1),
        ndjson(event(16, properties={"value": 1.5})).strip().replace("1.5", "NaN"),
    ]
    good = [event(n) for n in range(4)] + [event(4, "bob")]
    (home / "a.ndjson").write_text(ndjson(*good, *bad, event(2)))
    (home / "empty.ndjson").write_text("")
    result = nextbest("run", "*.ndjson", "--catalog", "shop:catalog")
    assert (result.code, result.err) == (0, "")
    assert "5 accepted (0 of them late), 1 duplicate, 8 dead letters" in result.words
    assert ".nextbest/dead_letters/dead.ndjson" in result.words
    assert "2 in the store" in result.words
    assert "- at `$.customer_id`" in result.words
    assert "\x1b" not in result.out
    letters = [
        json.loads(line)
        for line in (home / ".nextbest/dead_letters/dead.ndjson").read_text().splitlines()
    ]
    assert [letter["line"] for letter in letters] == list(range(6, 14))
    assert letters[0]["raw"] == "{not json"
    assert letters[4]["raw_bytes"] > 10_000
    found = get(nextbest, "ada", "nobody", "--at", "2026-01-01T00:01:00Z")
    ada, nobody = found
    assert (ada["customer_id"], ada["known"], ada["age_ms"]) == ("ada", True, 57_000)
    values = {column: entry["value"] for column, entry in ada["features"].items()}
    assert values == {
        "visits:events": 4, "visits:spend": 3.0, "visits:category": "tea", "visits:since": 57.0,
        "visits:by_category[tea]": 4, "visits:by_category[coffee]": 0,
    }  # fmt: skip
    assert (nobody["known"], nobody["age_ms"]) == (False, None)
    assert {e["state"] for e in nobody["features"].values()} == {"missing"}
    shown = nextbest("features", "get", "ada", "nobody", "--at", str(START + 60_000_000))
    assert "visits:since 57.0 s present" in shown.words
    assert "nobody as of 2026-01-01 00:01:00 UTC unknown: the store has no row" in shown.words

    again = nextbest("run", "*.ndjson", "--catalog", "shop:catalog")
    assert "0 accepted" in again.words
    (home / "b.ndjson").write_text(ndjson(event(5)))
    more = nextbest("run", "*.ndjson", "--catalog", f"{home / 'shop.py'}:catalog")
    assert more.code == 0, more.err
    assert "1 accepted" in more.words
    assert get(nextbest, "ada")[0]["features"]["visits:events"]["value"] == 5


def test_parquet_and_ndjson_give_the_same(home: Path, nextbest: Nextbest) -> None:
    events = [event(n, f"c{n % 3}") for n in range(30)]
    columns = {name: [e[name] for e in events] for name in events[0] if name != "properties"}
    columns |= {name: [e["properties"][name] for e in events] for name in ("value", "category")}
    pq.write_table(pa.table(columns), home / "events.parquet")
    (home / "events.ndjson").write_text(ndjson(*events))
    for kind in ("parquet", "ndjson"):
        result = nextbest(
            "run", f"events.{kind}", "--catalog", "shop.py:catalog", "--data-dir", kind
        )
        assert "30 accepted" in result.words
    at = str(START + 10**8)
    try:
        a, b = (
            get(nextbest, "c0", "c1", "--at", at, "--data-dir", d) for d in ("parquet", "ndjson")
        )
    finally:
        for kind in ("parquet", "ndjson"):
            stop_server(home / kind)
    assert a == b


def test_published_events_are_read_from_the_stream(home: Path, nextbest: Nextbest) -> None:
    (home / "events.ndjson").write_text(ndjson(*(event(n) for n in range(6)), "{"))
    published = nextbest("publish", "events.ndjson", "--stream", "clicks")
    assert published.words.startswith("7 events in 1 entries of stream clicks")
    run = ("run", "--stream", "clicks", "--drain", "--catalog", "shop:catalog")
    result = nextbest(*run)
    assert result.code == 0, result.err
    assert "6 accepted (0 of them late), 0 duplicate, 1 dead letters" in result.words
    (home / "more.ndjson").write_text(ndjson(event(6), event(6)))
    nextbest("publish", "more.ndjson", "--stream", "clicks")
    assert "1 accepted (0 of them late), 1 duplicate" in nextbest(*run).words
    assert get(nextbest, "ada")[0]["features"]["visits:events"]["value"] == 7
    message = one_line(nextbest("run", "more.ndjson", "--catalog", "shop:catalog"))
    assert "made with source 'stream clicks', not 'files'" in message
    assert "both" in one_line(nextbest(*run, "more.ndjson"))


def test_failures_are_one_clear_line(home: Path, nextbest: Nextbest) -> None:
    (home / "events.ndjson").write_text(ndjson(event(1)))
    (home / "bad.parquet").write_bytes(b"PAR1 but not really")
    (home / "empty").mkdir()
    (home / "empty.ndjson").write_text("\n")
    (home / "notes.txt").write_text("")
    (home / "broken.py").write_text(SHOP.replace('of="value"', 'of="price"'))
    (home / "raises.py").write_text("1 / 0")
    shop = ("--catalog", "shop:catalog")
    cases: list[tuple[tuple[str, ...], str]] = [
        (("run", "absent.ndjson", *shop), "absent.ndjson: no such file"),
        (("run", "*.csv", *shop), "*.csv: no event file matches"),
        (("run", "empty", *shop), "empty: no event files"),
        (("run", "notes.txt", *shop), "notes.txt: expected a file that ends in"),
        (("run", "bad.parquet", *shop), "bad.parquet: not a readable Parquet file"),
        (("run", *shop), "nothing to read"),
        (("run", "events.ndjson", "--catalog", "shop"), "expected `package.module:attribute`"),
        (("run", "events.ndjson", "--catalog", "absent:c"), "No module named 'absent'"),
        (("run", "events.ndjson", "--catalog", "absent.py:c"), "absent.py: no such file"),
        (("run", "events.ndjson", "--catalog", "shop:nothing"), "no 'nothing' in it; there is cat"),
        (("run", "events.ndjson", "--catalog", "shop:visits"), "is a FeatureView, not a Catalog"),
        (("run", "events.ndjson", "--catalog", "broken.py:c"), "visits:spend: no property 'price'"),
        (("run", "events.ndjson", "--catalog", "raises.py:c"), "ZeroDivisionError: division by"),
        (
            ("run", "events.ndjson", *shop, "--redis-url", "redis://u:secret@localhost:1/0"),
            "redis://u:***@localhost:1/0: no answer",
        ),
        (("run", "events.ndjson", *shop, "--redis-url", "ftp://x"), "ftp://x"),
        (("run", "--stream", "s", *shop, "--redis-url", "redis://localhost:1"), "no answer"),
        (("run", "events.ndjson", *shop, "--data-dir", "notes.txt"), "notes.txt: cannot be used"),
        (("up", "--data-dir", "notes.txt"), "notes.txt"),
        (("publish", "absent.ndjson"), "absent.ndjson: No such file"),
        (("publish", "empty.ndjson"), "empty.ndjson: no event in it"),
        (("features", "get", "ada", "--data-dir", "fresh"), "fresh: no run has been made here"),
        (("features", "get", "ada", *shop, "--at", "soon"), "--at 'soon': expected a time"),
        (("demo", "--data-dir", "empty/../.", "--limit", "1"), "did not make"),
    ]
    for arguments, message in cases:
        assert message in one_line(nextbest(*arguments)), arguments
    used = nextbest("run", "events.ndjson")
    assert used.code == 2
    assert "--catalog" in used.err
    assert nextbest("demo", "--limit", "0").code == 2


def test_a_wrong_setting_in_the_environment_is_named(
    nextbest: Nextbest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTBEST_SHARDS", "many")
    message = one_line(nextbest("features", "list", "--catalog", "shop:catalog"))
    assert "NEXTBEST_SHARDS='many'" in message


def test_state_of_another_declaration_is_refused(
    home: Path, nextbest: Nextbest, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "events.ndjson").write_text(ndjson(event(1)))
    assert nextbest("run", "events.ndjson", "--catalog", "shop:catalog").code == 0
    message = one_line(nextbest("run", "events.ndjson", "--catalog", "shop:other"))
    assert "made by another declaration (shop:catalog" in message
    monkeypatch.setenv("NEXTBEST_SHARDS", "8")
    message = one_line(nextbest("run", "events.ndjson", "--catalog", "shop:catalog"))
    assert "its state is of 16 shards, not 8" in message


def test_a_list_of_features_says_what_is_declared(nextbest: Nextbest) -> None:
    listed = nextbest("features", "list", "--catalog", "shop.py:catalog")
    assert "visits:events int64 lifetime events ever" in listed.words
    assert "visits:by_category int64 x 2 lifetime" in listed.words
    assert re.fullmatch(r"nextbest \d+\.\d+\.\d+\n", nextbest("--version").out)


def test_up_and_down(home: Path, nextbest: Nextbest) -> None:
    url = nextbest("up").out.strip()
    assert url.startswith("unix://")
    assert nextbest("up").out.strip() == url
    assert nextbest("down").words == "stopped; its rows stay in .nextbest"
    assert nextbest("down").words == ".nextbest: no embedded server is running"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_stream_run_with_a_last_snapshot(
    home: Path, nextbest: Nextbest, number: signal.Signals
) -> None:
    (home / "events.ndjson").write_text(ndjson(*(event(n) for n in range(5))))
    nextbest("publish", "events.ndjson", "--stream", "clicks")
    arguments = ["run", "--stream", "clicks", "--catalog", "shop:catalog"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "nextbest.flows.cli", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 200
    while not nextbest_knows(nextbest, "ada"):
        assert time.monotonic() < end
        assert worker.poll() is None, worker.communicate()
        time.sleep(0.1)
    locked = nextbest(*arguments, "--drain")
    assert "another run is using this data directory" in one_line(locked)
    worker.send_signal(number)
    out, err = worker.communicate(timeout=200)
    assert (worker.returncode, err) == (0, "")
    assert "stopped" in out
    assert "5 accepted" in out
    assert "0 accepted" in nextbest(*arguments, "--drain").words


def nextbest_knows(nextbest: Nextbest, customer: str) -> bool:
    result = nextbest("features", "get", customer, "--json", "--catalog", "shop:catalog")
    return result.code == 0 and json.loads(result.out)[0]["known"]
