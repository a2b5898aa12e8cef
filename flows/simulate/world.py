"""A world of customers whose tastes are known: who comes when, what they see, how they answer.

All that chance decides is drawn when the world is made, for every action: two policies that choose
alike get the same answers. The expected value of each action at each visit is known, and so is
what is lost by not choosing the best.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from ...features.errors import SettingsError
from ..decision.record import Value
from .catalog import KINDS

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

START = 1_767_225_600_000_000
"""2026-01-01, microseconds."""
DAY = 86_400_000_000
CHANNELS = ("web", "app", "mail")
DEVICES = ("laptop", "phone", "none")
DAYPARTS = ("night", "morning", "afternoon", "evening")
SEGMENTS = ("north", "east", "south", "west")
MOST_VISITS = 1_000_000
TOO_LATE = 0.03
"""The share of answers that come when the window is over: they do not count."""

_CHANNEL_SHARES = (0.5, 0.35, 0.15)
_DAYPART_SHARES = (0.05, 0.3, 0.3, 0.35)
_OF_TASTE, _OF_ONE, _OF_SEGMENT = 0.6, 1.0, 0.5
_OF_MOMENT = 0.25

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Spread = Annotated[float, Meta(ge=0.0, le=10.0)]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a world is like.

    Attributes
    ----------
    people, days
        How many customers there are, and for how long.
    visits
        Of a customer a day, on average. Each asks for one decision.
    actions, new_actions
        All actions, and how many of them appear only half-way.
    heterogeneity
        How much customers and segments differ: the standard deviation, in logits, of what one
        customer thinks of one action for reasons of their own. 0: all are alike.
    drift, drift_at
        How much of the law is drawn anew, and after which share of the days.
    level
        The logit of an average answer.
    start, day_us
        The first microsecond, and how long a day is; a short one is for real time.
    cap
        How often one action is offered to a customer in a day at most; 0: as often as may be.
    refusals, failing, corrected
        Over HTTP, the shares of: those without a yes who say no, after which the action rests for
        half a day; deliveries that fail, after which the channel is blocked for as long; and
        yeses that are taken back.
    """

    people: Annotated[int, Meta(ge=1, le=100_000)] = 60
    days: Annotated[int, Meta(ge=1, le=3650)] = 40
    visits: Annotated[float, Meta(gt=0.0, le=100.0)] = 2.0
    actions: Annotated[int, Meta(ge=2, le=200)] = 8
    new_actions: Annotated[int, Meta(ge=0, le=198)] = 2
    heterogeneity: Spread = 1.0
    drift: Share = 0.0
    drift_at: Share = 0.5
    level: Annotated[float, Meta(ge=-10.0, le=10.0)] = -1.5
    start: Annotated[int, Meta(ge=0, le=4_000_000_000_000_000)] = START
    day_us: Annotated[int, Meta(ge=100_000, le=DAY)] = DAY
    cap: Annotated[int, Meta(ge=0, le=1000)] = 0
    refusals: Share = 0.0
    failing: Share = 0.0
    corrected: Share = 0.0

    @property
    def plain(self) -> bool:
        """Whether there are neither caps nor refusals, failures and corrections."""
        return not (self.cap or self.refusals or self.failing or self.corrected)

    @property
    def window_us(self) -> int:
        """How long an answer counts: a quarter of a day."""
        return self.day_us // 4


class Answer(NamedTuple):
    """A customer's yes: how long after the decision, microseconds, and whether it still counts."""

    after_us: int
    counts: bool


