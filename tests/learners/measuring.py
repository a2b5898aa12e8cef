"""What the tests of measures share: every measure, its twin, and rows for them."""

from hypothesis import strategies as st

from nextbest.learners import AUC, Brier, Calibration, LogLoss, NormalizedEntropy
from tests.naive.measures import (
    naive_auc,
    naive_brier,
    naive_calibration,
    naive_log_loss,
    naive_normalized_entropy,
)

MEASURES = {
    "auc": (AUC, naive_auc),
    "brier": (Brier, naive_brier),
    "log loss": (LogLoss, naive_log_loss),
    "normalized entropy": (NormalizedEntropy, naive_normalized_entropy),
    "equal width": (
        lambda: Calibration(5, equal_mass=False),
        lambda rows: naive_calibration(rows, 5, False),
    ),
    "equal mass": (lambda: Calibration(4), lambda rows: naive_calibration(rows, 4, True)),
}

# Far enough from each other that no two fall into one bin or cell, and often equal.
LEVELS = [0.0, 1e-6, 0.0005, 0.003, 0.0053, 0.01, 0.2, 0.21, 0.4, 0.5, 0.6, 0.8, 0.9999, 1.0]
row = st.tuples(st.booleans(), st.sampled_from(LEVELS), st.integers(1, 3).map(float))
rows = st.lists(row, max_size=40)


def fill(measure, rows):
    for y, p, w in rows:
        measure.update(y, p, w)
    return measure


def columns(rows):
    return tuple(list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
