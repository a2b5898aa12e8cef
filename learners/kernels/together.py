"""What several published models believe of the same arms in one context, in one pass.

The models' arrays lie one after the other: `table` float32[T, 2 K] has the rows of every expert of
every model, `dense` float32[X, 2 K] and `action` float32[E, 2, A] likewise, `weights` float64[E],
`moments` float32[M, K] the segments' means and then variances of every model. `places`
int64[O, 5] says where a model's parts begin: its first expert and how many it has, its first row
of `table` and how many an expert has, and its first row of `moments`; `int64[O]` `segments` how
many rows of segments it has, -1 for a model without such levels.
"""

import numpy as np
from numpy.typing import NDArray

from . import bayes_serve, levels
from ._jit import kernel

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Keys = NDArray[np.uint64]

BAD_FEATURES, BAD_PERSON = -1, -2
"""What `probabilities` refuses."""


@kernel
def probabilities(
    table: Singles,
    dense: Singles,
    action: Singles,
    weights: Floats,
    moments: Singles,
    places: Indices,
    segments: Indices,
    unseen: Floats,
    persons: Floats,
    arms: Keys,
    rows: Indices,
    x: Singles,
    features: Floats,
    largest: float,
    known: bool,
    person: Floats,
    ends: Indices,
    keys: Keys,
    evidence: Singles,
    out: Floats,
) -> int:
    """Write the probability of reward 1 of every arm by every model to `out`, float64[O, K].

    The same bits as `bayes_serve.believe` and `levels.move`, model by model.

    Parameters
    ----------
    unseen, persons
        float64[O, S] and float64[O, 2, 2, C], as of `PublishedLevels`.
    arms
        uint64[K], the arms' keys.
    rows
        int64[C + S, O], of every context and then of every segment the row in each model.
    x
        float32[1 + N].
    features
        float64[K, A], magnitudes up to `largest`; NaN for missing.
    known
        Whether there is a person. If so: `person` float64[O, 2] information and precision of the
        intercepts; `keys` and `evidence` float32[2, .] of their arms in each model, which end at
        `ends` int64[O].

    Returns
    -------
    0, or what is refused.
    """
    models, k = out.shape
    n_contexts = rows.shape[0] - unseen.shape[1]
    n_features = features.shape[1]
    single = np.empty((1, k, n_features), np.float32)
    for a in range(k):
        for f in range(n_features):
            value = features[a, f]
            if abs(value) > largest:
                return BAD_FEATURES
            single[0, a, f] = value
    numbers = x.reshape(1, x.shape[0])
    own = np.empty((1, n_contexts), np.int64)
    own_segments = np.empty(unseen.shape[1], np.int64)
    believed = np.empty((3, k))
    for m in range(models):
        first, experts, row, height, moment = places[m]
        triangle = dense.shape[0] // weights.shape[0]
        for c in range(n_contexts):
            own[0, c] = rows[c, m]
        bayes_serve.believe(
            table[row : row + experts * height].reshape(experts, height, 2 * k),
            dense[first * triangle : (first + experts) * triangle].reshape(
                experts, triangle, 2 * k
            ),
            action[first : first + experts],
            weights[first : first + experts],
            own,
            numbers,
            single,
            believed,
        )
        if segments[m] >= 0:
            for s in range(unseen.shape[1]):
                own_segments[s] = rows[n_contexts + s, m]
            start = ends[m - 1] if m else 0
            usable = levels.move(
                moments[moment : moment + 2 * segments[m]].reshape(2, segments[m], k),
                own_segments,
                unseen[m],
                arms,
                known,
                person[m, 0],
                person[m, 1],
                keys[start : ends[m]],
                evidence[0, start : ends[m]],
                evidence[1, start : ends[m]],
                persons[m, 0],
                persons[m, 1],
                believed,
            )
            if not usable:
                return BAD_PERSON
        out[m] = believed[2]
    return 0
