"""Every error that nextbest raises on purpose, as one tree.

NextbestError
├── DeclarationError   a feature, view or catalog that cannot mean anything
├── EventError         an event that breaks its schema (reason and JSON path)
├── SourceError        input that is missing or cannot be read
├── SettingsError      a setting with a value that cannot be used
├── StateError         state on disk, or a packed row, that is damaged or foreign
│   └── RowError       one stored row, and which
│       └── UnknownSchemaError   it is of a declaration that the reader does not have
└── StoreError         an online store that is away, refuses, or is not ours
"""

from __future__ import annotations


class NextbestError(Exception):
    """The root: catch this to catch everything that nextbest raises on purpose."""


class DeclarationError(NextbestError, ValueError):
    """A declaration is wrong; the message names the feature and the reason.

    >>> str(DeclarationError("visits:spend", "sum needs `of`"))
    'visits:spend: sum needs `of`'
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class EventError(NextbestError, ValueError):
    """An event breaks its schema.

    >>> str(EventError("Expected `str`, got `int`", "$.customer_id"))
    'Expected `str`, got `int` - at `$.customer_id`'
    """

    def __init__(self, reason: str, path: str | None = None) -> None:
        super().__init__(f"{reason} - at `{path}`" if path else reason)
        self.reason = reason
        self.path = path


class SourceError(NextbestError):
    """Input is missing or cannot be read; the message names it."""


class SettingsError(NextbestError, ValueError):
    """A setting has a value that cannot be used; the message names both."""


class StateError(NextbestError):
    """State on disk, or a packed row, is damaged or was made under another declaration."""


class RowError(StateError):
    """A stored row cannot be read: ``ordinal`` says which of those asked for, ``reason`` why.

    >>> str(RowError(2, "is damaged (checksum)"))
    'stored row 2 is damaged (checksum)'
    """

    def __init__(self, ordinal: int, reason: str, row: str | None = None) -> None:
        super().__init__(f"{row or f'stored row {ordinal}'} {reason}")
        self.ordinal = ordinal
        self.reason = reason


class UnknownSchemaError(RowError):
    """A stored row was written under a declaration that the reader has not been told.

    >>> str(UnknownSchemaError(2, 0xC0FFEE))
    'stored row 2 was written under another declaration, of the unknown schema 00c0ffee'
    """

    def __init__(self, ordinal: int, schema_id: int, row: str | None = None) -> None:
        reason = f"was written under another declaration, of the unknown schema {schema_id:08x}"
        super().__init__(ordinal, reason, row)
        self.schema_id = schema_id


class StoreError(NextbestError):
    """The online store is away, refuses a command, or holds something that is not ours."""


class LogAwayError(StoreError):
    """The event log is away, or refuses what is sent to it."""
