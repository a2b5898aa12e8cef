"""How far a log covers what a target policy does."""

import math
from dataclasses import dataclass

import numpy as np

from .sample import Floats, Sample


@dataclass(frozen=True, slots=True)
class Overlap:
    """The weights of a sample, in numbers.

    Attributes
    ----------
    n
        Rows.
    effective
        The effective sample size, ``sum(w)**2 / sum(w**2)``: so many decisions of the target
        itself would say as much (Kish). 0 if no row has a weight.
    mean, mean_error
        The mean weight and its standard error (infinite with one row). Its expectation is 1; less
        says that arms of the target are missing from the log, more that propensities are wrong.
    largest, largest_share
        The largest weight, and its share of all weight.
    quantiles
        The weights below which 50%, 90%, 99% and 99.9% of the rows are.
    unsupported
        The share of the target's choices that the logged policy could never make; None if the
        log holds only the propensities of the chosen arms.
    """

    n: int
    effective: float
    mean: float
    mean_error: float
    largest: float
    largest_share: float
    quantiles: tuple[float, float, float, float]
    unsupported: float | None

    def __str__(self) -> str:
        unsupported = "" if self.unsupported is None else f", {self.unsupported:.1%} unsupported"
        return (
            f"{self.n} rows worth {self.effective:.0f} ({self.effective / self.n:.1%}), weights: "
            f"mean {self.mean:.3f}, median {self.quantiles[0]:.3g}, 99% {self.quantiles[2]:.3g}, "
            f"largest {self.largest:.3g}{unsupported}"
        )


def overlap(sample: Sample) -> Overlap:
    """Return how far a log covers a target policy.

    References
    ----------
    Owen (2013), "Monte Carlo theory, methods and examples", section 9.3, for the effective
    sample size.

    Examples
    --------
    >>> found = overlap(Sample([0, 1, 0, 1], [0.5] * 4, [0.2, 0.8, 0.2, 0.8]))
    >>> round(found.effective, 2), found.mean, found.largest, round(found.largest_share, 2)
    (2.94, 1.0, 1.6, 0.4)
    """
    w: Floats = sample.weights
    n, total, largest = len(w), float(w.sum()), float(w.max())
    relative = w / largest if largest > 0.0 else w  # the squares of tiny ones would be 0
    quantiles = np.quantile(w, (0.5, 0.9, 0.99, 0.999)).tolist()
    return Overlap(
        n=n,
        effective=float(relative.sum()) ** 2 / float(relative @ relative) if largest > 0.0 else 0.0,
        mean=total / n,
        mean_error=float(w.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf,
        largest=largest,
        largest_share=largest / total if largest > 0.0 else 0.0,
        quantiles=(quantiles[0], quantiles[1], quantiles[2], quantiles[3]),
        unsupported=sample.unsupported,
    )