class World:
    """A world; equal settings and seeds make equal worlds.

    Parameters
    ----------
    setting
        What it is like.
    seed
        Of all that chance decides.

    Attributes
    ----------
    setting, seed
        As the parameters.
    actions, kinds
        Names of the K actions, and what each is about.
    values
        float64[K], what a yes to each is worth.
    begins
        int64[K], when each can first be offered.
    at, who, channel, device, daypart
        int64[n] of the n visits in order of time: microseconds, and places in `customers`,
        `CHANNELS`, `DEVICES` and `DAYPARTS`.
    segments
        int64[people], places in `SEGMENTS`.
    chances
        float64[n, K], the probability of an answer that counts.
    views
        For each visit the places in `KINDS` of what was looked at before the decision.
    refuses, fails, corrects
        bool[n]: whether a no is said, the delivery fails, or a yes is taken back.

    Raises
    ------
    SettingsError
        If a setting is out of range.

    Examples
    --------
    >>> world = World(Setting(people=3, days=5), seed=1)
    >>> bool((world.best >= world.expected.max(axis=1)).all())
    True
    >>> Setting(people=3).heterogeneity, World(Setting(heterogeneity=0.0), 1).segments.max() > 0
    (1.0, np.True_)
    """

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting = setting = checked(setting)
        self.seed = seed
        k, people = setting.actions, setting.people
        rng = np.random.default_rng([seed, 0])
        self.actions = tuple(f"{KINDS[a % len(KINDS)]}-{a // len(KINDS)}" for a in range(k))
        self.kinds = np.arange(k) % len(KINDS)
        self.values: F64 = np.round(rng.uniform(1.0, 1.5, k), 2)
        self.begins: I64 = np.full(k, setting.start, np.int64)
        if setting.new_actions:
            half = setting.start + setting.days * setting.day_us // 2
            self.begins[-setting.new_actions :] = half // 1_000_000 * 1_000_000
        self.customers = tuple(f"person-{p}" for p in range(people))
        self.segments: I64 = rng.integers(len(SEGMENTS), size=people)
        self._come(np.random.default_rng([seed, 1]))
        laws = [_Law(np.random.default_rng([seed, 2, n]), setting) for n in range(2)]
        self._law_of_visits(laws)
        self._live(np.random.default_rng([seed, 3]), laws)
        luck = np.random.default_rng([seed, 4]).random((3, len(self)))
        self.refuses: Bools = luck[0] < setting.refusals
        self.fails: Bools = luck[1] < setting.failing
        self.corrects: Bools = luck[2] < setting.corrected

    def __len__(self) -> int:
        """Return how many visits there are."""
        return len(self.at)

    @property
    def expected(self) -> F64:
        """float64[n, K], the expected value of each action; 0 where it cannot be offered."""
        return np.where(self.available, self.chances * self.values, 0.0)

    @property
    def available(self) -> Bools:
        """bool[n, K], which actions there are."""
        found: Bools = self.begins <= self.at[:, None]
        return found

    @property
    def best(self) -> F64:
        """float64[n], what the oracle expects: the most that any choice can."""
        found: F64 = self.expected.max(axis=1)
        return found

    def context(self, visit: int) -> dict[str, Value]:
        """Return what the app knows of the moment."""
        return {
            "device": DEVICES[self.device[visit]],
            "daypart": DAYPARTS[self.daypart[visit]],
            "segment": SEGMENTS[self.segments[self.who[visit]]],
        }

    def answer(self, visit: int, action: int) -> Answer | None:
        """Return how the customer answers an action; None: never."""
        if not self._luck[visit, action] < self._yes[visit, action]:
            return None
        counts = bool(self._in_time[visit])
        return Answer(int(self._after[visit]), counts)

    def _come(self, rng: np.random.Generator) -> None:
        """Draw who comes when, through which channel."""
        setting = self.setting
        mean = setting.people * setting.days * setting.visits
        if mean > MOST_VISITS:
            raise SettingsError(f"{mean:,.0f} visits; the most are {MOST_VISITS:,}")
        n = max(1, int(rng.poisson(mean)))
        day = rng.integers(setting.days, size=n)
        part = rng.choice(len(DAYPARTS), n, p=_DAYPART_SHARES)
        within = (part + rng.random(n)) / len(DAYPARTS)
        at = setting.start + ((day + within) * setting.day_us).astype(np.int64)
        order = np.argsort(at, kind="stable")
        self.at: I64 = at[order] + np.arange(n)  # no two at the same time
        self.daypart: I64 = part[order].astype(np.int64)
        self.who: I64 = rng.integers(setting.people, size=n)
        self.channel: I64 = rng.choice(len(CHANNELS), n, p=_CHANNEL_SHARES).astype(np.int64)
        device = np.where(self.channel == 0, rng.integers(2, size=n), self.channel)
        self.device: I64 = device.astype(np.int64)

    def _law_of_visits(self, laws: list[_Law]) -> None:
        """Make the probability of a yes, float64[n, K]; a drift mixes two laws of equal spread."""
        n, setting = len(self.at), self.setting
        first, second = (law.logits(self) for law in laws)
        later = self.at >= setting.start + int(setting.drift_at * setting.days * setting.day_us)
        share = np.where(later, setting.drift, 0.0)[:, None]
        logits = setting.level + np.sqrt(1.0 - share) * first + np.sqrt(share) * second
        self._yes: F64 = 1.0 / (1.0 + np.exp(-logits))
        self.chances: F64 = (1.0 - TOO_LATE) * self._yes
        self._share = share.reshape(n)

    def _live(self, rng: np.random.Generator, laws: list[_Law]) -> None:
        """Draw what is looked at, and the luck of each answer."""
        n, window = len(self.at), self.setting.window_us
        self._luck: F64 = rng.random((n, len(self.actions)))
        self._in_time: Bools = rng.random(n) >= TOO_LATE
        soon = np.minimum(rng.exponential(0.1, n), 0.9) * window
        self._after: I64 = (
            np.where(self._in_time, soon, window * (1.0 + rng.random(n))).astype(np.int64) + 1
        )
        looks = np.where(self.channel == 2, 0, 1 + rng.poisson(1.0, n))
        mixed = [
            np.sqrt(1.0 - s) * laws[0].taste[p] + np.sqrt(s) * laws[1].taste[p]
            for s, p in zip(self._share, self.who, strict=True)
        ]
        cumulated = np.cumsum(np.exp(2.0 * np.array(mixed)), axis=1)
        cumulated /= cumulated[:, -1:]
        self.views = [
            np.searchsorted(cumulated[v], rng.random(looks[v])).tolist() for v in range(n)
        ]


