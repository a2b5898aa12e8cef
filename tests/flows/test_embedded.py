"""Settings, and the embedded server: found again, restarted, never doubled, never mistaken."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from nextbest.features.errors import SettingsError, StoreError
from nextbest.features.store_url import without_password
from nextbest.flows.embedded import (
    Fsync,
    connect,
    ensure_server,
    find_server,
    revive_server,
    stop_server,
)
from nextbest.flows.settings import Settings
from tests.flows.server_cases import pid_alive, pid_of


def start_elsewhere(data_dir: Path) -> subprocess.Popen[str]:
    code = (
        "import sys; from nextbest.flows.embedded import ensure_server as e; print(e(sys.argv[1]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, os.fspath(data_dir)], stdout=subprocess.PIPE, text=True
    )


def test_two_starters_make_one_server_that_outlives_them(data_dir: Path) -> None:
    assert find_server(data_dir) is None
    starters = [start_elsewhere(data_dir) for _ in range(2)]
    urls = {starter.communicate(timeout=200)[0].strip() for starter in starters}
    assert urls == {find_server(data_dir)}
    url = urls.pop()
    pid = pid_of(url)
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(ensure_server(data_dir))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [url] * 4
    assert pid_of(url) == pid


def test_rows_survive_a_killed_server(data_dir: Path) -> None:
    url = ensure_server(data_dir)
    with redis.Redis.from_url(url) as client:
        client.mset({f"row:{i}": b"x" * 100 for i in range(10_000)})
    killed = pid_of(url)
    os.kill(killed, signal.SIGKILL)
    assert ensure_server(data_dir) == url
    assert pid_of(url) != killed
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == 10_000
    assert stop_server(data_dir)
    assert not stop_server(data_dir)
    assert find_server(data_dir) is None


def test_a_killed_server_is_revived_but_a_live_one_left_alone(data_dir: Path) -> None:
    revive_server(data_dir)
    assert find_server(data_dir) is None  # it was never here
    url = ensure_server(data_dir)
    pid = pid_of(url)
    revive_server(data_dir)
    assert pid_of(url) == pid
    os.kill(pid, signal.SIGSTOP)
    revive_server(data_dir)  # it hangs, but it lives
    os.kill(pid, signal.SIGKILL)
    while pid_alive(pid):
        time.sleep(0.01)
    revive_server(data_dir)
    assert pid_of(url) != pid


def test_the_disk_is_written_as_the_settings_say(data_dir: Path) -> None:
    def of(url: str) -> str:
        with redis.Redis.from_url(url) as client:
            return str(client.config_get("appendfsync")["appendfsync"])

    url = ensure_server(data_dir)
    assert of(url) == "everysec"
    with connect(Settings(data_dir=data_dir, embedded_fsync="always")):
        assert of(url) == "always"
    ensure_server(data_dir)
    assert of(url) == "always"  # who asks for nothing changes nothing
    stop_server(data_dir)
    assert of(ensure_server(data_dir, "always")) == "always"


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_every_answered_row_survives_the_death_of_the_server(data_dir: Path, fsync: Fsync) -> None:
    """The newest ones may not with `everysec`, if the file is just then brought to the disk."""
    expected = 0
    for _ in range(3):
        url = ensure_server(data_dir, fsync)
        with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
            threading.Timer(0.1, os.kill, (pid_of(url), signal.SIGKILL)).start()
            with contextlib.suppress(redis.ConnectionError):
                while True:
                    client.set(f"row:{expected}", "x" * 1000)
                    expected += 1
        url = ensure_server(data_dir, fsync)
        with redis.Redis.from_url(url) as client:
            found = client.dbsize()
            assert found <= expected + 1  # one was not answered
            assert client.exists(*(f"row:{i}" for i in range(found))) == found  # no hole
            if fsync == "always":
                assert found >= expected
            expected = found
    assert expected > 0


def test_an_append_only_file_that_is_cut_off_loses_its_tail_only(data_dir: Path) -> None:
    url = ensure_server(data_dir)
    with redis.Redis.from_url(url) as client:
        for i in range(100):
            client.set(f"row:{i}", "x" * 100)
    os.kill(pid_of(url), signal.SIGKILL)
    (log,) = (data_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    os.truncate(log, log.stat().st_size - 150)  # in the middle of the last command but one
    with redis.Redis.from_url(ensure_server(data_dir)) as client:
        assert [i for i in range(100) if not client.exists(f"row:{i}")] == [98, 99]
        client.set("row:98", "again")
    os.kill(pid_of(url), signal.SIGKILL)
    with redis.Redis.from_url(ensure_server(data_dir)) as client:
        assert client.get("row:98") == b"again"  # what comes after the cut is whole


def test_it_is_private_and_opens_no_port(data_dir: Path) -> None:
    url = ensure_server(data_dir)
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert Path(url.removeprefix("unix://")).stat().st_mode & 0o077 == 0
    with redis.Redis.from_url(url) as client:
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    data_dir = tmp_path / "with a space, ü" / ("long" * 30)
    url = ensure_server(data_dir)
    try:
        assert find_server(data_dir) == url
        with redis.Redis.from_url(url) as client:
            assert client.ping()
    finally:
        assert stop_server(data_dir)


def test_a_recorded_process_id_is_not_trusted(data_dir: Path) -> None:
    valkey = data_dir / "valkey"
    valkey.mkdir(parents=True)
    record = {"socket": os.fspath(valkey / "server.sock"), "pid": os.getpid()}
    (valkey / "server.json").write_bytes(msgspec.json.encode(record))
    assert find_server(data_dir) is None
    assert not stop_server(data_dir)
    assert pid_of(ensure_server(data_dir)) != os.getpid()


def test_another_server_on_our_socket_is_refused(data_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    url = ensure_server(other)
    try:
        (data_dir / "valkey").mkdir(parents=True)
        (data_dir / "valkey" / "server.sock").symlink_to(url.removeprefix("unix://"))
        with pytest.raises(StoreError, match="something else listens"):
            ensure_server(data_dir)
    finally:
        stop_server(other)


def test_a_start_that_fails_shows_the_log(data_dir: Path) -> None:
    directory = data_dir / "valkey" / "appendonlydir"
    directory.mkdir(parents=True)
    (directory / "appendonly.aof.manifest").write_text("rubbish\n")
    with pytest.raises(StoreError, match=r"ended at once: .*server\.log ends:\n(.|\n)*AOF"):
        ensure_server(data_dir)


def test_connect(data_dir: Path) -> None:
    with connect(Settings(data_dir=data_dir)) as client:
        client.set("a", 1)
    with connect(Settings(redis_url=find_server(data_dir))) as client:
        assert client.get("a") == b"1"


def test_connect_to_nothing_names_the_url_without_its_password() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://worker:s3cret@127.0.0.1:{free.getsockname()[1]}/0"
    with pytest.raises(StoreError, match="no answer") as caught:
        connect(Settings(redis_url=url))
    assert "worker:***@127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SettingsError, match="must specify one of"):
        connect(Settings(redis_url="http://localhost"))


def test_connect_to_what_is_no_redis() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(StoreError, match="does not speak the Redis protocol"):
            connect(Settings(redis_url=url))
        thread.join()


def test_password_is_hidden_in_every_place() -> None:
    assert without_password("redis://:p@h:1/0") == "redis://:***@h:1/0"
    assert without_password("unix://u:p@/run/v.sock?password=p") == (
        "unix://u:***@/run/v.sock?password=***"
    )


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("NEXTBEST_SHARDS", "0", "Expected `int` >= 1"),
        ("NEXTBEST_SHARDS", "many", "Expected `int`, got `str`"),
        ("NEXTBEST_ARCHIVE", "perhaps", "Expected `bool`"),
        ("NEXTBEST_EPOCH_SECONDS", "nan", "Expected `float` >= 0.01"),
    ],
)
def test_a_bad_variable_is_named(variable: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable: value})
    assert str(caught.value).startswith(f"{variable}={value!r}: ")
    assert expected in str(caught.value)


def test_settings_come_from_overrides_then_variables_then_defaults() -> None:
    environ = {
        "NEXTBEST_SHARDS": "8",
        "NEXTBEST_ARCHIVE": "false",
        "NEXTBEST_REDIS_URL": "",
        "NEXTBEST_PORT": "tcp://10.0.0.1:80",
    }
    settings = Settings.from_env(environ, shards=4, batch_rows=None, data_dir="d")
    assert (settings.shards, settings.archive, settings.redis_url) == (4, False, None)
    assert settings.batch_rows == Settings().batch_rows
    assert settings.recovery_dir == Path("d/recovery")
    with pytest.raises(SettingsError, match="no such setting"):
        Settings.from_env({}, shard=4)


def test_every_setting_says_what_it_is() -> None:
    for field in msgspec.structs.fields(Settings):
        (meta,) = [m for m in field.type.__metadata__ if isinstance(m, msgspec.Meta)]
        assert meta.description, field.name
        unit = field.name.rpartition("_")[2]
        if unit in ("seconds", "bytes"):
            assert unit in meta.description, field.name
