"""From filters to postfix programs over the codes and numbers of an event record.

A string column becomes a code: the position of its word among all words of that column that any
filter or vocabulary of the catalog mentions.
"""

from __future__ import annotations

from collections.abc import Sequence

from .catalog import Catalog
from .declaration import Feature
from .errors import DeclarationError
from .expressions import And, AnyPredicate, Compare, IsIn, Not, Or, Present, leaves
from .kernels import layout as L

_NUMERIC_CODES = {
    "==": L.P_VALUE_EQ,
    "!=": L.P_VALUE_NE,
    "<": L.P_VALUE_LT,
    "<=": L.P_VALUE_LE,
    ">": L.P_VALUE_GT,
    ">=": L.P_VALUE_GE,
}
Instruction = tuple[int, int, int]


class PredicateCompiler:
    """Collects the columns, lookup tables and programs of a catalog's filters.

    Attributes
    ----------
    categorical, numeric
        The string columns with their words, and the numeric properties, that records carry.
    program, constants, bounds, codes
        As in `nextbest.features.kernels.layout.Tables`.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.schema = catalog.source
        self.categorical = _words(catalog)
        self.numeric: list[str] = []
        self.program: list[Instruction] = []
        self.constants: list[float] = []
        self.bounds = [0]
        self.codes: list[int] = []
        self._tables: dict[tuple[str, tuple[str, ...]], int] = {}
        self._programs: dict[tuple[Instruction, ...], int] = {}

    def add(self, where: str, feature: Feature) -> int:
        """Compile which events a feature counts; return the predicate's ordinal.

        Raises
        ------
        DeclarationError
            If the filter is nested too deeply.
        """
        parts: list[list[Instruction]] = []
        if feature.where is not None:
            parts.append(self._compile(feature.where))
        if isinstance(feature.of, str):
            if feature.of_words:
                parts.append([self._membership(feature.of, feature.of_words)])
            else:
                parts.append([(L.P_HAS_VALUE, self.numeric_index(feature.of), 0)])
        if feature.by is not None:
            parts.append([self._membership(feature.by, feature.key_words)])
        code = parts[0] if parts else [(L.P_TRUE, 0, 0)]
        for part in parts[1:]:
            code = [*code, *part, (L.P_AND, 0, 0)]
        if _depth(code) > L.STACK:
            raise DeclarationError(where, f"the filter needs a stack deeper than {L.STACK}")
        ordinal = self._programs.setdefault(tuple(code), len(self._programs))
        if ordinal == len(self.bounds) - 1:
            self.program += code
            self.bounds.append(len(self.program))
        return ordinal

    def table(self, column: str, vocabulary: Sequence[str]) -> int:
        """Return where the table from the codes of ``column`` to the vocabulary begins."""
        key = (column, tuple(vocabulary))
        if key not in self._tables:
            self._tables[key] = len(self.codes)
            position = {word: i for i, word in enumerate(vocabulary)}
            self.codes += [position.get(word, -1) for word in self.categorical[column]]
        return self._tables[key]

    def categorical_index(self, column: str) -> int:
        """Return the ordinal of a string column."""
        return list(self.categorical).index(column)

    def numeric_index(self, column: str) -> int:
        """Return the ordinal of a numeric property, adding it to the record at first use."""
        if column not in self.numeric:
            self.numeric.append(column)
        return self.numeric.index(column)

    def _membership(self, column: str, vocabulary: Sequence[str]) -> Instruction:
        return (L.P_TABLE, self.categorical_index(column), self.table(column, vocabulary))

    def _compile(self, predicate: AnyPredicate) -> list[Instruction]:
        match predicate:
            case And(left=left, right=right):
                return [*self._compile(left), *self._compile(right), (L.P_AND, 0, 0)]
            case Or(left=left, right=right):
                return [*self._compile(left), *self._compile(right), (L.P_OR, 0, 0)]
            case Not(operand=operand):
                return [*self._compile(operand), (L.P_NOT, 0, 0)]
            case IsIn(column=column, values=values):
                return [self._membership(column, tuple(dict.fromkeys(values)))]
            case Present(column=column):
                if self.schema.is_numeric(column):
                    return [(L.P_HAS_VALUE, self.numeric_index(column), 0)]
                return [(L.P_HAS_CODE, self.categorical_index(column), 0)]
            case Compare(column=column, operator=operator, value=value):
                if isinstance(value, str):
                    code = L.P_EQ if operator == "==" else L.P_NE
                    word = self.categorical[column].index(value)
                    return [(code, self.categorical_index(column), word)]
                if float(value) not in self.constants:
                    self.constants.append(float(value))
                constant = self.constants.index(float(value))
                return [(_NUMERIC_CODES[operator], self.numeric_index(column), constant)]


def _words(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """All words of each string column that the catalog mentions, in order of mention."""
    found: dict[str, dict[str, None]] = {}
    for _, feature in catalog.features():
        for leaf in leaves(feature.where) if feature.where is not None else ():
            if catalog.source.is_numeric(leaf.column):
                continue
            words = found.setdefault(leaf.column, {})
            if isinstance(leaf, IsIn):
                words.update(dict.fromkeys(leaf.values))
            elif isinstance(leaf, Compare) and isinstance(leaf.value, str):
                words[leaf.value] = None
        for column, own in ((feature.by, feature.key_words), (feature.of, feature.of_words)):
            if isinstance(column, str) and not catalog.source.is_numeric(column):
                found.setdefault(column, {}).update(dict.fromkeys(own))
    return {column: tuple(words) for column, words in found.items()}


def _depth(code: Sequence[Instruction]) -> int:
    deepest = depth = 0
    for instruction in code:
        depth += -1 if instruction[0] in (L.P_AND, L.P_OR) else int(instruction[0] != L.P_NOT)
        deepest = max(deepest, depth)
    return deepest
