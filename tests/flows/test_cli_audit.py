"""`nextbest audit`: lookups that were served, replayed and compared."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nextbest.features.audit import ServedLookup
from nextbest.features.catalog_codec import meaning_id
from nextbest.features.online import FeatureClient
from nextbest.flows.commands.references import load
from nextbest.flows.embedded import find_server
from tests.flows.test_cli import START, Nextbest, event, home, ndjson, nextbest, one_line

__all__ = ["home", "nextbest"]

PEOPLE = ("ada", "ben", "cy")
LINES = [
    event(n, customer=PEOPLE[n % 3], properties={"value": n / 7, "category": "tea"})
    for n in range(60)
]


def log_served(home: Path, at: int, features: list[str] | None = None) -> Path:
    """Log what the client answers, as a service does."""
    from nextbest.features import Catalog

    catalog = load("shop.py:catalog", Catalog)
    server = find_server(home / ".nextbest")
    assert server is not None
    with FeatureClient(server, catalog) as client:
        found = client.get([*PEOPLE, "nobody"], features=features, at=at)
    declaration = meaning_id(catalog)
    path = home / ".nextbest" / "lookups" / f"lookups-{at}-1.ndjson"
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        for i, customer in enumerate([*PEOPLE, "nobody"]):
            values = [None if math.isnan(v) else v for v in found.values[i].tolist()]
            lookup = ServedLookup(
                at, "shop", declaration, "customer", customer, int(found.positions[i]),
                features, values, found.state[i].tolist(),
            )  # fmt: skip
            file.write(msgspec.json.encode(lookup) + b"\n")
    return path


def change(path: Path, **changes: Any) -> None:
    """Make the first logged lookup say something else."""
    first, rest = path.read_bytes().split(b"\n", 1)
    said = msgspec.json.decode(first) | changes
    path.write_bytes(msgspec.json.encode(said) + b"\n" + rest)


@pytest.fixture
def served(home: Path, nextbest: Nextbest) -> Path:
    """A data directory where lookups were logged twice while events came in."""
    log = home / "events.ndjson"
    log.write_text(ndjson(*LINES[:30]))
    assert nextbest("run", "events.ndjson", "--catalog", "shop.py:catalog").code == 0
    log_served(home, START + 40_000_000)
    log_served(home, START + 50_000_000, ["visits:spend", "visits:by_category"])
    with log.open("a") as file:
        file.write(ndjson(*LINES[30:]))
    assert nextbest("run", "events.ndjson", "--catalog", "shop.py:catalog").code == 0
    log_served(home, START + 90_000_000)
    return home / ".nextbest" / "lookups"


def test_what_was_served_is_what_is_replayed(served: Path, nextbest: Nextbest) -> None:
    done = nextbest("audit")
    assert done.code == 0, done.err
    assert "compared 12 lookups, 60 values" in done.words
    assert "differ 0 values" in done.words
    assert "compared 5 lookups" in nextbest("audit", "--sample", "5").words
    assert "compared 4 lookups" in nextbest("audit", "--since", str(START + 80_000_000)).words


def test_a_value_that_was_served_otherwise_is_found(served: Path, nextbest: Nextbest) -> None:
    path = sorted(served.iterdir())[0]
    values = msgspec.json.decode(path.read_bytes().split(b"\n")[0])["values"]
    change(path, values=[values[0] + 1, *values[1:]])
    done = nextbest("audit")
    assert done.code == 1
    assert "differ 1 values" in done.words
    assert f"ada visits:events as of 2026-01-01 00:00:40 UTC, position {27}: " in done.words
    assert f"served {values[0] + 1}, replayed {values[0]}" in done.words
    change(path, values=values[1:])
    assert nextbest("audit").code == 1


def test_what_cannot_be_compared_is_counted(served: Path, nextbest: Nextbest) -> None:
    first, second, third = sorted(served.iterdir())
    change(first, position=1000)
    change(second, declaration="0" * 16)
    change(third, catalog="other")
    done = nextbest("audit")
    assert done.code == 0, done.out
    assert "compared 9 lookups" in done.words
    assert "waiting 1 of events that are not in the archive yet" in done.words
    assert "1 of declaration 0000000000000000, now" in done.words
    assert "1 of the catalog 'other'" in done.words


def test_a_log_that_ends_with_events_sent_again_is_compared(
    served: Path, home: Path, nextbest: Nextbest
) -> None:
    """They are not archived, so that the archive never comes as far as the row that was served."""
    log = home / "events.ndjson"
    with log.open("a") as file:
        file.write(ndjson(*LINES[-3:]))
    assert nextbest("run", "events.ndjson", "--catalog", "shop.py:catalog").code == 0
    path = log_served(home, START + 95_000_000)
    first = msgspec.json.decode(path.read_bytes().split(b"\n")[0], type=ServedLookup)
    assert first.position > 59
    done = nextbest("audit")
    assert done.code == 0, done.out
    assert "compared 16 lookups, 84 values" in done.words
    assert "waiting" not in done.words
    change(path, values=[first.values[0] + 1, *first.values[1:]])  # type: ignore[operator]
    assert "waiting 1 of events that are not in the archive yet" in nextbest("audit").words


def test_lookups_that_are_not_there_or_not_ours(served: Path, nextbest: Nextbest) -> None:
    path = sorted(served.iterdir())[1]
    with path.open("ab") as file:
        file.write(b'{"at":1')  # being written
    assert nextbest("audit").code == 0
    with path.open("ab") as file:
        file.write(b"}\n")
    message = one_line(nextbest("audit"))
    assert f"{path.name}, line 5: no lookup of ours" in message
    for file_ in served.iterdir():
        file_.unlink()
    assert "no lookups have been logged" in one_line(nextbest("audit"))
