"""Starting services, and rows for them to find."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from nextbest.features import Catalog
from nextbest.features.declared import declare_commands
from tests.flows.service import shop
from tests.laws.driver import Kernels

START = 1_767_225_600_000_000  # 2026-01-01
SECOND = 1_000_000
NOW = START + 60 * SECOND
REFERENCE = f"{shop.__file__}:catalog"


@dataclass
class Service:
    url: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(200)


def command(store: str, home: Path, *more: str, catalog: str | None = REFERENCE) -> list[str]:
    named = [] if catalog is None else ["--catalog", catalog]
    return [
        sys.executable, "-m", "nextbest.flows.cli", "serve", "--port", "0",
        *named, "--redis-url", store, "--data-dir", str(home), *more,
    ]  # fmt: skip


@contextlib.contextmanager
def served(
    store: str, home: Path, *more: str, catalog: str | None = REFERENCE, **env: str
) -> Iterator[Service]:
    """A service at a free port, from when it listens until the end of the block."""
    with open(home.parent / f"{home.name}.err", "w+") as errors:
        process = subprocess.Popen(
            command(store, home, *more, catalog=catalog), env={**os.environ, **env},
            stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.match(r"serving \w+ on (http://\S+:\d+),", line)
            if not found:
                errors.seek(0)
                raise AssertionError(f"{line!r}: {errors.read()}")
            yield Service(found[1], process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]


def declare(store: redis.Redis, catalog: Catalog) -> None:
    """Publish a declaration as a worker does."""
    untyped: Any = store
    for one in declare_commands(catalog):
        untyped.execute_command(*one)


def event(number: int, customer: str, **more: Any) -> dict[str, Any]:
    return {
        "event_id": str(number),
        "event_timestamp": START + number * SECOND,
        "customer_id": customer,
        "type": "view",
        "properties": {},
        **more,
    }


def bought(number: int, customer: str, category: str, value: float) -> dict[str, Any]:
    properties = {"category": category, "value": value}
    return event(number, customer, type="purchase", properties=properties)


EVENTS = [
    event(0, "ann"),
    event(1, "ann", properties={"category": "coffee"}),
    bought(2, "ann", "tea", 2.5),
    event(3, "ben"),
    bought(4, "köln/ü", "tea", 7.0),
]


def put_rows(url: str) -> None:
    """Put the customers' rows into an otherwise empty store, as a worker would."""
    kernels = Kernels(shop.customers)
    kernels.apply(EVENTS)
    commands = kernels.state.encode_changes(b"nextbest:shop:customer:")
    with redis.Redis.from_url(url) as client:
        client.flushall()
        connection: Any = client.connection_pool.get_connection()
        connection.send_packed_command([commands.payload.tobytes()])
        for _ in range(commands.replies):
            assert connection.read_response() == b"OK"
        client.connection_pool.release(connection)
