"""Models of River by name: what a person declares becomes transformers and a classifier.

Only classes of River are ever looked up, and only plain values are given to them.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from river import base
from river.base.transformer import BaseTransformer

from .errors import LearnerError

MOST_STAGES = 8
SEED = 0
"""What a class gets that draws by lot and was given no seed: the same log is to end the same."""

_NAME = re.compile(r"river(\.[A-Za-z_][A-Za-z0-9_]*)+")
_OUTSIDE = frozenset({"checks", "compat", "datasets", "evaluate", "stream", "test"})
"""Parts of River that read files, or ask somebody else."""
_UNORDERED = {
    "SWINN": "SWINN goes through its graph in no order that lasts, so that the same log would end "
    "otherwise; give engine: {river: river.neighbors.LazySearch}"
}
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "list": (list,),
    "None": (type(None),),
}
_SAID = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
_SAID |= {"list": "a list", "None": "nothing"}
_WORDS = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_SAME = {"Optional": "None", "tuple": "list", "set": "list", "Sequence": "list", "Literal": "str"}


class Stage(NamedTuple):
    """A class by name, and what it is given: plain values, or stages in turn."""

    name: str
    given: Mapping[str, Any] = {}


class StageError(LearnerError):
    """What is wrong with a declared stage.

    Attributes
    ----------
    path
        Where: the stage's place, and then the parameter's name and whatever is in it.
    """

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.path = path


class Built(NamedTuple):
    """Transformers, in order, and the classifier that comes after them."""

    transformers: tuple[Any, ...]
    classifier: Any


def build(stages: Sequence[Stage]) -> Built:
    """Return what is declared, having learned nothing.

    Parameters
    ----------
    stages
        Transformers, and a classifier last.

    Raises
    ------
    StageError
        If there is no such class, it is not what belongs at its place, or it does not take what it
        is given.

    Examples
    --------
    >>> build([Stage("river.linear_model.LogisticRegression", {"l2": 0.1})]).classifier.l2
    0.1
    >>> build([Stage("river.linear_model.LogisticRegression", {"l3": 0.1})])
    Traceback (most recent call last):
    ...
    nextbest.learners.river_build.StageError: LogisticRegression has no parameter 'l3'...
    >>> build([Stage("os.system", {"command": "rm"})])
    Traceback (most recent call last):
    ...
    nextbest.learners.river_build.StageError: 'os.system' is not of River...
    """
    if not stages:
        raise StageError((), "no class is named")
    if len(stages) > MOST_STAGES:
        raise StageError((), f"more than {MOST_STAGES} stages")
    *before, last = enumerate(stages)
    transformers = tuple(
        _made(stage, (i,), (BaseTransformer,), "a transformer of River, as all but the last are")
        for i, stage in before
    )
    what = "a classifier of River, which the last one is"
    return Built(transformers, _made(last[1], (last[0],), (base.Classifier,), what))


def _made(stage: Stage, path: tuple[str | int, ...], kinds: tuple[type, ...], what: str) -> Any:
    kind = _class(stage.name, path)
    if not issubclass(kind, kinds) or inspect.isabstract(kind):
        raise StageError(path, f"{stage.name} is not {what}")
    given = _given(kind, stage.given, path)
    try:
        made = kind(**given)
    except Exception as error:  # whatever a class thinks of its parameters
        raise StageError(path, f"{stage.name} does not take what it is given: {error}") from None
    for name, part in vars(made).items():
        if type(part).__name__ in _UNORDERED:
            raise StageError(path, f"{stage.name}: {name}: {_UNORDERED[type(part).__name__]}")
    return made


def _class(name: str, path: tuple[str | int, ...]) -> type[base.Base]:
    if not _NAME.fullmatch(name):
        example = "river.linear_model.LogisticRegression"
        raise StageError(path, f"{name!r:.100} is not of River: a name such as {example} is needed")
    within, _, last = name.rpartition(".")
    if within == "river" or within.split(".")[1] in _OUTSIDE or "._" in name:
        raise StageError(path, f"no class {name}: it is not one of River's models")
    try:
        module = importlib.import_module(within)
    except ImportError as error:
        missing = error.name or within
        if missing.startswith("river"):
            there = [f"river.{part}" for part in dir(importlib.import_module("river"))]
            raise StageError(path, f"no module {within}{_near(within, there)}") from None
        raise StageError(path, f"{within} needs {missing}, which is not installed") from None
    found = getattr(module, last, None)
    if not isinstance(found, type) or not issubclass(found, base.Base):
        raise StageError(path, f"no class {name}{_near(last, getattr(module, '__all__', ()))}")
    return found


def _given(kind: type, given: Mapping[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    known = dict(inspect.signature(kind).parameters)
    free = any(one.kind is one.VAR_KEYWORD for one in known.values())
    found = {}
    for name, value in given.items():
        inner = (*path, name)
        if name not in known and not free:
            raise StageError(
                inner, f"{kind.__name__} has no parameter {name!r}{_near(name, known)}"
            )
        if isinstance(value, Stage):
            found[name] = _made(value, inner, (base.Base,), "a part of River's models")
            continue
        if name in known:
            _check(kind.__name__, known[name], value, inner)
        found[name] = value
    for name, one in known.items():
        if name not in found and one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD:
            raise StageError(path, f"{kind.__name__} needs a parameter {name!r}")
    if "seed" in known and found.get("seed") is None:
        found["seed"] = SEED
    return found


def _check(what: str, one: inspect.Parameter, value: Any, path: tuple[str | int, ...]) -> None:
    """Refuse a plain value that a parameter's annotation, or default, shows to be of no use."""
    text = "" if one.annotation is one.empty else one.annotation
    if not isinstance(text, str):
        text = getattr(text, "__name__", str(text))
    words = [_SAME.get(word.rpartition(".")[2], word) for word in _WORDS.findall(text)]
    if not words:
        if type(one.default) not in (int, float, bool, str):
            return
        # Written without a point, a default says nothing about fractions.
        words = ["float" if type(one.default) is int else type(one.default).__name__]
    kinds = [word for word in words if word in _KINDS]
    for word in kinds:
        if isinstance(value, _KINDS[word]) and (type(value) is not bool or word == "bool"):
            return
    needed = " or ".join(dict.fromkeys(_SAID[word] for word in kinds if word != "None"))
    if len(kinds) < len(words) and "str" not in kinds:
        part = "a class of River, as in {river: ..., with: {...}}"
        needed = f"{needed} or {part}" if needed else part
    raise StageError(path, f"{what}.{path[-1]}: {needed} is needed, not {value!r:.80}")


def _near(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, list(known), 1, 0.5)
    return f"; did you mean {found[0]!r}?" if found else ""
