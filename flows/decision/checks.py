"""Whether the parts of a strategy fit each other, and the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from ...features.catalog import Catalog
from ...features.durations import microseconds
from ...learners.fleet_parts import FRESH
from .contacts import SLACK_US
from .converting import Converter, Path
from .errors import ExpressionError
from .expressions import Names, kind_of, nearest, parse, typed
from .expressions.nodes import Kind
from .expressions.typing import OWN
from .instants import instant
from .reading import tags_of
from .shadow_checks import faults, spec_of
from .strategy import (
    Action,
    Boost,
    Cap,
    Challenger,
    Channel,
    Fleet,
    Objective,
    Strategy,
    Suppression,
)


class Checker:
    """Checks one strategy; what it finds is among the converter's faults."""

    def __init__(
        self, strategy: Strategy, catalog: Catalog | None, found: Converter, *, look_up: bool = True
    ) -> None:
        self._strategy, self._catalog, self._found = strategy, catalog, found
        self._look_up = look_up
        self._zone: ZoneInfo = ZoneInfo("UTC")
        self._tags = tags_of(_structs(strategy.actions, Action))
        self._plain = {tag: values for tag, values in self._tags.items() if tag not in OWN}
        self._names = Names(catalog=catalog, channels=tuple(strategy.channels), tags=self._tags)
        self._whole = self._without("action")

    def all(self) -> None:
        """Check everything."""
        strategy = self._strategy
        self._check_name()
        self._check_zone()
        for name, objective in _structs(strategy.objectives, Objective).items():
            self._objective(("objectives", name), objective)
        for name, channel in strategy.channels.items():
            path: Path = ("channels", name)
            self._caps(path, channel.caps)
            self._duration((*path, "blocked_for"), channel.blocked_for)
            self._expression((*path, "open"), channel.open, "bool", self._whole)
            self._otherwise((*path, "otherwise"), name, channel)
        for name, action in _structs(strategy.actions, Action).items():
            self._action(("actions", name), action)
        self._caps((), strategy.caps)
        for i, rest in enumerate(strategy.cool_downs):
            self._duration(("cool_downs", i, "pause"), rest.pause)
            if rest.of not in ("action", "all"):
                self._known(
                    ("cool_downs", i, "of"), rest.of, ["action", "all", *self._plain], "tag"
                )
        for i, suppression in enumerate(strategy.suppress):
            self._rule(("suppress", i), suppression)
        for i, boost in enumerate(strategy.boosts):
            self._rule(("boosts", i), boost)
        self._model()
        self._each(("control", "actions"), strategy.control.actions, strategy.actions, "action")
        self._each(("fallback",), strategy.fallback, strategy.actions, "action")
        self._triggers()
        if strategy.fleet is not None:
            self._fleet(("fleet",), strategy.fleet)

    def _without(self, *sources: str) -> Names:
        return Names(
            self._names.sources - set(sources), self._catalog, self._names.channels, self._tags
        )

    def _is_bad(self, path: Path) -> bool:
        """Return whether anything in a part could not be read."""
        return any(bad[: len(path)] == path for bad in self._found.bad)

    def _fault(self, path: Path, reason: str) -> None:
        if not any(path[:i] in self._found.bad for i in range(1, len(path) + 1)):
            self._found.fault(path, reason)

    def _check_name(self) -> None:
        """A strategy's keys in the store begin as an entity's rows would."""
        name = self._strategy.name
        if self._catalog is not None and name in {one.name for one in self._catalog.entities}:
            self._fault(
                ("name",),
                f"a strategy cannot be called {name!r}, as an entity is: their keys would mix",
            )

    def _check_zone(self) -> None:
        try:
            self._zone = ZoneInfo(self._strategy.zone)
        except (ValueError, OSError, KeyError):
            self._fault(("zone",), f"no time zone {self._strategy.zone!r}, such as Europe/Berlin")

    def _objective(self, path: Path, objective: Objective) -> None:
        if (objective.response is None) == (objective.event is None):
            both = "not both" if objective.event is not None else "one of the two"
            self._fault(path, f"give `response` or `event`, {both}")
        low, high = objective.range
        if not low < high:
            self._fault((*path, "range"), f"from {low:g} to {high:g} there is nothing")
        self._duration((*path, "window"), objective.window)
        self._patience((*path, "silence_after"), objective)
        if objective.event is None:
            if objective.where is not None:
                self._fault((*path, "where"), "it is of an event: give `event`")
            return
        if self._catalog is not None:
            schema = self._catalog.source
            self._known((*path, "event"), objective.event, schema.types, "event type")
            if isinstance(objective.value, str):
                numbers = [name for name in schema.properties if schema.is_numeric(name)]
                self._known((*path, "value"), objective.value, numbers, "property that is a number")
        names = Names(frozenset({"event", "action"}), self._catalog, (), self._tags)
        self._expression((*path, "where"), objective.where, "bool", names)

    def _patience(self, path: Path, objective: Objective) -> None:
        if objective.silence_after is None:
            return
        self._duration(path, objective.silence_after)
        try:
            if microseconds(objective.silence_after) > microseconds(objective.window):
                self._fault(path, f"it is longer than the window, {objective.window}")
        except ValueError:
            return  # which is a fault of its own

    def _otherwise(self, path: Path, name: str, channel: Channel) -> None:
        if channel.otherwise is None:
            return
        if channel.direction != "outbound":
            self._fault(path, f"{name!r} is inbound: nothing is delivered through it")
        self._each(path, channel.otherwise, self._strategy.channels, "channel")
        for i, other in enumerate(channel.otherwise):
            if other == name:
                self._fault((*path, i), f"{name!r} is the channel itself")
            elif other in self._strategy.channels:
                self._outbound((*path, i), other)

    def _outbound(self, path: Path, name: str) -> None:
        if self._strategy.channels[name].direction != "outbound":
            self._fault(path, f"{name!r} is not outbound")

    def _action(self, path: Path, action: Action) -> None:
        self._each((*path, "channels"), action.channels, self._strategy.channels, "channel")
        if isinstance(action.value, dict):
            for name in action.value:
                self._known((*path, "value", name), name, self._strategy.objectives, "objective")
        for tag in set(action.tags) & set(OWN):
            self._fault((*path, "tags", tag), f"every action has {tag!r} without a tag")
        times = [
            self._instant((*path, field), getattr(action, field))
            for field in ("valid_from", "valid_until")
        ]
        if times[0] is not None and times[1] is not None and times[0] >= times[1]:
            self._fault((*path, "valid_until"), "it is not later than valid_from")
        self._caps(path, action.caps)
        self._expression((*path, "eligible"), action.eligible, "bool", self._names)

    def _rule(self, path: Path, rule: Suppression | Boost) -> None:
        actions = _structs(self._strategy.actions, Action)
        self._each((*path, "actions"), rule.actions, self._strategy.actions, "action")
        known = [
            self._known((*path, "tags", tag), tag, self._plain, "tag")
            and self._known((*path, "tags", tag), value, self._plain[tag], f"action whose {tag} is")
            for tag, value in rule.tags.items()
        ]
        same = rule.tags.items()
        if all(known) and not any(same <= action.tags.items() for action in actions.values()):
            self._fault((*path, "tags"), "no action has all these tags")
        self._expression((*path, "when"), rule.when, "bool", self._names)

    def _model(self) -> None:
        model = self._strategy.model
        seen: dict[str, str] = {}
        parts: tuple[tuple[str, Mapping[str, str], Kind, Names], ...] = (
            ("contexts", model.contexts, "any", self._whole),
            ("numbers", model.numbers, "any", self._whole),
            ("segments", model.segments, "string", self._whole),
            ("action_features", model.action_features, "any", self._names),
        )
        for part, expressions, wanted, names in parts:
            for name, text in expressions.items():
                path = ("model", part, name)
                if part != "action_features" and name in seen:
                    self._fault(path, f"there is one of that name among the {seen[name]}")
                seen.setdefault(name, part)
                number = part in ("numbers", "action_features")
                self._expression(path, text, wanted, names, number=number)

    def _triggers(self) -> None:
        names = self._without("action", "context", "channel")
        channels = self._strategy.channels
        for name, trigger in self._strategy.triggers.items():
            path: Path = ("triggers", name)
            if self._catalog is not None:
                types = self._catalog.source.types
                self._known((*path, "event"), trigger.event, types, "event type")
            if self._known((*path, "channel"), trigger.channel, channels, "channel"):
                self._outbound((*path, "channel"), trigger.channel)
            self._within((*path, "within"), trigger.within)
            self._expression((*path, "when"), trigger.when, "bool", names)

    def _within(self, path: Path, text: str) -> None:
        try:
            us = microseconds(text)
        except ValueError as error:
            self._fault(path, str(error))
            return
        if us > SLACK_US:
            self._fault(path, f"{text!r} is more than 1h: so late, caps are not sure")

    def _fleet(self, path: Path, fleet: Fleet) -> None:
        for name in ("stay", "keep"):
            self._duration((*path, name), getattr(fleet, name))
        if fleet.champion in fleet.challengers:
            self._fault((*path, "champion"), f"{fleet.champion!r} is a challenger's name")
        for name in (fleet.champion, *fleet.challengers):
            if name.startswith(FRESH):
                self._fault(path, f"a name that begins with {FRESH!r} is a fresh challenger's")
        for name, one in fleet.challengers.items():
            inner = (*path, "challengers", name)
            if isinstance(one, Challenger) and not self._is_bad(inner):
                spec = spec_of(one)
                for at, reason in faults(self._strategy, one, spec, look_up=self._look_up):
                    self._fault((*inner, *at), reason)
        if not fleet.challengers and fleet.drift is None:
            self._fault(path, "give challengers, or drift, or no fleet")
        if self._strategy.control.share + fleet.share > 1.0:
            self._fault((*path, "share"), "with the control group it is more than all customers")

    def _known(self, path: Path, word: str, known: Iterable[str], what: str) -> bool:
        names = sorted(known) if isinstance(known, set | frozenset) else list(known)
        if word not in names:
            self._fault(path, f"no {what} {word!r}{nearest(word, names)}")
            return False
        return True

    def _each(self, path: Path, words: Sequence[str], known: Iterable[str], what: str) -> None:
        for i, word in enumerate(words):
            self._known((*path, i), word, known, what)
            if word in words[:i]:
                self._fault((*path, i), f"{word!r} stands twice")

    def _caps(self, path: Path, caps: Sequence[Cap]) -> None:
        for i, cap in enumerate(caps):
            self._duration((*path, "caps", i, "per"), cap.per)

    def _duration(self, path: Path, text: str) -> None:
        try:
            if microseconds(text) > 10 * 366 * 24 * 3_600_000_000:
                self._fault(path, f"{text!r} is more than ten years")
        except ValueError as error:
            self._fault(path, str(error))

    def _instant(self, path: Path, text: str | None) -> int | None:
        try:
            return None if text is None else instant(text, self._zone)
        except ValueError as error:
            self._fault(path, str(error))
            return None

    def _expression(
        self, path: Path, text: str | None, wanted: Kind, names: Names, *, number: bool = False
    ) -> None:
        if text is None or path in self._found.bad:
            return
        try:
            node = parse(text)
            kind = kind_of(typed(node, wanted, names))
            if number and kind != "bool":
                typed(node, "number", names)
        except ExpressionError as error:
            self._fault(path, f"{error}: {_shown(text, error.at)}")


def _structs(parts: Mapping[str, Any], kind: type) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if isinstance(part, kind)}


def _shown(text: str, at: int) -> str:
    """Show an expression, with a mark where it is wrong."""
    begin, end = max(0, at - 30), at + 30
    before, after = text[begin : at - 1], text[at - 1 : end]
    return f"{'…' if begin else ''}{before}»{after}{'…' if end < len(text) else ''}"
