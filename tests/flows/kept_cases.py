"""What is kept of a decision, with its line, wherever that is."""

from __future__ import annotations

from typing import Any

import redis

from nextbest.flows.decision.calling import by_text
from nextbest.flows.decision.commit_types import Called
from nextbest.flows.decision.kept import read


def whole(store: redis.Redis, key: str) -> bytes | None:
    """Its place, a space, and its line; None: nothing is kept."""
    steps, reply = read([key]), None
    try:
        while True:
            step: Any = steps.send(reply)
            command = by_text(step) if isinstance(step, Called) else step
            reply = store.execute_command(*command)  # type: ignore[no-untyped-call]  # untyped
    except StopIteration as end:
        found: list[bytes | None] = end.value
        return found[0]
