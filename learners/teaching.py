"""How an example is taught to each kind of model."""

from collections.abc import Callable
from typing import Any, TypeVar

from .journal import Example

M = TypeVar("M")

Learn = Callable[[M, Example, bytes | None], bytes | None]
"""Given a model, an example and its customer's block of weights, returns their new block."""


def learn_arm(model: Any, example: Example, person: bytes | None) -> None:
    """Teach an example to a model of arms (see `ArmModel`)."""
    model.learn(example.context, example.features, example.arm, example.reward)


def learn_person(model: Any, example: Example, person: bytes | None) -> bytes | None:
    """Teach an example to a `SegmentOfOne`, and to the person that it names."""
    new: bytes = model.learn(
        example.context, example.features, example.arm, example.reward, person=person
    )
    return None if person is None else new


def learn_label(model: Any, example: Example, person: bytes | None) -> None:
    """Teach an example to a River classifier: the context, and whether there was a reward."""
    model.learn_one(dict(example.context), example.reward > 0.0)
