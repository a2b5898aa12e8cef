"""What a fleet is made of: members, the changes it went through, and its settings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from .checks import count, within
from .drift import RewardDrop
from .errors import LearnerError
from .trial import Evidence, Pairing, Trial

LONGEST_NAME = 64
MOST_CHALLENGERS = 16
FRESH = "fresh-"
"""What the names of challengers begin with that drift began."""
_KEPT = 0.2
FOR_EVER = 1 << 62
"""Microseconds: of a fleet that keeps everybody."""

Role = Literal["champion", "challenger", "reserve"]
What = Literal["begin", "add", "spawn", "promote", "roll back", "renew", "retire", "judge"]


class Change(NamedTuple):
    """An entry of the audit log.

    Attributes
    ----------
    number
        From 0, without gaps.
    at
        When, event time in microseconds.
    what
        What was done to `member`; ``judge``: what it forecasts was found better, or worse.
    member, champion
        To whom; who was the champion before.
    by
        Why: ``declared``, ``evidence``, ``drift``, ``time``, ``failure``, or ``order`` of a person.
    note
        What the person said, or which evidence it was.
    evidence
        Of the member's trial against that champion; None if it had none.
    """

    number: int
    at: int
    what: str
    member: str
    champion: str
    by: str
    note: str = ""
    evidence: Evidence | None = None


@dataclass(slots=True)
class Member:
    """A model of the fleet.

    Attributes
    ----------
    name
        Never given to another.
    role
        What it does.
    born, since
        Event times, microseconds: since when it learns, and has its role.
    spec
        What it is made of, plain values; the owner's own.
    fresh
        Whether it was begun because of drift.
    trial, pairing
        Against the champion; None of the champion itself.
    """

    name: str
    role: Role
    born: int
    since: int
    spec: dict[str, Any] = field(default_factory=dict)
    fresh: bool = False
    trial: Trial | None = None
    pairing: Pairing | None = None

    def to_values(self) -> dict[str, Any]:
        """Return plain values for `member_of`."""
        return {
            "name": self.name,
            "role": self.role,
            "born": self.born,
            "since": self.since,
            "spec": dict(self.spec),
            "fresh": self.fresh,
            "trial": None if self.trial is None else asdict(self.trial),
            "pairing": None if self.pairing is None else self.pairing.to_values(),
        }


def member_of(values: Mapping[str, Any]) -> Member:
    """Return the member of some plain values."""
    trial, pairing, name = values["trial"], values["pairing"], checked_name(values["name"])
    if values["role"] not in ("champion", "challenger", "reserve"):
        raise LearnerError(f"member {name!r} has the role {values['role']!r}")
    tried = values["role"] != "champion"
    if (trial is not None, pairing is not None) != (tried, tried):
        raise LearnerError(f"member {name!r}: all but the champion are on trial")
    for key, kind in (("born", int), ("since", int), ("spec", dict), ("fresh", bool)):
        if type(values[key]) is not kind:
            raise LearnerError(f"member {name!r} has {key} {values[key]!r:.40}")
    rest = {name: values[name] for name in ("name", "role", "born", "since", "spec", "fresh")}
    return Member(
        **rest,
        trial=None if trial is None else Trial(**trial),
        pairing=None if pairing is None else Pairing(**pairing),
    )


def change_of(values: Any) -> Change:
    """Return the change of what `list(change)` gave."""
    number, at, what, member, champion, by, note, evidence = values
    known = None if evidence is None else Evidence(*evidence)
    return Change(number, at, what, member, champion, by, note, known)


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """How a fleet is run.

    Attributes
    ----------
    alpha
        The probability of a false promotion, at most, during the reign of one champion.
    keep
        For how long a former champion stays in reserve, and a fresh challenger on trial,
        microseconds of event time.
    spawns
        Whether drift begins a fresh challenger.
    part, threshold, warm_up
        Of the `RewardDrop` that notices it.

    Raises
    ------
    LearnerError
        If a value is out of range.
    """

    alpha: float = 0.05
    keep: int = FOR_EVER
    spawns: bool = False
    part: float = 0.5
    threshold: float = 15.0
    warm_up: int = 500

    def __post_init__(self) -> None:
        within("alpha", self.alpha, 1e-6, 0.5)
        if type(self.keep) is not int:
            raise LearnerError(f"keep must be an int, got {self.keep!r}")
        within("keep", self.keep, 1, FOR_EVER)
        self.drop()

    def drop(self) -> RewardDrop:
        """Return a new detector of drift."""
        return RewardDrop(self.part, self.threshold, self.warm_up)


class Levels:
    """How alpha is shared by the trials of one champion's reign.

    A part is kept for those that may come later: of it the j-th has 1 / (j (j + 1)), so that all
    together never have more. Those there are at the beginning share the rest evenly.

    Parameters
    ----------
    alpha, trials
        What is shared, and by how many at the beginning.
    more
        Whether others are to be expected: as much as one of the first is then kept for them, else
        a fifth of all; where there is none at the beginning, everything.
    later
        How many came.

    Examples
    --------
    >>> levels = Levels(0.06, 2, more=True)
    >>> round(levels.first, 5), levels.next(), round(levels.next(), 5)
    (0.02, 0.01, 0.00333)
    >>> Levels(0.05, 1, more=False).first
    0.04
    """

    def __init__(self, alpha: float, trials: int, *, more: bool, later: int = 0) -> None:
        self.alpha, self.trials, self.more, self.later = alpha, trials, more, later

    @property
    def _kept(self) -> float:
        if not self.trials:
            return self.alpha
        return self.alpha / (self.trials + 1) if self.more else _KEPT * self.alpha

    @property
    def first(self) -> float:
        """Of each of those at the beginning."""
        return (self.alpha - self._kept) / max(self.trials, 1)

    def next(self) -> float:
        """Of the next one that comes."""
        self.later += 1
        return max(self._kept / (self.later * (self.later + 1)), 1e-12)

    def to_values(self) -> list[Any]:
        """Return plain values: alpha, trials, more, later."""
        return [self.alpha, self.trials, self.more, self.later]


def levels_of(values: Any) -> Levels:
    """Return the levels of what `Levels.to_values` gave."""
    alpha, trials, more, later = values
    within("alpha", alpha, 1e-6, 0.5)
    if type(more) is not bool:
        raise LearnerError(f"more must be a bool, got {more!r:.40}")
    return Levels(alpha, count("trials", trials), more=more, later=count("later", later))


def checked_name(name: str) -> str:
    """Refuse what is no name of a member."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise LearnerError(f"a member's name has 1 to {LONGEST_NAME} characters, got {name!r:.200}")
    return name


def is_fresh(name: str, born: int) -> bool:
    """Return whether a name is that of one of the first so many that drift began.

    Examples
    --------
    >>> is_fresh("fresh-2", 2), is_fresh("fresh-3", 2), is_fresh("fresh-02", 2)
    (True, False, False)
    """
    number = name.removeprefix(FRESH)
    return number.isdecimal() and name == f"{FRESH}{int(number)}" and 0 < int(number) <= born
