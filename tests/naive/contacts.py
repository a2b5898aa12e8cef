"""Caps and rests the plain way: a list of what happened, looked through anew each time."""

from __future__ import annotations

from dataclasses import dataclass, field

from nextbest.features.durations import microseconds
from nextbest.flows.decision.strategy import Cap, Strategy


@dataclass
class NaiveContacts:
    """All offers ever, and all rests; nothing is dropped."""

    strategy: Strategy
    offers: list[tuple[int, str, str]] = field(default_factory=list)
    rests: list[tuple[str, str, int, str, str]] = field(default_factory=list)
    undelivered: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    lines: list[set[str]] = field(default_factory=list)

    def left(self, cap: Cap, at: int, action: str | None, channel: str | None) -> int:
        """How many more offers a cap allows."""
        begin = at - microseconds(cap.per)
        counted = [
            (t, a, c)
            for t, a, c in self.offers
            if t > begin and action in (None, a) and channel in (None, c)
        ]
        return cap.most - len(counted)

    def room(self, channel: str, at: int) -> int | None:
        """How many offers one answer may have; None: any number."""
        parts = [self.left(cap, at, None, None) for cap in self.strategy.caps]
        parts += [self.left(cap, at, None, channel) for cap in self.strategy.channels[channel].caps]
        return max(0, min(parts)) if parts else None

    def allowed(self, name: str, channel: str, at: int) -> bool:
        """Whether an action may be offered."""
        action = self.strategy.actions[name]
        for kind, what, until, _, _ in self.rests:
            if until <= at:
                continue
            if kind == "all" or (kind, what) in (("action", name), ("channel", channel)):
                return False
            if action.tags.get(kind) == what:
                return False
        if self.room(channel, at) == 0:
            return False
        return all(self.left(cap, at, name, None) > 0 for cap in action.caps)

    def line(self, outcome: str) -> set[str]:
        """An outcome, and all that correct it or that it corrects."""
        return next((line for line in self.lines if outcome in line), {outcome})

    def respond(
        self,
        outcome: str,
        at: int,
        response: str,
        offer: tuple[int, str, str],
        corrects: str | None,
    ) -> None:
        """Take in what became of an offer."""
        if outcome in self.seen:
            return
        if corrects is not None:
            line = self.line(corrects)
            self.rests = [rest for rest in self.rests if rest[4] not in line]
            for each in line & self.undelivered.keys():
                self.offers.append(self.undelivered.pop(each))
            self.lines = [other for other in self.lines if other != line] + [{*line, outcome}]
            self.seen.add(outcome)
        _, name, channel = offer
        for rule in self.strategy.cool_downs:
            if rule.after != response:
                continue
            what = name if rule.of == "action" else ""
            if rule.of not in ("action", "all"):
                if rule.of not in self.strategy.actions[name].tags:
                    continue
                what = self.strategy.actions[name].tags[rule.of]
            self.rests.append((rule.of, what, at + microseconds(rule.pause), response, outcome))
            self.seen.add(outcome)
        if response in ("fail", "undelivered") and offer in self.offers:
            self.offers.remove(offer)
            self.undelivered[outcome] = offer
            self.seen.add(outcome)
        if response == "fail":
            until = at + microseconds(self.strategy.channels[channel].blocked_for)
            self.rests.append(("channel", channel, until, response, outcome))
            self.seen.add(outcome)
