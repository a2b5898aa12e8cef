"""Lookups as a service logs them and an audit reads them; imports no Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from .errors import SourceError


class ServedLookup(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One thing's features as they were served.

    Attributes
    ----------
    at
        The time that they were as of, microseconds.
    catalog, declaration
        The name of the catalog, and `catalog_codec.meaning_id` of the entity's views.
    entity, id
        Whose they were: the key's text (`entity_keys.key_text`).
    position
        Log position of the last event applied to a customer's row, -1 if there was none; of other
        entities always -1, as their events are of many partitions.
    features
        ``view:feature`` or ``view``, as asked for; None: all of the entity's.
    values
        One a column: None unless present; a word is its place in the vocabulary.
    states
        One a column: PRESENT, MISSING or EXPIRED.
    older
        Whether the row was of an older declaration, not written anew yet: what that did not have
        was served as missing, which replay cannot tell.
    """

    at: int
    catalog: str
    declaration: str
    entity: str
    id: str
    position: int
    features: list[str] | None
    values: list[float | None]
    states: list[int]
    older: bool = False


def read_lookups(directory: Path) -> Iterator[ServedLookup]:
    """Yield the lookups that services logged in a directory, oldest file first.

    A last line without an end is one that is being written, and is left out.

    Raises
    ------
    SourceError
        If a file cannot be read, or a line is none of ours.
    """
    decoder = msgspec.json.Decoder(ServedLookup)
    for path in sorted(directory.glob("*.ndjson")):
        number = 0
        try:
            with path.open("rb") as file:
                for line in file:
                    number += 1
                    if line.endswith(b"\n"):
                        yield decoder.decode(line)
        except FileNotFoundError:
            continue  # a service dropped it meanwhile, as its oldest
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from error
        except msgspec.DecodeError as error:
            raise SourceError(f"{path}, line {number}: no lookup of ours: {error}") from error
