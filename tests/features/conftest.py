"""What the tests of the Feast plugins share with nobody: Feast's memory of its registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from feast.infra.registry.sql import SqlRegistry


@pytest.fixture(autouse=True, scope="session")
def _copies_of_registries() -> Iterator[None]:
    """Keep each copy of a registry alive.

    Feast remembers what it found in a copy by the copy's address. One process of the tests opens
    many registries: where a copy took the place of a freed one, views of the other were found.
    """
    kept: list[Any] = []
    read = SqlRegistry.proto

    def remembered(self: SqlRegistry) -> Any:
        kept.append(read(self))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqlRegistry, "proto", remembered)
        yield
