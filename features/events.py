"""What an event is: five reserved fields, and properties that a schema declares.

On the wire an event is one JSON object:

    {"event_id": "e-1", "event_timestamp": 1767225600000000, "customer_id": "c-7",
     "type": "cart", "channel": "web", "properties": {"category": "shoes", "value": 59.9}}
"""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from .errors import DeclarationError
from .kernels.layout import MAX_ID_BYTES
from .ordered import ordered

RESERVED = ("event_id", "event_timestamp", "customer_id", "type", "channel")
EXTRA = "extra"
"""The column of an event table that keeps undeclared properties, as JSON text."""
ADDED_COLUMNS = ("position", "late")
"""What the archive adds to an event: its log position, and whether it was late."""
MAX_TIMESTAMP = 4_102_444_800_000_000
"""2100-01-01, microseconds: nothing later is a timestamp of ours (often milliseconds mixed up)."""

PropertyType = Literal["float", "int", "bool", "string"]
_PYTHON_TYPES: dict[PropertyType, Any] = {
    # Decoders accept an integer where a float is declared, as JSON does not tell them apart.
    "float": float,
    "int": Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)],  # exact in a float64 column
    "bool": bool,
    "string": Annotated[str, msgspec.Meta(max_length=4096)],
}
_ALIASES: dict[Any, PropertyType] = {float: "float", int: "int", bool: "bool", str: "string"}

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_BYTES)]
Timestamp = Annotated[int, msgspec.Meta(ge=1, le=MAX_TIMESTAMP)]


class EventSchema(msgspec.Struct, frozen=True):
    """The events of one stream: which types there are, and the properties they may carry.

    Parameters
    ----------
    name
        The stream's name, an identifier.
    types
        The closed vocabulary of event types. An event of another type is a dead letter.
    properties
        Property name → ``float``, ``int``, ``bool`` or ``str``. Every property is optional on
        every event; one that is present with another type makes the event a dead letter.
        Undeclared properties are ignored by features and kept in the archive.

    Raises
    ------
    DeclarationError
        If a name is not an identifier, is reserved or stands twice, or there are no types.

    Examples
    --------
    >>> shop = EventSchema("shop", types=("view", "cart"), properties={"value": float})
    >>> shop.properties
    {'value': 'float'}
    >>> EventSchema("shop", types=("view",), properties={"type": str})
    Traceback (most recent call last):
        ...
    nextbest.features.errors.DeclarationError: shop: property 'type' has a reserved name
    """

    name: str
    types: Sequence[str]
    properties: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise DeclarationError(repr(self.name), "a stream's name must be an identifier")
        types = () if isinstance(self.types, str) else ordered(self.name, "types", self.types)
        if (
            not types
            or len(set(types)) != len(types)
            or not all(isinstance(t, str) and 0 < len(t) <= 64 for t in types)
        ):
            raise DeclarationError(
                self.name, "types must be distinct, non-empty names of at most 64 characters"
            )
        properties: dict[str, Any] = {}
        for name, given in self.properties.items():
            if name in (*RESERVED, EXTRA, "properties"):
                raise DeclarationError(self.name, f"property {name!r} has a reserved name")
            if name in ADDED_COLUMNS:
                raise DeclarationError(
                    self.name, f"property {name!r}: the archive has a column of that name"
                )
            if (
                not isinstance(name, str)
                or not name.isidentifier()
                or keyword.iskeyword(name)
                or name.startswith("_")
            ):
                raise DeclarationError(self.name, f"property {name!r} is not an identifier")
            kind = next((k for t, k in _ALIASES.items() if given is t), given)
            if not isinstance(kind, str) or kind not in _PYTHON_TYPES:
                raise DeclarationError(
                    self.name, f"property {name!r} is {given!r}, not float, int, bool or str"
                )
            properties[name] = kind
        msgspec.structs.force_setattr(self, "types", types)
        msgspec.structs.force_setattr(self, "properties", properties)

    def is_numeric(self, column: str) -> bool:
        """Is ``column`` a float, int or bool property?"""
        return column in self.properties and self.properties[column] != "string"

    def has(self, column: str) -> bool:
        """Is ``column`` ``type``, ``channel`` or a declared property?"""
        return column in ("type", "channel") or column in self.properties


def wire_type(schema: EventSchema) -> type[msgspec.Struct]:
    """Make the msgspec type that decodes one event of ``schema`` with exact errors.

    Examples
    --------
    >>> shop = EventSchema("shop", types=("view", "cart"), properties={"value": float})
    >>> line = b'{"event_id":"e","event_timestamp":1,"customer_id":"c","type":"buy"}'
    >>> msgspec.json.decode(line, type=wire_type(shop))
    Traceback (most recent call last):
        ...
    msgspec.ValidationError: Invalid enum value 'buy' - at `$.type`
    """
    properties = msgspec.defstruct(
        f"{schema.name}_properties",
        [(name, _PYTHON_TYPES[kind] | None, None) for name, kind in schema.properties.items()],
        frozen=True,
        gc=False,
    )
    return msgspec.defstruct(
        schema.name,
        [
            ("event_id", Identifier),
            ("event_timestamp", Timestamp),
            ("customer_id", Identifier),
            ("type", Literal[tuple(schema.types)]),
            ("channel", Annotated[str, msgspec.Meta(max_length=64)] | None, None),
            ("properties", properties, msgspec.field(default_factory=properties)),
        ],
        frozen=True,
        gc=False,
    )
