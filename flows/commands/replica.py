"""A process of `nextbest serve --processes N`: ordered, watched and ended by `replicas`.

Its standard input brings the order; when it ends, whoever ordered it is gone, and this process
finishes its requests and ends too. Its standard output brings messages, one JSON line each.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from typing import BinaryIO

from ...features.errors import NextbestError
from .reports import Ended, Failed, Message, Serving, decode_order, encode
from .serve import Service, serve_alone


def main() -> int:
    """Do what the first line of standard input says."""
    order = sys.stdin.buffer.readline()
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what others print is no message
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is whose business it is to order
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()

    def tell(message: Message) -> None:
        try:
            messages.write(encode(message))
            messages.flush()
        except BrokenPipeError:
            return  # then the end is near

    try:
        service = decode_order(order, Service)
        serve_alone(service, lambda catalog, _: tell(Serving(catalog)), shared=True)
    except NextbestError as error:
        tell(Failed(type(error).__name__, str(error)))
        return 1
    except Exception as error:
        traceback.print_exc()
        tell(Failed(type(error).__name__, str(error)))
        return 1
    tell(Ended())
    return 0


def _end_with(words: BinaryIO) -> None:
    words.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
