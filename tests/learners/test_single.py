"""The exponential function of the kernels is that of single precision."""

import numpy as np

from nextbest.learners.kernels._jit import kernel
from nextbest.learners.kernels.single import exp


@kernel
def _each(x, out):
    for i in range(len(x)):
        out[i] = exp(x[i])


def test_it_is_within_the_rounding_of_the_exact_one():
    rng = np.random.default_rng(0)
    x = np.concatenate([np.linspace(-103.0, 88.7, 200_000), 4.0 * rng.normal(size=200_000)])
    x = x.astype(np.float32)
    out = np.empty_like(x)
    _each(x, out)
    exact = np.exp(x.astype(np.float64))
    assert (np.abs(out - exact) <= 0.503 * np.spacing(out).astype(float)).all()
    assert (out == exact.astype(np.float32)).mean() > 0.999


def test_what_is_out_of_range_is_nothing_or_infinite():
    x = np.array([-np.inf, -1e30, -104.5, 0.0, -0.0, 89.5, 1e30, np.inf, np.nan], np.float32)
    out = np.empty_like(x)
    _each(x, out)
    assert out[:-1].tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, np.inf, np.inf, np.inf]
    assert np.isnan(out[-1])
