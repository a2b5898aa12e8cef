"""Types and names are checked when a strategy is read."""

from __future__ import annotations

import pytest

from nextbest.flows.decision.errors import ExpressionError
from nextbest.flows.decision.expressions import Names, kind_of, parse, typed
from nextbest.flows.decision.expressions.nodes import Kind
from tests.flows.strategy.shop import catalog

TAGS = {
    "category": frozenset({"shoes", "hats"}),
    "kind": frozenset({"discount"}),
    "id": frozenset({"sale"}),
}
NAMES = Names(catalog=catalog, channels=("web", "email"), tags=TAGS)
WHERE = Names(frozenset({"event", "action"}), catalog, (), TAGS)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("visits.views + 1", "number"),
        ("visits.favourites[0]", "string"),
        ("visits.recent ?? context.last", "string"),
        ("context.last ?? 3", "number"),
        ("context.last", "any"),
        ("visits.affinity[action.category] > 1", "bool"),
        ("visits.recent == action.category", "bool"),
        ("action.id", "string"),
        ("action.cost", "number"),
        ("channel", "string"),
        ("now.hour", "number"),
    ],
)
def test_every_expression_has_a_type(text: str, kind: Kind) -> None:
    assert kind_of(typed(parse(text), "any", NAMES)) == kind


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("visit.views > 1", "no view 'visit' of the customer; did you mean 'visits'?"),
        ("popular.views_1d > 1", "no view 'popular' of the customer; there are: visits"),
        ("visits.vews > 1", "no feature 'vews' in visits; did you mean 'views'?"),
        ("visits.affinity > 1",
         "visits.affinity is several values: name one, visits.affinity[shoes]"),
        ("visits.affinity[shoe] > 1", "visits.affinity has no key 'shoe'; did you mean 'shoes'?"),
        ("visits.affinity[action.kind] > 1",
         "visits.affinity has no key 'discount', the kind of an"),
        ("visits.affinity[action.x] > 1", "no action has the tag 'x'; there are:"),
        ("visits.views[shoes] > 1", "visits.views is one value: it has no keys"),
        ("visits.views == 'a'", "a text, where a number is needed"),
        ("visits.recent == 1", "a number, where a text is needed"),
        ("visits.recent < 'b'", "a text, where a number is needed"),
        ("visits.recent == 'shoe'", "visits.recent is never 'shoe'; did you mean 'shoes'?"),
        ("visits.recent in ['hats', 'shoe']", "visits.recent is never 'shoe'"),
        ("visits.recent in [1, 'hats']", "a list is of numbers, of texts, or of true and false"),
        ("visits.views in ['hats']", "a number, where a text is needed"),
        ("channel == 'wbe'", "channel is never 'wbe'; did you mean 'web'?"),
        ("action.category == 'hat'", "action.category is never 'hat'; did you mean 'hats'?"),
        ("action.knd == 'x'", "no action has the tag 'knd'; did you mean 'kind'?"),
        ("visits.views", "a number, where true or false is needed"),
        ("not visits.views", "a number, where true or false is needed"),
        ("visits.views and true", "a number, where true or false is needed"),
        ("1 + true > 0", "true or false, where a number is needed"),
        ("abs('a') > 0", "a text, where a number is needed"),
        ("(visits.views ?? 'a') == 1", "a text, where a number is needed"),
        ("context.a == context.b", "nothing says whether these are numbers or texts"),
        ("event.type == 'view'", "event.type: there is no event here"),
    ],
    ids=lambda item: item[:34],
)  # fmt: skip
def test_what_does_not_fit_is_told(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        typed(parse(text), "bool", NAMES)
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("event.type == 'vew'", "event.type is never 'vew'; did you mean 'view'?"),
        ("event.categry == 'a'", "no property 'categry' in shop; did you mean 'category'?"),
        ("event.value == 'a'", "a text, where a number is needed"),
        ("event.member == 1", "a number, where true or false is needed"),
        ("visits.views > 1", "visits.views: no features can be read here"),
        ("context.a > 1", "context.a: there is no context here"),
    ],
    ids=lambda item: item[:20],
)
def test_an_events_properties_have_types(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        typed(parse(text), "bool", WHERE)
    assert caught.value.reason == reason


def test_without_a_catalog_any_feature_is_taken_to_be_there() -> None:
    node = typed(parse("whatever.it[is] > 1 and some.text == 'a'"), "bool", Names())
    assert [leaf.kind for leaf in (node.left.left, node.right.left)] == ["number", "string"]  # type: ignore[union-attr]
