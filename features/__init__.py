"""Declare features once; read them as of now, as of then, and in plain Python, equal.

This package's root imports neither pyarrow, Feast nor a dataflow engine: an app that only looks
features up stays light.
"""

from . import aggregations
from .catalog import Catalog
from .columns import Columns
from .declaration import Entity, Feature, FeatureView, customer
from .derived import feature, maximum, minimum
from .errors import (
    DeclarationError,
    EventError,
    NextbestError,
    SettingsError,
    SourceError,
    StateError,
    StoreError,
)
from .events import EventSchema
from .expressions import event
from .services import FeatureService

__all__ = [
    "Catalog",
    "Columns",
    "DeclarationError",
    "Entity",
    "EventError",
    "EventSchema",
    "Feature",
    "FeatureService",
    "FeatureView",
    "NextbestError",
    "SettingsError",
    "SourceError",
    "StateError",
    "StoreError",
    "aggregations",
    "customer",
    "event",
    "feature",
    "maximum",
    "minimum",
]
