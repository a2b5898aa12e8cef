"""One command in the Redis protocol, for sinks that send bytes as they are."""

from __future__ import annotations


def encode_command(*words: bytes) -> bytes:
    r"""Encode a command.

    >>> encode_command(b"SET", b"key", b"value")
    b'*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n'
    """
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)
