"""Where processes show metrics: noted in their data directory for those who watch on the machine.

Each process has a file of its own in ``metrics/``, whose name is its address. It is made at once,
and removed when the process ends. One that was killed leaves its file, and is seen to be away until
a process takes its place there.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from ..settings import Settings

_ADDRESS = re.compile(r"[^/\s]+:\d{1,5}")

_log = logging.getLogger("nextbest.telemetry")


@contextlib.contextmanager
def noted(settings: Settings, port: int) -> Iterator[None]:
    """Note the address of a process while the block runs.

    A directory that cannot be written to is logged; nothing else depends on it.

    Parameters
    ----------
    settings
        The data directory, and at which address metrics are shown.
    port
        At which port.
    """
    host = _host(settings.metrics_host)
    path = _place(settings.data_dir) / (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except (OSError, ValueError) as error:
        _log.warning("metrics: `nextbest top` will not find this process by itself: %s", error)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            path.unlink(missing_ok=True)


def addresses(data_dir: Path) -> list[str]:
    """Return the addresses that processes have noted in a data directory, ``host:port``.

    Examples
    --------
    >>> import tempfile
    >>> here = Path(tempfile.mkdtemp())
    >>> with noted(Settings(data_dir=here), 9464):
    ...     addresses(here)
    ['127.0.0.1:9464']
    >>> addresses(here)
    []

    Raises
    ------
    OSError
        If the directory cannot be read.
    """
    try:
        names = sorted(path.name for path in _place(data_dir).iterdir())
    except FileNotFoundError:
        return []
    here = socket.gethostname()
    found = []
    for name in filter(_ADDRESS.fullmatch, names):
        host, _, port = name.rpartition(":")
        # A machine's own name need not be known to it.
        found.append(f"localhost:{port}" if host == here else name)
    return found


def _host(host: str) -> str:
    try:
        everywhere = ip_address(host).is_unspecified
    except ValueError:
        return host
    return socket.gethostname() if everywhere else host


def _place(data_dir: Path) -> Path:
    return data_dir / "metrics"
