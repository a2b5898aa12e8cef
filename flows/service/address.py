"""Where a service listens: an address of its own, or one that several processes share."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Mapping

from ...features.errors import SettingsError
from .hosts import is_loopback

API_KEYS = "NEXTBEST_API_KEYS"
_REMEDIES = {
    errno.EADDRINUSE: "; end what listens there, or give another --port",
    errno.EACCES: "; ports below 1024 are for root, give a --port above",
    errno.EADDRNOTAVAIL: "; --host must be an address of this machine",
}


def keys_of(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the API keys of the environment.

    >>> keys_of({"NEXTBEST_API_KEYS": "one, two,"})
    ('one', 'two')
    """
    text = (os.environ if environ is None else environ).get(API_KEYS, "")
    return tuple(key for key in (part.strip() for part in text.split(",")) if key)


def root_of(host: str, port: int) -> str:
    """Return the URL of an address.

    >>> root_of("::1", 8080)
    'http://[::1]:8080'
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int, *, keyed: bool) -> socket.socket:
    """Take an address for one service.

    Parameters
    ----------
    host, port
        The address; port 0: any that is free.
    keyed
        Whether each request must carry an API key.

    Raises
    ------
    SettingsError
        If it is taken or not there, or would let others in without an API key.

    Examples
    --------
    >>> listen("0.0.0.0", 0, keyed=False)
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SettingsError: --host 0.0.0.0: other machines could read and write \
everything; set NEXTBEST_API_KEYS, or serve on 127.0.0.1
    """
    taken = _bound(host, port, keyed=keyed, shared=False)
    try:
        taken.listen(2048)
    except OSError as error:
        taken.close()
        raise _refused(host, port, error) from None
    return taken


def share(host: str, port: int, *, keyed: bool) -> socket.socket:
    """Take part in an address that several processes of this user serve.

    The kernel shares connections out among those that listen. This one does not listen yet, so
    that nobody comes to it while it is still starting.

    Parameters
    ----------
    host, port, keyed
        As of `listen`.

    Raises
    ------
    SettingsError
        As of `listen`.
    """
    return _bound(host, port, keyed=keyed, shared=True)


@contextlib.contextmanager
def reserved(host: str, port: int, *, keyed: bool) -> Iterator[int]:
    """Hold an address for processes that will `share` it.

    Yields
    ------
    The port.

    Raises
    ------
    SettingsError
        As of `listen`; also if others share it already.
    """
    with listen(host, port, keyed=keyed) as alone:
        port = alone.getsockname()[1]
    with share(host, port, keyed=keyed):
        yield port


def _bound(host: str, port: int, *, keyed: bool, shared: bool) -> socket.socket:
    if not keyed and not is_loopback(host):
        raise SettingsError(
            f"--host {host}: other machines could read and write everything; "
            f"set {API_KEYS}, or serve on 127.0.0.1"
        )
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        taken = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"--host {host}: {error.strerror}") from None
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise _refused(host, port, error) from None
    return taken


def _refused(host: str, port: int, error: OSError) -> SettingsError:
    remedy = _REMEDIES.get(error.errno or 0, "")
    return SettingsError(f"{host}:{port}: cannot listen there: {error.strerror}{remedy}")
