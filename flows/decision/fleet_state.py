"""What a fleet's learning keeps, as bytes: told from that of models without a fleet."""

from __future__ import annotations

import msgspec

FORMAT = 2
"""The learning of models without a fleet is of format 1."""


class Waiting(msgspec.Struct, array_like=True):
    """A decision of a member that is not settled yet.

    Attributes
    ----------
    at, member, customer
        When, who decided, and for whom: the hash in the decision's id.
    action
        What was offered first.
    told
        By objective: revision, reward (None: withdrawn) and what was foretold of it.
    """

    at: int
    member: str
    customer: int
    action: str
    told: dict[str, tuple[int, float | None, float | None]]


class Order(msgspec.Struct, array_like=True):
    """What a person wants to be done with a member."""

    at: int
    what: str
    member: str
    by: str
    note: str


class Settled(msgspec.Struct, array_like=True):
    """How far settling has come.

    Attributes
    ----------
    newest
        The newest time told, microseconds; -1 at first.
    period, seen
        Which stay it is, and the customers who counted in it.
    decisions, orders
        What waits, by id.
    late
        Decisions that came too late to count.
    done
        The ids of the orders that were done last.
    """

    newest: int = -1
    period: int = -1
    seen: list[int] = []
    decisions: dict[str, Waiting] = {}
    orders: dict[str, Order] = {}
    late: int = 0
    done: list[str] = []


class FleetState(msgspec.Struct, array_like=True):
    """Everything.

    Attributes
    ----------
    champion, members, since
        Who is it, what each has learned, and from which decisions' time on those learn that do not
        learn from all.
    fleet, declared
        Of `learners.Fleet`, and what it was declared as; empty before it begins.
    shadows
        Of `Shadows`.
    """

    format: int
    champion: str
    members: dict[str, bytes]
    since: dict[str, int]
    fleet: bytes
    declared: str
    settled: Settled
    told: int
    shadows: bytes = b""


STATES: msgspec.msgpack.Decoder[FleetState] = msgspec.msgpack.Decoder(FleetState)


def is_fleet(state: bytes) -> bool:
    """Return whether a state of learning is of a fleet."""
    # An array of less than 16 begins with one byte, and a small number is one.
    return len(state) > 1 and state[0] & 0xF0 == 0x90 and state[1] == FORMAT


def champion_state(state: bytes) -> bytes:
    """Return what the champion of a fleet has learned; of models without a fleet, the state itself.

    Raises
    ------
    msgspec.DecodeError
        If it is of a fleet, and damaged.
    """
    if not is_fleet(state):
        return state
    found = STATES.decode(state)
    if found.champion not in found.members:
        raise msgspec.DecodeError(f"there is no champion {found.champion!r}")
    return found.members[found.champion]
