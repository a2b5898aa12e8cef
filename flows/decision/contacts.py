"""Caps, cool-downs and blocked channels: what a customer's contacts leave open.

The contacts of a customer are one short byte string in the store, see `contact_bytes`. What
is here are pure functions of such bytes; the store compares and sets them, see `commit`.

**Exact.** An offer at time t counts for a cap in (t - per, t]. What comes from the future, from a
replica whose clock is ahead, counts as now. So no stretch of time holds more offers than a cap
allows, if each decision is made from all contacts committed before it and the replicas' clocks
differ by less than an hour.

**Bounded.** What no cap, cool-down or block can need any more is dropped, an hour late, as another
replica's clock may be behind. For a clock that is further behind, caps are full while any contacts
are kept. Of more than `MAX_OFFERS` offers the oldest are forgotten; a cap that reaches back to them
is full. Of more than `MAX_RESTS` cool-downs and blocks the one that ends first is made a rest of
all actions.

A strategy that changes is followed at once, but counts only what the one before it had to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ...features.errors import SettingsError
from ...features.events import MAX_TIMESTAMP
from .cap_tables import kernel_rules, longest, rule_name, span
from .contact_bytes import (
    ALL,
    HEAD,
    MAX_NOTES,
    MAX_OFFERS,
    MAX_RESTS,
    OFFER,
    Contacts,
    Offered,
    Rest,
    action_key,
    channel_key,
    check,
    hashed,
    sealed,
    tag_key,
)
from .contact_kernels import add_many, add_offers, open_actions
from .contact_types import Checked, Reply, Update
from .corrections import LINK, NOTE, take_back
from .record import FAIL, UNDELIVERED
from .strategy import Strategy

__all__ = [
    "BLOCKED",
    "SLACK_US",
    "CapRules",
    "Checked",
    "Reply",
    "Update",
]

BLOCKED = "channel blocked after a failed delivery"
SLACK_US = 3_600_000_000
"""How far a replica's clock may be behind another's."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_WORDS: npt.NDArray[np.int64] = np.frombuffer(bytes(32), np.int64)


class _Channel(NamedTuple):
    key: int
    begin: int
    rests_by: int
    words: npt.NDArray[np.int64]
    rules: list[str]
    blocked_us: int


