"""A choice of features, compiled: which rows it needs, how they are found and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..catalog import Catalog
from ..declaration import Entity
from ..declared import row_prefix
from ..entity_keys import key_text
from ..errors import SettingsError
from ..plan import Plan
from .answer import Id, Layout
from .decoding import RowDecoder

MAX_IDS = 10_000
Ids = Sequence[str] | Sequence[tuple[str, ...]] | Mapping[str, Sequence[str]]
_MOST_CHOICES = 256


@dataclass(frozen=True, slots=True)
class Part:
    """The features of one entity among those chosen.

    Attributes
    ----------
    prefix
        Of its rows' keys.
    columns
        int64[k]: which columns of the answer its features are; None: all of them, in order.
    """

    entity: Entity
    prefix: str
    decoder: RowDecoder
    columns: npt.NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Chosen features of a catalog, by entity."""

    layout: Layout
    parts: tuple[Part, ...]
    join_keys: tuple[str, ...]
    known_keys: frozenset[str]

    def find(self, ids: Ids) -> tuple[tuple[Id, ...], list[list[str]]]:
        """Return the ids as the answer names them, and the keys of each part's rows.

        Raises
        ------
        SettingsError
            If they are not what finds these rows.
        """
        if isinstance(ids, Mapping):
            return self._find_columns(ids)
        if len(self.parts) > 1:
            names = " and ".join(part.entity.name for part in self.parts)
            raise SettingsError(
                f"features of {names} are found by a mapping of {', '.join(self.join_keys)} to ids"
            )
        (part,) = self.parts
        if isinstance(ids, str | bytes) or not isinstance(ids, Sequence):
            raise SettingsError(f"ids must be a sequence of {_kind(part.entity)}, not {ids!r:.80}")
        _check_number(len(ids))
        wanted: tuple[Any, ...] = tuple(ids)
        if len(part.entity.join_keys) > 1:
            return wanted, [_composite(part, wanted)]
        try:
            return wanted, [[part.prefix + i for i in wanted]]
        except TypeError:
            bad = next(i for i in wanted if not isinstance(i, str))
            raise SettingsError(
                f"ids must be a sequence of {_kind(part.entity)}; one is {bad!r:.80}"
            ) from None

    def _find_columns(
        self, ids: Mapping[str, Sequence[str]]
    ) -> tuple[tuple[Id, ...], list[list[str]]]:
        for name in ids:
            if name not in self.known_keys:
                known = ", ".join(sorted(self.known_keys))
                raise SettingsError(f"no entity is found by {name!r:.80}; join keys are: {known}")
        columns = dict[str, tuple[str, ...]]()
        for key in self.join_keys:
            if key not in ids:
                raise SettingsError(f"the ids lack {key!r}, which these features are found by")
            given = ids[key]
            if isinstance(given, str | bytes) or not isinstance(given, Sequence):
                raise SettingsError(f"{key} must be a sequence of strings, not {given!r:.80}")
            _check_number(len(given))
            for value in given:
                if not isinstance(value, str):
                    raise SettingsError(
                        f"{key} must be a sequence of strings; one is {value!r:.80}"
                    )
            columns[key] = tuple(given)
        sizes = {key: len(column) for key, column in columns.items()}
        if len(set(sizes.values())) > 1:
            raise SettingsError(f"the ids are not equally many: {sizes}")
        keys = []
        for part in self.parts:
            own = [columns[key] for key in part.entity.join_keys]
            if len(own) == 1:
                keys.append([part.prefix + i for i in own[0]])
            else:
                keys.append(_composite(part, list(zip(*own, strict=True))))
        names = tuple(columns.values())
        return names[0] if len(names) == 1 else tuple(zip(*names, strict=True)), keys


