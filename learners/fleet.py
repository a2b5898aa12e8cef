"""A champion and its challengers: who decides, who is on trial, and why that changed."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

from .checkpoint import Data, pack, reading, unpack
from .checks import count, within
from .drift import RewardDrop
from .errors import LearnerError
from .fleet_parts import (
    FRESH,
    MOST_CHALLENGERS,
    Change,
    FleetSettings,
    Levels,
    Member,
    What,
    change_of,
    checked_name,
    is_fresh,
    levels_of,
    member_of,
)
from .trial import Evidence, Pairing, Trial

_KIND = "Fleet"
MOST_CHANGES = 1000
"""Changes that are remembered here; the audit log elsewhere has them all."""


class Fleet:
    """The roster of models that learn the same stream, and the trials of its challengers.

    Every challenger is tried against the champion in pairs of outcomes (`Trial`). One that is
    proven better becomes the champion; the former one stays in reserve, is tried against the new
    one, and comes back if it is proven better again. One that is proven worse is retired; in
    reserve it stays, and its trial begins anew. Drift begins a fresh challenger and leaves the
    champion as it is. During the reign of a champion a false promotion has probability `alpha` at
    most, over all its challengers and however often one looks.

    It is a function of what it is told, in that order, and reads no clock.

    Parameters
    ----------
    champion
        The first champion's name.
    challengers
        By name, what each is made of: plain values.
    settings
        How it is run.
    at
        When it begins, event time in microseconds.
    spec
        What the champion is made of.

    Attributes
    ----------
    members
        By name, the champion first.
    changes
        The newest `MOST_CHANGES`, in order.
    told, alarms
        How many outcomes there were, and how often the champion's dropped.

    Raises
    ------
    LearnerError
        If a name is given twice, or there are too many.

    Examples
    --------
    >>> fleet = Fleet("base", {"nimble": {"share": 0.01}})
    >>> for k in range(600):
    ...     done = fleet.outcome("base", float(k % 10 == 0), at=2 * k)
    ...     done += fleet.outcome("nimble", float(k % 4 == 0), at=2 * k + 1)
    ...     if done:
    ...         break
    >>> [(each.what, each.member, each.evidence.pairs) for each in done]
    [('promote', 'nimble', 189)]
    >>> fleet.champion.name, fleet.members["base"].role
    ('nimble', 'reserve')
    """

    def __init__(
        self,
        champion: str,
        challengers: Mapping[str, Mapping[str, Any]] | None = None,
        settings: FleetSettings | None = None,
        *,
        at: int = 0,
        spec: Mapping[str, Any] | None = None,
    ) -> None:
        self.settings = settings or FleetSettings()
        self.members: dict[str, Member] = {}
        self.changes: list[Change] = []
        self.told = self.alarms = 0
        self._number = self._born = 0
        self._drop = self.settings.drop()
        self._used = {checked_name(champion)}
        self.members[champion] = Member(champion, "champion", at, at, dict(spec or {}))
        given = challengers or {}
        if len(given) > MOST_CHALLENGERS:
            raise LearnerError(
                f"a fleet has up to {MOST_CHALLENGERS} challengers, got {len(given)}"
            )
        self._levels = Levels(self.settings.alpha, len(given), more=self.settings.spawns)
        self._note(at, "begin", champion, "declared")
        for name, made_of in given.items():
            self._enter(name, made_of, at, self._levels.first)
            self._note(at, "add", name, "declared")

    @property
    def champion(self) -> Member:
        """Who decides for all who are in no trial."""
        return next(member for member in self.members.values() if member.role == "champion")

    @property
    def challengers(self) -> list[Member]:
        """Those on trial, in the order that they came; reserves too."""
        return [member for member in self.members.values() if member.role != "champion"]

    @property
    def count(self) -> int:
        """How many changes there were."""
        return self._number

    def outcome(
        self,
        member: str,
        value: float,
        at: int,
        *,
        reward: float | None = None,
        expected: float | None = None,
    ) -> list[Change]:
        """Take in what came of a decision of a member; return what changes by it.

        Parameters
        ----------
        member
            Who decided; of one that is there no more, nothing is learned.
        value
            What came of it, in [0, 1].
        at
            The decision's event time, microseconds.
        reward, expected
            Where drift is looked for: the reward in [0, 1], None if it is the value, and what the
            member's model foretold of it; None: it is not looked for.

        Raises
        ------
        LearnerError
            If a value is NaN or out of range; then nothing is counted.
        """
        within("value", value, 0.0, 1.0)
        earned = value if reward is None else reward
        within("reward", earned, 0.0, 1.0)
        if expected is not None:
            within("expected", expected, 0.0, 1.0)
        before = self._number
        self._expire(at)
        one = self.members.get(member)
        if one is None:
            return self._since(before)
        self.told += 1
        if one.role != "champion":
            self._pair(one, False, value)
            self._judge(one, at)
        else:
            tried = self.challengers
            for each in tried:
                self._pair(each, True, value)
            for each in tried:  # the first that is proven better begins another reign
                if self.champion is one and each.name in self.members:
                    self._judge(each, at)
            if (
                self.settings.spawns
                and expected is not None
                and self._drop.update(earned, expected)
            ):
                self.alarms += 1
                if self.champion is one:
                    self._spawn(at)
        return self._since(before)

    def promote(self, member: str, at: int, note: str = "") -> list[Change]:
        """Make a challenger the champion because a person says so.

        Raises
        ------
        LearnerError
            If there is no such challenger.
        """
        one = self._challenger(member)
        before = self._number
        self._promote(one, at, "order", note)
        return self._since(before)

    def retire(self, member: str, at: int, note: str = "") -> list[Change]:
        """Let a challenger, or the reserve, go because a person says so.

        Raises
        ------
        LearnerError
            If there is no such challenger.
        """
        one = self._challenger(member)
        before = self._number
        self._leave(one, at, "order", note)
        return self._since(before)

    def declare(
        self,
        challengers: Mapping[str, Mapping[str, Any]],
        settings: FleetSettings,
        at: int,
    ) -> list[Change]:
        """Take over what is declared now: new challengers come, those that are gone are retired.

        Who was retired before stays so, and a champion remains one. A new `alpha` holds from the
        next reign on.

        Raises
        ------
        LearnerError
            If a member is to be made of something else than it was, a name was given to a fresh
            challenger, or there are too many; then nothing changes.
        """
        before = self._number
        specs = {checked_name(name): dict(spec) for name, spec in challengers.items()}
        for name, spec in specs.items():
            one = self.members.get(name)
            if name not in self._used and is_fresh(name, self._born):
                raise LearnerError(f"challenger {name!r}: drift began one of that name")
            if one is not None and one.spec != spec:
                raise LearnerError(
                    f"challenger {name!r} was made of {one.spec}, not {spec}: "
                    "what is made of something else needs another name"
                )
        new = {name: spec for name, spec in specs.items() if name not in self._used}
        tried = [one for one in self.challengers if one.role == "challenger" and not one.fresh]
        gone = [one for one in tried if one.name not in specs]
        if new and len(self.challengers) - len(gone) + len(new) > MOST_CHALLENGERS:
            raise LearnerError(f"a fleet has up to {MOST_CHALLENGERS} challengers")
        for one in gone:
            self._leave(one, at, "declared", "not declared any more")
        for name, spec in new.items():
            self._enter(name, spec, at, self._levels.next())
            self._note(at, "add", name, "declared")
        if settings != self.settings:
            self.settings, self._drop = settings, settings.drop()
        return self._since(before)

    def note(
        self, at: int, what: str, member: str, by: str, note: str, evidence: Evidence | None
    ) -> Change:
        """Put an entry into the audit log, also of somebody who is no member; return it."""
        champion = self.champion.name
        change = Change(self._number, at, what, member, champion, by, note, evidence)
        self.changes.append(change)
        del self.changes[:-MOST_CHANGES]
        self._number += 1
        return change

    def evidence(self, member: str) -> Evidence | None:
        """Return what a member's trial says so far; None of the champion."""
        trial = self.members[member].trial
        return None if trial is None else trial.evidence()

    def to_values(self) -> dict[str, Any]:
        """Return plain values for `of_values`."""
        return {
            "settings": asdict(self.settings),
            "members": [member.to_values() for member in self.members.values()],
            "changes": [[*change] for change in self.changes],
            "levels": self._levels.to_values(),
            "counts": [self.told, self.alarms, self._number, self._born],
            "used": sorted(self._used),
            "drop": asdict(self._drop),
        }

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the fleet of `to_values`; it goes on as that one would.

        Raises
        ------
        LearnerError
            If there is no such fleet.
        """
        with reading(_KIND):
            members = [member_of(each) for each in values["members"]]
            roles = [member.role for member in members]
            if roles[:1] != ["champion"] or "champion" in roles[1:]:
                raise LearnerError("a fleet has one champion, who comes first")
            fleet = cls(members[0].name, settings=FleetSettings(**values["settings"]))
            fleet.members = {member.name: member for member in members}
            if len(fleet.members) < len(members):
                raise LearnerError("a member is given twice")
            fleet.changes = [change_of(each) for each in values["changes"]]
            fleet._levels = levels_of(values["levels"])
            counts = [count("a count of a fleet", n) for n in values["counts"]]
            fleet.told, fleet.alarms, fleet._number, fleet._born = counts
            fleet._used = set(map(checked_name, values["used"]))
            fleet._drop = RewardDrop(**values["drop"])
        return fleet

    def to_bytes(self) -> bytes:
        """Return a snapshot, from which `from_bytes` makes an equal fleet."""
        return pack(_KIND, self.to_values(), {})

    @classmethod
    def from_bytes(cls, data: Data) -> Self:
        """Return the fleet of a snapshot.

        Raises
        ------
        LearnerError
            If the bytes are damaged, or of another version or kind.
        """
        return cls.of_values(unpack(data, _KIND)[0])

    def _pair(self, one: Member, champion: bool, value: float) -> None:
        assert one.trial is not None
        assert one.pairing is not None
        pair = one.pairing.add(champion, value)
        if pair is not None:
            one.trial.update(pair[1], champion=pair[0])

    def _judge(self, one: Member, at: int) -> None:
        assert one.trial is not None
        if one.trial.better:
            self._promote(one, at, "evidence", "proven better")
        elif one.trial.worse and one.role == "reserve":
            # What spoke against it before is not to hide that it has become the better one.
            self._note(at, "renew", one.name, "evidence", "proven worse; it stays in reserve")
            one.trial, one.pairing = Trial(self._levels.next()), Pairing()
        elif one.trial.worse:
            self._leave(one, at, "evidence", "proven worse")

    def _promote(self, one: Member, at: int, by: str, note: str) -> None:
        former = self.champion
        what: What = "roll back" if one.role == "reserve" else "promote"
        self._note(at, what, one.name, by, note)
        one.role, one.since, one.fresh = "champion", at, False
        one.trial = one.pairing = None
        former.role, former.since = "reserve", at
        rest = [member for member in self.members.values() if member is not one]
        self.members = {member.name: member for member in (one, *rest)}
        self._levels = Levels(self.settings.alpha, len(rest), more=True)  # a reserve's may be anew
        for member in rest:
            member.trial, member.pairing = Trial(self._levels.first), Pairing()
        self._drop = self.settings.drop()

    def _leave(self, one: Member, at: int, by: str, note: str) -> None:
        self._note(at, "retire", one.name, by, note)
        del self.members[one.name]

    def _expire(self, at: int) -> None:
        for one in self.challengers:
            if (one.role == "reserve" or one.fresh) and at - one.since > self.settings.keep:
                self._leave(one, at, "time", "not proven better in time")

    def _spawn(self, at: int) -> None:
        """Begin a fresh challenger made as the champion is, unless there is one already."""
        if any(one.fresh for one in self.challengers):
            return
        self._born += 1
        while f"{FRESH}{self._born}" in self._used:
            self._born += 1
        name, champion = f"{FRESH}{self._born}", self.champion
        self._enter(name, champion.spec, at, self._levels.next(), fresh=True)
        self._note(at, "spawn", name, "drift", f"the outcomes of {champion.name} dropped")

    def _enter(
        self, name: str, spec: Mapping[str, Any], at: int, level: float, *, fresh: bool = False
    ) -> None:
        if not fresh:  # the others' names count on
            if checked_name(name) in self._used:
                raise LearnerError(f"member {name!r} is given twice")
            self._used.add(name)
        one = Member(name, "challenger", at, at, dict(spec), fresh, Trial(level), Pairing())
        self.members[name] = one

    def _challenger(self, member: str) -> Member:
        one = self.members.get(member)
        if one is None or one.role == "champion":
            there = ", ".join(each.name for each in self.challengers) or "none"
            raise LearnerError(f"no challenger {member!r}; there are: {there}")
        return one

    def _note(self, at: int, what: What, member: str, by: str, note: str = "") -> None:
        trial = self.members[member].trial
        evidence = trial.evidence() if trial is not None and trial.pairs else None
        self.note(at, what, member, by, note, evidence)

    def _since(self, before: int) -> list[Change]:
        return self.changes[before - self._number :] if self._number > before else []
