"""A store's password is in no message, also where its URL is not what it was meant to be."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.features import SettingsError
from nextbest.features.online import FeatureClient
from nextbest.features.store_url import check_url, without_password
from nextbest.flows.connection import pool
from nextbest.flows.publisher import Publisher
from nextbest.flows.settings import Settings

BROKEN = [
    "redis://:S3/Cr3t@localhost:6399/0",
    "redis://:S3#Cr3t@localhost:6399/0",
    "redis://:S3?Cr3t@localhost:6399",
    "redis://:[S3]Cr3t@localhost:6399/0",
    "redis://me:S3@Cr3t/S3@localhost:6399/0",
    "rediss://S3/Cr3t@localhost",
]


@pytest.mark.parametrize("url", BROKEN)
def test_a_url_that_a_password_ends_is_refused_without_it(url: str) -> None:
    uses: list[Callable[[str], object]] = [
        pool,
        lambda url: Settings(redis_url=url),
        lambda url: Publisher(url, "events", partitions=None, shards=1),
        FeatureClient,
    ]
    for use in uses:
        with pytest.raises(SettingsError, match="letters and digits only") as refused:
            use(url)
        assert "S3" not in str(refused.value)
        assert "Cr3t" not in str(refused.value)
        assert "@localhost" in str(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://:S3@localhost:no/0", "redis://:***@localhost:no/0: Port could not be cast"),
        ("redis://:S3\u2100@localhost/0", "netloc '***@localhost' contains invalid"),
        (":S3@localhost:6399", "***@localhost:6399: Redis URL must specify"),
    ],
)
def test_what_the_client_repeats_is_hidden(url: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        pool(url)
    assert said in str(refused.value)
    assert "S3" not in str(refused.value)


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), max_size=12),
    st.sampled_from(["redis://", "rediss://", "unix://", ""]),
    st.sampled_from(["", "me"]),
    st.sampled_from(["", "/0", "/0?db=1", "/0?client_name=app"]),
)
def test_no_password_is_shown(password: str, scheme: str, user: str, end: str) -> None:
    shown = without_password(f"{scheme}{user}:<{password}>@cache:6379{end}")
    assert "<" not in shown
    assert ">" not in shown
    assert shown.endswith(f"***@cache:6379{end}") or shown == f"{scheme}***"


@pytest.mark.parametrize(
    "url",
    [
        "redis://:p%2Fq@cache:6379/0",
        "redis://me:a@b@cache/0",
        "redis://cache:6379/0?password=a@b",
        "redis://:p@cache:6379/0?client_name=a@b",
        "unix:///run/a@b.sock?db=1",
        "redis://[::1]:6379",
    ],
)
def test_other_urls_are_taken(url: str) -> None:
    check_url(url)
    pool(url)


def test_where_a_socket_is_stays_as_it_is() -> None:
    assert without_password("unix:///run/a@b.sock?db=1") == "unix:///run/a@b.sock?db=1"
    assert without_password("redis://cache:6379/0?password=a@b") == "redis://***"
    assert without_password("redis://me@cache") == "redis://me@cache"


def test_the_command_line_says_it_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nextbest.flows.cli", "features", "get", "ann"]
    done = subprocess.run(
        [*command, "--redis-url", BROKEN[0], "--data-dir", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode
    assert done.stderr.startswith("nextbest: redis://:***@localhost:6399/0: user and password")
    assert "Cr3t" not in done.stderr


def test_who_sets_the_password_is_told_of_what_it_may_be() -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    for file in ("env.example", "helm/nextbest/values.yaml"):
        text = re.sub(r"\s+# |\s+", " ", (deploy / file).read_text())
        assert re.search("etters and digits only, as it stands in a URL: openssl rand", text), file
