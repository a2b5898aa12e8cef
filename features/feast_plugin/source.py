"""The Feast data source of a computed view: no table, but the declaration itself.

The registry thereby holds all that a reader needs. `feast serve`, a notebook and a remote client
read a computed view without the module in which it was declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from ..catalog import Catalog
from ..catalog_codec import decode_catalog
from ..errors import StateError
from .errors import ComputedViewError, RegistryError

RESERVED_TAGS = "nextbest."
CATALOG_TAG = "nextbest.catalog"
SCHEMA_TAG = "nextbest.schema"
"""Tag of a view: the schema id of the rows that it is read from, in hexadecimal."""
ORDER_TAG = "nextbest.features"
"""Tag of a feature service: its features in their declared order, a JSON list."""

_CLASS = "nextbest.features.feast_plugin.source.EventSource"


class EventSource(DataSource):
    """The events that the views of a catalog are computed from.

    Parameters
    ----------
    name
        Unique in its Feast project.
    declaration
        What `encode_catalog` made of the catalog.

    Examples
    --------
    >>> from nextbest.features import Catalog, EventSchema, FeatureView, aggregations as agg
    >>> from nextbest.features.catalog_codec import encode_catalog
    >>> shop = EventSchema("shop", types=("view",))
    >>> views = FeatureView(name="v", source=shop, features=[agg.count("n")])
    >>> catalog = Catalog(name="demo", views=[views])
    >>> EventSource(name="demo_events", declaration=encode_catalog(catalog)).catalog == catalog
    True
    """

    def __init__(self, *, name: str, declaration: bytes, description: str = "") -> None:
        super().__init__(name=name, timestamp_field="event_timestamp", description=description)
        self.declaration = declaration

    @property
    def catalog(self) -> Catalog:
        """The catalog that the registry holds.

        Raises
        ------
        RegistryError
            If it cannot be read.
        """
        try:
            return decode_catalog(self.declaration)
        except StateError as error:
            raise RegistryError(
                f"the declaration in data source {self.name!r} cannot be read: {error}. "
                "Apply the catalog again with the version of nextbest that reads it"
            ) from error

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, EventSource)
            and super().__eq__(other)  # type: ignore[no-untyped-call]  # Feast's is untyped
            and self.declaration == other.declaration
        )

    __hash__ = DataSource.__hash__

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> EventSource:
        """Read the source back from a registry."""
        return EventSource(
            name=data_source.name,
            declaration=data_source.custom_options.configuration,
            description=data_source.description,
        )

    def _to_proto_impl(self) -> DataSourceProto:
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=_CLASS,
            timestamp_field=self.timestamp_field,
            description=self.description,
            custom_options=DataSourceProto.CustomSourceOptions(configuration=self.declaration),
        )

    def source_type(self) -> DataSourceProto.SourceType.ValueType:
        """Return Feast's kind of the source: one that it does not know."""
        return DataSourceProto.CUSTOM_SOURCE

    def validate(self, config: RepoConfig) -> None:
        """Accept: there is no table to look for."""

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Return nothing: the view's schema is complete without looking."""
        return []

    def get_table_query_string(self) -> str:
        """Refuse: there is no table."""
        raise ComputedViewError(f"{self.name} is a stream of events, not a table")

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """Return what would translate column types, had the source columns."""
        return _no_column

    def __repr__(self) -> str:
        return f"EventSource(name={self.name!r}, {len(self.declaration)} bytes)"


def source_of(view: Any) -> EventSource | None:
    """Return the source of a view that is computed, None for any other."""
    source = getattr(view, "batch_source", None)
    return source if isinstance(source, EventSource) else None


def _no_column(raw_type: str) -> ValueType:
    raise ComputedViewError(f"a stream of events has no column of type {raw_type!r}")
