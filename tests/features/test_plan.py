"""A plan's tables: every cell has a place of its own, what is alike is shared, limits are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings

from nextbest.features import Catalog, DeclarationError, EventSchema, FeatureView, event
from nextbest.features import aggregations as agg
from nextbest.features.declaration import Feature
from nextbest.features.expressions import AnyPredicate
from nextbest.features.kernels import layout as lay
from nextbest.features.kernels import read
from nextbest.features.plan import MAX_ROW_WORDS, Plan
from tests.bench.catalog import catalog as bench
from tests.laws.strategies import catalogs, full_catalog

WORDS = tuple(f"word-{i}" for i in range(300))
shop = EventSchema("shop", types=("view", "cart"), properties={"value": float, "word": str})


def declared(*features: Feature, gap: str = "30m", **given_: str) -> Catalog:
    view = FeatureView(name="v", source=shop, session_gap=gap, features=features)
    return Catalog(name="demo", views=[view], **given_)


def compiled(*features: Feature) -> Plan:
    return Plan.compile(declared(*features))


def take(row: list[str], start: int, length: int, what: str) -> None:
    """Mark words of a row as somebody's; nobody else may have them."""
    assert start >= 0
    assert start + length <= len(row)
    assert row[start : start + length] == [""] * length, what
    row[start : start + length] = [what] * length


def half_words(op: Sequence[int]) -> list[int]:
    """The half words of a block that an operation changes."""
    code, offset, size = op[lay.O_CODE], op[lay.O_OFFSET], op[lay.O_CELLS] * op[lay.O_STRIDE]
    if code == lay.OP_COUNT:
        return list(range(offset, offset + size))
    least = {
        lay.OP_LAST: 2,
        lay.OP_FIRST: 2,
        lay.OP_LAST_K: 2 * op[lay.O_EXTRA],
    }.get(code, 1)
    assert op[lay.O_STRIDE] >= least
    return list(range(2 * offset, 2 * (offset + size)))


def check_layout(plan: Plan) -> None:
    tables = plan.tables
    row = [""] * plan.words
    assert plan.words % 8 == 0
    assert plan.words <= MAX_ROW_WORDS
    assert (plan.header - lay.RECENT_IDS) % 8 == 0
    take(row, plan.header - lay.RECENT_IDS, lay.RECENT_IDS, "ids")
    take(row, plan.header, lay.HEADER_WORDS, "header")
    for s, scope in enumerate(tables.scopes.tolist()):
        kind, block, words = scope[lay.S_KIND], scope[lay.S_BLOCK], scope[lay.S_WORDS]
        header, tiles = scope[lay.S_HEADER], scope[lay.S_TILES]
        take(row, block, words * (tiles if kind == lay.RING else 1), f"block {s}")
        assert block > plan.header
        if kind == lay.SESSION:
            keeps = scope[lay.S_PREV2] >= 0
            take(row, header, 5 if keeps else 3, f"header {s}")
            take(row, scope[lay.S_PREV], words, f"previous {s}")
            # What a store holds begins with the header: a session that is read must lie behind it.
            assert (scope[lay.S_PREV] > plan.header) == keeps or not words
            if keeps:
                take(row, scope[lay.S_PREV2], words, f"before that {s}")
        elif kind != lay.LIFETIME:
            take(row, header, 1, f"header {s}")
        own = [op for op in tables.operations.tolist() if op[lay.O_SCOPE] == s]
        halves = [h for op in own for h in half_words(op)]
        assert len(halves) == len(set(halves))
        assert max(halves, default=0) < 2 * words
    assert row.count("") < 16  # but for the rounding up to lines, nothing is unused
    # The ids begin on a line; what lies before them leaves less than a line unused.
    before = row[: plan.header - lay.RECENT_IDS]
    assert before.count("") < 8
    assert "" not in before[: len(before) - before.count("")]


def check_reads(plan: Plan) -> None:
    place = 0
    features = list(plan.catalog.features())
    for (_, feature), entry in zip(features, plan.reads.features.tolist(), strict=True):
        assert entry[read.F_OUT] == place
        place += len(feature.columns)
    assert place == plan.reads.columns == len(plan.catalog.columns)
    assert plan.served_words == plan.words - plan.header


@settings(max_examples=60, deadline=None)
@given(catalogs())
def test_every_cell_has_a_place_of_its_own(catalog: Catalog) -> None:
    plan = Plan.compile(catalog)
    check_layout(plan)
    check_reads(plan)


@pytest.mark.parametrize("catalog", [bench, full_catalog()])
def test_large_catalogs(catalog: Catalog) -> None:
    plan = Plan.compile(catalog)
    check_layout(plan)
    check_reads(plan)
    assert len(plan.tables.operations) < len(plan.catalog.columns)


