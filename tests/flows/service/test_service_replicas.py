"""Several processes at one address: started anew when one dies, and ended together."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from nextbest.features.errors import SettingsError
from nextbest.flows.service.address import listen, reserved, share
from tests.flows.service.loop_cases import until
from tests.flows.service.test_service_starting import fails
from tests.flows.service.world import command, put_rows, served


def replicas(of: int) -> set[int]:
    """The processes of ours that a process has started."""
    found = set()
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == of:
                found.add(pid)
    return found


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v1/features/ann", timeout=60).status_code == 200
    except httpx.HTTPError:
        return False  # of the one that died just now


def gone(pid: int) -> Callable[[], bool]:
    """Whether a process has ended, be it that nobody has taken note of it yet."""

    def ended() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    return ended


def test_one_that_is_killed_is_started_anew_and_all_end_together(
    store_url: str, tmp_path: Path
) -> None:
    put_rows(store_url)
    with served(store_url, tmp_path / "home", "--processes", "2") as service:
        assert httpx.get(f"{service.url}/v1/features/ann").status_code == 200
        first = replicas(service.process.pid)
        assert len(first) == 2
        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        until(gone(killed))
        until(lambda: answers(service.url))
        until(lambda: len(replicas(service.process.pid)) == 2)
        assert killed not in replicas(service.process.pid)
        left = replicas(service.process.pid)
        assert service.stop() == 0
        for pid in left:
            until(gone(pid))


def test_they_end_when_whoever_started_them_is_killed(store_url: str, tmp_path: Path) -> None:
    put_rows(store_url)
    with served(store_url, tmp_path / "home", "--processes", "2") as service:
        left = replicas(service.process.pid)
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
        for pid in left:
            until(gone(pid))


def test_what_one_says_before_it_serves_ends_all(store_url: str, tmp_path: Path) -> None:
    said = fails(*command(store_url, tmp_path, "--processes", "2", catalog="shoe"))
    assert "the store has no catalog" in said


def test_an_address_is_of_one_service_or_shared_by_its_processes() -> None:
    with (
        reserved("127.0.0.1", 0, keyed=False) as port,
        share("127.0.0.1", port, keyed=False) as one,
        share("127.0.0.1", port, keyed=False) as other,
    ):
        one.listen()
        other.listen()
        refused = f"127.0.0.1:{port}: cannot listen there: Address already in use"
        with pytest.raises(SettingsError, match=refused):
            listen("127.0.0.1", port, keyed=False)
        with (
            pytest.raises(SettingsError, match=refused),
            reserved("127.0.0.1", port, keyed=False),
        ):
            pass
