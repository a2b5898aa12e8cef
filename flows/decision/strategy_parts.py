"""What every part of a strategy's file is made of: names, durations, numbers and texts."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
Duration = Annotated[str, Meta(pattern=r"^\d+\s*(ms|s|m|h|d|w)$")]
Expression = Annotated[str, Meta(min_length=1, max_length=2000)]
Finite = Annotated[float, Meta(ge=-1e9, le=1e9)]
Positive = Annotated[float, Meta(gt=0.0, le=1e9)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Scale = Annotated[float, Meta(ge=1e-6, le=1e3)]
Text = Annotated[str, Meta(max_length=2000)]
Tags = dict[Name, Annotated[str, Meta(max_length=256)]]


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a strategy; what is not written has its default."""
