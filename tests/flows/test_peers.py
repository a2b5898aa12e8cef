"""What workers write into their locks, as their peers read it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from nextbest.flows.peers import _token, lock_of, sign, sign_off


def test_who_reads_a_lock_at_any_moment_finds_a_token_or_the_end(tmp_path: Path) -> None:
    path = lock_of(tmp_path, 0)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    sign_off(descriptor)
    seen, done = set[str](), threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(_token(path))

    reader = threading.Thread(target=look)
    reader.start()
    written = {"ended"}
    for _ in range(2000):
        sign(descriptor)
        written.add(_token(path))
        sign_off(descriptor)
    done.set()
    reader.join()
    os.close(descriptor)
    assert seen <= written
    assert len(written) == 2001
