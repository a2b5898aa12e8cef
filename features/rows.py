"""What a read returns: features of n customers as numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class FeatureRows(NamedTuple):
    """Features of n customers as of a time.

    ``values`` is float64[n, columns] in the order of ``catalog.columns``, NaN unless present;
    ``state`` uint8[n, columns] of PRESENT, MISSING, EXPIRED (`nextbest.features.kernels.read`);
    ``age_ms`` int64[n], milliseconds since the customer's newest event, -1 if unknown;
    ``positions`` int64[n], log position of the last event that was applied, -1 if unknown.
    """

    values: npt.NDArray[np.float64]
    state: npt.NDArray[np.uint8]
    age_ms: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]

    def put(self, places: npt.NDArray[np.int64], rows: FeatureRows) -> None:
        """Write other rows to these places (int64[m])."""
        self.values[places], self.state[places] = rows.values, rows.state
        self.age_ms[places], self.positions[places] = rows.age_ms, rows.positions


def empty_rows(n: int, columns: int) -> FeatureRows:
    """Allocate a result for ``n`` customers."""
    return FeatureRows(
        np.empty((n, columns)),
        np.empty((n, columns), np.uint8),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
    )
