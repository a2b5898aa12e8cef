"""Who decides, as it is published: names for those who decide, and evidence for those who ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from ...learners import Fleet, LearnerError
from ...learners.checkpoint import pack, unpack
from ...learners.fleet_parts import Change, Member
from .errors import ModelError

if TYPE_CHECKING:
    from .shadows import Standing, Standings

_KIND = "FleetRoster"
SHOWN = 100
"""Of the newest changes; the archive has all."""
MOST_BYTES = 1 << 20


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial says: see `learners.Evidence`."""

    pairs: int
    differing: int
    mean: float
    low: float
    high: float
    log_e: float
    alpha: float


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A member: see `learners.fleet_parts.Member`."""

    name: str
    role: str
    born: int
    since: int
    fresh: bool
    spec: dict[str, Any]
    evidence: Evidence | None = None


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """A change: see `learners.fleet_parts.Change`."""

    number: int
    at: int
    what: str
    member: str
    champion: str
    by: str
    note: str = ""
    evidence: Evidence | None = None


class Forecasts(msgspec.Struct, frozen=True, kw_only=True):
    """How a shadow's forecasts stand in an objective.

    Attributes
    ----------
    learned
        Examples.
    evidence
        Its mean and ends are nats of log loss an example: see `learners.forecasts.ForecastTrial`.
    verdict
        ``forecasts better``, ``forecasts worse`` or ``cannot tell``.
    """

    learned: int
    evidence: Evidence
    verdict: str


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """A model of River that learns beside the fleet, and never decides."""

    name: str
    since: int
    spec: dict[str, Any]
    objectives: dict[str, Forecasts]


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet at a time.

    Attributes
    ----------
    members
        The champion first.
    changes
        The newest.
    late
        Decisions that came too late to count.
    shadows
        Who learns and forecasts besides.
    stamp
        A roster has none: what is in the store is always taken.
    """

    members: list[Listed]
    changes: list[Noted]
    late: int = 0
    shadows: list[Shadow] = []
    stamp: None = None

    @property
    def champion(self) -> str:
        """Its name."""
        return self.members[0].name

    @property
    def challengers(self) -> tuple[str, ...]:
        """The names of the others, who decide for some customers."""
        return tuple(member.name for member in self.members[1:])


def roster_of(fleet: Fleet, late: int = 0, shadows: Mapping[str, Standings] | None = None) -> bytes:
    """Return a fleet as it is published, with its shadows.

    Examples
    --------
    >>> roster = read_roster(roster_of(Fleet("base", {"nimble": {}})))
    >>> roster.champion, roster.challengers, [change.what for change in roster.changes]
    ('base', ('nimble',), ['begin', 'add'])
    """
    values = {
        "members": [_listed(member) for member in fleet.members.values()],
        "changes": [noted(change) for change in fleet.changes[-SHOWN:]],
        "late": late,
        "shadows": [_shadow(name, *one) for name, one in (shadows or {}).items()],
    }
    return pack(_KIND, values, {})


def read_roster(data: bytes) -> Roster:
    """Return the roster of what was published.

    Raises
    ------
    ModelError
        If it is none.
    """
    if len(data) > MOST_BYTES:
        raise ModelError(f"a fleet of more than {MOST_BYTES} bytes")
    try:
        roster = msgspec.convert(unpack(data, _KIND)[0], Roster)
    except (LearnerError, msgspec.ValidationError) as error:
        raise ModelError(f"the fleet cannot be read: {error}") from error
    if not roster.members:
        raise ModelError("the fleet cannot be read: it has no champion")
    return roster


def noted(change: Change) -> dict[str, Any]:
    """Return a change as plain values."""
    plain = change._asdict()
    return {**plain, "evidence": change.evidence and change.evidence._asdict()}


def _listed(member: Member) -> dict[str, Any]:
    trial = member.trial
    evidence = trial.evidence()._asdict() if trial is not None else None
    plain = member.to_values()
    names = ("name", "role", "born", "since", "fresh", "spec")
    return {**{name: plain[name] for name in names}, "evidence": evidence}


def _shadow(
    name: str, since: int, spec: dict[str, Any], standings: Mapping[str, Standing]
) -> dict[str, Any]:
    objectives = {
        objective: {**one._asdict(), "evidence": one.evidence._asdict()}
        for objective, one in standings.items()
    }
    return {"name": name, "since": since, "spec": spec, "objectives": objectives}


class Split:
    """Which member decides for a customer at a time: a function of these alone.

    Parameters
    ----------
    champion, challengers
        Their names, the challengers in order.
    share
        Of the customers for all challengers together.
    stay
        For how long a customer stays with one, microseconds.
    salt
        Another one shares customers out anew.

    Examples
    --------
    >>> split = Split("base", ["a", "b"], share=0.5, stay=60, salt="tea")
    >>> who = [split.member(f"c{i}", at=30) for i in range(1000)]
    >>> [who.count(name) for name in ("base", "a", "b")]
    [523, 242, 235]
    >>> split.member("c1", 59) == split.member("c1", 0)
    True
    """

    def __init__(
        self, champion: str, challengers: Sequence[str], *, share: float, stay: int, salt: str
    ) -> None:
        self.champion, self.challengers = champion, tuple(challengers)
        self._share, self._stay = share, stay
        self._salt = blake2b(salt.encode(), digest_size=16).digest()

    def member(self, customer: str, at: int) -> str:
        """Return who decides for a customer at a time, microseconds."""
        if not self.challengers:
            return self.champion
        text = f"{at // self._stay}/{customer}".encode()
        digest = blake2b(text, digest_size=8, key=self._salt).digest()
        drawn = (int.from_bytes(digest, "little") >> 11) * 2.0**-53
        if drawn >= self._share:
            return self.champion
        n = len(self.challengers)
        return self.challengers[min(int(drawn / self._share * n), n - 1)]
