"""The process of an embedded server: who it is, whether it lives, and its sudden end."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import redis


def pid_of(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def pid_alive(pid: int) -> bool:
    """Whether anything of a process lives: threads may hold its sockets when the first is gone."""
    process = Path(f"/proc/{pid}")
    try:
        return (process / "stat").read_text().split()[2] != "Z" or len(
            list((process / "task").iterdir())
        ) > 1
    except OSError:
        return False


def kill(url: str) -> None:
    """End a server at once; return when nothing of it lives."""
    pid = pid_of(url)
    os.kill(pid, signal.SIGKILL)
    while pid_alive(pid):
        time.sleep(0.005)