def test_what_is_alike_is_shared() -> None:
    views = event.type == "view"
    plan = compiled(
        agg.mean("mean", of="value", window="1h"),
        agg.sum("sum", of="value", window="1h"),
        agg.sum("wider", of="value", window="2h", hop="5m"),
        agg.sum("again", of="value", window="1h"),
        agg.min("least", of="value", window="1h", where=views),
        agg.max("most", of="value", window="1h", where=views),
        agg.ratio("part", "sum", "wider"),
    )
    codes = plan.tables.operations[:, lay.O_CODE].tolist()
    assert sorted(codes) == sorted([lay.OP_SUM, lay.OP_COUNT, lay.OP_MAX, lay.OP_MAX])
    assert len(plan.tables.predicates) - 1 == 2
    (ring,) = plan.tables.scopes.tolist()
    assert (ring[lay.S_KIND], ring[lay.S_TILES]) == (lay.RING, 25)
    assert plan.numeric == ("value",)


def test_what_differs_is_not_shared() -> None:
    plan = compiled(
        agg.count("a", window="1h"),
        agg.count("b", window="2h"),
        agg.count("c", window="session"),
        agg.count("d"),
        agg.decayed("e", half_life="1h"),
        agg.decayed("f", half_life="2h"),
        agg.decayed("g", half_life="2h", of=2.0),
        agg.count("h", where=event.value > 1),
        agg.count("i", where=event.value >= 1),
    )
    assert len(plan.tables.operations) == 9
    assert len(plan.tables.scopes) == 6
    assert len(plan.tables.predicates) - 1 == 3
    assert sorted(plan.tables.scales.tolist()) == [1.0] * 8 + [2.0]


def test_the_words_of_a_column_are_those_that_features_mention() -> None:
    plan = compiled(
        agg.count("a", where=event.type == "cart"),
        agg.count("b", where=event.word.isin(["x", "y", "x"])),
        agg.count("c", by="word", vocabulary=("y", "z")),
        agg.last("d", of="word", vocabulary=("z", "w")),
    )
    assert plan.categorical == (("type", ("cart",)), ("word", ("x", "y", "z", "w")))
    assert plan.numeric == ()


def test_tables_without_entries_keep_their_columns() -> None:
    tables = compiled(agg.count("n")).tables
    for name, width in (("scopes", 9), ("operations", 9), ("program", 3), ("keys", 2)):
        table = getattr(tables, name)
        assert table.shape[1] == width, name
    assert tables.values.shape == (1, 3)
    assert len(tables.codes) == 1
    chunk = lay.make_chunk(tables)
    assert chunk.numbers.shape == chunk.codes.shape == (0, lay.CHUNK)
    assert chunk.values.tobytes() == np.ones((1, lay.CHUNK)).tobytes()


def test_the_schema_id_changes_with_what_a_row_means() -> None:
    base = agg.count("n", window="1h")
    other = [
        declared(agg.count("n", window="2h")),
        declared(agg.count("n", window="1h", hop="10m")),
        declared(agg.count("n", window="1h", where=event.type == "view")),
        declared(agg.count("m", window="1h")),
        declared(base, agg.count("m")),
        declared(agg.count("m"), base),
        declared(base, gap="20m"),
        declared(base, lateness="10m"),
    ]
    seen = [Plan.compile(catalog).schema_id for catalog in (declared(base), *other)]
    assert len(set(seen)) == len(seen)
    assert Plan.compile(declared(base)).schema_id == seen[0]
    renamed = Catalog(name="other", views=declared(base).views)
    assert Plan.compile(renamed).schema_id == seen[0]  # the name is part of the key


def wide(i: int, least: float) -> Feature:
    where = event.value > least
    return agg.sum(f"s{i}", of="value", by="word", vocabulary=WORDS, window="1h", where=where)


def test_a_row_that_is_too_long() -> None:
    check_layout(compiled(*(wide(i, 0.0) for i in range(3))))  # three times the same: shared
    with pytest.raises(DeclarationError, match=r"demo: a row would take \d+ bytes, of at most"):
        compiled(*(wide(i, float(i)) for i in range(3)))


def test_a_filter_that_is_nested_too_deeply() -> None:
    where: AnyPredicate = event.value > 0
    for i in range(1, 15):
        where = (event.value > i) & where
    check_layout(compiled(agg.count("n", where=where)))
    for i in range(15, 18):
        where = (event.value > i) & where
    with pytest.raises(DeclarationError, match="v:n: the filter needs a stack deeper than 16"):
        compiled(agg.count("n", where=where))
