"""A registry lies where it was said, whatever its directory is called."""

from __future__ import annotations

from pathlib import Path

import feast
import pytest

from nextbest.features.feast_plugin.repo import apply, write_repo
from tests.features.feast_cases import CATALOG

VIEWS = {view.name for view in CATALOG.views}


def _names(store: feast.FeatureStore) -> set[str]:
    return {view.name for view in store.list_feature_views()}


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a%2Fb", "100%", "a b", "é #+&@:;='"])
def test_the_registry_is_in_the_directory_that_was_named(
    tmp_path: Path, embedded_store: str, name: str
) -> None:
    directory = tmp_path / name
    assert _names(apply(CATALOG, directory, embedded_store)) == VIEWS
    assert [file.name for file in directory.iterdir()] == ["registry.db"]
    write_repo(directory, "tests.features.feast_cases:CATALOG", embedded_store)
    assert _names(feast.FeatureStore(str(directory))) == VIEWS
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_the_registry_has_the_name_that_was_given(tmp_path: Path, embedded_store: str) -> None:
    apply(CATALOG, tmp_path, embedded_store, registry=tmp_path / "b?" / "r%3F.db")
    assert (tmp_path / "b?" / "r%3F.db").is_file()
