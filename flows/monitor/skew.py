"""The skew audit of the newest lookups: what was served against what replay says."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ...features.archive import Archive
from ...features.audit import Report, audit
from ...features.catalog import Catalog
from ...features.errors import NextbestError, SettingsError
from ...features.served_lookups import ServedLookup
from ..commands.audit import archived_so_far
from ..settings import Settings

DEFAULT_LOOKUPS, MOST_LOOKUPS = 2_000, 200_000
_LOOKUP = msgspec.json.Decoder(ServedLookup)


def newest_lookups(directory: Path, most: int = DEFAULT_LOOKUPS) -> list[ServedLookup]:
    """Return the newest lookups that services logged, the newest file first.

    A line that is none of ours is passed over: `nextbest audit` names it.

    Raises
    ------
    SettingsError
        If ``most`` is not from 1 to `MOST_LOOKUPS`.

    Examples
    --------
    >>> newest_lookups(Path("/no/such/place"))
    []
    """
    if not 1 <= most <= MOST_LOOKUPS:
        raise SettingsError(f"most={most}: from 1 to {MOST_LOOKUPS:,} lookups")
    found: list[ServedLookup] = []
    for path in sorted(directory.glob("*.ndjson"), reverse=True):
        try:
            lines = path.read_bytes().split(b"\n")[:-1]
        except OSError:
            continue
        for line in reversed(lines):
            if len(found) == most:
                return found
            try:
                found.append(_LOOKUP.decode(line))
            except msgspec.DecodeError:
                continue
    return found


def skew(settings: Settings, catalog: Catalog, most: int = DEFAULT_LOOKUPS) -> Report | str:
    """Replay the newest lookups and compare; a sentence if that cannot be done.

    Parameters
    ----------
    settings
        Where lookups and archive are.
    catalog
        The declaration that the lookups were served by.
    most
        Lookups at most.

    Examples
    --------
    >>> from nextbest.flows.simulate.catalog import catalog
    >>> skew(Settings(data_dir=Path("/no/such/place")), catalog)
    'no lookups are logged: services log a share of them with NEXTBEST_LOOKUP_LOG_SHARE=0.01'
    """
    lookups = newest_lookups(settings.lookups_dir, most)
    if not lookups:
        return (
            "no lookups are logged: services log a share of them with "
            "NEXTBEST_LOOKUP_LOG_SHARE=0.01"
        )
    directory = settings.archive_dir / "events"
    try:
        archived = archived_so_far(settings, Archive(directory))
        return audit(catalog, directory, lookups, is_archived=archived, threads=1)
    except NextbestError as error:
        return str(error)


def skew_sentence(found: Report | str) -> str:
    """Say what an audit found.

    Examples
    --------
    >>> skew_sentence(Report(lookups=3, values=12))
    'No skew: 3 lookups, 12 values, served as replay says, bit for bit'
    """
    if isinstance(found, str):
        return found
    waiting = f"; {found.waiting:,} wait for the archive" if found.waiting else ""
    others = "".join(f"; {n:,} left out, {reason}" for reason, n in found.others.items())
    compared = f"{found.lookups:,} lookups, {found.values:,} values"
    if found.differences:
        return f"{found.differences:,} values were served otherwise than replay says, of " + (
            f"{compared}{waiting}{others}"
        )
    if not found.lookups:
        return f"No lookup could be compared{waiting}{others}"
    return f"No skew: {compared}, served as replay says, bit for bit{waiting}{others}"
