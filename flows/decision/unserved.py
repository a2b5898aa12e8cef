"""The declared fallback: what may be offered when features cannot be had."""

from __future__ import annotations

import msgspec
import numpy as np

from ...features.catalog import Catalog
from ...features.errors import NextbestError
from ...features.kernels.read import MISSING
from .contacts import CapRules
from .eligibility import Rules
from .expressions import leaves, parse
from .expressions.nodes import Feature
from .request import Request
from .strategy import Strategy


class Unserved:
    """A strategy's fallback actions, with the conditions that need no features.

    Parameters
    ----------
    strategy
        Checked.
    catalog
        It was checked with.
    """

    def __init__(self, strategy: Strategy, catalog: Catalog) -> None:
        self._order = tuple(dict.fromkeys(strategy.fallback))
        self._rules = Rules.compile(_featureless(strategy), catalog)
        self._caps = CapRules.compile(strategy)
        self._actions = tuple(strategy.actions)
        customers = next((e.name for e in catalog.entities if e.is_customer), "customer")
        n = len(catalog.of(customers).columns)
        self._values, self._state = np.full(n, np.nan), np.full(n, MISSING, np.uint8)

    def check(
        self, request: Request, contacts: bytes | None, at: int
    ) -> tuple[list[str], dict[str, str], int]:
        """Return what may be offered, in order, why the others may not, and how many at most.

        Contacts that cannot be read are as such that are not there: only what is certain excludes.
        """
        excluded = dict.fromkeys(self._actions, "not among the fallback")
        verdicts = self._rules.check(
            self._values, self._state, request.context, request.channel, at
        )
        capped: dict[str, str] = {}
        room = len(self._actions)
        if contacts:
            try:
                found = self._caps.check(contacts, request.channel, at)
                capped, room = found.reasons, found.room
            except NextbestError:
                capped = {}
        codes = dict(zip(self._actions, verdicts.excluded.tolist(), strict=True))
        names = []
        for name in self._order:
            if codes[name]:
                excluded[name] = self._rules.names[codes[name]]
            elif name in capped:
                excluded[name] = capped[name]
            else:
                del excluded[name]
                names.append(name)
        return names, excluded, room


def _featureless(strategy: Strategy) -> Strategy:
    """Return a strategy without the conditions that read features."""

    def kept(text: str | None) -> str | None:
        return None if text is None or _reads_features(text) else text

    replace = msgspec.structs.replace
    return replace(
        strategy,
        channels={n: replace(c, open=kept(c.open)) for n, c in strategy.channels.items()},
        actions={n: replace(a, eligible=kept(a.eligible)) for n, a in strategy.actions.items()},
        suppress=[rule for rule in strategy.suppress if kept(rule.when)],
    )


def _reads_features(text: str) -> bool:
    return any(isinstance(leaf, Feature) for leaf in leaves(parse(text)))
