"""What a row is found by: the entity's key as one text.

A single join key is its own text. Those of a composite entity follow each other, each behind its
length in bytes, so that no two keys give the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .declaration import Entity
from .errors import SettingsError


def key_text(entity: Entity, parts: str | Sequence[str]) -> str:
    """Return the key of one thing; ``parts`` are its join keys' values, in declared order.

    Raises
    ------
    SettingsError
        If they are not as many strings as the entity has join keys, or one is no text.

    Examples
    --------
    >>> key_text(Entity(), "ann")
    'ann'
    >>> key_text(Entity("pair", ["customer_id", "category"]), ("ann", "büch"))
    '3:ann5:büch'
    """
    given = (parts,) if isinstance(parts, str) else tuple(parts)
    if len(given) != len(entity.join_keys) or not all(isinstance(part, str) for part in given):
        keys = ", ".join(entity.join_keys)
        raise SettingsError(f"{parts!r:.80}: {entity.name} is found by the strings {keys}")
    if len(given) == 1:
        return given[0]
    try:
        return "".join(f"{len(part.encode())}:{part}" for part in given)
    except UnicodeEncodeError as error:
        raise SettingsError(f"an id is no text: {error}") from None


def key_column(entity: Entity, columns: Sequence[Any]) -> Any:
    """Return the keys of n events, an Arrow array of strings, null where an event lacks a part.

    Parameters
    ----------
    columns
        A string or dictionary array of n for each join key, in declared order.

    Examples
    --------
    >>> import pyarrow as pa
    >>> pair = Entity("pair", ["customer_id", "category"])
    >>> key_column(pair, [pa.array(["ann", "ben"]), pa.array(["büch", None])]).to_pylist()
    ['3:ann5:büch', None]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [column.cast(pa.string()) for column in columns]
    if len(texts) == 1:
        return texts[0]
    sized = [
        pc.binary_join_element_wise(pc.binary_length(text).cast(pa.string()), text, ":")
        for text in texts
    ]
    return pc.binary_join_element_wise(*sized, "")
