"""Whether an expression's types fit, and what kind of value each of its parts is."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ....features.catalog import Catalog
from ....features.declaration import Feature as Declared
from ....features.errors import DeclarationError
from ..errors import ExpressionError
from .nodes import (
    Arithmetic,
    Call,
    Compare,
    Constant,
    Default,
    Feature,
    Given,
    In,
    Kind,
    Logic,
    Missing,
    Negate,
    Node,
    Not,
    Source,
)

OWN = ("id", "value", "cost")
"""What ``action`` has besides its tags."""
_EVENT_TEXTS = ("type", "channel")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a suggestion, as the end of a message.

    >>> nearest("wbe", ["web", "email"]), nearest("x", ["web", "email"])
    ("; did you mean 'web'?", '; there are: web, email')
    """
    names = [str(name) for name in known]
    near = difflib.get_close_matches(word, names, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}" if names else ""


@dataclass(frozen=True)
class Names:
    """What an expression may read, and what is known of it.

    Attributes
    ----------
    sources
        Which of ``context``, ``action``, ``now``, ``event``, ``channel`` and, here, ``feature``.
    catalog
        Of the features and events; None: any is taken to be there.
    channels
        The names of the channels.
    tags
        Tag → the values that actions give it.
    """

    sources: frozenset[Source | str] = frozenset({"feature", "context", "action", "now", "channel"})
    catalog: Catalog | None = None
    channels: Sequence[str] = ()
    tags: Mapping[str, frozenset[str]] | None = None

    def declared(self, node: Feature) -> Declared | None:
        """Return what is declared of a customer's feature; None if no catalog is given.

        Raises
        ------
        ExpressionError
            If there is no such feature.
        """
        if self.catalog is None:
            return None
        views = {v.name: v for v in self.catalog.views if v.entity.is_customer}
        view = views.get(node.view)
        if view is None:
            raise ExpressionError(
                node.at, f"no view {node.view!r} of the customer{nearest(node.view, views)}"
            )
        features = {feature.name: feature for feature in view.features}
        if node.name not in features:
            raise ExpressionError(
                node.at, f"no feature {node.name!r} in {node.view}{nearest(node.name, features)}"
            )
        return features[node.name]


def typed(node: Node, wanted: Kind, names: Names) -> Node:
    """Return the expression with the kind of every value that it reads.

    Parameters
    ----------
    wanted
        What it must be; ``any``: whatever.

    Raises
    ------
    ExpressionError
        If types do not fit, or a name is not known.

    Examples
    --------
    >>> from nextbest.flows.decision.expressions import parse
    >>> typed(parse("context.stock > 3"), "bool", Names()).left.kind
    'number'
    >>> typed(parse("'a' > 3"), "bool", Names())
    Traceback (most recent call last):
        ...
    nextbest.flows.decision.errors.ExpressionError: at 1: a text, where a number is needed
    """
    found, kind = _Typing(names).of(node, wanted)
    _need(found, kind, wanted)
    return found


def kind_of(node: Node) -> Kind:
    """Return what kind of value a typed expression has."""
    match node:
        case Constant(value=value):
            return _kind(value)
        case Feature(kind=kind) | Given(kind=kind):
            return kind
        case Default():
            return kind_of(node.left) if kind_of(node.left) != "any" else kind_of(node.right)
        case Negate() | Arithmetic() | Call():
            return "number"
    return "bool"


_SAID = {"number": "a number", "string": "a text", "bool": "true or false", "any": "a value"}


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return "bool"
    if value is None:
        return "any"
    return "string" if isinstance(value, str) else "number"


def _need(node: Node, kind: Kind, wanted: Kind) -> None:
    if kind not in (wanted, "any") and wanted != "any":
        raise ExpressionError(node.at, f"{_SAID[kind]}, where {_SAID[wanted]} is needed")


