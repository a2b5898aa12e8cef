"""A champion and challengers that learn from the same examples, and the trials between them.

Every member learns from every example, whoever decided. Who is champion is a function of what is
told, as the weights are: of decisions in the order of their times and ids, each counted when
nothing more can come of it (`settling`). Where the log's partitions are read in another order, the
same decisions settle in the same order, and the same challengers are promoted.

Knows no dataflow engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...features.durations import microseconds
from ...features.errors import SettingsError, StateError
from ...learners import Fleet, LearnerError
from ...learners.fleet_parts import Change
from ...learners.published import PublishedArms
from .errors import RequestError
from .fleet_orders import (
    DECLARED,
    ORDER,
    carry_out,
    declaration,
    declaration_credit,
    order_of,
    ranker_settings,
    said,
    settings_of,
    specs_of,
)
from .fleet_state import FORMAT, STATES, FleetState, Order, is_fleet
from .ids import parse_id
from .learning import MOST_PEOPLE, Learning
from .open_decisions import Credit
from .persons import pack_persons
from .roster import roster_of
from .settling import Settling, Value
from .shadows import Entry, Shadows
from .strategy import Fleet as Declared
from .strategy import Strategy

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER = msgspec.msgpack.Decoder(list[list[Credit]])


class FleetLearning:
    """The learners of a strategy with a fleet; used as `Learning` is.

    Parameters
    ----------
    strategy
        With a fleet.
    spans
        As of `Learning`.
    full, changes
        What `to_bytes` and, after it, `change` returned elsewhere, of a `Learning` too: then that
        is the champion.
    wait
        After how much event time nothing more comes of a decision, microseconds.
    most_people
        As of `Learning`, of each member.

    Attributes
    ----------
    told
        As of `Learning`.

    Raises
    ------
    StateError
        If the bytes are damaged or of another format.
    SettingsError
        If a member is declared to be made of something else than it was.
    """

    def __init__(
        self,
        strategy: Strategy,
        spans: Mapping[str, int],
        full: bytes | None = None,
        changes: Sequence[bytes] = (),
        *,
        wait: int,
        most_people: int = MOST_PEOPLE,
    ) -> None:
        assert strategy.fleet is not None
        self._strategy, self._declared = strategy, strategy.fleet
        self._spans, self._most_people = dict(spans), most_people
        self._wait, self._stay = wait, microseconds(strategy.fleet.stay)
        self._value = Value(strategy)
        self._settling = Settling(self._value, wait, self._stay)
        self._shadows = Shadows(strategy, wait)
        self._fleet: Fleet | None = None
        self._known = ""
        self._since: dict[str, int] = {}
        self._members: dict[str, Learning] = {}
        self._batches: list[list[Credit]] = []
        self._changes: list[Change] = []
        self._gone: dict[str, None] = {}
        self._again = False
        self.told = 0
        try:
            self._restore(full)
            for change in changes:
                for batch in _DECODER.decode(change):
                    self._learn(batch)
        except (msgspec.DecodeError, LearnerError) as error:
            raise StateError(f"the fleet's state is damaged: {error}") from error
        self._changes.clear()  # they were told before
        self._check()

    @property
    def fleet(self) -> Fleet | None:
        """Who decides and who is on trial; None before the first credit."""
        return self._fleet

    @property
    def champion(self) -> str:
        """The champion's name."""
        return self._declared.champion if self._fleet is None else self._fleet.champion.name

    @property
    def versions(self) -> dict[str, int]:
        """By objective and member: how many outcomes its model has learned."""
        return {
            f"{name}:{member}": version
            for member, learning in self._members.items()
            for name, version in learning.versions.items()
        }

    @property
    def kept(self) -> dict[str, int]:
        """By objective: how many examples all members together can still take back."""
        total: Counter[str] = Counter()
        for learning in self._members.values():
            total.update(learning.kept)
        return dict(total)

    @property
    def refused(self) -> int:
        """How many examples came too late to be learned by the champion."""
        return self._members[self.champion].refused

    def learn(self, credits_: Sequence[Credit]) -> None:
        """Learn what objectives are told, and let those be promoted who are proven better."""
        if not credits_:
            return
        batch = list(credits_)
        declared = declaration(self._declared)
        if self._known != declared:
            # Told as all else is, so that a state that is resumed finds it in its place.
            begins = 0 if self._fleet is None and not self.told else credits_[0].time
            batch.insert(0, declaration_credit(declared, begins))
        self._learn(batch)
        self._batches.append(batch)

    def change(self) -> bytes | None:
        """Return what was learned since this was called last; None: nothing."""
        batches, self._batches = self._batches, []
        return _ENCODER.encode(batches) if batches else None

    def to_bytes(self) -> bytes:
        """Return everything."""
        return _ENCODER.encode(
            FleetState(
                FORMAT,
                self.champion,
                {name: learning.to_bytes() for name, learning in self._members.items()},
                self._since,
                b"" if self._fleet is None else self._fleet.to_bytes(),
                self._known,
                self._settling.saved(),
                self.told,
                self._shadows.to_bytes(),
            )
        )

    def changed_models(self) -> dict[str, PublishedArms]:
        """Return what changed, by ``objective:member``; the champion's by objective too.

        Those of members that are there no more are not among them: see `gone`.
        """
        again, self._again = self._again, False
        found: dict[str, PublishedArms] = {}
        for member, learning in self._members.items():
            if again:
                learning.publish_again(people=False)
            for name, model in learning.changed_models().items():
                found[f"{name}:{member}"] = model
                if member == self.champion:
                    found[name] = model
        return found

    def changed_people(self) -> dict[str, bytes]:
        """Return what customers' own weights changed to: blocks by ``objective:member``."""
        changed: dict[str, None] = {}
        for learning in self._members.values():
            changed.update(dict.fromkeys(learning.changed_names()))
        return {name: self.person(name) for name in changed}

    def person(self, customer: str) -> bytes:
        """Return a customer's own weights as they are published."""
        return pack_persons(
            {
                f"{name}:{member}": block
                for member, learning in self._members.items()
                for name, block in learning.blocks(customer).items()
            }
        )

    def changed_fleet(self) -> list[Change]:
        """Return what changed in the fleet since this was called last."""
        changes, self._changes = self._changes, []
        return changes

    def gone(self) -> list[str]:
        """Return whose models are to be emptied, ``objective:member``, since this was called."""
        names, self._gone = self._gone, {}
        return [f"{name}:{member}" for member in names for name in self._spans]

    def roster(self) -> bytes | None:
        """Return who decides, as it is published; None: nobody knows yet.

        What persons ordered is done at once here, and in the trials when its time is settled.
        """
        if self._fleet is None:
            return None
        fleet = self._fleet
        orders = self._settling.orders()
        if orders:
            fleet = Fleet.from_bytes(fleet.to_bytes())
            for order in orders:
                carry_out(fleet, order)
        return roster_of(fleet, self._settling.state.late, self._shadows.standings)

    def publish_again(self) -> None:
        """Have everything count as changed."""
        for learning in self._members.values():
            learning.publish_again()

    @property
    def models_wait(self) -> bool:
        """Whether a model changed that was not asked for."""
        return self._again or any(learning.models_wait for learning in self._members.values())

    @property
    def people_wait(self) -> bool:
        """Whether a customer's own weights changed that were not asked for."""
        return any(learning.people_wait for learning in self._members.values())

    def _check(self) -> None:
        """Refuse a declaration that the fleet cannot take over, before anything is learned."""
        if self._fleet is not None and self._known != declaration(self._declared):
            specs, shadows = specs_of(self._declared)
            trying = Fleet.from_bytes(self._fleet.to_bytes())
            try:
                trying.declare(specs, settings_of(self._declared), 0)
                self._shadows.check(shadows)
            except LearnerError as error:
                raise SettingsError(f"{self._strategy.name}: fleet: {error}") from None

    def _learn(self, batch: Sequence[Credit]) -> None:
        credits_: list[Credit] = []
        for credit in batch:
            if credit.objective == DECLARED:
                self._declare(credit)
            elif credit.objective == ORDER:
                if credit.inputs.get("fleet") == self._strategy.name:
                    self._settling.order(credit.id, order_of(credit))
                    self._again = True
            else:
                credits_.append(credit)
                self._shadows.take(credit, self._settling.state.newest)
                self._settling.take(credit)
        self.told += len(credits_)
        for name, learning in self._members.items():
            since = self._since.get(name)
            own = credits_ if since is None else [c for c in credits_ if _at(c.id) >= since]
            learning.learn(own, keep=False)
        for settled in self._settling.settled():
            if self._fleet is None:
                continue
            self._settle_shadows(settled.at)
            if isinstance(settled, Order):
                if settled.what == "retire" and settled.member in self._shadows:
                    self._tell(self._shadows.retire(settled.member, settled.at, said(settled)))
                    continue
                done = carry_out(self._fleet, settled)
            else:
                member, value, at = settled.member, settled.value, settled.at
                done = self._fleet.outcome(
                    member, value, at, reward=settled.reward, expected=settled.expected
                )
            self._follow(done)
        self._settle_shadows(None)

    def _settle_shadows(self, until: int | None) -> None:
        self._tell(self._shadows.settle(self._settling.state.newest, self.champion, until))

    def _tell(self, entries: Sequence[Entry]) -> None:
        """Put what became of shadows into the audit log."""
        for entry in entries:
            assert self._fleet is not None
            self._changes.append(self._fleet.note(*entry))
            self._again = True

    def _declare(self, credit: Credit) -> None:
        text = str(credit.inputs["fleet"])
        declared = msgspec.json.decode(text, type=Declared)
        specs, shadows = specs_of(declared)
        settings = settings_of(declared)
        if self._fleet is None:
            fleet = Fleet(declared.champion, specs, settings, at=credit.time)
            self._rename(declared.champion)
            self._fleet, done = fleet, list(fleet.changes)
        else:
            done = self._fleet.declare(specs, settings, credit.time)
        self._known = text
        self._follow(done)
        self._tell(self._shadows.declare(shadows, declared.alpha, credit.time))

    def _rename(self, champion: str) -> None:
        """Before a fleet begins there is one member; it becomes the champion."""
        self._members = {champion: next(iter(self._members.values()))}

    def _follow(self, changes: Sequence[Change]) -> None:
        """Let members begin and leave as the fleet says."""
        fleet = self._fleet
        assert fleet is not None
        for change in changes:
            self._again = True
            if change.what in ("add", "spawn") and change.member in fleet.members:
                self._begin(change)
            elif change.what == "retire":
                self._members.pop(change.member, None)
                self._since.pop(change.member, None)
                self._gone[change.member] = None
        self._changes += changes

    def _begin(self, change: Change) -> None:
        fleet = self._fleet
        assert fleet is not None
        new = self._fresh(fleet.members[change.member].spec)
        if change.what == "spawn":
            since = self._since[change.member] = change.at
            new.adopt(self._members[self.champion], lambda name: _at(name) >= since)
        else:
            new.adopt(self._members[self.champion], lambda name: True)
        self._members[change.member] = new

    def _fresh(self, spec: Mapping[str, Any], full: bytes | None = None) -> Learning:
        return Learning(
            self._strategy.model, self._spans, full, most_people=self._most_people,
            settings=ranker_settings(spec),
        )  # fmt: skip

    def _restore(self, full: bytes | None) -> None:
        if full is None or not is_fleet(full):
            self._members = {self._declared.champion: self._fresh({}, full)}
            self.told = self._members[self._declared.champion].told
            return
        state = STATES.decode(full)
        self._fleet = Fleet.from_bytes(state.fleet) if state.fleet else None
        self._known, self._since, self.told = state.declared, state.since, state.told
        specs: dict[str, dict[str, Any]] = {state.champion: {}}
        if self._fleet is not None:
            specs = {name: member.spec for name, member in self._fleet.members.items()}
        if specs.keys() != state.members.keys():
            raise StateError("the fleet's state is damaged: a member has learned nothing")
        self._members = {
            name: self._fresh(spec, state.members[name]) for name, spec in specs.items()
        }
        self._settling = Settling(self._value, self._wait, self._stay, state.settled)
        self._shadows = Shadows(self._strategy, self._wait, state.shadows)


def _at(example: str) -> int:
    """Return the time of an example's decision; 0 if no engine of ours made it."""
    try:
        return parse_id(example.rpartition("/")[0]).at
    except RequestError:
        return 0
