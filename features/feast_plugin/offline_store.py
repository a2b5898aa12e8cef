"""Feast's DuckDB offline store, and in it the computed views: history by replay.

    offline_store:
        type: nextbest.features.feast_plugin.offline_store.NextbestOfflineStore
        archive_path: /srv/shop/.nextbest/archive/events

Ordinary views are joined as the stock store does. A computed view is replayed from the archive of
accepted events: its values are those that an online read at that very moment gave.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig, LoggingSource
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from pydantic import PositiveInt, StrictStr

from .entity_frame import EntityFrame, run_sql
from .errors import ComputedViewError
from .history import HistoryJob
from .source import EventSource, source_of


class NextbestOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """Options of the store; those of Feast's ``duckdb`` apply too.

    Attributes
    ----------
    archive_path
        The directory in which the workers archive events, ``…/archive/events``. Needed for
        computed views only.
    memory_bytes
        About how much memory a replay may take. Default: as `nextbest.features.replay` says.
    threads
        How many threads replay. Default: as many as there are cores.
    """

    # Feast tells its stores apart by this literal, and has them override it.
    type: Literal["nextbest.features.feast_plugin.offline_store.NextbestOfflineStore"] = (
        "nextbest.features.feast_plugin.offline_store.NextbestOfflineStore"
    )
    archive_path: StrictStr | None = None
    memory_bytes: PositiveInt | None = None
    threads: PositiveInt | None = None


class NextbestOfflineStore(DuckDBOfflineStore):
    """Answers for computed views by replay, and for all others as Feast does.

    An answer with computed views keeps the rows and columns of the entity frame and their order.
    What was not there yet, or no longer, at the time of a row is null: so is everything in a row
    without a time or without a key.

    Raises
    ------
    EntityFrameError
        The entity frame cannot be used.
    ComputedViewError
        Something was asked that has no meaning for a computed view.
    """

    @staticmethod
    def get_historical_features(  # type: ignore[override]  # options, as Feast may pass more
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **options: Any,
    ) -> RetrievalJob:
        """Plan the retrieval of features as of the times of an entity frame.

        Parameters
        ----------
        entity_df
            A pandas frame, or a query that DuckDB runs. Its time is the column
            ``event_timestamp``, or else its only column of times; times without a zone are UTC.
        options
            ``filter_by_created_timestamp`` is for ordinary views; a replay is always as it was.
        """
        computed = [view for view in feature_views if source_of(view) is not None]
        if isinstance(entity_df, str):
            entity_df = run_sql(entity_df)
        if not computed:
            return DuckDBOfflineStore.get_historical_features(
                config, feature_views, feature_refs, entity_df, registry, project,
                full_feature_names, **options,
            )  # fmt: skip
        if entity_df is None:
            raise ComputedViewError(
                f"{computed[0].name} is computed as of any time, not at some times: give an entity "
                "frame of keys and times, not start_date and end_date"
            )
        return HistoryJob(
            config, feature_views, feature_refs, EntityFrame.of(entity_df), registry, project,
            full_feature_names, options,
        )  # fmt: skip

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Pull what an ordinary view materialises; a computed one has nothing to materialise."""
        _refuse(
            data_source,
            "there is nothing to materialize: its rows are online as soon as its events are taken "
            "in",
        )
        return DuckDBOfflineStore.pull_latest_from_table_or_query(
            config, data_source, join_key_columns, feature_name_columns, timestamp_field,
            created_timestamp_column, start_date, end_date,
        )  # fmt: skip

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Pull the rows of a table; a stream of events is none."""
        _refuse(data_source, "ask get_historical_features for its values at the times you need")
        return DuckDBOfflineStore.pull_all_from_table_or_query(
            config, data_source, join_key_columns, feature_name_columns, timestamp_field,
            created_timestamp_column, start_date, end_date,
        )  # fmt: skip

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: pa.Table,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write to an ordinary view; a computed one is refused."""
        _refuse(feature_view.batch_source, "it cannot be written: publish the events instead")
        DuckDBOfflineStore.offline_write_batch(config, feature_view, table, progress)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Write the log of a service of ordinary views; with a computed one it is refused."""
        if isinstance(source, FeatureServiceLoggingSource):
            for projection in source._feature_service.feature_view_projections:
                view = registry.get_any_feature_view(
                    projection.name, config.project, allow_cache=True
                )
                _refuse(
                    getattr(view, "batch_source", None),
                    "its features as they were served are in the archive of training examples, "
                    "with the decisions",
                )
        DuckDBOfflineStore.write_logged_features(config, data, source, logging_config, registry)


def _refuse(data_source: DataSource | None, instead: str) -> None:
    if isinstance(data_source, EventSource):
        raise ComputedViewError(f"{data_source.name} is a stream of events: {instead}")
