"""The journey task: 155,659 real baskets in order, one of 30 categories to choose for each.

Reward 1 if the chosen category is then in the basket. The context is the clock and the
demographics; `Journey.affinity` holds what a feature store knows of a household's past before
the basket.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from nextbest.flows.demo import journey

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AFFINITIES = ("often", "share", "lately")
HALF_LIFE_DAYS = 60.0
TUNING = 0.2
"""The part of the stream, from its beginning, on which settings were chosen."""

_DAY_US = 86_400_000_000.0


class Journey(NamedTuple):
    """The decisions in order.

    Attributes
    ----------
    arms
        Names of the K categories.
    contexts
        Context of each decision, n dicts of `journey.CONTEXTS`.
    customer
        int64[n], the household as a number from 0.
    rewards
        float64[n, K], what each arm would earn.
    affinity
        float64[n, K, 3], the household's affinities before the basket, as `AFFINITIES`.
    """

    arms: tuple[str, ...]
    contexts: list[dict[str, str]]
    customer: Ints
    rewards: Floats
    affinity: Floats

    def first(self, n: int) -> Journey:
        """Return the task of the first ``n`` decisions."""
        return Journey(
            self.arms,
            self.contexts[:n],
            self.customer[:n],
            self.rewards[:n],
            self.affinity[:n],
        )


@functools.cache
def load(baskets: int | None = None) -> Journey:
    """Return the task, or its first ``baskets`` decisions."""
    events = journey.build_events(baskets)
    arms = journey.categories()
    kind = events["type"].combine_chunks()
    starts = events.filter(pc.equal(kind, "basket_start"))
    bought = events.filter(pc.equal(kind, "purchase"))

    baskets_in_order = starts["basket_id"].to_numpy(zero_copy_only=False)
    position = {basket: i for i, basket in enumerate(baskets_in_order)}
    of_basket = np.array([position[b] for b in bought["basket_id"].to_pylist()], np.int64)
    words = bought["category"].combine_chunks()
    place = {name: a for a, name in enumerate(arms)}
    of_word = np.array([place.get(word, -1) for word in words.dictionary.to_pylist()], np.int64)
    codes = words.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    arm = np.where(codes < 0, -1, of_word[codes])
    rewards = np.zeros((len(baskets_in_order), len(arms)))
    rewards[of_basket[arm >= 0], arm[arm >= 0]] = 1.0

    customers = starts["customer_id"].to_numpy(zero_copy_only=False)
    _, customer = np.unique(customers, return_inverse=True)
    days = starts["event_timestamp"].cast("int64").to_numpy() / _DAY_US
    named = {name: starts[name].to_pylist() for name in journey.CONTEXTS}
    known: dict[tuple[str, ...], dict[str, str]] = {}
    contexts = [
        known.setdefault(row, dict(zip(named, row, strict=True)))
        for row in zip(*named.values(), strict=True)
    ]
    affinity = affinities(customer.astype(np.int64), days, rewards, HALF_LIFE_DAYS)
    return Journey(arms, contexts, customer.astype(np.int64), rewards, affinity)


def affinities(customer: Ints, days: Floats, held: Floats, half_life: float) -> Floats:
    """Return what is known of each household and arm before each basket.

    With `af` the decayed count of past baskets that held the arm's category, `nb` that of past
    baskets and `d` the days since the category was last bought: `log1p(af)`,
    `log((af + 0.3) / (nb + 4)) + 2.5` and `exp(-d / 7)`.

    Parameters
    ----------
    customer, days, held
        int64[n] household, float64[n] time in days, float64[n, K] whether the basket holds the
        category.
    half_life
        Of the counts, in days.
    """
    n, k = held.shape
    people = int(customer.max()) + 1 if n else 0
    af, nb = np.zeros((people, k)), np.zeros(people)
    seen, last = np.zeros(people), np.full((people, k), -np.inf)
    out = np.empty((n, k, 3))
    for i in range(n):
        c, now = customer[i], days[i]
        decay = 0.5 ** ((now - seen[c]) / half_life)
        af[c] *= decay
        nb[c] *= decay
        seen[c] = now
        out[i, :, 0] = af[c]
        out[i, :, 1] = (af[c] + 0.3) / (nb[c] + 4.0)
        out[i, :, 2] = last[c] - now
        af[c] += held[i]
        nb[c] += 1.0
        last[c][held[i] > 0.0] = now
    np.log1p(out[:, :, 0], out=out[:, :, 0])
    np.log(out[:, :, 1], out=out[:, :, 1])
    out[:, :, 1] += 2.5
    np.exp(out[:, :, 2] / 7.0, out=out[:, :, 2])
    return out


def best_constant(task: Journey) -> float:
    """Return the mean reward of the arm that earns most when always chosen: hindsight."""
    return float(task.rewards.mean(axis=0).max())
