"""Reading a choice of features, also from rows that an older declaration wrote."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features import Catalog, DeclarationError, Entity, FeatureView, event, feature
from nextbest.features import aggregations as agg
from nextbest.features.choosing import choose
from nextbest.features.declaration import Feature
from nextbest.features.kernels.read import ReadTables, read_rows
from nextbest.features.plan import Plan
from nextbest.features.state import FeatureRows, ShardState, empty_rows, hash_ids
from tests.laws import strategies as some
from tests.laws.declarations import GAPS, SCHEMA, features_of_features, numbers_of, plain_features
from tests.laws.driver import Kernels, assert_near, both, reading_times
from tests.naive.features import NaiveFeatures

IDS = (*some.CUSTOMERS, "never seen")
FULL = some.full_catalog()
Chosen = Sequence[tuple[FeatureView, Feature]]


def read(state: ShardState, tables: ReadTables, at: int) -> FeatureRows:
    """Read rows as a client does: by where each begins."""
    slots = state.find(hash_ids(IDS))
    offsets = np.where(slots > 0, slots * state.plan.words, -1)
    rows = empty_rows(len(IDS), tables.columns)
    read_rows(state.rows.u64, offsets, np.full(len(IDS), at), tables, *rows)
    return rows


def check(
    state: ShardState,
    tables: ReadTables,
    chosen: Chosen,
    naive: NaiveFeatures,
    times: Sequence[int],
) -> None:
    """Assert that the first columns are what the twin says of the chosen features."""
    columns = [f"{view.name}:{column}" for view, f in chosen for column in f.columns]
    place = {column: i for i, column in enumerate(naive.catalog.columns)}
    n = len(columns)
    for at in times:
        rows = read(state, tables, at)
        for i, customer in enumerate(IDS):
            assert int(rows.age_ms[i]) == naive.age_ms(customer, at)
            cells = naive.cells(customer, at)
            picked = [cells[place[column]] for column in columns]
            whose = f"of {customer} at {at}"
            assert_near(columns, picked, rows.values[i, :n], rows.state[i, :n], whose)


@st.composite
def choices(draw: st.DrawFn, catalog: Catalog) -> Chosen:
    """Some of a catalog's features, in any order."""
    names = [f"{view.name}:{f.name}" for view, f in catalog.features()]
    return catalog.select(draw(st.lists(st.sampled_from(names), min_size=1, unique=True)))


@st.composite
def later(draw: st.DrawFn, old: Catalog) -> Catalog:
    """A declaration after this one: features kept, moved, renamed or added, and some over them."""
    kept = [f for _, f in old.features() if f.aggregation not in ("ratio", "derived", "top_k")]
    views: list[FeatureView] = []
    for number in range(draw(st.integers(1, 2))):
        stays = draw(st.lists(st.sampled_from(kept), max_size=6))
        features = [msgspec.structs.replace(f, name=f"kept{i}") for i, f in enumerate(stays)]
        features += draw(plain_features(prefix="new"))[: draw(st.integers(0 if stays else 1, 2))]
        others = [f"{v.name}:{column}" for v in views for column in numbers_of(v.features)]
        features += draw(features_of_features(features, others))
        gap = draw(st.sampled_from((*(view.session_gap for view in old.views), *GAPS)))
        ttl = draw(st.sampled_from((None, "2h")))
        name = draw(st.sampled_from((f"v{number}", f"w{number}")))
        views.append(
            FeatureView(name=name, source=SCHEMA, features=features, session_gap=gap, ttl=ttl)
        )
    return Catalog(name="drawn", views=views)


