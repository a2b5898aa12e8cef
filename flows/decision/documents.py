"""YAML text → a tree with lines.

Only what a person writes is read: one document of mappings, lists and scalars. Anchors, aliases
and tags are refused: they make a small file large, or an object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from .errors import Fault, StrategyError

MAX_BYTES = 1_000_000
"""Of a strategy's file."""
MAX_DEPTH = 16
"""Mappings and lists inside one another."""
MAX_NODES = 200_000
"""Keys, items and values."""


@dataclass(slots=True)
class Scalar:
    """A text as it stands; ``plain`` if it is not in quotation marks."""

    text: str
    plain: bool
    line: int


@dataclass(slots=True)
class Mapping:
    """Keys and values, as they stand."""

    line: int
    items: list[tuple[Scalar, Tree]] = field(default_factory=list)


@dataclass(slots=True)
class Sequence:
    """Items in their order."""

    line: int
    items: list[Tree] = field(default_factory=list)


Tree = Scalar | Mapping | Sequence

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(text: str) -> Mapping:
    """Read a YAML file that is one mapping.

    Raises
    ------
    StrategyError
        If it is too large, is no YAML, or uses what is refused.

    Examples
    --------
    >>> [(key.text, key.line) for key, _ in read_document("a: 1\\nb: [2]").items]
    [('a', 1), ('b', 2)]
    """
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        raise StrategyError([Fault(1, "", f"the file has more than {MAX_BYTES:,} bytes")])
    try:
        found = _Builder().build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(filter(None, (error.context, error.problem)))
        raise StrategyError([Fault(_line(mark), "", f"no YAML: {reason}")]) from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        place = getattr(error, "position", getattr(error, "start", 0))
        line = text.count("\n", 0, place) + 1
        raise StrategyError([Fault(line, "", "a character that YAML does not allow")]) from None
    if found is None:
        raise StrategyError([Fault(1, "", "the file is empty")])
    if not isinstance(found, Mapping):
        raise StrategyError([Fault(found.line, "", "a strategy is keys with values: name: ...")])
    return found


def _line(mark: Any) -> int:
    return 1 if mark is None else int(mark.line) + 1


class _Builder:
    """Puts YAML's events together, without recursion."""

    def __init__(self) -> None:
        self._open: list[Mapping | Sequence] = []
        self._keys: list[Scalar | None] = []
        self._root: Tree | None = None
        self._size = 0

    def build(self, text: str) -> Tree | None:
        documents = 0
        for event in yaml.parse(text, Loader=_LOADER):
            line = _line(event.start_mark)
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise _refused(line, "a second document: a strategy is one")
                case yaml.AliasEvent():
                    raise _refused(line, f"*{event.anchor}: aliases are not allowed")
                case yaml.ScalarEvent():
                    self._check(event, line)
                    self._add(Scalar(event.value, bool(event.implicit[0]), line), line)
                case yaml.MappingStartEvent():
                    self._check(event, line)
                    self._begin(Mapping(line))
                case yaml.SequenceStartEvent():
                    self._check(event, line)
                    self._begin(Sequence(line))
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._open.pop()
                    self._keys.pop()
        return self._root

    def _check(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            raise _refused(line, f"&{event.anchor}: anchors are not allowed")
        if event.tag is not None and event.tag != "!":
            raise _refused(line, f"{event.tag}: tags are not allowed")

    def _begin(self, node: Mapping | Sequence) -> None:
        self._add(node, node.line)
        if len(self._open) == MAX_DEPTH:
            raise _refused(node.line, f"more than {MAX_DEPTH} levels")
        self._open.append(node)
        self._keys.append(None)

    def _add(self, node: Tree, line: int) -> None:
        self._size += 1
        if self._size > MAX_NODES:
            raise _refused(line, f"more than {MAX_NODES:,} keys, items and values")
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is not None:
            parent.items.append((key, node))
            self._keys[-1] = None
        elif isinstance(node, Scalar):
            self._keys[-1] = node
        else:
            raise _refused(line, "a key is a text")


def _refused(line: int, reason: str) -> StrategyError:
    return StrategyError([Fault(line, "", reason)])