class Choices:
    """The choices of a catalog's features that were made, each compiled once."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._entities = catalog.entities
        self._plans: dict[str, Plan] = {}
        self._made: dict[tuple[str | None, tuple[str, ...] | None], Choice] = {}

    def choose(self, service: str | None, features: Sequence[str] | None) -> Choice:
        """Return the choice of a service, of features, or of all features.

        Raises
        ------
        DeclarationError
            If there is no such service or feature.
        SettingsError
            If both are given, or features are no sequence of strings.
        """
        refs: tuple[str, ...] | None = None
        if features is not None:
            if isinstance(features, str | bytes) or not isinstance(features, Sequence):
                raise SettingsError(
                    f"features must be a sequence of 'view:feature' or 'view', not {features!r:.80}"
                )
            refs = tuple(features)
        try:
            found = self._made.get((service, refs))
        except TypeError:
            raise SettingsError("features are named by strings: 'view:feature' or 'view'") from None
        if found is None:
            made = self._compile(service, refs)
            # Whoever asks for ever new choices of features must not fill the memory.
            if len(self._made) >= _MOST_CHOICES:
                self._made.clear()
            found = self._made[service, refs] = made
        return found

    def default(self, ids: Ids) -> tuple[str, ...] | None:
        """Return the views that ids find, for who names no features; None: all there are.

        A mapping finds the rows of every entity whose join keys it has; else they are customers',
        or of the first entity if there are none.
        """
        entities = self._entities
        if len(entities) == 1:
            return None
        if isinstance(ids, Mapping):
            names = {entity.name for entity in entities if ids.keys() >= set(entity.join_keys)}
        else:
            names = {next((e.name for e in entities if e.is_customer), entities[0].name)}
        return tuple(view.name for view in self.catalog.views if view.entity.name in names) or None

    def _compile(self, service: str | None, refs: tuple[str, ...] | None) -> Choice:
        catalog = self.catalog
        if service is not None:
            if refs is not None:
                raise SettingsError("give a service or features, not both")
            refs = tuple(catalog.service(service).features)
        if refs is None:
            chosen = tuple(catalog.features())
        else:
            if not refs or not all(isinstance(ref, str) for ref in refs):
                raise SettingsError(
                    "features must be one or more strings: 'view:feature' or 'view'"
                )
            chosen = catalog.select(refs)
        needed = {view.entity.name for view, _ in chosen}
        entities = [entity for entity in catalog.entities if entity.name in needed]
        names = [entity.name for entity in entities]
        customer = next((i for i, entity in enumerate(entities) if entity.is_customer), None)
        layout = Layout(chosen, names, customer)
        parts = []
        for i, entity in enumerate(entities):
            plan = self._plans.get(entity.name)
            if plan is None:
                plan = self._plans[entity.name] = Plan.compile(catalog.of(entity.name))
            own = tuple((view, f) for view, f in chosen if view.entity.name == entity.name)
            whole = own == tuple(plan.catalog.features())
            parts.append(
                Part(
                    entity,
                    row_prefix(catalog.name, entity).decode(),
                    RowDecoder(plan, None if whole else own),
                    None if len(entities) == 1 else np.flatnonzero(layout.entity_of == i),
                )
            )
        join_keys = tuple(dict.fromkeys(key for entity in entities for key in entity.join_keys))
        known = frozenset(key for entity in catalog.entities for key in entity.join_keys)
        return Choice(layout, tuple(parts), join_keys, known)


def _composite(part: Part, ids: Sequence[tuple[str, ...]]) -> list[str]:
    entity = part.entity
    for i in ids:
        if not isinstance(i, tuple):
            raise SettingsError(f"ids must be a sequence of {_kind(entity)}; one is {i!r:.80}")
    return [part.prefix + key_text(entity, i) for i in ids]


def _kind(entity: Entity) -> str:
    if len(entity.join_keys) == 1:
        return "strings"
    return f"tuples ({', '.join(entity.join_keys)})"


def _check_number(n: int) -> None:
    if n > MAX_IDS:
        raise SettingsError(f"{n} ids in one lookup, of at most {MAX_IDS}")
