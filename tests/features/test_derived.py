"""Formulas: what they are made of, what they say, and how they fail."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features import (
    Catalog,
    DeclarationError,
    Entity,
    EventSchema,
    FeatureView,
    event,
    feature,
    maximum,
    minimum,
)
from nextbest.features import aggregations as agg
from nextbest.features.catalog_codec import decode_catalog, encode_catalog
from nextbest.features.declaration import Feature, check_feature
from nextbest.features.derived import (
    MAX_DEPTH,
    MAX_STEPS,
    AnyExpression,
    Binary,
    Constant,
    Fill,
    Formula,
    Operand,
    Unary,
    operands,
    split_ref,
)
from nextbest.features.plan import Plan
from tests.laws.declarations import catalogs, formulas, full_catalog

SHOP = EventSchema("shop", types=("view", "cart"), properties={"value": float, "word": str})
WORDS = ["shoes", "hats", "a:b", "a[b]"]
KEYED = agg.count("keyed", by="word", vocabulary=WORDS)
WORD = agg.last("word", of="word", vocabulary=WORDS)
NUMBER = agg.count("n")


def view(*features: Feature, name: str = "v", entity: Entity | None = None) -> FeatureView:
    given_ = {} if entity is None else {"entity": entity}
    return FeatureView(name=name, source=SHOP, features=features, **given_)


def catalog(*views: FeatureView) -> Catalog:
    return Catalog(name="c", views=views)


def test_operators_make_a_tree() -> None:
    made = 2 - abs(feature.a) * 0.5 >= minimum(feature["b[x]"], 3).fill(0).log1p()
    left = Binary("-", Constant(2), Binary("*", Unary("abs", Operand("a")), Constant(0.5)))
    right = Unary("log1p", Fill(Binary("minimum", Operand("b[x]"), Constant(3)), 0))
    assert made.expression == Binary(">=", left, right)
    assert list(operands(made.expression)) == ["a", "b[x]"]


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (feature.a + 1, "feature.a + 1.0"),
        (1 + feature.a, "1.0 + feature.a"),
        (feature.a - feature.b - 2, "(feature.a - feature.b) - 2.0"),
        (2 - feature.a, "2.0 - feature.a"),
        (3 * feature["w:a"], "3.0 * feature['w:a']"),
        (1 / feature.a / 2, "(1.0 / feature.a) / 2.0"),
        (-(feature.a + 1), "-(feature.a + 1.0)"),
        (-feature.a * 2, "(-feature.a) * 2.0"),
        (abs(feature.a - 1), "abs(feature.a - 1.0)"),
        (feature.a.clip(0, 2), "maximum(minimum(feature.a, 2.0), 0.0)"),
        ((feature.a == 1) != (feature.b < 2), "(feature.a == 1.0) != (feature.b < 2.0)"),
        (
            (feature.a <= 1) + (feature.a > feature.b),
            "(feature.a <= 1.0) + (feature.a > feature.b)",
        ),
        (maximum(1, feature.a).fill(-1), "maximum(1.0, feature.a).fill(-1.0)"),
    ],
    ids=str,
)
def test_a_formula_is_written_as_it_is_read(made: Formula, text: str) -> None:
    assert repr(made) == text
    again = eval(repr(made), {"feature": feature, "maximum": maximum, "minimum": minimum})
    assert again.expression == made.expression


@settings(max_examples=100)
@given(formulas(["a", "b[x]", "v:c"]))
def test_any_formula_is_written_as_it_is_read(made: Formula) -> None:
    again = eval(repr(made), {"feature": feature, "maximum": maximum, "minimum": minimum})
    assert again.expression == made.expression
    stored = msgspec.json.decode(msgspec.json.encode(made.expression), type=AnyExpression)
    assert stored == made.expression


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: feature.a + "1", TypeError, "of features and numbers, not '1'"),
        (lambda: feature.a + True, TypeError, "of features and numbers, not True"),
        (lambda: feature.a == None, TypeError, "of features and numbers, not None"),  # noqa: E711
        (lambda: feature.a * float("nan"), ValueError, "nan is not a finite number"),
        (lambda: feature.a * 10**400, ValueError, "is not a finite number"),
        (lambda: feature.a.fill(float("inf")), ValueError, "inf is not a finite number"),
        (lambda: feature.a.clip(2, 1), ValueError, "clip to at least 2 and at most 1"),
        (lambda: bool(feature.a < 1), TypeError, "no truth value"),
        (lambda: 0 < feature.a < 1, TypeError, "no truth value"),
        (lambda: feature[0], TypeError, "a feature is named by a string"),  # type: ignore[index]
        (lambda: hash(feature.a), TypeError, "unhashable"),
    ],
    ids=["string", "bool", "none", "nan", "huge", "fill", "clip", "truth", "chain", "item", "hash"],
)
def test_what_cannot_be_written(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def sum_of(n: int) -> Formula:
    """A balanced sum of n features: few levels, 2n - 1 steps."""
    level = [feature.n] * n
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [a + b for a, b in pairs] + level[len(level) // 2 * 2 :]
    return level[0]


def chain(levels: int) -> Formula:
    made = feature.n
    for _ in range(levels - 1):
        made = -made
    return made


def doubled(times: int) -> Formula:
    made = feature.n
    for _ in range(times):
        made = made + made
    return made


NONE = "f: a formula such as feature.a / feature.b is needed, not "
LONG = f"f: the formula has more than {MAX_STEPS} steps"
DEEP = f"f: the formula is more than {MAX_DEPTH} levels deep"
TOP_K = "f: top_k is of a keyed feature of its view, given by its name"
MADE: dict[str, Feature] = {
    kind: Feature(name="f", aggregation=kind, window=NUMBER.window, by="word", vocabulary=("a",))  # type: ignore[arg-type]
    for kind in ("last_k", "top_k", "ratio", "derived")
}
WHY_NOT_KEYED = {"top_k": ": it reads as k values already", "ratio": "", "derived": ""}
BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: agg.derived("a b", feature.n), "'a b': a feature's name must be an identifier"),
    (lambda: agg.derived("f", "n / 2"), NONE + "'n / 2'"),  # type: ignore[arg-type]
    (lambda: agg.derived("f", 1.0), NONE + "1.0"),  # type: ignore[arg-type]
    (lambda: agg.derived("f", event.value > 1), NONE + f"{event.value > 1!r}"),  # type: ignore[arg-type]
    (lambda: agg.derived("f", Formula(Constant(1))), "f: the formula reads no feature"),
    (lambda: agg.derived("f", sum_of(MAX_STEPS // 2 + 1)), LONG),
    (lambda: agg.derived("f", doubled(31)), LONG),
    (lambda: agg.derived("f", chain(MAX_DEPTH + 1)), DEEP),
    (lambda: agg.derived("f", chain(100_000)), DEEP),
    (
        lambda: agg.derived("f", Formula(Fill(Operand("n"), float("nan")))),
        "f: nan is not a finite number",
    ),
    (
        lambda: view(agg.derived("f", feature.n / 2)),
        "v:f: reads 'n', which must be declared before it",
    ),
    (
        lambda: view(agg.derived("f", feature.n / 2), NUMBER),
        "v:f: reads 'n', which must be declared before it",
    ),
    (
        lambda: view(agg.derived("f", feature.f / 2)),
        "v:f: reads 'f', which must be declared before it",
    ),
    (
        lambda: view(NUMBER, agg.derived("f", feature["v:m"] / 2)),
        "v:f: reads 'v:m', which must be declared before it",
    ),
    (
        lambda: view(NUMBER, agg.derived("f", feature["n["])),
        "v:f: reads 'n[', which must be declared before it",
    ),
    (
        lambda: view(KEYED, agg.derived("f", feature.keyed)),
        "v:f: reads 'keyed', a vector: name an element, as feature[\"keyed[shoes]\"]",
    ),
    (
        lambda: view(KEYED, agg.derived("f", feature["keyed[boots]"])),
        "v:f: reads 'keyed[boots]', and 'keyed' has no such element",
    ),
    (
        lambda: view(NUMBER, agg.derived("f", feature["n[0]"])),
        "v:f: reads 'n[0]', and 'n' has no such element",
    ),
    (
        lambda: view(WORD, agg.derived("f", feature.word + 1)),
        "v:f: reads 'word', which is a string, not a number",
    ),
    (
        lambda: view(KEYED, agg.top_k("t", "keyed", k=1), agg.derived("f", feature["t[0]"])),
        "v:f: reads 't[0]', which is a string, not a number",
    ),
    (
        lambda: catalog(view(NUMBER), view(agg.derived("f", feature["v:m"]), name="w")),
        "w:f: reads 'v:m', which must be declared before it",
    ),
    (
        lambda: catalog(view(agg.derived("f", feature["w:n"])), view(NUMBER, name="w")),
        "v:f: reads 'w:n', which must be declared before it",
    ),
    (
        lambda: catalog(
            view(NUMBER),
            view(agg.derived("f", feature["v:n"]), name="w", entity=Entity("word", ["word"])),
        ),
        "w:f: reads 'v:n', which must be declared before it",
    ),
    (
        lambda: catalog(view(KEYED), view(agg.derived("f", feature["v:keyed"]), name="w")),
        "w:f: reads 'v:keyed', a vector: name an element, as feature[\"v:keyed[shoes]\"]",
    ),
    # the greatest of a keyed feature
    (lambda: agg.top_k("f", "keyed", k=0), "f: k must be 1 to 64, not 0"),
    (lambda: agg.top_k("f", "keyed", k=65), "f: k must be 1 to 64, not 65"),
    (lambda: agg.top_k("f", "keyed", k=True), "f: k must be 1 to 64, not True"),
    (lambda: agg.top_k("f", "w:keyed", k=1), TOP_K),
    (lambda: agg.top_k("f", "keyed[shoes]", k=1), TOP_K),
    (lambda: agg.top_k("f", feature.keyed, k=1), TOP_K),  # type: ignore[arg-type]
    (
        lambda: view(agg.top_k("f", "keyed", k=1), KEYED),
        "v:f: top_k of 'keyed', which must be declared before it",
    ),
    (
        lambda: view(NUMBER, agg.top_k("f", "n", k=1)),
        "v:f: top_k of 'n', which has not one number for each word",
    ),
    (
        lambda: view(
            agg.last("l", of="word", vocabulary=WORDS, by="type", keys=["view"]),
            agg.top_k("f", "l", k=1),
        ),
        "v:f: top_k of 'l', which has not one number for each word",
    ),
    (
        lambda: view(KEYED, agg.top_k("f", "keyed", k=5)),
        "v:f: top_k of 'keyed': k=5, but there are 4 words",
    ),
    (
        lambda: view(
            KEYED, msgspec.structs.replace(agg.top_k("f", "keyed", k=1), vocabulary=("hats",))
        ),
        "v:f: top_k has the words of 'keyed', and no others",
    ),
    # keys
    *(
        (lambda kind=kind: check_feature(MADE[kind]), f"f: {kind} cannot be keyed `by`{why}")
        for kind, why in WHY_NOT_KEYED.items()
    ),
    (
        lambda: check_feature(msgspec.structs.replace(MADE["last_k"], of="word", k=1)),
        "f: last_k cannot be keyed `by`: it reads as k values already",
    ),
    (
        lambda: agg.distinct("f", of="word", vocabulary=["a"], by="type"),
        "f: distinct `by` needs `keys`, the words of `by`, beside the vocabulary of `of`",
    ),
    (
        lambda: agg.last("f", of="word", vocabulary=["a"], keys=["view"]),
        "f: `keys` are the words of `by` where `vocabulary` holds those of `of`",
    ),
    (
        lambda: agg.last("f", of="word", vocabulary=["a"], by="type", keys=["b", "b"]),
        "f: `keys` must be distinct strings",
    ),
    (
        lambda: agg.last("f", of="word", vocabulary=["a"], by="type", keys="view"),
        "f: `keys` must be words, not 'view'",
    ),
    (
        lambda: agg.last("f", of="word", vocabulary=["a"], by="type", keys=map(str, range(5000))),  # type: ignore[arg-type]
        "f: a vocabulary has at most 4096 words",
    ),
    (
        lambda: view(agg.last("f", of="word", by="type", vocabulary=["view"])),
        "v:f: last of 'word': a vocabulary goes with strings, and only with them",
    ),
    (
        lambda: view(agg.last("f", of="value", by="type", vocabulary=["a"], keys=["view"])),
        "v:f: last of 'value': a vocabulary goes with strings, and only with them",
    ),
    (
        lambda: view(agg.last("f", of="word", vocabulary=["a"], by="type", keys=["buy"])),
        "v:f: no event type 'buy' in schema 'shop'",
    ),
    # texts
    (lambda: agg.count("f", tags={"a": 1}), "f: tags must be texts by texts, not {'a': 1}"),  # type: ignore[dict-item]
    (lambda: agg.count("f", tags=["a"]), "f: tags must be texts by texts, not ['a']"),  # type: ignore[arg-type]
    (lambda: agg.derived("f", feature.n, owner=7), "f: owner=7 is not a text"),  # type: ignore[arg-type]
    (lambda: agg.count("f", description=None), "f: description=None is not a text"),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(
    ("declare", "message"), BAD, ids=[f"{n} {m}" for n, (_, m) in enumerate(BAD)]
)
def test_a_bad_declaration(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare()
    assert str(caught.value) == message


def test_an_argument_that_there_is_not() -> None:
    with pytest.raises(TypeError, match=r"^count\(\) got an unexpected keyword argument 'of'$"):
        agg.count("f", of="value")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^derived\(\) .* 'window'$"):
        agg.derived("f", feature.n, window="1h")  # type: ignore[call-arg]


def test_the_limits_themselves_are_allowed() -> None:
    longest, deepest = sum_of(MAX_STEPS // 2), chain(MAX_DEPTH)
    bent = feature.n
    for _ in range(MAX_DEPTH - 1):
        bent = feature.n + bent
    made = view(NUMBER, *(agg.derived(f"f{i}", x) for i, x in enumerate((longest, deepest, bent))))
    assert len(Plan.compile(catalog(made)).reads.program) == MAX_STEPS - 1 + MAX_DEPTH * 3 - 1


@pytest.mark.parametrize("ref", ["keyed[a:b]", "keyed[a[b]]", "v:keyed[a:b]"])
def test_any_word_is_an_element(ref: str) -> None:
    made = catalog(view(KEYED, agg.derived("f", feature[ref])))
    assert split_ref(ref)[2] in WORDS
    assert Plan.compile(made).reads.columns == 5


def test_what_features_of_features_say() -> None:
    top, one = agg.top_k("top", "keyed", k=3, owner="us"), agg.derived("f", feature["keyed[hats]"])
    declared = view(KEYED, top, one).features
    assert declared[1].vocabulary == tuple(WORDS)
    assert [f.columns for f in declared[1:]] == [("top[0]", "top[1]", "top[2]"), ("f",)]
    assert [f.dtype for f in declared[1:]] == ["string", "float64"]
    assert [f.is_vector for f in declared[1:]] == [True, False]
    assert [f.is_categorical for f in declared[1:]] == [True, False]
    assert declared[1].owner == "us"


def test_formulas_and_texts_leave_the_schema_as_it_is() -> None:
    texts = agg.count("keyed", by="word", vocabulary=WORDS, tags={"a": "b"}, owner="c")
    base = Plan.compile(catalog(view(KEYED)))
    for other in (
        catalog(view(texts)),
        catalog(
            view(KEYED, agg.top_k("t", "keyed", k=2), agg.derived("f", feature["keyed[hats]"]))
        ),
        catalog(view(KEYED), view(agg.derived("f", feature["v:keyed[hats]"]), name="w")),
    ):
        plan = Plan.compile(other)
        assert plan.schema_id == base.schema_id
        assert plan.words == base.words
        assert plan.tables.operations.tolist() == base.tables.operations.tolist()


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.just(full_catalog()), catalogs()))
def test_a_catalog_comes_back_as_it_was(given_catalog: Catalog) -> None:
    assert decode_catalog(encode_catalog(given_catalog)) == given_catalog
