"""One household's row as the Feast SDK sees it; run as a process of its own.

Feast takes seconds to import and answers as of now, so this process says between which two
instants it was asked. Input and output are one JSON object each.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import msgspec

from ...features.catalog import Catalog
from ...features.feast_plugin.repo import apply
from .catalog import catalog
from .question import Answer, Question


def ask_feast(catalog: Catalog, question: Question) -> Answer:
    """Bring the registry in line and ask the Feast SDK for the whole row."""
    store: Any = apply(catalog, question.directory, question.url)
    wanted = [f"{view.name}:{feature.name}" for view, feature in catalog.features()]
    rows = [{"customer_id": question.customer_id}]
    store.get_online_features(wanted, rows)  # the first one loads what the later ones have
    before = time.time_ns() // 1000
    answer = store.get_online_features(wanted, rows).to_dict()
    after = time.time_ns() // 1000
    values: dict[str, int | float | str | None] = {}
    for view, feature in catalog.features():
        found = answer[feature.name][0]
        own = found if feature.is_vector else [found]
        own = [None] * len(feature.columns) if own is None else own
        for column, value in zip(feature.columns, own, strict=True):
            # NaN is how an array says that a key has no value.
            values[f"{view.name}:{column}"] = None if value != value else value
    return Answer(before, after, values)


def main() -> None:
    """Get ready, then answer the question on standard input; end without one."""
    asked = sys.stdin.buffer.read()
    if not asked:
        return
    question = msgspec.json.decode(asked, type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(ask_feast(catalog, question)))


if __name__ == "__main__":
    main()
