"""A decision explained, for a person to read."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape

from ..decision.record import Value
from ..decision.why import Explained, Why
from .lookup import moment
from .values import NOTHING, duration

_CANDIDATES, _DIFFERENCES = 10, 5
_SHOWN = 80


def print_why(console: Console, found: Why) -> None:
    """Print who was offered what, whether it can be made again, what came of it, and why."""
    where = "" if found.position < 0 else f", features as of log position {found.position}"
    console.print(
        f"[bold]decision {found.decision_id}[/bold]\n"
        f"  for {escape(found.customer)} on {escape(found.channel)}, {moment(found.at)}{where}",
        soft_wrap=True,
    )
    _fact(console, "equal", _equal(found))
    _fact(console, "record", f"from the {found.source}; strategy version {found.strategy}, "
          f"policy {found.policy or NOTHING}")  # fmt: skip
    _fact(console, "models", _models(found))
    for text in _circumstances(found):
        _fact(console, "note", text)
    if found.context:
        _fact(console, "context", _pairs(found.context))
    _offers(console, found)
    _came(console, found)
    _others(console, found)
    _features(console, found)


def _equal(found: Why) -> str:
    if found.reproduced:
        return "true: made again from its record, byte for byte"
    parts = ", ".join(one.part for one in found.differences)
    lines = [
        f"{one.part}: logged {one.logged!r:.{_SHOWN}}, now {one.again!r:.{_SHOWN}}"
        for one in found.differences[:_DIFFERENCES]
    ]
    return "\n".join([f"false: made again, it differs in {parts}", *lines])


def _models(found: Why) -> str:
    learned = ", ".join(f"{name} after {n:,} outcomes" for name, n in found.models.items())
    return f"{learned or 'none'}; their chances: {found.foretold}"


def _circumstances(found: Why) -> list[str]:
    said = []
    if found.fallback:
        said.append(f"the declared fallback was answered: {found.fallback}")
    if found.control:
        said.append("the customer is in the control group, which the models do not choose for")
    if found.member:
        said.append(f"{found.member} of the fleet decided")
    if found.trigger:
        said.append(f"nobody asked: trigger {found.trigger}, event {found.cause}")
    if found.stale:
        said.append("the row did not yet show the event of the receipt that was given")
    if found.wanted != len(found.offers):
        said.append(f"{found.wanted} asked for, {len(found.offers)} offered")
    return said


def _offers(console: Console, found: Why) -> None:
    if not found.offers:
        console.print("\nnothing was offered")
        return
    console.print("\n[dim]offered[/dim]")
    for offer in found.offers:
        console.print(f"  {offer.rank + 1}. {escape(_offer(offer))}", soft_wrap=True)
        for reason in offer.reasons:
            console.print(f"     {escape(reason.text)}", soft_wrap=True)


def _offer(offer: Explained) -> str:
    foretold = ", ".join(f"{name} {chance:.3g}" for name, chance in offer.chances.items())
    told = f"; foretold: {foretold}" if foretold else ""
    return (
        f"{offer.action}: score {offer.score:.4g}, chosen with a chance of "
        f"{offer.propensity:.3g} (draw {offer.draw:.3g}){told}"
    )


def _came(console: Console, found: Why) -> None:
    console.print("\n[dim]what came of it[/dim]")
    came = found.came
    if came is None:
        console.print("  not known: no run with --strategy archives here")
        return
    for each in came.outcomes:
        of = f" of {each.action}" if each.action else ""
        value = "" if each.value is None else f", worth {each.value:g}"
        console.print(
            f"  {moment(each.at)}  outcome {escape(each.outcome_id)}: "
            f"{escape(each.response + of)}{value}",
            soft_wrap=True,
        )
    for one in came.credits:
        if one.reward is None:
            what = "withdrawn: it was not delivered"
        elif one.silence:
            what = "no response until then"
        else:
            what = f"{one.reward:.4g} of 1"
        console.print(
            f"  {moment(one.at)}  {one.rank + 1}. {escape(one.action)}, {one.objective}: {what}",
            soft_wrap=True,
        )
    if not came.credits and found.offers:
        console.print("  nothing yet: its windows are open")
    if not came.complete:
        console.print("  the archive could not be searched to its end: there may be more")


def _others(console: Console, found: Why) -> None:
    offered = {offer.action for offer in found.offers}
    rest = [one for one in found.candidates if one.action not in offered]
    rest.sort(key=lambda one: -one.score)
    if rest:
        more = f", the best {_CANDIDATES} of {len(rest)}" if len(rest) > _CANDIDATES else ""
        console.print(f"\n[dim]could have been offered{more}[/dim]")
        for one in rest[:_CANDIDATES]:
            console.print(f"  {escape(one.action)}: score {one.score:.4g}", soft_wrap=True)
    if found.excluded:
        console.print("\n[dim]could not be offered[/dim]")
        by_rule: dict[str, list[str]] = {}
        for each in found.excluded:
            by_rule.setdefault(each.rule, []).append(each.action)
        for rule, actions in by_rule.items():
            console.print(f"  {escape(rule)}: {escape(', '.join(actions))}", soft_wrap=True)


def _features(console: Console, found: Why) -> None:
    if found.features is None:
        console.print("\nits features could not be had")
        return
    age = "" if found.age_ms < 0 else f", newest event {duration(found.age_ms / 1000)} before"
    console.print(f"\n[dim]features as they were served{age}[/dim]")
    width = max((len(each.name) for each in found.features), default=0)
    for each in found.features:
        value = _value(each.value) if each.state == "present" else f"{NOTHING}  {each.state}"
        console.print(escape(f"  {each.name:<{width}}  {value}"), soft_wrap=True)


def _fact(console: Console, name: str, text: str) -> None:
    for i, line in enumerate(text.split("\n")):
        console.print(f"  {name if not i else '':<8} {escape(line)}", soft_wrap=True)


def _pairs(values: Mapping[str, Value]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in values.items())


def _value(value: Value) -> str:
    return NOTHING if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
