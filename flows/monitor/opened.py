"""Opening a data directory for a notebook: what is there, or one sentence that says what is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...features.catalog import Catalog
from ...features.errors import NextbestError, SettingsError
from ..commands.lookup import catalog_of
from ..settings import Settings
from .decided import Decided


class Opened(NamedTuple):
    """A data directory.

    Attributes
    ----------
    settings
        Of the environment, with the directory.
    catalog
        As given or of the last run; None: it is not known.
    fault
        Why there is nothing to look at, or why the catalog is not known; empty if all is well.
    """

    settings: Settings
    catalog: Catalog | None
    fault: str = ""

    @property
    def warning(self) -> str:
        """The fault, if there is a directory of a run without one, or no directory at all."""
        there, began = self.settings.data_dir.is_dir(), self.settings.archive_dir.is_dir()
        return self.fault if began or not there else ""


def open_directory(arguments: Mapping[str, Any]) -> Opened:
    """Return the data directory that a notebook's arguments name.

    Parameters
    ----------
    arguments
        ``data-dir`` and ``catalog``, both optional, as `arguments_of` gives them; without the
        first, ``NEXTBEST_DATA_DIR`` or ``.nextbest``.

    Examples
    --------
    >>> open_directory({"data-dir": "/no/such/place"}).fault
    "/no/such/place: there is no such directory; name a run's with: -- --data-dir DIRECTORY"
    """
    given = arguments.get("data-dir")
    try:
        settings = Settings.from_env(data_dir=None if given is None else Path(str(given)))
    except SettingsError as error:
        return Opened(Settings(), None, str(error))
    if not settings.data_dir.is_dir():
        return Opened(
            settings, None,
            f"{settings.data_dir}: there is no such directory; "
            "name a run's with: -- --data-dir DIRECTORY",
        )  # fmt: skip
    reference = arguments.get("catalog")
    try:
        catalog, settings = catalog_of(settings, None if reference is None else str(reference))
    except NextbestError as error:
        return Opened(settings, None, str(error))
    return Opened(settings, catalog)


def refreshing(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a page's refresh button is to be made: `marimo.ui.refresh` takes it.

    Parameters
    ----------
    arguments
        ``refresh``, optional: how often to read again from the start, such as ``10s``.

    Examples
    --------
    >>> refreshing({"refresh": "5s"})["default_interval"]
    '5s'
    >>> refreshing({"refresh": "often"})["default_interval"] is None
    True
    """
    options = ["2s", "10s", "1m", "10m"]
    wanted = str(arguments.get("refresh", ""))
    fits = re.fullmatch(r"[1-9][0-9]{0,3}[smh]", wanted) is not None
    if fits and wanted not in options:
        options = [wanted, *options]
    interval = wanted if fits else None
    return {"options": options, "default_interval": interval, "label": "read again every"}


def nothing_decided(decided: Decided, directory: Path) -> str:
    """Say why there are no decisions to look at; empty if there are some.

    Examples
    --------
    >>> from .taken import NO_DECISIONS
    >>> nothing_decided(Decided(NO_DECISIONS, (), True), Path(".nextbest"))
    'no decisions yet in .nextbest: a run with --strategy or --decisions archives them'
    """
    if len(decided):
        return ""
    for fault in decided.faults:
        return f"no decisions could be read: {fault}"
    if decided.damaged:
        return f"no decisions could be read: {decided.damaged:,} damaged"
    if decided.nothing:
        return f"no offers yet: {decided.nothing:,} decisions, none of which offered anything"
    return f"no decisions yet in {directory}: a run with --strategy or --decisions archives them"


def nothing_settled(decided: Decided, objective: str) -> str:
    """Say why nothing is known of an objective's rewards; empty if something is."""
    if decided.settled(objective).num_rows:
        return ""
    return (
        f"no outcomes yet: {len(decided):,} decisions, but the window of {objective} is not over "
        "for any of them"
    )


def basis(decided: Decided, objective: str) -> str:
    """Say what the charts are about: how many decisions, of which time, and what was left out."""
    settled = decided.settled(objective).num_rows
    said = f"{len(decided):,} decisions"
    if not decided.complete:
        said = f"The newest {said}; the archive has more"
    parts = [said, f"{settled:,} with a known outcome"]
    if len(decided) > settled:
        parts.append(f"{len(decided) - settled:,} open or not delivered")
    if decided.nothing:
        parts.append(f"{decided.nothing:,} without an offer are left out")
    if decided.damaged:
        parts.append(f"{decided.damaged:,} damaged records are left out")
    parts += [f"not read: {fault}" for fault in decided.faults[:3]]
    return ". ".join([", ".join(parts[:3]), *parts[3:]]) + "."
