"""A customer's newest decisions with what came of them, put together from what the store keeps."""

from __future__ import annotations

from collections.abc import Iterable

from ..decision.recent import Decided, Responded, Told, members
from .loop_wire import DecisionThen, OfferCame, OfferThen, ResponseThen


def decisions_then(values: Iterable[bytes], most: int) -> list[DecisionThen]:
    """Return the newest decisions, the newest first.

    Parameters
    ----------
    values
        Members of the customer's sorted set, the newest first; those of one decision in any order.
    most
        So many at most.
    """
    decided: list[Decided] = []
    responded: dict[str, dict[str, Responded]] = {}
    told: dict[tuple[str, int], dict[str, Told]] = {}
    for member in members(values):
        match member:
            case Decided():
                decided.append(member)
            case Responded():
                responded.setdefault(member.decision, {})[member.id] = member
            case Told():
                of = told.setdefault((member.decision, member.rank), {})
                before = of.get(member.objective)
                if before is None or before.revision < member.revision:
                    of[member.objective] = member
    decided.sort(key=lambda one: (-one.at, one.id))
    return [
        DecisionThen(
            one.id,
            one.at,
            one.channel,
            one.control,
            one.fallback,
            one.trigger,
            [
                OfferThen(action, rank, _came(told.get((one.id, rank), {}).values()))
                for rank, action in enumerate(one.actions)
            ],
            [
                ResponseThen(each.id, each.at, each.response, each.action)
                for each in sorted(responded.get(one.id, {}).values(), key=lambda r: (r.at, r.id))
            ],
        )
        for one in decided[:most]
    ]


def _came(told: Iterable[Told]) -> list[OfferCame]:
    return [
        OfferCame(one.objective, None if one.withdrawn else one.reward, one.silence, one.at)
        for one in sorted(told, key=lambda one: one.objective)
    ]