class _Typing:
    def __init__(self, names: Names) -> None:
        self._names = names

    def of(self, node: Node, wanted: Kind) -> tuple[Node, Kind]:
        match node:
            case Constant():
                return node, _kind(node.value)
            case Feature():
                return self._feature(node, wanted)
            case Given():
                return self._given(node, wanted)
            case Negate(operand=operand):
                return replace(node, operand=self._as(operand, "number")), "number"
            case Not(operand=operand):
                return replace(node, operand=self._as(operand, "bool")), "bool"
            case Missing(operand=operand):
                return replace(node, operand=self.of(operand, "any")[0]), "bool"
            case Logic(left=left, right=right):
                parts = self._as(left, "bool"), self._as(right, "bool")
                return replace(node, left=parts[0], right=parts[1]), "bool"
            case Arithmetic(left=left, right=right):
                parts = self._as(left, "number"), self._as(right, "number")
                return replace(node, left=parts[0], right=parts[1]), "number"
            case Call(arguments=arguments):
                made = tuple(self._as(one, "number") for one in arguments)
                return replace(node, arguments=made), "number"
            case Default(left=left, right=right):
                first, second, kind = self._same(left, right, wanted)
                return replace(node, left=first, right=second), kind
            case In():
                return self._in(node), "bool"
            case Compare():
                return self._compare(node), "bool"

    def _as(self, node: Node, wanted: Kind) -> Node:
        found, kind = self.of(node, wanted)
        _need(found, kind, wanted)
        return found

    def _same(self, left: Node, right: Node, wanted: Kind) -> tuple[Node, Node, Kind]:
        """Give both sides the kind that one of them has."""
        kind = wanted
        for side in (left, right):
            if kind == "any":
                kind = self.of(side, "any")[1]
        return self._as(left, kind), self._as(right, kind), kind

    def _compare(self, node: Compare) -> Compare:
        order = node.operator not in ("==", "!=")
        left, right, kind = self._same(node.left, node.right, "number" if order else "any")
        if kind == "any" and not (isinstance(left, Feature) or isinstance(right, Feature)):
            raise ExpressionError(
                node.at, "nothing says whether these are numbers or texts: compare with a constant"
            )
        for one, other in ((left, right), (right, left)):
            if isinstance(one, Constant):
                self._known(one.value, other, one.at)
        return replace(node, left=left, right=right)

    def _in(self, node: In) -> In:
        kind = _kind(node.items[0])
        if any(_kind(item) != kind for item in node.items):
            raise ExpressionError(node.at, "a list is of numbers, of texts, or of true and false")
        operand = self._as(node.operand, kind)
        for item in node.items:
            self._known(item, operand, node.at)
        return replace(node, operand=operand)

    def _known(self, word: object, node: Node, at: int) -> None:
        """Check that a text is one that what it is compared with can be."""
        if not isinstance(word, str):
            return
        names = self._names
        known: Sequence[str] | None = None
        match node:
            case Feature() if (declared := names.declared(node)) is not None:
                known = declared.of_words or declared.vocabulary
            case Given(source="channel") if names.channels:
                known = names.channels
            case Given(source="event", name="type") if names.catalog is not None:
                known = names.catalog.source.types
            case Given(source="action", name=tag) if names.tags and tag in names.tags:
                known = sorted(names.tags[tag])
        if known is not None and word not in known:
            what = node.written if isinstance(node, Feature | Given) else "it"
            raise ExpressionError(at, f"{what} is never {word!r}{nearest(word, known)}")

    def _feature(self, node: Feature, wanted: Kind) -> tuple[Node, Kind]:
        names = self._names
        if "feature" not in names.sources:
            raise ExpressionError(node.at, f"{node.written}: no features can be read here")
        if node.tag is not None:
            self._tag(node.tag, node.at)
        declared = names.declared(node)
        if declared is None:
            return replace(node, kind=wanted), wanted
        self._key(node, declared)
        kind: Kind = "string" if declared.is_categorical else "number"
        return replace(node, kind=kind), kind

    def _key(self, node: Feature, declared: Declared) -> None:
        where = f"{node.view}.{node.name}"
        keyed = node.key is not None or node.tag is not None
        if not declared.is_vector:
            if keyed:
                raise ExpressionError(node.at, f"{where} is one value: it has no keys")
            return
        known = [column[len(node.name) + 1 : -1] for column in declared.columns]
        if not keyed:
            raise ExpressionError(
                node.at, f"{where} is several values: name one, {where}[{known[0]}]"
            )
        if node.key is not None:
            words: Sequence[str] = [node.key]
        else:
            words = sorted((self._names.tags or {}).get(node.tag or "", ()))
        for word in words:
            if word not in known:
                said = f"{where} has no key {word!r}"
                if node.tag is not None:
                    said += f", the {node.tag} of an action"
                raise ExpressionError(node.at, said + nearest(word, known))

    def _given(self, node: Given, wanted: Kind) -> tuple[Node, Kind]:
        if node.source not in self._names.sources:
            raise ExpressionError(node.at, f"{node.written}: there is no {node.source} here")
        kind = wanted
        match node.source:
            case "now":
                kind = "number"
            case "channel":
                kind = "string"
            case "action" if node.name in ("value", "cost"):
                kind = "number"
            case "action":
                kind = "string"
                self._tag(node.name, node.at)
            case "event":
                kind = self._event(node, wanted)
        return replace(node, kind=kind), kind

    def _tag(self, name: str, at: int) -> None:
        if "action" not in self._names.sources:
            raise ExpressionError(at, f"action.{name}: there is no action here")
        tags = self._names.tags
        if name not in OWN and tags is not None and name not in tags:
            raise ExpressionError(at, f"no action has the tag {name!r}{nearest(name, tags)}")

    def _event(self, node: Given, wanted: Kind) -> Kind:
        if node.name in _EVENT_TEXTS:
            return "string"
        if self._names.catalog is None:
            return wanted
        schema = self._names.catalog.source
        if node.name not in schema.properties:
            known = nearest(node.name, schema.properties)
            raise ExpressionError(node.at, f"no property {node.name!r} in {schema.name}{known}")
        found = schema.properties[node.name]
        return "bool" if found == "bool" else "string" if found == "string" else "number"


def checked(parse: Callable[[], Node], wanted: Kind, names: Names) -> Node | ExpressionError:
    """Return a typed expression, or what is wrong with it."""
    try:
        return typed(parse(), wanted, names)
    except ExpressionError as error:
        return error
    except DeclarationError as error:
        return ExpressionError(1, str(error))
