"""Conditions and numbers of a strategy: a small language, read, checked and run without `eval`."""

from .folding import folded
from .interpreting import Scope, evaluate, holds
from .nodes import Kind, Node, conjuncts, leaves
from .parsing import parse
from .programs import Programs, moment
from .tokens import canonical
from .typing import Names, kind_of, nearest, typed

__all__ = [
    "Kind",
    "Names",
    "Node",
    "Programs",
    "Scope",
    "canonical",
    "conjuncts",
    "evaluate",
    "folded",
    "holds",
    "kind_of",
    "leaves",
    "moment",
    "nearest",
    "parse",
    "typed",
]
