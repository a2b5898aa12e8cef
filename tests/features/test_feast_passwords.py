"""Passwords of the online store: in no message, and in no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import feast
import pytest
from feast import RepoConfig
from pydantic import ValidationError

from nextbest.features.feast_plugin import connection, repo
from nextbest.features.feast_plugin.errors import StoreAwayError
from tests.features.feast_cases import CATALOG

REFERENCE = "tests.features.feast_cases:CATALOG"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("redis://:hun:ter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("redis://me:hun@ter2@cache", "redis://me:***@cache"),
        ("redis://:hun/ter2@cache", "redis://:***@cache"),
        ("redis://:hun?ter2@cache", "redis://:***@cache"),
        ("redis://m@e:hunter2@cache", "redis://***@cache"),
        ("unix://me:hunter2@/run/s.sock", "unix://me:***@/run/s.sock"),
        ("rediss://cache/0?password=hun@ter2&db=1", "rediss://***"),
        ("redis://cache/0?db=1&password=hun,ter2", "redis://cache/0?db=1&password=***"),
        ("http://me:hunter2@cache", "http://me:***@cache"),
        ("cache:6379,password=hun&ter2,db=1", "cache:6379,password=***,db=1"),
        ("me:hun:ter2@cache:6379", "me:***@cache:6379"),
    ],
)
def test_no_part_of_a_password_is_shown(given: str, shown: str) -> None:
    assert connection.without_password(given) == shown
    assert connection.has_password(given)


@pytest.mark.parametrize(
    "given",
    [
        "redis://cache:6379/0?db=1",
        "redis://me@cache:6379",
        "rediss://[::1]:6379",
        "unix:///run/a:b/s.sock",
        "cache:6379,db=0",
    ],
)
def test_what_has_no_password_is_shown_as_it_is(given: str) -> None:
    assert connection.without_password(given) == given
    assert not connection.has_password(given)


def test_a_store_that_is_away_is_named_without_any_of_its_password(tmp_path: Path) -> None:
    away = repo.apply(CATALOG, tmp_path, "redis://me:hun:t@er2@127.0.0.1:1/0")
    with pytest.raises(StoreAwayError, match=r"^redis://me:\*\*\*@127.0.0.1:1/0: ") as refused:
        away.get_online_features(["history:all_events"], [{"customer_id": "ada"}])
    assert "hun" not in str(refused.value)
    assert "er2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("cache:6379,password=hunter2", r"'cache:6379,password=\*\*\*' does not begin with redis"),
        ("cache:6379", "'cache:6379' does not begin with redis"),
        ("me:hunter2@cache", r"'me:\*\*\*@cache' does not begin with redis"),
        ("http://me:hunter2@cache", r"'http://me:\*\*\*@cache' does not begin with redis"),
        ("redis://:hunter2/@cache", r"'redis://:\*\*\*@cache' is no URL: .*%2F for /"),
    ],
)
def test_what_is_no_url_of_a_store_is_refused(tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        repo.write_repo(tmp_path / "f", REFERENCE, url)
    with pytest.raises(ValueError, match=reason):
        repo.apply(CATALOG, tmp_path / "f", url)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"connection_string": "http://a:hunter2@b"}, r"'http://a:\*\*\*@b' does not begin"),
        ({"connection_string": "redis://:hunter2/@b"}, r"'redis://:\*\*\*@b' is no URL"),
        ({"connection_string": "redis://:hunter2@b", "client": "glide"}, "needs host:port"),
        ({"connection_string": "b,password=hunter2", "redis_type": "redis_cluster"}, "in one serv"),
    ],
)
def test_options_that_cannot_be_used_are_shown_without_it(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason) as refused:
        RepoConfig(
            project="shop",
            provider="local",
            registry="registry.db",
            online_store={"type": repo.STORE_TYPE, **options},
            entity_key_serialization_version=3,
        )
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(refused.value.errors())


def test_a_password_in_a_query_is_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "redis://cache:6379/1?password=hun:ter2"
    file = repo.write_repo(tmp_path, REFERENCE, url)
    assert "hun" not in file.read_text()
    monkeypatch.setenv("NEXTBEST_REDIS_URL", url)
    assert feast.FeatureStore(str(tmp_path)).config.online_store.connection_string == url
