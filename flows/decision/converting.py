"""A tree of YAML → the types of a strategy, with every fault and the line of every part.

What a text means is for the type to say: ``no`` is a word where a text is needed.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from typing import Any

from msgspec import inspect

from .documents import Mapping, Scalar, Sequence, Tree
from .errors import Fault
from .expressions import nearest

Path = tuple[str | int, ...]

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {"true": True, "false": False, "True": True, "False": False}
_TRUTHS |= {"TRUE": True, "FALSE": False}
_INTEGER = re.compile(r"[-+]?\d+")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_SAID = {
    r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$": (
        "a name is letters, digits, _ and -, at most 64, and begins with a letter or _"
    ),
    r"^\d+\s*(ms|s|m|h|d|w)$": "a duration is such as 30m, 1h or 7d",
}


class _Bad:
    """What could not be converted."""


BAD = _Bad()


def written(path: Path) -> str:
    """Return a path as a person reads it.

    >>> written(("actions", "tea", "caps", 0, "most"))
    'actions.tea.caps[0].most'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


class Converter:
    """Converts one file.

    Attributes
    ----------
    faults
        What is wrong.
    lines
        Of every key and item.
    bad
        The paths of what is wrong: its value means nothing.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.lines: dict[Path, int] = {}
        self.bad: set[Path] = set()

    def line(self, path: Path) -> int:
        """Return the line of a part, or of the nearest one that it is in."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, path: Path, reason: str, line: int | None = None) -> Any:
        """Say what is wrong with a part."""
        self.bad.add(path)
        self.faults.append(Fault(line or self.line(path), written(path), reason))
        return BAD

    def struct(self, tree: Tree, kind: type, path: Path = ()) -> Any:
        """Convert to a struct type; what is wrong in it has its default or means nothing."""
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        return self._struct(tree, info, path)

    def _of(self, tree: Tree, info: inspect.Type, path: Path) -> Any:
        self.lines[path] = self.lines.get(path, tree.line)
        match info:
            case inspect.StructType():
                return self._struct(tree, info, path)
            case inspect.DictType():
                return self._dict(tree, info, path)
            case inspect.ListType():
                return self._list(tree, info, path)
            case inspect.TupleType():
                return self._tuple(tree, info, path)
            case inspect.UnionType():
                return self._union(tree, info, path)
        if not isinstance(tree, Scalar):
            return self.fault(path, f"{_name(info)} is needed, not {_what(tree)}")
        return self._scalar(tree, info, path)

    def _struct(self, tree: Tree, info: inspect.StructType, path: Path) -> Any:
        if not isinstance(tree, Mapping):
            if not (isinstance(tree, Scalar) and tree.plain and tree.text in _NULLS):
                return self.fault(path, f"keys with values are needed, not {_what(tree)}")
            tree = Mapping(tree.line)
        fields = {field.encode_name: field for field in info.fields}
        given: dict[str, Any] = {}
        for key, value in self._keys(tree, path):
            inner = (*path, key.text)
            if key.text not in fields:
                self.fault(inner, f"no such key{nearest(key.text, fields)}")
                continue
            found = self._of(value, fields[key.text].type, inner)
            if found is not BAD:
                given[fields[key.text].name] = found
        for name, field in fields.items():
            if field.required and field.name not in given:
                if (*path, name) not in self.lines:
                    self.fault((*path, name), "is missing", self.line(path))
                given[field.name] = _nothing(field.type)
        return info.cls(**given)

    def _keys(self, tree: Mapping, path: Path) -> Iterable[tuple[Scalar, Tree]]:
        seen: dict[str, int] = {}
        for key, value in tree.items:
            if key.text in seen:
                self.fault(
                    (*path, key.text), f"stands twice: first in line {seen[key.text]}", key.line
                )
                continue
            seen[key.text] = self.lines[*path, key.text] = key.line
            yield key, value

    def _dict(self, tree: Tree, info: inspect.DictType, path: Path) -> Any:
        if isinstance(tree, Scalar) and tree.plain and tree.text in _NULLS:
            tree = Mapping(tree.line)
        if not isinstance(tree, Mapping):
            return self.fault(path, f"keys with values are needed, not {_what(tree)}")
        found = {}
        for key, value in self._keys(tree, path):
            inner = (*path, key.text)
            name = self._of(key, info.key_type, inner)
            one = self._of(value, info.value_type, inner)
            if name is not BAD and one is not BAD:
                found[name] = one
        self._size(len(found), info, path, "keys")
        return found

    def _list(self, tree: Tree, info: inspect.ListType, path: Path) -> Any:
        if not isinstance(tree, Sequence):
            return self.fault(path, f"a list is needed, not {_what(tree)}")
        found = []
        for place, item in enumerate(tree.items):
            one = self._of(item, info.item_type, (*path, place))
            # A wrong item keeps its place, so that the others keep theirs.
            found.append(_nothing(info.item_type) if one is BAD else one)
        self._size(len(found), info, path, "items")
        return found

    def _size(
        self, n: int, info: inspect.DictType | inspect.ListType, path: Path, what: str
    ) -> None:
        if info.min_length is not None and n < info.min_length and path not in self.bad:
            self.fault(path, f"at least {info.min_length} of its {what} is needed")
        if info.max_length is not None and n > info.max_length:
            self.fault(path, f"more than {info.max_length} {what}")

    def _tuple(self, tree: Tree, info: inspect.TupleType, path: Path) -> Any:
        if not isinstance(tree, Sequence) or len(tree.items) != len(info.item_types):
            return self.fault(path, f"a list of {len(info.item_types)} is needed")
        found = [
            self._of(item, kind, (*path, place))
            for place, (item, kind) in enumerate(zip(tree.items, info.item_types, strict=True))
        ]
        return BAD if BAD in found else tuple(found)

    def _union(self, tree: Tree, info: inspect.UnionType, path: Path) -> Any:
        """Convert to the first type that a value can be, as YAML reads it."""
        kinds = {type(kind): kind for kind in info.types}
        if isinstance(tree, Mapping) and inspect.StructType in kinds:
            return self._of(tree, kinds[inspect.StructType], path)
        if isinstance(tree, Mapping | Sequence):
            shape = inspect.DictType if isinstance(tree, Mapping) else inspect.ListType
            if shape in kinds:
                return self._of(tree, kinds[shape], path)
            return self.fault(path, f"{_name(info)} is needed, not {_what(tree)}")
        for kind, fitting in (
            (inspect.NoneType, tree.plain and tree.text in _NULLS),
            (inspect.BoolType, tree.plain and tree.text in _TRUTHS),
            (inspect.IntType, tree.plain and _INTEGER.fullmatch(tree.text)),
            (inspect.FloatType, tree.plain and _NUMBER.fullmatch(tree.text)),
            (inspect.StrType, True),
        ):
            if fitting and kind in kinds:
                return self._scalar(tree, kinds[kind], path)
        return self.fault(path, f"{_name(info)} is needed, not {_what(tree)}")

    def _scalar(self, tree: Scalar, info: inspect.Type, path: Path) -> Any:
        text = tree.text
        match info:
            case inspect.NoneType():
                return None
            case inspect.BoolType():
                if tree.plain and text in _TRUTHS:
                    return _TRUTHS[text]
            case inspect.IntType() if tree.plain and _INTEGER.fullmatch(text) and len(text) < 20:
                return self._range(int(text), info, path)
            case inspect.FloatType() if tree.plain and _NUMBER.fullmatch(text):
                return self._range(float(text), info, path)
            case inspect.LiteralType(values=values):
                if text in values:
                    return text
                return self.fault(path, f"no {text!r}{nearest(text, map(str, values))}")
            case inspect.StrType():
                return self._text(text, info, path)
        return self.fault(path, f"{_name(info)} is needed, not {_what(tree)}")

    def _range(self, number: float, info: inspect.IntType | inspect.FloatType, path: Path) -> Any:
        if not math.isfinite(number):
            return self.fault(path, "a finite number is needed")
        for bound, fits, said in (
            (info.ge, operator.ge, "at least"),
            (info.gt, operator.gt, "more than"),
            (info.le, operator.le, "at most"),
            (info.lt, operator.lt, "less than"),
        ):
            if bound is not None and not fits(number, bound):
                return self.fault(path, f"{number:g} is not {said} {bound:g}")
        return number

    def _text(self, text: str, info: inspect.StrType, path: Path) -> Any:
        if info.min_length is not None and len(text) < info.min_length:
            return self.fault(path, "a text is needed")
        if info.max_length is not None and len(text) > info.max_length:
            return self.fault(path, f"more than {info.max_length} characters")
        if info.pattern is not None and not re.fullmatch(info.pattern, text):
            said = _SAID.get(info.pattern, f"it does not match {info.pattern}")
            return self.fault(path, f"{text[:80]!r}: {said}")
        return text


def _nothing(info: inspect.Type) -> Any:
    """Return what stands for a value that is wrong or missing; nobody reads it."""
    match info:
        case inspect.DictType():
            return {}
        case inspect.ListType():
            return []
        case inspect.StructType():
            return info.cls(**{f.encode_name: _nothing(f.type) for f in info.fields if f.required})
    return ""


def _name(info: inspect.Type) -> str:
    match info:
        case inspect.IntType():
            return "a whole number"
        case inspect.FloatType():
            return "a number"
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "nothing"
        case inspect.DictType() | inspect.StructType():
            return "keys with values"
        case inspect.ListType() | inspect.TupleType():
            return "a list"
        case inspect.UnionType():
            kinds = [kind for kind in info.types if not isinstance(kind, inspect.NoneType)]
            return " or ".join(_name(kind) for kind in kinds)
    return "a text"


def _what(tree: Tree) -> str:
    if isinstance(tree, Scalar):
        return repr(tree.text[:80]) if tree.text else "nothing"
    return "a list" if isinstance(tree, Sequence) else "keys with values"
