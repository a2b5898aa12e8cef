"""What the demo asks the process that has Feast loaded, and what that answers."""

from __future__ import annotations

import msgspec


class Question(msgspec.Struct):
    """Which customer, and where: the directory of the registry, and the store's URL."""

    customer_id: str
    directory: str
    url: str


class Answer(msgspec.Struct):
    """Values by column, and the instants (microseconds) before and after they were read."""

    before: int
    after: int
    values: dict[str, int | float | str | None]