class _Law:
    """Everything that decides how an action is liked, in logits."""

    def __init__(self, rng: np.random.Generator, setting: Setting) -> None:
        k, people, h = setting.actions, setting.people, setting.heterogeneity
        self._base = rng.normal(0.0, 0.4, k)
        self._channels = rng.normal(0.0, _OF_MOMENT, (len(CHANNELS), k))
        self._devices = rng.normal(0.0, _OF_MOMENT, (len(DEVICES), k))
        self._dayparts = rng.normal(0.0, _OF_MOMENT, (len(DAYPARTS), k))
        self._segments = rng.normal(0.0, 1.0, (len(SEGMENTS), k)) * (h * _OF_SEGMENT)
        self.taste: F64 = rng.normal(0.0, 1.0, (people, len(KINDS))) * (h * _OF_TASTE)
        self._own = rng.normal(0.0, 1.0, (people, k)) * (h * _OF_ONE)

    def logits(self, world: World) -> F64:
        """float64[n, K], of each visit."""
        found: F64 = (
            self._base
            + self._channels[world.channel]
            + self._devices[world.device]
            + self._dayparts[world.daypart]
            + self._segments[world.segments[world.who]]
            + self.taste[world.who][:, world.kinds]
            + self._own[world.who]
        )
        return found


def checked(setting: Setting) -> Setting:
    """Return the setting.

    Raises
    ------
    SettingsError
        If a value is out of range.

    Examples
    --------
    >>> checked(Setting(people=0))
    Traceback (most recent call last):
    nextbest.features.errors.SettingsError: a world: Expected `int` >= 1 - at `$.people`
    """
    try:
        same = msgspec.convert(msgspec.structs.asdict(setting), Setting)
    except msgspec.ValidationError as error:
        raise SettingsError(f"a world: {error}") from None
    if setting.new_actions > setting.actions - 2:
        raise SettingsError(
            f"a world: {setting.new_actions} of {setting.actions} actions are new; two must be "
            "there from the start"
        )
    return same
