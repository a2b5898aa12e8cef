"""What decides, what is asked of it, and what it says."""

from __future__ import annotations

from typing import NamedTuple

from ...features.online import AsyncFeatureClient
from ...features.receipts import Receipt
from ..decision.commit import AsyncCommitter
from ..decision.engine import Engine
from ..decision.keys import Keys
from ..decision.record import Record
from ..decision.request import Request, Row


class Live(NamedTuple):
    """A strategy that decides.

    Attributes
    ----------
    client
        Reads customers by the catalog that the engine was made for.
    engine
        With the models that there are.
    keys
        Of the store.
    committer
        Writes to the log and the store.
    models_fault
        Why the models cannot be had; empty: nothing is wrong.
    kept_us
        For how long records are kept.
    """

    client: AsyncFeatureClient
    engine: Engine
    keys: Keys
    committer: AsyncCommitter
    models_fault: str
    kept_us: int


class Decided(NamedTuple):
    """A decision.

    Attributes
    ----------
    record
        What was decided.
    receipt
        Its place in the log; None: it is not there.
    repeated
        Whether it had been decided before.
    persons
        The customer's own weights that were read for it.
    """

    record: Record
    receipt: Receipt | None
    repeated: bool
    persons: bytes = b""


class Asked(NamedTuple):
    """A decision that is asked for: what, what it should have seen, and its id, if it has one."""

    request: Request
    after: list[Receipt] | None
    wait_seconds: float
    decision_id: str | None


class Seen(NamedTuple):
    """What was read for a decision.

    Attributes
    ----------
    id, at
        Of the decision.
    row, contacts, persons
        The customer's; a row that cannot be read is None.
    stale
        Whether the row lacks an event that was waited for.
    fault
        Why only the fallback can be decided; empty: nothing is wrong.
    """

    id: str
    at: int
    row: Row | None
    contacts: bytes
    persons: bytes
    stale: bool = False
    fault: str = ""