class CapRules:
    """A strategy's caps, cool-downs and blocks; made by `compile`.

    Attributes
    ----------
    names
        The actions, in the strategy's order.
    words, begins
        int64, what the kernel reads of all channels; by channel, where its part begins.

    Examples
    --------
    >>> from nextbest.flows.decision.strategy import Action, Cap, Channel, Objective
    >>> strategy = Strategy(
    ...     name="tea",
    ...     objectives={"sale": Objective(response="accept")},
    ...     channels={"web": Channel()},
    ...     actions={"green": Action(channels=["web"]), "black": Action(channels=["web"])},
    ...     caps=[Cap(most=2, per="1d")],
    ... )
    >>> rules = CapRules.compile(strategy)
    >>> contacts, _ = rules.offered(b"", ["green"], "web", at_us=10)
    >>> rules.check(contacts, "web", at_us=20).room
    1
    >>> contacts, _ = rules.offered(contacts, ["black"], "web", at_us=20)
    >>> rules.check(contacts, "web", at_us=30).reasons
    {'green': 'cap: 2 per 1d', 'black': 'cap: 2 per 1d'}
    """

    def __init__(self, strategy: Strategy) -> None:
        self.names = tuple(strategy.actions)
        self._all = np.ones(len(self.names), np.bool_)
        self._all.flags.writeable = False
        self._general = len(strategy.caps)
        self._cool_downs: dict[str, list[tuple[str, int]]] = {}
        for rest in strategy.cool_downs:
            known = self._cool_downs.setdefault(rest.after, [])
            known.append((rest.of, span("cool-down", rest.pause)))
        self._responses = {hashed(name): name for name in self._cool_downs}
        self._actions = strategy.actions
        self._hash_of = {name: hashed(name) for name in self.names}
        caps = [cap for action in strategy.actions.values() for cap in action.caps]
        self._rules = [rule_name("cap of action", cap) for cap in caps]
        self._channels: dict[str, _Channel] = {}
        begin = 0
        for name, channel in strategy.channels.items():
            words = kernel_rules(strategy, name)
            self._channels[name] = _Channel(
                hashed(name),
                begin,
                channel_key(name),
                words,
                [rule_name("cap", cap) for cap in strategy.caps]
                + [rule_name(f"cap of {name}", cap) for cap in channel.caps],
                span(f"channel {name}", channel.blocked_for),
            )
            begin += len(words)
        self.begins = {name: channel.begin for name, channel in self._channels.items()}
        self.words = np.concatenate([channel.words for channel in self._channels.values()])
        self._general_need = longest(strategy.caps)
        self._channel_needs = {
            hashed(name): longest(channel.caps) for name, channel in strategy.channels.items()
        }
        self._action_needs = {
            hashed(name): longest(action.caps) for name, action in strategy.actions.items()
        }
        pauses = [pause for rests in self._cool_downs.values() for _, pause in rests]
        blocks = [channel.blocked_us for channel in self._channels.values()]
        counted = [*self._channel_needs.values(), *self._action_needs.values()]
        self._lasting = max([self._general_need, *pauses, *blocks, *counted])
        needs = [self._general_need, len(self._channel_needs), len(self._action_needs)]
        for pair in (*self._channel_needs.items(), *self._action_needs.items()):
            needs += pair
        self._needs = np.array(needs, np.int64)

    @classmethod
    def compile(cls, strategy: Strategy) -> Self:
        """Make the rules of a strategy.

        Raises
        ------
        SettingsError
            If a duration is none, or longer than a hundred years.
        """
        return cls(strategy)

    def check(self, contacts: bytes, channel: str, at_us: int) -> Checked:
        """Say which actions may be offered through a channel.

        Parameters
        ----------
        contacts
            As they are in the store; empty if there are none.
        channel
            Of the strategy.
        at_us
            The decision's time, microseconds.

        Raises
        ------
        SettingsError
            If there is no such channel, or the time cannot be one.
        StateError
            If the contacts are damaged.
        """
        through = self._through(channel)
        _check_time(at_us)
        codes = np.empty(len(self.names) + 1, np.int64)
        room = open_actions(_read(contacts), through.words, at_us, SLACK_US, codes)
        if not codes.item(-1):
            return Checked(self._all, {}, int(room))
        reasons = self._reasons(codes[:-1].tolist(), contacts, through)
        return Checked(codes[:-1] == 0, reasons, int(room))

    def reasons(self, coded: Sequence[int], contacts: bytes, channel: str) -> dict[str, str]:
        """Return which actions codes of the kernel exclude, and by which rule."""
        return self._reasons(coded, contacts, self._through(channel))

    def _reasons(self, coded: Sequence[int], contacts: bytes, through: _Channel) -> dict[str, str]:
        told = {code: self._told(code, contacts, through) for code in {*coded} - {0}}
        return {n: told[code] for n, code in zip(self.names, coded, strict=True) if code}

    def offered(self, contacts: bytes, actions: Sequence[str], channel: str, at_us: int) -> Update:
        """Add offers, and drop what cannot matter any more.

        Raises
        ------
        SettingsError, StateError
            See `check`; or if there is no such action.
        """
        new = self._new(actions, channel, at_us)
        words = _read(contacts)
        out = np.empty(len(words) + len(new), np.int64)
        added = np.array(new, np.int64)
        last_us = int(add_offers(words, self._needs, at_us, SLACK_US, added, out))
        if last_us < 0:
            known = Contacts.unpack(contacts)
            known.offers += map(Offered, new[::3], new[1::3], new[2::3])
            return self._packed(known, at_us)
        return Update(sealed(out), _milliseconds(last_us, at_us)) if last_us else Update(b"", 0)

    def offered_many(
        self,
        contacts: Sequence[bytes],
        actions: Sequence[Sequence[str]],
        channels: Sequence[str],
        at_us: Sequence[int],
    ) -> list[Update]:
        """Do as `offered` for n customers, at once."""
        new, ends, end = list[int](), list[int](), 0
        for own, names, channel, at in zip(contacts, actions, channels, at_us, strict=True):
            new += self._new(names, channel, at)
            if len(own) % 8:
                check(own)  # says what is wrong
            end += len(own) // 8
            ends += (end, len(new))
        n = len(contacts)
        words = np.frombuffer(b"".join(contacts), np.int64)
        out = np.empty(end + len(new) + HEAD * n, np.int64)
        bounds, kept = np.array(ends, np.int64).reshape(n, 2), np.empty((n, 2), np.int64)
        damaged = add_many(
            words, bounds, self._needs, np.array(at_us, np.int64), SLACK_US,
            np.array(new, np.int64), out, kept,
        )  # fmt: skip
        if damaged >= 0:
            check(contacts[int(damaged)])
        raw, found, begin = out.tobytes(), list[Update](), 0
        for i, (until, size) in enumerate(kept.tolist()):
            if until < 0:
                found.append(self.offered(contacts[i], actions[i], channels[i], at_us[i]))
            else:
                told = _milliseconds(until, at_us[i]) if until else 0
                found.append(Update(raw[begin : begin + 8 * size], told))
            begin += len(contacts[i]) + 8 * (OFFER * len(actions[i]) + HEAD)
        return found

    def _new(self, actions: Sequence[str], channel: str, at_us: int) -> list[int]:
        """Return the words of new offers."""
        through = self._through(channel).key
        _check_time(at_us)
        found: list[int] = []
        for name in actions:
            if name not in self._hash_of:
                raise SettingsError(f"{name!r:.80} is no action of the strategy")
            found += (at_us, self._hash_of[name], through)
        return found

    def touches(self, response: str, corrects: str | None = None) -> bool:
        """Whether such an outcome changes contacts."""
        ends = response in (FAIL, UNDELIVERED)
        return ends or corrects is not None or response in self._cool_downs

    def responded(self, contacts: bytes, reply: Reply) -> Update:
        """Take in what became of an offer.

        A response that cool-downs name begins them. After ``fail`` the channel is blocked, and
        after ``fail`` or ``undelivered`` the offer no longer counts. What an outcome that is
        corrected has done, and what corrected it before, is taken back first. The same outcome
        again changes nothing.

        Raises
        ------
        SettingsError, StateError
            See `check`. Action and channel may be unknown to the strategy: it may have changed.
        """
        _check_time(reply.at)
        _check_time(reply.offered_at)
        known = Contacts.unpack(contacts)
        cause = hashed(reply.id)
        offer = Offered(reply.offered_at, hashed(reply.action), hashed(reply.channel))
        if all(rest.cause != cause for rest in known.rests):
            if reply.corrects is not None:
                take_back(known, cause, hashed(reply.corrects), offer, reply.at, self._lasting)
            self._take_in(known, reply, cause, offer)
        return self._packed(known, reply.at)

    def _take_in(self, known: Contacts, reply: Reply, cause: int, offer: Offered) -> None:
        after = hashed(reply.response)
        begun: list[tuple[int, int]] = []
        for of, pause in self._cool_downs.get(reply.response, []):
            what = self._what(of, reply.action)
            if what is not None:
                begun.append((what, pause))
        if reply.response in (FAIL, UNDELIVERED) and offer in known.offers:
            known.offers.remove(offer)
            begun.append((NOTE, self.need(offer)))
        if reply.response == FAIL and reply.channel in self._channels:
            blocked = self._channels[reply.channel].blocked_us
            begun.append((channel_key(reply.channel), blocked))
        known.rests += [Rest(what, reply.at, reply.at + us, after, cause) for what, us in begun]

    def _what(self, of: str, name: str) -> int | None:
        """What rests after a response to an action; None: it has no such tag."""
        if of == "all":
            return ALL
        if of == "action":
            return action_key(name)
        action = self._actions.get(name)
        if action is None or of not in action.tags:
            return None
        return tag_key(of, action.tags[of])

    def _packed(self, known: Contacts, at: int) -> Update:
        """Drop what cannot matter any more, bound the rest, and pack it."""
        ends = [(offer, offer.at + self.need(offer)) for offer in known.offers]
        kept = sorted((offer, end) for offer, end in ends if end > offer.at and end + SLACK_US > at)
        if any(offer.at < end <= at - SLACK_US for offer, end in ends):
            known.swept = max(known.swept, at)
        if len(kept) > MAX_OFFERS:
            known.forgotten = max(known.forgotten, kept[-MAX_OFFERS - 1][0].at)
            kept = kept[-MAX_OFFERS:]
        known.offers = [offer for offer, _ in kept]
        rests = [rest for rest in known.rests if rest.until + SLACK_US > at]
        rests.sort(key=lambda rest: (rest.until, rest))
        notes = [rest for rest in rests if rest.what in (NOTE, LINK)]
        for note in notes[: max(0, len(notes) - MAX_NOTES)]:
            rests.remove(note)
        if len(rests) > MAX_RESTS:
            # It ends before all that stay: one rest of all actions stands for all that go.
            last = rests[len(rests) - MAX_RESTS]
            rests = rests[len(rests) - MAX_RESTS + 1 :]
            rests.insert(0, Rest(ALL, last.began, last.until, 0, 0))
        known.rests = rests
        packed = known.pack()
        if not packed:
            return Update(b"", 0)
        last_us = max([end for _, end in kept] + [rest.until for rest in rests])
        return Update(packed, _milliseconds(last_us, at))

    def need(self, offer: Offered) -> int:
        """Return for how many µs an offer counts for any cap."""
        return max(
            self._general_need,
            self._action_needs.get(offer.action, 0),
            self._channel_needs.get(offer.channel, 0),
        )

    def _told(self, code: int, contacts: bytes, through: _Channel) -> str:
        if code > 0:
            own = code - 1 - len(through.rules)
            return through.rules[code - 1] if own < 0 else self._rules[own]
        rest = Contacts.unpack(contacts).rests[-1 - code]
        if rest.what == through.rests_by:
            return BLOCKED
        response = self._responses.get(rest.after)
        after = f" after {response}" if response else ""
        return f"cool-down{after} until {_shown(rest.until)}"

    def _through(self, channel: str) -> _Channel:
        found = self._channels.get(channel)
        if found is None:
            raise SettingsError(f"{channel!r:.80} is no channel of the strategy")
        return found


def _read(contacts: bytes) -> npt.NDArray[np.int64]:
    """The words of contacts that are whole."""
    if not contacts:
        return _NO_WORDS
    check(contacts)
    return np.frombuffer(contacts, np.int64)


def _milliseconds(last_us: int, at: int) -> int:
    return max(1, -(-(last_us + SLACK_US - at) // 1000))


def _check_time(us: int) -> None:
    if not 0 < us <= MAX_TIMESTAMP:
        raise SettingsError(f"{us!r} is no time in microseconds since 1970")


def _shown(us: int) -> str:
    """The first whole second that is not before a time."""
    return (_EPOCH + timedelta(seconds=-(-us // 1_000_000))).strftime("%Y-%m-%dT%H:%M:%SZ")
