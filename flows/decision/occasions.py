"""At which events we decide by ourselves."""

from __future__ import annotations

import numpy as np

from ...features.catalog import Catalog
from ...features.kernels.layout import F64, I64, U8
from .eligibility import Flags
from .expressions import Programs
from .expressions import kernel as k
from .reading import reader
from .strategy import Strategy


class Triggers:
    """The conditions of a strategy's triggers, compiled.

    Attributes
    ----------
    names
        Of the triggers, in the order of the strategy.
    events
        The event type of each.
    """

    def __init__(self, strategy: Strategy, catalog: Catalog) -> None:
        read = reader(strategy, catalog)
        self.names = tuple(strategy.triggers)
        self.events = tuple(trigger.event for trigger in strategy.triggers.values())
        programs = Programs(read.catalog, read.zone)
        self._places = [
            programs.add(read.node(trigger.when or "true"))
            for trigger in strategy.triggers.values()
        ]
        self._programs, self._tables = programs, programs.tables()

    @classmethod
    def compile(cls, strategy: Strategy, catalog: Catalog) -> Triggers:
        """Compile the triggers of a strategy that was loaded with this catalog."""
        return cls(strategy, catalog)

    def check_many(self, values: F64, state: U8, at_us: I64) -> Flags:
        """Return bool[n, triggers]: which conditions hold for n rows, each as of its time.

        Parameters
        ----------
        values, state
            float64[n, columns], uint8[n, columns]: features right after an event.
        at_us
            int64[n]: its time.
        """
        extras: F64 = np.empty((len(values), len(self._programs.extras)), np.float64)
        if len(self._programs.extras):
            for row, at in enumerate(at_us.tolist()):
                self._programs.extras.fill(extras[row], {}, "", at)
        out: F64 = np.empty((len(values), len(self._programs)), np.float64)
        k.run_rows(self._tables, values, state, extras, np.empty(self._programs.depth), out)
        held: Flags = out[:, self._places] == 1.0
        return held
