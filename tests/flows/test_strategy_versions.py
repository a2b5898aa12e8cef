"""Every version of a strategy that decided is kept as a file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nextbest.features.errors import SettingsError, StateError
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.loading import load
from nextbest.flows.strategy_versions import Stored, StrategyVersions, VersionKeeper, fetching
from tests.flows.strategy.shop import LEAST, catalog

OLD, NEW, LATE = (load(LEAST + f"fallback: [{names}]\n") for names in ("hats", "shoes", ""))
KEYS = Keys("shop", "offers")


class Store:
    """What a store has under its keys."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.asked: list[str] = []

    def put(self, version: str, text: str) -> None:
        self.values[KEYS.version(version)] = msgspec.json.encode(Stored(version, text))

    def __call__(self, key: str) -> bytes | None:
        self.asked.append(key)
        return self.values.get(key)


def test_a_version_that_passes_by_is_taken_from_the_store(tmp_path: Path) -> None:
    store, now, versions = Store(), [0.0], StrategyVersions(tmp_path / "strategies")
    versions.keep("offers", NEW.version, NEW.text)
    store.put(OLD.version, OLD.text)
    keeper = VersionKeeper(versions, KEYS, store, lambda: now[0])
    keeper.see([NEW.version, OLD.version, LATE.version, "../etc/passwd", ""])
    assert store.asked == [KEYS.version(v) for v in sorted([OLD.version, LATE.version])]
    files = {path.name for path in (tmp_path / "strategies/offers").iterdir()}
    assert files == {f"{NEW.version}.yaml", f"{OLD.version}.yaml", f"{LATE.version}.wanted"}
    loaded = versions.loaded(OLD.version, catalog)
    assert loaded == OLD

    keeper.see([OLD.version, LATE.version])
    assert len(store.asked) == 2  # not again at once
    again = VersionKeeper(versions, KEYS, store, lambda: now[0])  # after a restart
    again.see([])
    assert store.asked[2:] == [KEYS.version(LATE.version)]
    now[0] = 2.0
    store.values[KEYS.version(LATE.version)] = b"no JSON"
    again.see([])
    assert versions.text(LATE.version) is None
    now[0] = 4.0
    store.put(LATE.version, LATE.text)
    again.see([])
    assert versions.text(LATE.version) == LATE.text
    assert not list(tmp_path.rglob("*.wanted")) + list(tmp_path.rglob("*.tmp"))
    assert versions.names() == ["offers"]


def test_what_cannot_be_kept_or_read_is_told(tmp_path: Path) -> None:
    versions = StrategyVersions(tmp_path / "strategies")
    assert versions.text("no version") is None
    assert versions.loaded(OLD.version, None) is None
    versions.keep("offers", OLD.version, NEW.text)
    with pytest.raises(SettingsError, match=f"of version {OLD.version} is of version"):
        versions.loaded(OLD.version, None)
    path = tmp_path / f"strategies/offers/{NEW.version}.yaml"
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="cannot be read"):
        versions.text(NEW.version)
    (tmp_path / "strategies/tea").write_text("a file")
    with pytest.raises(StateError, match="cannot be written"):
        versions.keep("tea", OLD.version, OLD.text)


def test_a_store_that_is_away_has_nothing(tmp_path: Path) -> None:
    assert fetching(f"unix://{tmp_path}/server.sock")("key") is None
