"""What a strategy says, in plain sentences: for the people whose strategy it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .expressions import parse
from .expressions.prose import in_words
from .strategy import (
    Action,
    Boost,
    Cap,
    Channel,
    CoolDown,
    Exploration,
    Objective,
    Strategy,
    Suppression,
    otherwise_of,
)


class Chapter(NamedTuple):
    """Sentences about one thing."""

    title: str
    sentences: tuple[str, ...]


def explain(strategy: Strategy) -> list[Chapter]:
    """Say what a checked strategy says.

    Examples
    --------
    >>> from nextbest.flows.decision.loading import load
    >>> loaded = load('''
    ... name: tea
    ... objectives: {buy: {response: convert, window: 2d}}
    ... channels: {web: {}}
    ... actions:
    ...   tea: {channels: [web], eligible: visits.views >= 2}
    ... ''')
    >>> for chapter in explain(loaded.strategy)[:2]:
    ...     print(chapter.title, *chapter.sentences, sep="\\n- ")
    What it is for
    - buy: the app posts `convert` within 2d of the offer; each is worth 1.
    What can be offered to whom
    - tea, on web, if visits.views is at least 2; it is worth 1.
    """
    chapters = [
        Chapter("What it is for", tuple(_objectives(strategy.objectives))),
        Chapter(
            "What can be offered to whom",
            tuple(_action(name, action) for name, action in strategy.actions.items()),
        ),
        Chapter("What is held back", tuple(_held_back(strategy))),
        Chapter("How often", tuple(_often(strategy))),
        Chapter("What is preferred", tuple(_boost(boost) for boost in strategy.boosts)),
        Chapter("What the models see", tuple(_model(strategy))),
        Chapter("How it finds out", tuple(_exploration(strategy.exploration))),
        Chapter("How its worth is measured", tuple(_control(strategy))),
        Chapter("Who may take the models' place", tuple(_fleet(strategy))),
        Chapter("When it decides by itself", tuple(_triggers(strategy))),
        Chapter("When a message does not arrive", tuple(_otherwise(strategy))),
        Chapter("When store or models are away", (_fallback(strategy),)),
    ]
    return [chapter for chapter in chapters if chapter.sentences]


def _words(text: str) -> str:
    return in_words(parse(text))


def _listed(words: Sequence[str], last: str = "and") -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.4g} %"


def _said(description: str) -> str:
    return f" ({description.strip()})" if description.strip() else ""


def _objectives(objectives: Mapping[str, Objective]) -> Iterator[str]:
    for name, one in objectives.items():
        if one.response is not None:
            what = f"the app posts `{one.response}`"
        else:
            what = f"an event `{one.event}`"
            if one.where is not None:
                what += f", where {_words(one.where)},"
        low, high = one.range
        if isinstance(one.value, str):
            worth = f"each is worth its `{one.value}`, from {low:g} to {high:g}"
        else:
            worth = f"each is worth {min(max(one.value, low), high):g}"
        weight = "" if one.weight == 1.0 else f"; weight {one.weight:g}"
        if one.weight < 0.0:
            weight += ": it is to be avoided"
        said = _said(one.description)
        if one.silence_after is not None:
            weight += f"; nothing for {one.silence_after} is learned as no response meanwhile"
        yield f"{name}{said}: {what} within {one.window} of the offer; {worth}{weight}."


def _action(name: str, action: Action) -> str:
    text = f"{name}{_said(action.description)}, on {_listed(action.channels)}"
    if action.valid_from is not None:
        text += f", from {action.valid_from}"
    if action.valid_until is not None:
        text += f", until before {action.valid_until}"
    text += ", to anyone" if action.eligible is None else f", if {_words(action.eligible)}"
    if isinstance(action.value, dict):
        parts = [f"{value:g} for {objective}" for objective, value in action.value.items()]
        text += f"; it is worth {_listed(parts)}"
    else:
        text += f"; it is worth {action.value:g}"
    if action.cost:
        text += f" and costs {action.cost:g}"
    if action.lever != 1.0:
        text += f"; its score is multiplied by {action.lever:g}"
    return text + "."


def _which(rule: Suppression | Boost, nobody: str) -> str:
    parts = list(rule.actions)
    if rule.tags:
        tags = _listed([f"{tag} {value}" for tag, value in rule.tags.items()])
        parts.append(f"all actions of {tags}")
    return _listed(parts) or nobody


def _held_back(strategy: Strategy) -> Iterator[str]:
    for name, channel in strategy.channels.items():
        yield _channel(name, channel)
    for number, rule in enumerate(strategy.suppress, 1):
        reason = f" ({rule.reason})" if rule.reason else ""
        which = _which(rule, "")
        held = f"not offered: {which}" if which else "nothing is offered"
        yield f"suppress {number}{reason}: while {_words(rule.when)}, {held}."


def _channel(name: str, channel: Channel) -> str:
    direction = {
        "inbound": "the customer is there and the app asks",
        "outbound": "we go to the customer",
    }[channel.direction]
    text = f"{name}{_said(channel.description)}: {direction}"
    if channel.open is not None:
        text += f"; open only while {_words(channel.open)}"
    if channel.direction == "outbound":
        text += f"; not tried for {channel.blocked_for} after a delivery failed"
    return text + "."


def _caps(caps: Sequence[Cap], what: str) -> Iterator[str]:
    for cap in caps:
        yield f"at most {cap.most} {'offer' if cap.most == 1 else 'offers'} {what} in {cap.per}."


def _often(strategy: Strategy) -> Iterator[str]:
    yield from _caps(strategy.caps, "of all actions together")
    for name, channel in strategy.channels.items():
        yield from _caps(channel.caps, f"on {name}")
    for name, action in strategy.actions.items():
        yield from _caps(action.caps, f"of {name}")
    for rest in strategy.cool_downs:
        yield _cool_down(rest)


def _cool_down(rest: CoolDown) -> str:
    what = {"action": "that action rests", "all": "all actions rest"}.get(
        rest.of, f"all actions of the same {rest.of} rest"
    )
    return f"after `{rest.after}` {what} for {rest.pause}."


def _boost(boost: Boost) -> str:
    which = _which(boost, "all actions")
    return f"while {_words(boost.when)}, the score of {which} is multiplied by {boost.times:g}."


def _model(strategy: Strategy) -> Iterator[str]:
    model = strategy.model
    for what, expressions in (
        ("of the moment and the customer", model.contexts | model.numbers),
        ("of each action", model.action_features),
        ("segments with weights of their own", model.segments),
    ):
        if expressions:
            yield f"{what}: " + "; ".join(f"{n}, {_words(t)}" for n, t in expressions.items()) + "."
    if model.personal:
        yield "every customer has weights of their own."


def _exploration(how: Exploration) -> Iterator[str]:
    match how.method:
        case "squarecb":
            yield (
                "SquareCB: the nearer an action comes to the best, the more often it is tried; "
                f"gamma {how.gamma:g} · outcomes ^ {how.exponent:g}, so ever less."
            )
        case "epsilon":
            yield f"{_percent(how.epsilon)} of the decisions are drawn evenly; else the best wins."
        case _:
            yield "the best action wins: nothing is tried out."
    if how.floor:
        yield f"every eligible action has a chance of at least {_percent(how.floor)}."
    if how.budget < 1.0:
        yield f"all actions but the best have at most {_percent(how.budget)} together."


def _control(strategy: Strategy) -> Iterator[str]:
    control = strategy.control
    if control.share:
        what = (
            f"the first of {_listed(control.actions, 'or')} that is eligible"
            if control.actions
            else "any eligible action, by lot"
        )
        yield f"{_percent(control.share)} of the customers never meet the models: they get {what}."


def _fleet(strategy: Strategy) -> Iterator[str]:
    fleet = strategy.fleet
    if fleet is None:
        return
    for name, one in fleet.challengers.items():
        if one.river is None:
            yield (
                f"{name}{_said(one.description)} learns beside {fleet.champion}, by other settings."
            )
        else:
            last = one.river if isinstance(one.river, str) else one.river[-1]
            yield (
                f"{name}{_said(one.description)} is a shadow, "
                f"{last if isinstance(last, str) else last.river}: it learns beside "
                f"{fleet.champion}, its forecasts are compared, and it never decides."
            )
    if fleet.drift is None and all(one.river is not None for one in fleet.challengers.values()):
        return
    if fleet.drift is not None:
        yield (
            "When rewards drop below what is foretold, a fresh challenger begins; the champion "
            "stays as it is."
        )
    yield (
        f"Challengers decide for {_percent(fleet.share)} of the customers, each for as many; a "
        f"customer stays with one for {fleet.stay}."
    )
    yield (
        "One that is proven better becomes the champion; the chance that it is not better is at "
        f"most {_percent(fleet.alpha)} in a champion's reign. One that is proven worse leaves."
    )
    yield f"A former champion stays for {fleet.keep}, and comes back if it is proven better."


def _triggers(strategy: Strategy) -> Iterator[str]:
    for name, trigger in strategy.triggers.items():
        condition = "" if trigger.when is None else f", if {_words(trigger.when)}"
        yield (
            f"{name}: at an event `{trigger.event}`{condition}, on {trigger.channel}; "
            f"not if it is learned of more than {trigger.within} later."
        )


def _otherwise(strategy: Strategy) -> Iterator[str]:
    for name, channel in strategy.channels.items():
        if channel.direction != "outbound":
            continue
        others = otherwise_of(strategy, name)
        if others:
            yield (
                f"{name}: after a failed delivery, or if it is closed or blocked when we decide by "
                f"ourselves, the next best action goes out on {_listed(others, 'else')}."
            )
        else:
            yield f"{name}: after a failed delivery nothing else is sent."


def _fallback(strategy: Strategy) -> str:
    if not strategy.fallback:
        return "nothing is offered."
    return f"{_listed(strategy.fallback, 'or')}, the first that is on the channel."
