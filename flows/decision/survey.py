"""What is open to customers, and what the models see of them: rules, caps, inputs in one step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...features.kernels.layout import F64, I64, U8
from . import survey_kernels as k
from .contacts import SLACK_US, CapRules
from .eligibility import Rules
from .inputs import LARGEST, Inputs
from .record import Value
from .request import Request


class Surveyed(NamedTuple):
    """What was found of n customers.

    Attributes
    ----------
    eligible
        bool[n, K].
    excluded
        uint16[n, K]: which rule excluded an action, as of `Verdicts`.
    capped
        int64[n, K + 2]: what closes each action, as of `contact_kernels.open_actions`, how many it
        closes, and how many offers an answer may have.
    seen
        float64[n, .]: results of the inputs; then, from place ``first`` on, ``numbers`` numbers,
        features and boosts.
    first, numbers
        See above.
    unknown
        Of each, the words that no expression knows, by number.
    """

    eligible: npt.NDArray[np.bool_]
    excluded: npt.NDArray[np.uint16]
    capped: I64
    seen: F64
    first: int
    numbers: int
    unknown: list[dict[str, float]]

    def features(self, i: int) -> F64:
        """Return the features of a customer's actions, float64[K, features]."""
        k = self.eligible.shape[1]
        begin, end = self.first + self.numbers, self.seen.shape[1] - k
        return self.seen[i, begin:end].reshape(k, (end - begin) // k)


class Survey:
    """The first step of decisions."""

    def __init__(self, rules: Rules, caps: CapRules, inputs: Inputs) -> None:
        self._rules, self._caps, self._inputs = rules, caps, inputs
        self._actions, numbers = len(rules.actions), inputs.numbers
        features = self._actions * len(inputs.action_features)
        self._first = inputs.wanted
        self._width = inputs.wanted + len(numbers) + features + self._actions
        tables = [rules.table, inputs.table, caps.words]
        begins = k.S_HEAD + len(numbers) + np.cumsum([0, *map(len, tables)])[:-1]
        head = [0] * k.S_HEAD
        head[k.S_RULES], head[k.S_LOOKS], head[k.S_CAPS] = begins.tolist()
        head[k.S_CONSTANTS], head[k.S_EXTRAS] = len(rules.constants), len(rules.extras)
        head[k.S_NAMED], head[k.S_NUMBERS] = inputs.wanted, len(numbers)
        head[k.S_FEATURES] = features
        head[k.S_RULES_WORK], head[k.S_LOOKS_WORK] = rules.work, inputs.work
        self._table: I64 = np.concatenate([np.array(head, np.int64), numbers, *tables])
        self._constants: F64 = np.concatenate([rules.constants, inputs.constants])
        self._work = rules.work + inputs.work
        self._missing = [math.nan] * len(rules.extras), [math.nan] * len(inputs.extras)

    def look(
        self,
        requests: Sequence[Request],
        values: F64,
        state: U8,
        contacts: Sequence[bytes],
        at: Sequence[int],
    ) -> Surveyed:
        """Ask rules, caps and inputs of n customers.

        Parameters
        ----------
        values, state
            float64[n, columns] and uint8[n, columns].
        requests, contacts, at
            n of each.

        Raises
        ------
        SettingsError
            If the strategy has not a channel.
        StateError
            If contacts are damaged.
        """
        rules, caps, n = self._rules, self._caps, len(requests)
        mine, theirs = rules.extras, self._inputs.extras
        extras: list[float] = []
        unknown: list[dict[str, float]] = []
        asked: list[int] = []
        words: list[bytes] = []
        end = 0
        for request, own, time in zip(requests, contacts, at, strict=True):
            channel, context = request.channel, request.context
            if self._missing[0]:
                filled = self._missing[0].copy()
                mine.fill(filled, context, channel, time)
                extras += filled
            filled, new = self._missing[1].copy(), dict[str, float]()
            theirs.fill(filled, context, channel, time, new)
            extras += filled
            unknown.append(new)
            whole, begin = caps.asked(own, channel, time)
            words.append(whole)
            end += len(whole) // 8
            asked += rules.channel(channel), time, end, begin
        actions = self._actions
        found = Surveyed(
            np.empty((n, actions), np.bool_),
            np.empty((n, actions), np.uint16),
            np.empty((n, actions + 2), np.int64),
            np.empty((n, self._width)),
            self._first,
            len(self._inputs.numbers),
            unknown,
        )
        k.survey(
            self._table, self._constants, np.array(asked, np.int64).reshape(n, k.A_ALL),
            values, state, np.array(extras, np.float64).reshape(n, -1),
            np.frombuffer(b"".join(words), np.int64), LARGEST, SLACK_US, np.empty(self._work),
            found.eligible, found.excluded, found.capped, found.seen,
        )  # fmt: skip
        return found

    def excluded(
        self, found: Surveyed, i: int, request: Request, contacts: bytes
    ) -> dict[str, str]:
        """Return the rule that excluded each action of a customer that is not eligible."""
        coded, capped = found.excluded[i].tolist(), found.capped[i].tolist()
        names, reasons = self._rules.names, dict[str, str]()
        if capped[-2]:
            reasons = self._caps.reasons(capped[:-2], contacts, request.channel)
        return {
            action: names[code] if code else reasons[action]
            for action, code in zip(self._rules.actions, coded, strict=True)
            if code or action in reasons
        }

    def inputs(self, found: Surveyed, requests: Sequence[Request]) -> list[dict[str, Value]]:
        """Return what the models see of each customer: contexts, numbers and segments by name."""
        named = self._inputs.named
        results = found.seen[:, : self._first].tolist()
        return [
            named(own, words, request.context)
            for own, words, request in zip(results, found.unknown, requests, strict=True)
        ]
