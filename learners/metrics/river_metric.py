"""A measure as an instance of River's own class, for code that asks for one."""

from typing import Any

from river import base, metrics

from .base import Measure, Prediction


class RiverMetric(metrics.base.BinaryMetric):
    """A River metric that updates a measure.

    Parameters
    ----------
    measure
        What is updated and asked.

    Examples
    --------
    >>> from river import metrics
    >>> from nextbest.learners import AUC
    >>> metric = RiverMetric(AUC())
    >>> isinstance(metric, metrics.base.BinaryMetric), metric.bigger_is_better
    (True, True)
    """

    def __init__(self, measure: Measure) -> None:
        self.measure = measure
        self._fmt = measure._fmt

    @property
    def bigger_is_better(self) -> bool:
        """As of the measure."""
        return self.measure.bigger_is_better

    @property
    def requires_labels(self) -> bool:
        """It wants probabilities."""
        return False

    def update(self, y_true: bool, y_pred: Prediction, w: float = 1) -> None:
        """As `Measure.update`."""
        self.measure.update(y_true, y_pred, w)

    def revert(self, y_true: bool, y_pred: Prediction, w: float = 1) -> None:
        """As `Measure.revert`."""
        self.measure.revert(y_true, y_pred, w)

    def get(self) -> float:
        """As `Measure.get`."""
        return self.measure.get()

    def works_with(self, model: base.Estimator) -> bool:
        """As `Measure.works_with`."""
        return self.measure.works_with(model)

    def __repr__(self) -> str:
        return repr(self.measure)

    def clone(self, new_params: Any = None, include_attributes: bool = False) -> "RiverMetric":
        """Return one of an empty measure with the same settings."""
        return RiverMetric(self.measure.clone(new_params, include_attributes))
