"""Which names the service answers to while it asks for no API key.

A web page may let its own name lead to this machine's loopback (DNS rebinding); the browser then
takes the service for a part of that page. The name is in the request, and gives it away.
"""

from __future__ import annotations

import ipaddress

_MOST_KNOWN = 256


class Hosts:
    """Says whether a request's ``Host`` is this machine.

    Parameters
    ----------
    bound
        Where the service listens, as it was asked for.

    Examples
    --------
    >>> hosts = Hosts("127.0.0.1")
    >>> [hosts.admit(host) for host in (b"localhost:8080", b"[::1]", b"127.8.0.1", b"evil.example")]
    [True, True, True, False]
    """

    def __init__(self, bound: str) -> None:
        self._bound = bound.lower()
        self._known: set[bytes] = set()

    def admit(self, host: bytes | None) -> bool:
        """Say so; without any ``Host`` no browser has sent it."""
        if host is None or host in self._known:
            return True
        good = self._is_own(host.decode("latin-1").lower())
        if good and len(self._known) < _MOST_KNOWN:
            self._known.add(host)
        return good

    def _is_own(self, host: str) -> bool:
        if host.startswith("["):
            name, bracket, port = host[1:].partition("]")
            port = port.removeprefix(":") if bracket else "none"
        else:
            name, _, port = host.partition(":")
        if port and not (port.isascii() and port.isdecimal()):
            return False
        return name.removesuffix(".") == self._bound or is_loopback(name)


def is_loopback(name: str) -> bool:
    """Say whether a name or an address never leaves this machine.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("10.0.0.1")
    (True, True, False)
    """
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
