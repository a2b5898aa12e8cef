"""Reading a choice of features, also from rows that were written under an older declaration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .declaration import Feature, FeatureView
from .errors import DeclarationError
from .kernels.read import ReadTables
from .kinds import FROM_FEATURES
from .plan import Plan
from .reads import FeatureKey, arrange


def choose(
    plan: Plan,
    chosen: Sequence[tuple[FeatureView, Feature]],
    *,
    stored: Plan | None = None,
) -> ReadTables:
    """Compile how some features are read, and no others.

    Parameters
    ----------
    plan
        Of the declaration that is asked.
    chosen
        Features of its catalog, as `Catalog.select` returns them.
    stored
        The plan under which the rows were written, if that was another: an older declaration. A
        feature is read from such rows if one of the same meaning is in them, whatever its name: the
        same aggregation, window, filter, columns, words and k, and for sessions the same gap. Else
        it is missing. Times to live, and features made of others, are those of ``plan``.

    Returns
    -------
    ReadTables
        Reads rows that lie as ``stored``, or else ``plan``, lays them out. The columns are those of
        the chosen features, in that order, and behind them those of features that formulas need.

    Raises
    ------
    DeclarationError
        If a feature is not in the catalog, nothing is chosen, or the rows are of another entity.

    Examples
    --------
    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> shop = EventSchema("shop", types=("view",), properties={"value": float})
    >>> def plan(*features):
    ...     return Plan.compile(
    ...         Catalog(name="c", views=[FeatureView(name="v", source=shop, features=features)])
    ...     )
    >>> old = plan(agg.count("n"), agg.sum("spend", of="value"))
    >>> new = plan(agg.sum("money", of="value"), agg.ratio("share", "money", "money"))
    >>> choose(new, new.catalog.select(["v:share"]), stored=old).columns
    2
    """
    if not chosen:
        raise DeclarationError(plan.catalog.name, "no feature is chosen")
    declared = {(v.name, f.name): (v, f) for v, f in plan.catalog.features()}
    wanted = []
    for view, feature in chosen:
        own = declared.get((view.name, feature.name))
        if own is None or own[1] != feature:
            raise DeclarationError(
                f"{view.name}:{feature.name}", f"is no feature of {plan.catalog.name!r}"
            )
        wanted.append(own)
    rows = plan if stored is None else stored
    ours, theirs = plan.catalog.entity, rows.catalog.entity
    if (ours.name, ours.join_keys) != (theirs.name, theirs.join_keys):
        raise DeclarationError(
            plan.catalog.name, f"features of {ours.name!r}, but rows of {theirs.name!r}"
        )
    return arrange(plan.catalog, wanted, _cells(plan, rows), rows.reads.scopes, rows.reads.header)


def _cells(plan: Plan, rows: Plan) -> dict[FeatureKey, list[int]]:
    """Return how features of the plan are read from rows of another, or of its own."""
    entries = zip(rows.catalog.features(), rows.reads.features.tolist(), strict=True)
    # Features of one meaning share their cells, so that it does not matter which of them is found.
    known = {
        _meaning(view, feature): entry
        for (view, feature), entry in entries
        if feature.aggregation not in FROM_FEATURES
    }
    return {
        (view.name, feature.name): known[_meaning(view, feature)]
        for view, feature in plan.catalog.features()
        if _meaning(view, feature) in known
    }


def _meaning(view: FeatureView, feature: Feature) -> tuple[Any, ...]:
    """Return what makes two features read the same numbers."""
    is_session = feature.window.kind in ("session", "last_session")
    return (
        feature.aggregation, feature.window, feature.where, feature.of, feature.by,
        feature.vocabulary, feature.keys, feature.k, view.gap_us if is_session else 0,
    )  # fmt: skip
