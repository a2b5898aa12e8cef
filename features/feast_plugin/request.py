"""What the online store knows of a lookup beside what Feast hands it on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from feast import FeatureService, metrics, utils
from feast.infra.registry.base_registry import BaseRegistry

from .errors import ComputedViewError, IdError
from .lookup import ordered
from .response import Column
from .source import source_of


@dataclass
class Request:
    """A lookup that Feast answers.

    Feast forgets the order of the features before it reads, and makes its answer after.

    Attributes
    ----------
    order
        ``view:feature`` as they were asked for.
    has_ids
        Whether Feast has taken the ids and begins to read.
    columns
        What was read of computed views.
    """

    order: Sequence[str] = ()
    has_ids: bool = False
    columns: dict[str, Column] = field(default_factory=dict)


_request: ContextVar[Request | None] = ContextVar("_request", default=None)


def current_request() -> Request:
    """Return what is known of the lookup that is being answered, as reading begins."""
    request = _request.get() or Request()
    request.has_ids = True
    return request


@contextmanager
def timed() -> Iterator[None]:
    """Tell Feast's metrics, where they are on, how long a lookup took."""
    start = time.monotonic()
    yield
    if metrics._config.online_features:
        metrics.track_online_store_read(time.monotonic() - start)


@contextmanager
def asked(
    features: list[str] | FeatureService,
    registry: BaseRegistry,
    project: str,
    full_feature_names: bool,
) -> Iterator[Request]:
    """Keep what is known of a lookup while Feast answers it.

    Raises
    ------
    ComputedViewError
        If a precomputed answer of a computed view is asked for.
    IdError
        If an id is no text.
    """
    context = utils._get_cached_request_context(registry, project, features, full_feature_names)
    if getattr(features, "precompute_online", False):
        for view, _ in context[5]:
            if source_of(view) is not None:
                raise ComputedViewError(
                    f"{view.name} is computed as of now: precomputed vectors of it would be "
                    "stale. Take precompute_online off the feature service"
                )
    request = Request(ordered(features, context[0]))
    token = _request.set(request)
    try:
        yield request
    except UnicodeEncodeError as error:
        if request.has_ids:  # it is of something else, such as an on-demand view
            raise
        raise IdError(f"an id is no text: {error}") from None
    finally:
        _request.reset(token)
    if context[1]:
        # An on-demand view may give a name of its own to what was read under the same name.
        for view in context[1]:
            for made in view.features:
                request.columns.pop(made.name, None)
                request.columns.pop(f"{view.projection.name_to_use()}__{made.name}", None)
