"""`nextbest strategy validate` and `explain`."""

from __future__ import annotations

import sys
from pathlib import Path

from ...features.catalog import Catalog
from ..decision.documents import MAX_BYTES
from ..decision.eligibility import Rules
from ..decision.errors import StrategyError
from ..decision.explaining import explain
from ..decision.inputs import Inputs
from ..decision.loading import Loaded, load
from . import references


def validate_strategy(file: Path, catalog: str | None) -> int:
    """Print whether a strategy can be used; return the exit status.

    Raises
    ------
    DeclarationError
        If the catalog cannot be loaded.
    OSError
        If the file cannot be read.
    """
    found = None if catalog is None else references.load(catalog, Catalog)
    loaded = read_loaded(file, found)
    if loaded is None:
        return 1
    strategy = loaded.strategy
    parts = ", ".join(
        f"{n} {what}{'' if n == 1 else 's'}"
        for n, what in (
            (len(strategy.objectives), "objective"),
            (len(strategy.channels), "channel"),
            (len(strategy.actions), "action"),
        )
    )
    checked = "; features and events were not checked: give --catalog"
    if found is not None:
        Rules.compile(strategy, found)
        Inputs.compile(strategy, found)
        checked = f", fits the catalog {found.name}"
    print(f"{file}: {strategy.name} can be used: {parts}; version {loaded.version}{checked}")
    return 0


def explain_strategy(file: Path, catalog: str | None) -> int:
    """Print what a strategy says in plain sentences; return the exit status.

    Raises
    ------
    DeclarationError
        If the catalog cannot be loaded.
    OSError
        If the file cannot be read.
    """
    found = None if catalog is None else references.load(catalog, Catalog)
    loaded = read_loaded(file, found)
    if loaded is None:
        return 1
    strategy = loaded.strategy
    about = f": {strategy.description.strip()}" if strategy.description.strip() else ""
    print(f"{strategy.name}{about}")
    for chapter in explain(strategy):
        print(f"\n{chapter.title}")
        for sentence in chapter.sentences:
            print(f"  - {sentence}")
    return 0


def read_loaded(file: Path, catalog: Catalog | None) -> Loaded | None:
    """Return the strategy; None if it has faults, which are then printed."""
    with file.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        sys.stderr.write(f"{file}:{line}: not UTF-8\n")
        return None
    try:
        return load(text, catalog)
    except StrategyError as error:
        for fault in error.faults:
            where = f"{fault.path}: " if fault.path else ""
            sys.stderr.write(f"{file}:{fault.line}: {where}{fault.reason}\n")
        return None
