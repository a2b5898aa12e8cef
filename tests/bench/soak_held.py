"""What the processes of ``soak`` hold: the worker by its metrics, the store key by key."""

from __future__ import annotations

import re
import socket
import urllib.request
from collections.abc import Iterable
from typing import Any

import redis

_SAMPLE = 200
_SERIES = re.compile(r"nextbest_(decisions_waiting|examples_kept|rows_resident)(?:\{.*\})? (\S+)")
_KIND = re.compile(
    r"nextbest:[^:/]+(?::[^:/]+)?[:/]([a-z]+)(?::(published|counts|soak|other|probe))?"
)


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def held(client: redis.Redis, port: int) -> dict[str, Any]:
    """Return what the worker and the store hold.

    Parameters
    ----------
    client
        The store.
    port
        Where the worker shows metrics.
    """
    return {"worker": _worker(port), "store": _store(client)}


def _worker(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return counted(answer.read().decode().splitlines())


def counted(lines: Iterable[str]) -> dict[str, float]:
    """Sum up what is held in memory, of all labels.

    >>> counted(['nextbest_examples_kept{objective="a"} 3.0', "nextbest_examples_kept 2", "up 1"])
    {'examples_kept': 5.0}
    """
    found: dict[str, float] = {}
    for line in lines:
        matched = _SERIES.fullmatch(line)
        if matched:
            found[matched[1]] = found.get(matched[1], 0.0) + float(matched[2])
    return found


def kind(key: bytes) -> str:
    """Return what is kept under a key.

    >>> kind(b"nextbest:visits:visits:decision:0006-15"), kind(b"clicks:0")
    ('decision', 'clicks')
    """
    text = key.decode("latin-1")
    matched = _KIND.match(text)
    return (matched[1] if matched else text.partition(":")[0]) or "other"


def _store(client: redis.Redis) -> dict[str, Any]:
    keys: dict[str, list[bytes]] = {}
    for key in client.scan_iter(count=1000):
        keys.setdefault(kind(key), []).append(key)
    found: dict[str, Any] = {}
    for name, own in sorted(keys.items()):
        with client.pipeline(transaction=False) as asked:
            for key in own[:_SAMPLE]:
                asked.memory_usage(key, samples=0)
            sizes = [size for size in asked.execute() if size is not None]
        each = sum(sizes) / max(1, len(sizes))
        found[name] = {"keys": len(own), "mb": round(each * len(own) / 2**20, 2)}
    streams = keys.get("clicks", [])
    found["log_entries"] = sum(int(client.xlen(stream)) for stream in streams)
    memory: Any = client.info("memory")
    found["used_mb"] = round(memory["used_memory"] / 2**20, 1)
    return found
