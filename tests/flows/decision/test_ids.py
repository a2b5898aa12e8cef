"""The id of a decision says when and whose it is, and gives the draws; blocks travel together."""

import pytest

from nextbest.flows.decision.errors import ModelError, RequestError
from nextbest.flows.decision.ids import (
    customer_hash,
    draw_of,
    id_of_cause,
    new_id,
    parse_id,
    seed_of,
)
from nextbest.flows.decision.persons import MOST_BYTES, pack_persons, unpack_persons


def test_an_id_says_when_and_whose_it_is():
    one, two = new_id(7, "ann"), new_id(7, "ann")
    assert one != two
    assert parse_id(one)[:2] == parse_id(two)[:2] == (7, customer_hash("ann"))


def test_the_same_cause_gives_the_same_id_for_one_trigger_only():
    assert id_of_cause(7, "ann", "e-1") == id_of_cause(7, "ann", "e-1")
    others = {
        id_of_cause(7, "ann", "e-1"),
        id_of_cause(7, "ann", "e-2"),
        id_of_cause(7, "ann", "e-1", "t"),
        id_of_cause(8, "ann", "e-1"),
        id_of_cause(7, "bob", "e-1"),
    }
    assert len(others) == 5


@pytest.mark.parametrize(
    "text",
    ["", "d-1", id_of_cause(7, "a", "e")[:-1] + "g", id_of_cause(7, "a", "e") + "\n", 7],
    ids=["empty", "short", "no-digit", "line", "number"],
)
def test_what_is_no_id_is_refused(text):
    with pytest.raises(RequestError, match="no decision's id"):
        parse_id(text)


def test_draws_are_uniform_and_those_of_ranks_differ():
    seed = seed_of("spring")
    draws = [draw_of(seed, f"d-{i}", rank) for i in range(2000) for rank in range(2)]
    assert len(set(draws)) == 4000
    assert min(draws) >= 0.0
    assert max(draws) < 1.0
    tenths = [sum(int(10 * draw) == tenth for draw in draws) for tenth in range(10)]
    assert sum((n - 400) ** 2 / 400 for n in tenths) < 9 + 5 * 18**0.5
    assert draw_of(seed_of("summer"), "d-1", 0) != draw_of(seed, "d-1", 0)


def test_blocks_of_all_objectives_travel_as_one_value():
    blocks = {"b": b"two", "a": b"one"}
    assert unpack_persons(pack_persons(blocks)) == blocks
    assert pack_persons(blocks) == pack_persons(dict(reversed(blocks.items())))
    assert unpack_persons(b"") == {}


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\xc1", "damaged"), (b"\x01", "damaged"), (bytes(MOST_BYTES + 1), "the most are")],
    ids=["bytes", "number", "size"],
)
def test_blocks_that_are_none_are_refused(data, said):
    with pytest.raises(ModelError, match=said):
        unpack_persons(data)
