"""A strategy's file → a strategy that can be used, or everything that is wrong with it."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec

from ...features.catalog import Catalog
from .checks import Checker
from .converting import Converter
from .documents import read_document
from .errors import StrategyError
from .expressions import canonical
from .strategy import Strategy

_EXPRESSIONS = frozenset({"where", "open", "eligible", "when"})
_ADDED: dict[str, Any] = {
    "fleet": None, "otherwise": None, "silence_after": None, "within": "10m", "river": None,
    "with_": {},
}  # fmt: skip
"""Fields that came later: with these values they change no version, as records name versions."""
_NAMED_EXPRESSIONS = frozenset({"contexts", "numbers", "action_features", "segments"})


class Loaded(NamedTuple):
    """A strategy that was checked.

    Attributes
    ----------
    strategy
        What the file says.
    version
        16 hexadecimal digits, a hash of what it says; comments and spaces make no difference.
    text
        The file.
    """

    strategy: Strategy
    version: str
    text: str


def load(text: str, catalog: Catalog | None = None, *, look_up: bool = True) -> Loaded:
    """Read and check a strategy.

    Parameters
    ----------
    text
        YAML.
    catalog
        Of the features and events that it names; None: those are not checked.
    look_up
        Whether River's classes are looked up and tried, which imports them. Who serves does not.

    Raises
    ------
    StrategyError
        With every fault: its line, where it is, and the reason. Text that is no YAML at all has
        one fault.

    Examples
    --------
    >>> loaded = load('''
    ... name: tea
    ... objectives: {buy: {response: convert, window: 2d}}
    ... channels: {web: {}}
    ... actions:
    ...   tea: {channels: [web], eligible: visits.views >= 2}
    ... ''')
    >>> loaded.strategy.objectives["buy"].window, len(loaded.version)
    ('2d', 16)
    >>> load('''
    ... name: tea
    ... objectives: {buy: {response: convert}}
    ... channels: {web: {}}
    ... actions:
    ...   tea: {channels: [wbe], elligible: visits.views >= 2}
    ... ''')
    Traceback (most recent call last):
        ...
    nextbest.flows.decision.errors.StrategyError: 2 faults in the strategy
    line 6: actions.tea.elligible: no such key; did you mean 'eligible'?
    line 6: actions.tea.channels[0]: no channel 'wbe'; did you mean 'web'?
    """
    tree = read_document(text)
    found = Converter()
    strategy = found.struct(tree, Strategy)
    Checker(strategy, catalog, found, look_up=look_up).all()
    if found.faults:
        raise StrategyError(found.faults)
    return Loaded(strategy, version(strategy), text)


def version(strategy: Strategy) -> str:
    """Return 16 hexadecimal digits that change with anything that a strategy says.

    The order of tags makes no difference, nor do spaces in expressions; that of actions does.
    """
    plain = msgspec.json.encode(_plain(strategy))
    return hashlib.blake2b(plain, digest_size=8).hexdigest()


def _plain(part: Any, name: str = "", within: str = "") -> Any:
    if isinstance(part, msgspec.Struct):
        said = {name: getattr(part, name) for name in part.__struct_fields__}
        return {k: _plain(v, k) for k, v in said.items() if k not in _ADDED or v != _ADDED[k]}
    if isinstance(part, dict):
        keys = sorted(part) if name == "tags" else part
        return {key: _plain(part[key], key, name) for key in keys}
    if isinstance(part, list | tuple):
        return [_plain(item) for item in part]
    if isinstance(part, str) and (
        within in _NAMED_EXPRESSIONS or (name in _EXPRESSIONS and not within)
    ):
        return canonical(part)
    return part
