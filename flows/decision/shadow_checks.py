"""What is declared of River's models in a strategy: its stages, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from .converting import Path
from .strategy import Challenger, Objective, Strategy

if TYPE_CHECKING:
    from ...learners.river_build import Stage

_OWN = (
    "variances", "forgetting", "switching", "bias_scale", "shared_scale", "feature_scale",
)  # fmt: skip


def spec_of(one: Challenger) -> dict[str, Any]:
    """Return what a challenger is made of, as plain values; its description is no part of it."""
    plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(one, description=""))
    return plain


def is_shadow(spec: Mapping[str, Any]) -> bool:
    """Return whether a challenger of plain values is a shadow."""
    return spec.get("river") is not None


def followed(strategy: Strategy) -> list[str]:
    """Return the objectives that are a yes or a no, which is what a classifier learns.

    Examples
    --------
    >>> from .strategy import Action, Channel
    >>> strategy = Strategy(
    ...     name="tea", channels={"web": Channel()}, actions={"green": Action(channels=["web"])},
    ...     objectives={"sale": Objective(response="buy"),
    ...                 "worth": Objective(response="buy", value="price", range=(0.0, 9.0))},
    ... )
    >>> followed(strategy)
    ['sale']
    """
    return [name for name, one in strategy.objectives.items() if _is_yes_or_no(one)]


def _is_yes_or_no(one: Objective) -> bool:
    return not isinstance(one.value, str) and one.value >= one.range[1]


def stages_of(spec: Mapping[str, Any]) -> list[Stage]:
    """Return the stages of a challenger's plain values.

    Examples
    --------
    >>> [stage.name for stage in stages_of({"river": ["river.a.B", {"river": "river.c.D"}]})]
    ['river.a.B', 'river.c.D']
    """
    from ...learners.river_build import Stage

    said = spec["river"]
    if isinstance(said, str):
        return [Stage(said, _given(spec.get("with", {})))]
    return [
        Stage(one) if isinstance(one, str) else Stage(one["river"], _given(one.get("with", {})))
        for one in said
    ]


def _given(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: stages_of(value)[0] if isinstance(value, dict) else value
        for name, value in plain.items()
    }


def faults(
    strategy: Strategy, one: Challenger, spec: Mapping[str, Any], *, look_up: bool
) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong with a challenger's `river` and `with`: where in it, and the reason.

    Parameters
    ----------
    strategy, one, spec
        The challenger as it is declared, and as plain values.
    look_up
        Whether classes are looked up and tried, which takes River's modules.
    """
    if one.river is None:
        if one.with_:
            yield ("with",), "it is of a class of River: give `river`"
        return
    for name in _OWN:
        if getattr(one, name):
            yield (name,), "it is of our own models: a class of River has its own, in `with`"
    if one.with_ and not isinstance(one.river, str):
        yield ("with",), "each of the stages has its own: write {river: ..., with: {...}}"
    if not followed(strategy):
        yield (
            ("river",),
            "a classifier learns a yes or a no, and each objective has values in between",
        )
    if not look_up:
        return
    from ...learners.river_build import StageError
    from ...learners.shadow import RiverShadow

    try:
        RiverShadow(stages_of(spec))
    except StageError as error:
        yield _path(one, error.path), str(error)


def _path(one: Challenger, path: tuple[str | int, ...]) -> Path:
    """Return where in a challenger a place of its stages is written."""
    if not path:
        return ("river",)
    place, *inner = path
    steps = [step for name in inner for step in ("with", name)]
    if isinstance(one.river, str):
        return tuple(steps) or ("river",)
    return ("river", place, *steps)