def meaning(view: FeatureView, feature: Feature) -> str:
    """All that a feature says but its name and who it is for."""
    said = msgspec.to_builtins(feature) | {"gap": 0}
    if "session" in feature.window.kind:
        said["gap"] = view.gap_us
    return repr(sorted((k, v) for k, v in said.items() if k not in ("name", "description")))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_choice(data: st.DataObject) -> None:
    catalog = data.draw(st.one_of(st.just(FULL), some.catalogs()))
    chosen = data.draw(choices(catalog))
    rows = some.arrivals(catalog, data.draw(some.moves(catalog, most=20)), some.EPOCH)
    kernels, naive = both(catalog)
    kernels.apply(rows)
    for row in rows:
        naive.apply(row)
    newest = [customer.newest for customer in naive.customers.values()]
    times = reading_times(catalog, newest)[::7]
    check(kernels.state, choose(kernels.plan, chosen), chosen, naive, times)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_choice_from_rows_of_any_older_declaration(data: st.DataObject) -> None:
    old = data.draw(some.catalogs())
    new = data.draw(later(old))
    chosen = data.draw(choices(new))
    rows = some.arrivals(old, data.draw(some.moves(old, most=20)), some.EPOCH)
    kernels, before = both(old)
    kernels.apply(rows)
    for row in rows:
        before.apply(row)
    there = {meaning(view, f) for view, f in old.features()}
    made = ("ratio", "derived", "top_k")
    absent = {
        f"{view.name}:{f.name}"
        for view, f in new.features()
        if f.aggregation not in made and meaning(view, f) not in there
    }
    naive = NaiveFeatures(new, absent)
    naive.customers = before.customers
    tables = choose(Plan.compile(new), chosen, stored=kernels.plan)
    newest = [customer.newest for customer in naive.customers.values()]
    check(kernels.state, tables, chosen, naive, reading_times(new, newest)[::7])


VIEWS = agg.count("views", where=event.type == "view")
SPEND = agg.sum("spend", of="value")


def declared(*features: Feature, entity: Entity | None = None, ttl: str | None = None) -> Catalog:
    given_ = {} if entity is None else {"entity": entity}
    view = FeatureView(name="v", source=SCHEMA, features=features, ttl=ttl, **given_)
    return Catalog(name="c", views=[view])


def test_what_is_read_and_in_which_columns() -> None:
    per_view = agg.derived("per_view", feature.spend / feature.views)
    plan = Plan.compile(declared(VIEWS, SPEND, agg.count("other"), per_view))
    every = choose(plan, tuple(plan.catalog.features()))
    assert [table.tolist() for table in every[:3]] == [table.tolist() for table in plan.reads[:3]]
    assert every[3:] == plan.reads[3:]
    tables = choose(plan, plan.catalog.select(["v:per_view", "v:spend"]))
    assert tables.columns == 3  # views, behind them
    twice = choose(plan, plan.catalog.select(["v:spend"]) * 2)
    assert twice.columns == 2
    assert len(twice.features) == 2


def test_a_formula_over_what_is_not_there_can_be_filled() -> None:
    old = Kernels(declared(SPEND))
    plan = Plan.compile(
        declared(
            VIEWS,
            SPEND,
            agg.derived("sum", feature.spend + feature.views),
            agg.derived("filled", feature.spend + feature.views.fill(10)),
            ttl="1h",
        )
    )
    event_ = {
        "event_id": "1", "event_timestamp": some.EPOCH, "customer_id": "ada", "type": "view",
        "channel": None, "properties": {"value": 2.0},
    }  # fmt: skip
    old.apply([event_])
    chosen = tuple(plan.catalog.features())
    tables = choose(plan, chosen, stored=old.plan)
    rows = read(old.state, tables, some.EPOCH)
    assert rows.state[0].tolist() == [1, 0, 1, 0]
    assert rows.values[0, [1, 3]].tolist() == [2.0, 12.0]
    assert rows.state[3].tolist() == [1] * 4  # nobody, whatever is filled
    late = read(old.state, tables, some.EPOCH + 2 * some.HOUR)
    assert late.state[0].tolist() == [1, 2, 2, 2]


def test_what_cannot_be_chosen() -> None:
    plan = Plan.compile(declared(VIEWS, SPEND))
    (view, _), _ = chosen = plan.catalog.select(["v"])
    with pytest.raises(DeclarationError, match=r"^c: no feature is chosen$"):
        choose(plan, [])
    with pytest.raises(DeclarationError, match=r"^v:nothing: is no feature of 'c'$"):
        choose(plan, [(view, agg.count("nothing"))])
    with pytest.raises(DeclarationError, match=r"^v:views: is no feature of 'c'$"):
        choose(plan, [(view, agg.count("views"))])
    other = Plan.compile(declared(VIEWS, entity=Entity("brand", ["brand"])))
    with pytest.raises(DeclarationError, match=r"^c: features of 'customer', but rows of 'brand'$"):
        choose(plan, chosen, stored=other)
