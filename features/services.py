"""Feature services: named choices of features that a model or an app reads together."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .errors import DeclarationError
from .ordered import ordered
from .texts import check_texts


class FeatureService(msgspec.Struct, frozen=True, kw_only=True):
    """A named choice of a catalog's features, in an order of its own.

    Parameters
    ----------
    name
        An identifier, unique in its catalog.
    features
        ``"view:feature"``, or ``"view"`` for all of a view's features.
    description, owner, tags
        For people.

    Raises
    ------
    DeclarationError
        If a name cannot be one, or a feature stands twice.

    Examples
    --------
    >>> FeatureService(name="ranking", features=["visits:views", "taste"]).features
    ('visits:views', 'taste')
    """

    name: str
    features: Sequence[str]
    description: str = ""
    owner: str = ""
    tags: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise DeclarationError(repr(self.name), "a service's name must be an identifier")
        features = self.features
        features = () if isinstance(features, str) else ordered(self.name, "features", features)
        if not features or not all(isinstance(ref, str) for ref in features):
            raise DeclarationError(self.name, "a service needs features: 'view:feature' or 'view'")
        if len(set(features)) != len(features):
            raise DeclarationError(self.name, "a feature stands twice in the service")
        check_texts(self.name, self)
        msgspec.structs.force_setattr(self, "features", features)
