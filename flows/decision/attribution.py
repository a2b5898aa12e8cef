"""What came of each offer: responses, events and silence become what is learned, in event time.

Of one partition of the log, in its order. Everything follows from that order alone: not from how
it is cut into chunks, nor from where a run ended and the next went on. The rules:

1. **Windows.** An offer of a decision is open for each objective from the decision's time until
   the objective's window later, both included. An event belongs there by its event time, whenever
   it arrives. The partition's clock is the newest event time so far, of which a log that knows
   when it took an event in (a stream of the store, a topic) lets count what is at most a minute
   after that: one event far ahead ends no window early, and a replay finds the same clock.
2. **Outcomes** name a decision, and one of its offers (the first, if they name none). An outcome
   counts for every objective whose ``response`` is its word, whose window it is in and whose
   ``where`` holds. Others are kept and mean nothing here (``deliver``, say).
3. **Events** of a type that an objective names have no decision's id. Those decisions of the
   customer can have brought them about that stand before them in the log, in whose window they are
   and that have an offer, not failed, for which ``where`` holds: the first such offer. ``credit``
   says which decision it is: the ``last`` or the ``first`` by time and position, or ``all``. A
   credit that is given stays, whatever decision or failure comes later in the log.
4. **One example** for each offer and objective: of several responses the earliest by event time
   and position counts, also if it arrives after the others.
5. **Silence.** Once the clock is past the window's end, or what the objective waits for before it,
   an offer without a response is told once as "no response". A response that arrives later but
   belongs into the window takes its place.
6. **Corrections.** An outcome that ``corrects`` another one of the same offer gives it a new word
   and value, and leaves it where it is in time. The last correction in the log counts. If the
   outcome no longer counts for an objective, the next response does, or silence.
7. **Failure.** An offer with an outcome ``fail`` or ``undelivered`` was not seen: it is withdrawn,
   whatever came before or after, unless that outcome is corrected; an objective whose own response
   is one of these learns it like any other.
8. **Fallbacks** are not learned from, as no model saw anything; outcomes may still name them.
9. **The end.** When the clock is past the longest window and the grace, a decision is forgotten. An
   outcome that comes still later, by the decision's id, is kept and means nothing here.
10. **A changed strategy.** A decision counts for the objectives that there were when it came. One
   that is new, or means something else than before (another response, event, condition, value,
   range or window), learns from the decisions after that; one that is gone learns no more. What
   a condition reads of an action is what the decision says of it: actions may come, change and go.
11. **Refused**, with a reason: an outcome that names an unknown (or forgotten) decision, one of
    another customer, an action that it did not offer, or an outcome that it did not have; one
    from before its decision; one without the value that its objective takes from it; one more
    than `MOST_OUTCOMES` of a decision; a decision whose end is past when it arrives. A decision
    or outcome whose id is known already counts once.
12. **Orders** of persons, what is to be done with a fleet, are told on as they are.

Knows no dataflow engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Literal

from ...features.errors import EventError, StateError
from .credits import Attributed, Seen, add, credited, failed
from .fleet_orders import order_credit
from .goals import Fields, Goal
from .ids import is_theirs_before
from .loop_events import LoopEvent
from .open_decisions import Came, Fate, Offered, Open, Refused, Told, opened
from .record import FAIL, FIELD, UNDELIVERED, Order, Record, Response
from .sharing import Sharing

MOST_OUTCOMES = 64
"""Of one decision; of the events that it is credited with only the earliest are kept."""

CreditTo = Literal["last", "first", "all"]


def _bad(reason: str, name: str) -> EventError:
    return EventError(reason, f"$.properties.{FIELD}.{name}")


class Attribution:
    """The open decisions of one partition of the log. For the rules see the module.

    Parameters
    ----------
    goals
        The objectives.
    grace
        How late an event may be, microseconds, for rule 9.
    credit
        Rule 3.
    tags
        By action, what ``where`` calls ``action.*``, where a decision does not say it.

    Attributes
    ----------
    newest
        The clock: microseconds; -1 at first.

    Raises
    ------
    StateError
        If a change that is restored is damaged.

    Examples
    --------
    >>> goal = Goal("sale", response=None, event="buy", window=60)
    >>> attribution = Attribution([goal], grace=0)
    >>> record = Record(id="d", customer="ann", at=5, channel="web", strategy="")
    >>> import msgspec
    >>> from .record import Offer
    >>> offer = Offer(action="tea", score=1.0, propensity=1.0, draw=0.0)
    >>> record = msgspec.structs.replace(record, offers=[offer])
    >>> decision = LoopEvent("d", 5, "ann", "web", record, "{}", position=0)
    >>> buy = Seen("b", 9, "ann", 1, {"type": "buy"})
    >>> done = attribution.take([decision, buy])
    >>> [(credit.id, credit.reward, credit.silence) for credit in done.credits]
    [('d/0', 1.0, False)]
    """

    def __init__(
        self,
        goals: Sequence[Goal],
        *,
        grace: int,
        credit: CreditTo = "last",
        tags: Mapping[str, Fields] | None = None,
    ) -> None:
        self.goals = tuple(goals)
        self.newest = -1
        self._keys = [goal.key for goal in self.goals]
        self._of_events = [goal for goal in self.goals if goal.event is not None]
        self._silent = sorted({goal.silent for goal in self.goals})
        self._kept_for = max(goal.window for goal in self.goals) + grace
        self._credit, self._tags = credit, tags or {}
        self._open: dict[str, Open] = {}
        self._of: dict[str, list[Open]] = {}  # by customer, in log order
        self._due: list[tuple[int, int, str]] = []
        self._changed: dict[str, None] = {}
        self._shared = Sharing()

    def __len__(self) -> int:
        """Return how many decisions are kept."""
        return len(self._open)

    def waits_for(self, customer: str) -> bool:
        """Return whether a decision of a customer is kept."""
        return customer in self._of

    def take(
        self,
        events: Sequence[LoopEvent | Seen],
        newest: Callable[[int], int] | None = None,
        end: int = -1,
    ) -> Attributed:
        """Work through some consecutive events of the log.

        Parameters
        ----------
        events
            In log order.
        newest
            From a log position to the clock that all the partition's events up to it make; None:
            the times of those given make it.
        end
            The clock after all the partition's events so far.
        """
        out = Attributed()
        for event in events:
            at = event.at if newest is None else newest(event.position)
            self._advance(at, out)
            if isinstance(event, Seen):
                self._see(event, out)
            else:
                self._hear(event, out)
        self._advance(end, out)
        return out

    def changes(self) -> list[tuple[str, Open | None]]:
        """Return the decisions that changed since this was called last; None: it is forgotten."""
        changed = [(name, self._open.get(name)) for name in self._changed]
        self._changed.clear()
        return changed

    def all(self) -> list[tuple[str, Open | None]]:
        """Return everything that is kept, in log order."""
        return list(self._open.items())

    def restore(self, newest: int, changes: Sequence[tuple[str, Open | None]]) -> None:
        """Take over what `all` and, after it, `changes` returned elsewhere."""
        self.newest = max(self.newest, newest)
        for name, decision in changes:
            old = self._open.pop(name, None)
            if old is not None:
                self._leave(old)
            if decision is not None:
                if decision.id != name:
                    raise StateError(f"decision {decision.id!r} is kept under {name!r}")
                self._enter(decision)

    def _enter(self, decision: Open) -> None:
        self._open[decision.id] = decision
        self._of.setdefault(decision.customer, []).append(decision)
        for span in (*self._silent, self._kept_for):
            heappush(self._due, (decision.at + span, decision.position, decision.id))

    def _leave(self, decision: Open) -> None:
        theirs = self._of[decision.customer]
        theirs.remove(decision)
        if not theirs:
            del self._of[decision.customer]

    def _advance(self, newest: int, out: Attributed) -> None:
        if newest <= self.newest:
            return
        while self._due and self._due[0][0] < newest:
            due, _, name = heappop(self._due)
            decision = self._open.get(name)
            if decision is None:
                continue
            # Each silence is told at its own time, however far the clock jumps.
            self.newest = max(self.newest, due + 1)
            self._tell(decision, out)
            if decision.at + self._kept_for < self.newest:
                self._leave(self._open.pop(name))
        self.newest = newest

    def _hear(self, event: LoopEvent, out: Attributed) -> None:
        try:
            if isinstance(event.own, Order):
                out.credits.append(order_credit(event.event_id, event.at, event.own))
                fate = "accepted"
            elif isinstance(event.own, Record):
                fate = self._decided(event, event.own, out)
            else:
                fate = self._responded(event, event.own, out)
        except EventError as bad:
            out.refused.append(Refused(event, bad.reason, bad.path))
            out.counts.refused += 1
            return
        if fate == "duplicate":
            out.counts.duplicates += 1
        else:
            out.accepted.append(event)

    def _decided(self, event: LoopEvent, record: Record, out: Attributed) -> Fate:
        if record.id in self._open:
            return "duplicate"
        if record.at + self._kept_for < self.newest:
            raise _bad(f"decision {record.id!r} comes when its windows are over", "at")
        decision = opened(record, event.position, self._keys, self._shared)
        self._enter(decision)
        out.counts.decisions += 1
        self._tell(decision, out)  # a window may be over
        return "accepted"

    def _responded(self, event: LoopEvent, own: Response, out: Attributed) -> Fate:
        over = self.newest - self._kept_for
        if own.decision_id not in self._open and is_theirs_before(
            own.decision_id, event.customer, over
        ):
            return "accepted"
        decision, rank = self._named(event, own)
        known = {came.id: came for came in decision.came if came.response}
        if event.event_id in known:
            return "duplicate"
        earlier = None if own.corrects is None else known.get(own.corrects)
        if own.corrects is not None and (earlier is None or earlier.offer != rank):
            raise _bad(f"there is no outcome {own.corrects!r} of this offer to correct", "corrects")
        if len(known) >= MOST_OUTCOMES:
            raise _bad(f"decision {decision.id!r} has {MOST_OUTCOMES} outcomes", "decision_id")
        place = len(decision.came)
        if earlier is None:
            counts = self._counts(event, own, decision, rank, event.at)
        else:
            place = earlier.root
            root = decision.came[place]
            root.counts = self._counts(event, own, decision, rank, root.at)
            root.response, counts = own.response, {}
        decision.came.append(
            Came(event.event_id, event.at, event.position, rank, own.response, counts, place)
        )
        out.counts.outcomes += 1
        self._tell(decision, out)
        return "accepted"

    def _named(self, event: LoopEvent, own: Response) -> tuple[Open, int]:
        decision = self._open.get(own.decision_id)
        if decision is None:
            raise _bad(
                f"decision {own.decision_id!r} is not known: there is none, or its windows are "
                "over", "decision_id",
            )  # fmt: skip
        if decision.customer != event.customer:
            raise _bad(f"decision {decision.id!r} is of another customer", "decision_id")
        if event.at < decision.at:
            raise _bad(f"the outcome is older than decision {decision.id!r}", "decision_id")
        actions = [offer.action for offer in decision.offers]
        if not actions:
            raise _bad(f"decision {decision.id!r} offered nothing", "decision_id")
        if own.action is None:
            return decision, 0
        if own.action not in actions:
            raise _bad(f"decision {decision.id!r} did not offer {own.action!r}", "action")
        return decision, actions.index(own.action)

    def _counts(
        self, event: LoopEvent, own: Response, decision: Open, rank: int, at: int
    ) -> dict[str, float]:
        fields: dict[str, Any] = {"type": event.type, "channel": event.channel, **event.properties}
        fields["response"] = own.response
        if own.value is not None:
            fields["value"] = own.value
        counts = {}
        for goal in self._goals(decision):
            if goal.response != own.response or at > decision.at + goal.window:
                continue
            if not goal.admits(fields, self._tags_of(decision.offers[rank])):
                continue
            worth = goal.worth(fields, own.value)
            if worth is None:
                raise _bad(f"objective {goal.name!r} needs a number {goal.value!r}", "value")
            counts[goal.name] = worth
        return counts

    def _see(self, event: Seen, out: Attributed) -> None:
        theirs = self._of.get(event.customer)
        if not theirs:
            return
        kind = event.fields["type"]
        for goal in self._of_events:
            if goal.event != kind:
                continue
            worth = goal.worth(event.fields)
            if worth is None:
                continue
            found = sorted(
                self._candidates(goal, event, theirs),
                key=lambda pair: (pair[0].at, pair[0].position),
            )
            if self._credit != "all":
                found = found[-1:] if self._credit == "last" else found[:1]
            for decision, rank in found:
                if credited(decision, rank, goal.name, event, worth):
                    self._tell(decision, out)

    def _candidates(
        self, goal: Goal, event: Seen, theirs: Sequence[Open]
    ) -> Iterator[tuple[Open, int]]:
        for decision in theirs:
            if goal.key not in decision.goals:
                continue
            if not (decision.learns and decision.at <= event.at <= decision.at + goal.window):
                continue
            without = failed(decision)
            for rank, offer in enumerate(decision.offers):
                if rank not in without and goal.admits(event.fields, self._tags_of(offer)):
                    yield decision, rank
                    break

    def _goals(self, decision: Open) -> Sequence[Goal]:
        """Return what a decision counts for."""
        if decision.goals == self._keys:
            return self.goals
        return [goal for goal in self.goals if goal.key in decision.goals]

    def _tags_of(self, offer: Offered) -> Fields:
        known = self._tags.get(offer.action, {})
        return known if offer.tags is None else {**known, **offer.tags}

    def _tell(self, decision: Open, out: Attributed) -> None:
        """Tell learning what it does not know yet of a decision."""
        self._changed[decision.id] = None
        if not decision.learns:
            return
        without, goals = failed(decision), self._goals(decision)
        for rank, offer in enumerate(decision.offers):
            for goal in goals:
                told = offer.told.get(goal.name)
                now = None
                if rank not in without or goal.response in (FAIL, UNDELIVERED):
                    now = self._now(decision, rank, goal)
                if now is None:
                    if told is None or told.withdrawn:
                        continue
                    now = told.time, told.position, told.reward, told.silence, True
                elif told is not None and now == (
                    told.time, told.position, told.reward, told.silence, told.withdrawn,
                ):  # fmt: skip
                    continue
                revision = 0 if told is None else told.revision + 1
                offer.told[goal.name] = Told(revision, *now)
                add(out, goal, decision, rank, told)

    def _now(
        self, decision: Open, rank: int, goal: Goal
    ) -> tuple[int, int, float, bool, bool] | None:
        """Return what an objective should know of an offer: time, position, reward, silence."""
        counting = [
            (came.at, came.position, came.counts[goal.name])
            for came in decision.came
            if came.offer == rank and goal.name in came.counts
        ]
        if counting:
            at, position, value = min(counting)
            return at, position, goal.reward(value), False, False
        end = decision.at + goal.silent
        return (end, decision.position, 0.0, True, False) if self.newest > end else None
