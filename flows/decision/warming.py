"""Making the kernels of a decision ready before anybody waits for them."""

from __future__ import annotations

from .engine import Engine
from .ids import new_id
from .offered import left_by, left_by_many
from .request import Request

_MANY = 2


def warm(engine: Engine, at: int) -> None:
    """Decide for nobody, alone and together, as of ``at``, microseconds since 1970."""
    channel = next(iter(engine.loaded.strategy.channels))
    request = Request(customer="nextbest", channel=channel)
    record = engine.decide(request, None, b"", b"", at, new_id(at, request.customer))
    left_by(engine.caps, record)
    ids = [record.id] * _MANY
    records = engine.decide_many(
        [request] * _MANY, [None] * _MANY, [b""] * _MANY, [b""] * _MANY, at, ids
    )
    left_by_many(engine.caps, records)
