"""What makes events of rows, found by reference."""

from __future__ import annotations

from typing import Any

from ...features.catalog import Catalog
from ...features.columns import Columns
from ...features.errors import DeclarationError
from ..sources.row_events import RowEvents, Rows
from .references import load

MOST_KINDS = 100
"""Kinds of files with columns of their own in one run."""


def rows_of(catalog: str, columns: str | None) -> Rows:
    """Return what makes events of rows, as a catalog and columns declare them.

    Parameters
    ----------
    catalog
        A reference to a `Catalog`.
    columns
        One to a `Columns`, or to a dict of one for each kind of files, by a pattern of their
        names; None: the columns have our names.

    Raises
    ------
    DeclarationError
        If one of them cannot be found, or they do not fit together.
    """
    schema = load(catalog, Catalog).source
    if columns is None:
        return RowEvents(schema)
    declared: Any = load(columns, Columns, dict)
    if isinstance(declared, Columns):
        return RowEvents(schema, declared)
    if not 0 < len(declared) <= MOST_KINDS:
        raise DeclarationError(columns, f"{len(declared)} kinds of files; from 1 to {MOST_KINDS}")
    for pattern, of in declared.items():
        if not (isinstance(pattern, str) and isinstance(of, Columns)):
            raise DeclarationError(
                columns, f"{pattern!r}: {of!r:.80}: expected a pattern of names and its Columns"
            )
    return {pattern: RowEvents(schema, of) for pattern, of in declared.items()}
