"""Decisions as columns: what is answered, logged and counted of them, without a `Record` each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...features.errors import NextbestError
from ...features.rows import FeatureRows
from .answers import Answers
from .asked import Asked
from .contacts import Update
from .engine import Engine
from .making import BLOCK
from .request import Request


class Drafts(NamedTuple):
    """Decisions that can be committed, as many of each.

    Attributes
    ----------
    ids
        Theirs.
    answers
        What is answered.
    lines
        Their events: what `record.events_of` returns of their records, byte for byte.
    updates
        The contacts that each leaves.
    excluded
        As of `Record`; not to be changed, as they are shared.
    """

    ids: Sequence[str]
    answers: Answers
    lines: list[bytes]
    updates: list[Update]
    excluded: list[Mapping[str, str]]


def draft_many(
    engine: Engine,
    requests: Sequence[Request],
    rows: FeatureRows,
    contacts: Sequence[bytes],
    persons: Sequence[bytes],
    at: int,
    decision_ids: Sequence[str],
) -> Drafts | None:
    """Decide for 1 to `making.BLOCK` different customers: what `Engine.decide_many` decides.

    Parameters
    ----------
    requests
        Checked.
    rows, contacts, persons, at, decision_ids
        As of `Engine.decide_many`.

    Returns
    -------
    Drafts or None
        None: members of a fleet take turns, or one of them cannot be decided. `Engine.decide_many`
        does it, or says why not.
    """
    models = engine.models
    if models.split is not None or not 0 < len(requests) <= BLOCK:
        return None
    asked = Asked.of(requests, rows, contacts, persons, at, decision_ids)
    try:
        answers, lines, excluded = engine.making.lines(asked, models)
        names, places = engine.actions, iter(answers.places)
        updates = engine.caps.offered_many(
            contacts,
            [[names[next(places)] for _ in range(size)] for size in answers.sizes],
            [request.channel for request in requests],
            asked.at,
        )
    except NextbestError:
        return None
    return Drafts(decision_ids, answers, lines, updates, excluded)
