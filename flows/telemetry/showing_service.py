"""The metrics of a service process: turned on, kept fresh and shown while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

from ..settings import Settings
from . import names as n
from . import tracing
from .exposition import shown
from .process import audit_refresher, begin
from .serving import SERVICE, MeteredApp
from .traced_app import TracedApp
from .whereabouts import noted

if TYPE_CHECKING:
    from ..service.app import App
    from ..service.strategies import Strategies

AnyApp: TypeAlias = "App | MeteredApp | TracedApp"


@contextlib.contextmanager
def showing_service(
    app: App, settings: Settings, catalog: str, strategies: Strategies
) -> Iterator[AnyApp]:
    """Show the service's metrics, and trace if the environment says so, while the block runs.

    Parameters
    ----------
    app
        The service.
    settings
        Where to listen; without a port nothing is counted.
    catalog
        Its name.
    strategies
        What decides.

    Yields
    ------
    The application, or one that counts and traces what it is asked.

    Raises
    ------
    SettingsError
        If the address cannot be had, or there can be no traces.
    """
    traced = tracing.begin("nextbest-serve", version("nextbest"))
    try:
        inner = app if traced is None else TracedApp(app, traced)
        with _showing(inner, settings, catalog, strategies) as outer:
            yield outer
    finally:
        tracing.end()


@contextlib.contextmanager
def _showing(
    app: AnyApp, settings: Settings, catalog: str, strategies: Strategies
) -> Iterator[AnyApp]:
    if not settings.metrics_port:
        yield app
        return
    meter = SERVICE

    def refresh() -> None:
        loaded = strategies.loaded
        if loaded is None:
            return
        meter.forget(n.STRATEGY_INFO)
        meter.set(n.STRATEGY_INFO, 1, loaded.strategy.name, loaded.version)
        for objective, learned in strategies.live.engine.models.versions.items():
            meter.set(n.MODEL_VERSION, learned, objective)

    refreshes = (meter.refresh, refresh, audit_refresher(meter, settings))
    port = settings.metrics_port
    with shown(settings.metrics_host, port, meter, refreshes), noted(settings, port):
        begin(meter, "serve", catalog)
        meter.turn_on()
        try:
            yield MeteredApp(app, meter)
        finally:
            meter.on = False
