"""A file that is no strategy at all is refused, small or large; equal ones have one version."""

from __future__ import annotations

import pytest

from nextbest.flows.decision.documents import MAX_BYTES
from nextbest.flows.decision.errors import StrategyError
from nextbest.flows.decision.loading import load
from tests.flows.strategy.shop import LEAST

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
        ("- a\n", 1, "a strategy is keys with values: name: ..."),
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "no YAML: "),
        ("a: 'x\n", 2, "no YAML: "),
        ("a: 1\n\tb: 2\n", 2, "no YAML: "),
        ("a: 1\nb: \x07\n", 2, "a character that YAML does not allow"),
        ("a: \ud800", 1, "a character that YAML does not allow"),
        (BOMB, 1, "&a: anchors are not allowed"),
        ("a: 1\nb: *a\n", 2, "*a: aliases are not allowed"),
        ("a: !!python/object:os.system {}\n", 1, "tag:yaml.org,2002:python/object:os.system: tags"),
        ("a: 1\n--- \nb: 2\n", 2, "a second document: a strategy is one"),
        ("a: " + "[" * 5000, 1, "more than 16 levels"),
        ("? [a]\n: 1\n", 1, "a key is a text"),
        ("a: [" + "1," * 200_001 + "]", 1, "more than 200,000 keys, items and values"),
        ("a" * (MAX_BYTES + 1), 1, "the file has more than 1,000,000 bytes"),
        ("ä" * (MAX_BYTES // 2 + 1), 1, "the file has more than 1,000,000 bytes"),
    ],
    ids=lambda item: str(item)[:20].encode("ascii", "replace").decode(),
)
def test_what_is_no_strategy_is_refused(text: str, line: int, reason: str) -> None:
    with pytest.raises(StrategyError) as caught:
        load(text)
    (fault,) = caught.value.faults
    assert (fault.line, fault.reason[: len(reason)]) == (line, reason)


SAME = {
    "comments and spaces": LEAST.replace("web: {}", "web:   {}   # the site") + "\n# the end\n",
    "quotation marks": LEAST.replace("name: offers", 'name: "offers"'),
    "what is the default anyway": LEAST + "zone: UTC\ncredit: last\n",
    "the order of parts": LEAST.replace("name: offers\n", "") + "name: offers\n",
}
OTHER = {
    "another word": LEAST.replace("convert", "accept"),
    "the order of actions": "\n".join(
        [*LEAST.splitlines()[:-2], *reversed(LEAST.splitlines()[-2:])]
    ),
    "another default": LEAST + "zone: Europe/Berlin\n",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_says_the_same_has_the_same_version(text: str) -> None:
    assert load(text).version == load(LEAST).version


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_what_says_something_else_has_another_version(text: str) -> None:
    assert load(text).version != load(LEAST).version


def test_spaces_in_an_expression_make_no_difference_nor_does_the_order_of_tags() -> None:
    def made(when: str, tags: str) -> str:
        text = LEAST.replace("{category: shoes}", f"{{{tags}}}")
        return load(f"{text}suppress: [{{when: '{when}'}}]\n").version

    base = made("a.b > 3 and true", "category: shoes, size: big")
    assert made("a.b>3   and true", "size: big, category: shoes") == base
    assert made("a.b > 4 and true", "category: shoes, size: big") != base
    assert len(base) == 16
    assert int(base, 16) >= 0


def test_a_name_has_no_line_break() -> None:
    """A name is part of the store's keys."""
    with pytest.raises(StrategyError, match="a name is letters, digits, _ and -"):
        load(LEAST.replace("name: offers", 'name: "offers\\n"'))
