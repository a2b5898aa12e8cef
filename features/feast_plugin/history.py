"""A historical retrieval with computed views: replayed values beside Feast's own join."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView, OnDemandFeatureView, RepoConfig
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, _write_data_source
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.saved_dataset import SavedDatasetStorage
from feast.utils import _get_requested_on_demand_feature_views

from ..declaration import Feature
from .entity_frame import ROW, EntityFrame, positions_of
from .errors import ComputedViewError, EntityFrameError
from .lookup import reader_of
from .source import source_of

if TYPE_CHECKING:
    from ..state import FeatureRows
    from .serving import ServedCatalog


@dataclass
class _Replay:
    """Features of one entity for the same keys: one pass over the archive."""

    catalog: ServedCatalog
    view: FeatureView
    texts: pa.Array[Any]
    columns: list[str] = field(default_factory=list)
    features: list[tuple[str, str]] = field(default_factory=list)


class HistoryJob(RetrievalJob):
    """Features as of the times of an entity frame, retrieved when they are asked for.

    Parameters
    ----------
    config, feature_views, feature_refs, registry, project, full_feature_names
        As Feast gives them to an offline store.
    frame
        Keys and times.
    options
        For the ordinary views' part.
    """

    def __init__(
        self,
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        frame: EntityFrame,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self._config = config
        self._frame = frame
        self._full_names = full_feature_names
        # Feast read the views past its cache: from a cache that is older, some would be missing.
        demanded = _get_requested_on_demand_feature_views(
            feature_refs, project, registry, allow_cache=False
        )
        self._in_ibis = [view for view in demanded if view.mode == "substrait"]
        self._on_demand = [view for view in demanded if view.mode != "substrait"]
        self._refs = feature_refs
        views: dict[str, FeatureView] = {
            view.projection.name_to_use(): view  # type: ignore[no-untyped-call]  # Feast's
            for view in feature_views
        }
        # Names in the answer by what was asked for; what is made on demand comes after.
        self._names: dict[str, str] = {}
        for ref in feature_refs:
            view_name, _, feature = ref.partition(":")
            if view_name in views:
                base = views[view_name].projection.name_alias or views[view_name].name
                self._names[ref] = f"{base}__{feature}" if full_feature_names else feature
        self._check_names()
        self._replays = self._plan(views)
        ordinary = [view for view in feature_views if source_of(view) is None]
        self._ordinary: Any = None
        if ordinary:
            refs = [r for r in self._names if source_of(views[r.partition(":")[0]]) is None]
            self._ordinary = DuckDBOfflineStore.get_historical_features(
                config, ordinary, refs, frame.numbered(_keys_of(ordinary)), registry, project,
                full_feature_names, **options,
            )  # fmt: skip
            self._ordinary_names = [self._names[ref] for ref in refs]

    @property
    def full_feature_names(self) -> bool:
        """Are features named ``view__feature``?"""
        return self._full_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The views that Feast computes from the answer."""
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata:
        """What was asked for."""
        keys = [name for name in self._frame.table.column_names if name != self._frame.timestamp]
        return RetrievalMetadata(self._refs, keys, *self._frame.bounds)

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Write the answer, with what is computed on demand, to a file.

        Raises
        ------
        SavedDatasetLocationAlreadyExists
            If there is one, and it may not be overwritten.
        """
        _write_data_source(
            ibis.memtable(self.to_arrow()), storage.to_data_source(),
            str(self._config.repo_path), "overwrite", allow_overwrite,
        )  # fmt: skip

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        found: dict[str, Any] = {}
        for replay in self._replays:
            found |= self._run(replay)
        if self._ordinary is not None:
            joined = self._ordinary._to_arrow_internal(timeout=timeout)
            joined = joined.sort_by(ROW)
            if joined[ROW].to_pylist() != [*range(len(self._frame.table))]:
                raise EntityFrameError("the join of ordinary views lost rows of the entity frame")
            found |= {name: joined[name] for name in self._ordinary_names}
        table = self._frame.table
        for name in self._names.values():
            table = table.append_column(name, found[name])
        for view in self._in_ibis:
            made = view.transform_ibis(ibis.memtable(table), self._full_names)
            table = made.to_pyarrow()
        return table

    def _check_names(self) -> None:
        both = [n for n in self._names.values() if n in self._frame.table.column_names]
        if both:
            hint = "" if self._full_names else ", or ask with full_feature_names=True"
            raise EntityFrameError(
                f"{both[0]!r} is a column of the entity frame and a feature: rename the "
                f"column{hint}"
            )

    def _plan(self, views: dict[str, FeatureView]) -> list[_Replay]:
        """Group what is asked of computed views by entity and by the keys that are asked for."""
        replays: dict[Any, _Replay] = {}
        for ref, name in self._names.items():
            view_name, _, feature = ref.partition(":")
            view = views[view_name]
            if source_of(view) is None:
                continue
            catalog = reader_of(view)
            mapped = view.projection.join_key_map
            columns = tuple([mapped.get(key, key) for key in catalog.entity.join_keys])
            replay = replays.get((catalog, columns))
            if replay is None:
                texts = self._frame.texts(view.name, catalog.entity, columns)
                replay = replays[catalog, columns] = _Replay(catalog, view, texts)
            replay.columns.append(name)
            replay.features.append((view.name, feature))
        return [*replays.values()]

    def _run(self, replay: _Replay) -> dict[str, pa.Array[Any]]:
        """Replay events for the rows that have a key and a time; all others are null."""
        times = self._frame.at
        valid = pc.and_(replay.texts.is_valid(), times.is_valid())
        places = positions_of(valid)
        rows = self._backfill(replay, replay.texts.filter(valid), times.filter(valid).to_numpy())
        found = {}
        start = 0
        for name, ref in zip(replay.columns, replay.features, strict=True):
            feature = replay.catalog.feature(*ref)
            made = to_arrow(feature, rows, start, ragged=feature.is_ragged)
            start += len(feature.columns)
            if len(places) < len(times):
                at: Any = np.full(len(times), -1, np.int64)
                at[places] = np.arange(len(places))
                made = made.take(pa.array(at, mask=at < 0))
            found[name] = made
        return found

    def _backfill(self, replay: _Replay, texts: pa.Array[Any], at: Any) -> FeatureRows:
        # Imported here and not above: see `serving`.
        from ..replay import backfill

        options = self._config.offline_store
        if options.archive_path is None:
            raise ComputedViewError(
                f"{replay.view.name} is replayed from the archive of events: set archive_path of "
                "the offline store"
            )
        source = source_of(replay.view)
        assert source is not None
        path = Path(self._config.repo_path or ".") / options.archive_path
        given = {"threads": options.threads, "memory_bytes": options.memory_bytes}
        rows: FeatureRows = backfill(
            source.catalog, path, texts, at,
            features=[f"{view}:{feature}" for view, feature in replay.features],
            entity=replay.catalog.entity.name,
            **{name: value for name, value in given.items() if value is not None},
        )  # fmt: skip
        return rows


def to_arrow(feature: Feature, rows: FeatureRows, start: int, *, ragged: bool) -> pa.Array[Any]:
    """Make an Arrow array of one feature of n rows, null where there is no value.

    Parameters
    ----------
    feature
        Its declaration.
    rows
        Values of several features.
    start
        The first of the feature's columns in them.
    ragged
        Does an array end at its first gap? Any other has NaN or null in the gaps, as online.
    """
    from ..kernels.read import PRESENT

    width = len(feature.columns)
    values = rows.values[:, start : start + width]
    present = rows.state[:, start : start + width] == PRESENT
    if not feature.is_vector:
        return _cells(feature, values[:, 0], present[:, 0])
    lengths = np.where(present.any(axis=1), width, 0)
    if ragged:
        lengths = np.where(present.all(axis=1), width, present.argmin(axis=1))
    kept = np.arange(width) < lengths[:, None]
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    shown = np.ones_like(present[kept]) if feature.dtype == "float64" else present[kept]
    cells = _cells(feature, values[kept], shown)
    made: pa.Array[Any] = pa.ListArray.from_arrays(
        pa.array(bounds, pa.int32()), cells, mask=pa.array(lengths == 0, pa.bool_())
    )
    return made


def _cells(feature: Feature, values: Any, present: Any) -> pa.Array[Any]:
    if feature.dtype == "float64":
        return pa.array(values, pa.float64(), mask=~present)
    whole: Any = pa.array(np.where(present, values, 0).astype(np.int64), mask=~present)
    return (
        pa.array(feature.vocabulary, pa.string()).take(whole) if feature.is_categorical else whole
    )


def _keys_of(views: list[FeatureView]) -> list[str]:
    """Return the columns of the entity frame that views are joined by."""
    found: dict[str, None] = {}
    for view in views:
        mapped = view.projection.join_key_map
        found |= dict.fromkeys(mapped.values() if mapped else view.join_keys)
    return [*found]
