"""What is open to customers, and what the models see of them: rules, caps, inputs in one step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import compress
from struct import Struct
from typing import NamedTuple

import numpy as np

from ...features.kernels.layout import F64, I64
from . import survey_kernels as k
from .contact_bytes import check
from .contacts import SLACK_US, CapRules
from .eligibility import Rules
from .inputs import LARGEST, Inputs
from .record import Value
from .request import Request
from .room import Room

_ASKED = Struct("<5q")
_CLOSED, _WANTED = Struct("<q"), Struct("<2q")
_MOST_KEPT = 4096


class Seen(NamedTuple):
    """What is told of one customer: `Survey.eligible`, `inputs`, `excluded` and `wanted`."""

    eligible: list[str]
    inputs: dict[str, Value]
    excluded: dict[str, str]
    wanted: int


class Survey:
    """The first step of decisions.

    Attributes
    ----------
    first, numbers
        In `Room.seen`, where the results of the inputs end, and how many numbers come then; the
        actions' features and boosts follow.
    width, work, extras
        How many numbers `Room.seen`, `Room.work` and `Room.extras` have.
    """

    def __init__(self, rules: Rules, caps: CapRules, inputs: Inputs) -> None:
        self._rules, self._caps, self._inputs = rules, caps, inputs
        self._actions, numbers = len(rules.actions), inputs.numbers
        features = self._actions * len(inputs.action_features)
        self.first, self.numbers = inputs.wanted, len(numbers)
        self.width = self.first + self.numbers + features + self._actions
        tables = [rules.table, inputs.table, caps.words]
        begins = k.S_HEAD + len(numbers) + np.cumsum([0, *map(len, tables)])[:-1]
        head = [0] * k.S_HEAD
        head[k.S_RULES], head[k.S_LOOKS], head[k.S_CAPS] = begins.tolist()
        head[k.S_CONSTANTS], head[k.S_EXTRAS] = len(rules.constants), len(rules.extras)
        head[k.S_NAMED], head[k.S_NUMBERS] = self.first, self.numbers
        head[k.S_FEATURES] = features
        head[k.S_RULES_WORK], head[k.S_LOOKS_WORK] = rules.work, inputs.work
        self._table: I64 = np.concatenate([np.array(head, np.int64), numbers, *tables])
        self._constants: F64 = np.concatenate([rules.constants, inputs.constants])
        self.work = rules.work + inputs.work
        self._mine, self._theirs = len(rules.extras), len(inputs.extras)
        self.extras = self._mine + self._theirs
        self._extras = Struct(f"<{self.extras}d")
        self._results = Struct(f"<{self.first}d")
        self._channels = {name: (rules.channel(name), begin) for name, begin in caps.begins.items()}
        self._missing = [math.nan] * self.extras
        self._names: dict[bytes, list[str]] = {}
        self._reasons: dict[bytes, dict[str, str]] = {}

    def look(
        self,
        room: Room,
        requests: Sequence[Request],
        contacts: Sequence[bytes],
        at: Sequence[int],
    ) -> list[dict[str, float]]:
        """Ask rules, caps and inputs of n customers, whose features are in the room.

        Parameters
        ----------
        requests, contacts, at
            n of each; the requests are checked.

        Returns
        -------
        Of each, the words that no expression knows, by number.

        Raises
        ------
        StateError
            If contacts are damaged.
        """
        extras = self._extras
        unknown: list[dict[str, float]] = []
        end, same = 0, None
        filled, new = b"", dict[str, float]()
        for i, request in enumerate(requests):
            time, own, channel = at[i], contacts[i], request.channel
            if len(own) % 8:
                check(own)  # says what is wrong
            end += len(own) // 8
            place, begin = self._channels[channel]
            _ASKED.pack_into(room.asked_bytes, 40 * i, place, time, end, begin, request.n)
            if self.extras:
                moment = request.context, channel, time
                # A batch is often of one moment and one context.
                if same is None or not (
                    same[0] is moment[0] and same[1] == channel and same[2] == time
                ):
                    same, new = moment, {}
                    filled = extras.pack(*self._told(request, time, new))
                size = extras.size
                room.extras_bytes[size * i : size * i + size] = filled
            unknown.append(new)
        joined = contacts[0] if len(contacts) == 1 else b"".join(contacts)
        damaged = self._ask(room, len(requests), joined)
        if damaged >= 0:
            check(contacts[damaged])
        return unknown

    def see(self, room: Room, request: Request, contacts: bytes, at: int) -> Seen:
        """Do as `look` for the one customer of a room, and say all that is told of it."""
        if len(contacts) % 8:
            check(contacts)  # says what is wrong
        place, begin = self._channels[request.channel]
        _ASKED.pack_into(room.asked_bytes, 0, place, at, len(contacts) // 8, begin, request.n)
        unknown: dict[str, float] = {}
        if self.extras:
            self._extras.pack_into(room.extras_bytes, 0, *self._told(request, at, unknown))
        damaged = self._ask(room, 1, contacts)
        if damaged >= 0:
            check(contacts)
        names = self._names.get(bytes(room.eligible_bytes))
        own = self.eligible(room, 0) if names is None else names.copy()
        inputs: dict[str, Value] = {}
        if own:  # of whom there is nothing to foretell, nothing more is looked at
            results = self._results.unpack_from(room.seen_bytes)
            inputs = self._inputs.named(results, unknown, request.context)
        excluded: dict[str, str] = {}
        if len(own) < self._actions:
            excluded = self.excluded(room, 0, request, contacts)
        return Seen(own, inputs, excluded, _WANTED.unpack_from(room.wanted_bytes)[1])

    def _told(self, request: Request, at: int, unknown: dict[str, float]) -> list[float]:
        """Return what no feature tells; the words that no expression knows come into the last."""
        numbers = self._missing.copy()
        told = request.context, request.channel, at
        self._inputs.extras.fill(numbers, *told, unknown, self._mine)
        if self._mine:
            self._rules.extras.fill(numbers, *told)
        return numbers

    def _ask(self, room: Room, n: int, contacts: bytes) -> int:
        """Ask of n customers; return the first whose contacts are damaged, or -1."""
        damaged = k.survey(
            self._table, self._constants, n, room.asked, room.values, room.state,
            room.extras, np.frombuffer(contacts, np.int64), LARGEST, SLACK_US, room.work,
            room.eligible, room.excluded, room.capped, room.wanted, room.seen,
        )  # fmt: skip
        return int(damaged)

    def eligible(self, room: Room, i: int) -> list[str]:
        """Return the names of the eligible actions of a customer."""
        mask = bytes(room.eligible_bytes[i * self._actions : (i + 1) * self._actions])
        names = self._names.get(mask)
        if names is None:
            if len(self._names) >= _MOST_KEPT:
                self._names.clear()
            names = self._names[mask] = list(compress(self._rules.actions, mask))
        return names.copy()

    def inputs(
        self, room: Room, i: int, request: Request, unknown: dict[str, float]
    ) -> dict[str, Value]:
        """Return what the models see of a customer: contexts, numbers and segments by name."""
        results = self._results.unpack_from(room.seen_bytes, 8 * self.width * i)
        return self._inputs.named(results, unknown, request.context)

    def wanted(self, room: Room, n: int) -> list[int]:
        """Return how many offers each of n answers will have."""
        if n == 1:
            return [_WANTED.unpack_from(room.wanted_bytes)[1]]
        found: list[int] = room.wanted[:n, 1].tolist()
        return found

    def excluded(self, room: Room, i: int, request: Request, contacts: bytes) -> dict[str, str]:
        """Return the rule that excluded each action of a customer that is not eligible."""
        found, codes = self.reasons(room, i, request, contacts)
        return found if codes is None else found.copy()

    def reasons(
        self, room: Room, i: int, request: Request, contacts: bytes
    ) -> tuple[dict[str, str], bytes | None]:
        """Return what `excluded` does, and what tells it apart from others.

        With the latter, it is shared and not to be changed; it has none if caps close an action.
        """
        width = 2 * self._actions
        codes = bytes(room.excluded_bytes[width * i : width * (i + 1)])
        found = self._reasons.get(codes)
        if found is None:
            if len(self._reasons) >= _MOST_KEPT:
                self._reasons.clear()
            coded, names = room.excluded[i].tolist(), self._rules.names
            pairs = zip(self._rules.actions, coded, strict=True)
            found = self._reasons[codes] = {action: names[code] for action, code in pairs if code}
        width = 8 * (self._actions + 2)
        if not _CLOSED.unpack_from(room.capped_bytes, width * i + 8 * self._actions)[0]:
            return found, codes  # caps close none
        capped = room.capped[i, : self._actions].tolist()
        reasons = self._caps.reasons(capped, contacts, request.channel)
        both = {
            action: found.get(action) or reasons[action]
            for action in self._rules.actions
            if action in found or action in reasons
        }
        return both, None
