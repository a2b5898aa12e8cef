"""Ports for servers that must be told one before they listen."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody uses.

    No other process of the tests gets them as long as this one lives, and no connection does: they
    lie below the ports of clients.
    """
    for first in range(20_000, 32_000, 10):
        lock = os.open(
            Path(tempfile.gettempdir()) / f"nextbest-test-ports-{first}", os.O_CREAT | os.O_RDWR
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            os.close(lock)
            continue
        return first
    raise AssertionError("no free ports")


def free_port() -> int:
    """See `free_ports`."""
    return free_ports(1)
