"""Scanned lines are indistinguishable from decoded ones, and only irregular lines are decoded."""

from __future__ import annotations

import itertools
import json
import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.features import EventSchema
from nextbest.features.codec import Decoded, EventDecoder
from nextbest.features.scanner import count_records
from tests.features.codec_cases import DAY, NOW, SCHEMA, line, with_property
from tests.features.line_cases import NUMBERS, VALUES, check, mutate, some_chunk, some_line

FULL = line(channel="web", properties={"value": 3.5, "count": -2, "good": True, "word": "b"})
FIELDS = json.loads(FULL)


def regular(decoded: Decoded) -> int:
    """How many lines the scan took."""
    return 0 if decoded.lines is None else len(decoded.lines.found.cells)


def takes(raw: bytes) -> bool:
    """Does the scan take this line? Either way it must be decoded rightly."""
    return regular(check(raw)) == 1


def with_value(field: str, text: str) -> bytes:
    if field in SCHEMA.properties:
        return line(properties={field: "?"}).replace(b'"?"', text.encode())
    return line(**{field: "?!"}).replace(b'"?!"', text.encode())


@pytest.mark.parametrize("seed", range(40))
def test_mutated_lines(seed: int) -> None:
    rng = random.Random(seed)
    decoded = check(some_chunk(rng, 40))
    # Else the test says nothing about one of the two ways.
    assert regular(decoded) > 2
    assert len(decoded.rejected) > 2


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.lists(st.binary(max_size=60) | st.text().map(str.encode)))
def test_lines_among_bytes(seed: int, others: list[bytes]) -> None:
    rng = random.Random(seed)
    parts = [*others, some_line(rng), mutate(some_line(rng), rng)]
    rng.shuffle(parts)
    check(b"\n".join(parts))


@pytest.mark.parametrize(("field", "text"), [(f, v) for f in VALUES for v in VALUES[f]])
def test_each_value_of_each_field(field: str, text: str) -> None:
    check(with_value(field, text))


@pytest.mark.parametrize("length", range(len(FULL) + 1))
def test_a_line_that_was_cut(length: int) -> None:
    assert takes(FULL[:length]) == (length == len(FULL))
    check(FULL + b"\n" + FULL[:length] + b"\n" + FULL)


def test_keys_in_any_order() -> None:
    for order in itertools.permutations(FIELDS):
        assert takes(json.dumps({key: FIELDS[key] for key in order}).encode())


@pytest.mark.parametrize("space", ["", " ", "\t", "\r", " \t\r "])
def test_blanks(space: str) -> None:
    pieces = re.findall(r'"[^"]*"|[\w.-]+|[^"\s]', json.dumps(FIELDS))
    assert takes(space.join(["", *pieces, ""]).encode())


@pytest.mark.parametrize(
    "raw",
    [
        line().replace(b'"type"', b'"type": "view", "type"'),
        with_property('"value": 1, "value": 1'),
        line(properties={}).replace(b"}}", b'}, "properties": {}}'),
        with_property('"more": 1'),
        line(more=1),
        line().replace(b"type", b"typ\\u0065"),
        line(customer_id="é"),
        line().replace(b'"c"', b'"\xc3\xa9"'),
        with_property('"word": "a\\nb"'),
        with_property('"value": 1e2'),
        with_property('"value": 0.1234567890123456789'),
        line(event_timestamp=NOW + 2 * DAY),
        line(event_timestamp=1.0),
        line(event_id="i" * 257),
        line(type="buy"),
        line().replace(b"}", b",}"),
        line() + b"}",
        b"\xef\xbb\xbf" + line(),
        line(properties={"value": {"a": 1}}),
        with_property('"more": ' + "[" * 9_000 + "]" * 9_000),
        with_property('"word": "' + "w" * 30_000 + '"'),
        b"[" * 100_000,
    ],
    ids=lambda raw: repr(raw)[-40:],
)
def test_an_irregular_line_costs_only_itself(raw: bytes) -> None:
    assert not takes(raw)
    decoded = check(b"\n".join([FULL, b"", raw, FULL, FULL]))
    assert regular(decoded) == 3
    assert decoded.lines is not None
    assert decoded.lines.found.irregular[:, :2].tolist() == [[1, 2]]


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\n\n \n"])
@pytest.mark.parametrize("last", [b"", b"\n", b"\r\n", b" "])
def test_line_ends_are_not_irregular(ends: bytes, last: bytes) -> None:
    assert regular(check(ends.join([FULL] * 3) + last)) == 3


def naive_number(text: str) -> float | None:
    """A number of the regular form, or None."""
    match = re.fullmatch(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?", text, re.ASCII)
    if match is None:
        return None
    sign, whole, places = match[1], match[2], match[3] or ""
    digits = int(whole + places)
    exact = len(whole + places) <= 18 and digits <= 2**53
    return float(text) if exact and (digits or not sign) else None


decimals = st.builds(
    lambda sign, digits, point: f"{sign}{digits[:point] or '0'}.{digits[point:]}".rstrip("."),
    st.sampled_from(["", "-"]),
    st.text("0123456789", min_size=1, max_size=20),
    st.integers(0, 20),
)


@settings(deadline=None, max_examples=400)
@given(
    decimals
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.integers(-(10**19), 10**19).map(str)
    | st.text("0123456789.-+e", min_size=1, max_size=20)
    | st.sampled_from(NUMBERS)
)
def test_numbers_are_exact(text: str) -> None:
    wanted = naive_number(text)
    decoded = check(with_value("value", text))
    assert (regular(decoded) == 1) == (wanted is not None)
    if wanted is not None:
        (found,) = decoded.table["value"].to_pylist()
        assert found == wanted
        assert math.copysign(1, found) == math.copysign(1, wanted)
    whole = check(with_value("count", text))
    assert (regular(whole) == 1) == (wanted is not None and "." not in text)


NAMES = (
    "a",
    "eight_by",
    "eight_bytes",
    "eight_bytez",
    "sixteen_bytes_ab",
    "sixteen_bytes_ab_and_c",
)


def test_names_are_compared_to_their_last_byte() -> None:
    """And each field has names of its own: a property is no reserved key."""
    schema = EventSchema("s", types=NAMES, properties=dict.fromkeys(NAMES, float))
    decoder = EventDecoder(schema, now=lambda: NOW)
    near = {name[:n] + c + name[n + 1 :] for name in NAMES for n in range(24) for c in ("z", "")}
    for name in sorted({*NAMES, *near, *FIELDS} - {""}):
        raw = line(type="a", properties={name: 1})
        decoded = decoder.decode_ndjson(raw)
        assert (regular(decoded) == 1) == (name in NAMES), name
        for other in NAMES:
            assert decoded.table[other].to_pylist() == [1 if name == other else None]
        typed = decoder.decode_ndjson(line(type=name))
        assert (regular(typed) == 1) == (name in NAMES), name
        assert typed.table["type"].to_pylist() == [name] * (name in NAMES)
        top = decoder.decode_ndjson(line(type="a", **{name: name} if name not in FIELDS else {}))
        assert (regular(top) == 1) == (name in FIELDS), name


def test_types_that_json_escapes_are_not_taken_as_they_stand() -> None:
    schema = EventSchema("s", types=('say "hi"', "back\\", "view"))
    decoder = EventDecoder(schema, now=lambda: NOW)
    for word in schema.types:
        wrong = line(type="?").replace(b"?", word.encode())
        assert decoder.decode_ndjson(wrong).table.num_rows == (word == "view")
        assert decoder.decode_ndjson(line(type=word)).table["type"].to_pylist() == [word]


def test_many_words_that_begin_and_end_alike() -> None:
    words = [f"https://shop.example/{n:05d}/index.html" for n in range(700)] * 2
    decoded = check(b"\n".join(line(properties={"word": w}) for w in words))
    column = decoded.table["word"].chunk(0)
    assert column.to_pylist() == words
    assert column.dictionary.to_pylist() == words[:700]


def test_codes_are_in_the_order_of_appearance() -> None:
    words = ["b", None, "a", "b", "", "a"]
    decoded = check(b"\n".join(line(properties={"word": w}) for w in words))
    column = decoded.table["word"].chunk(0)
    assert column.indices.to_pylist() == [0, None, 1, 0, 2, 1]
    assert column.dictionary.to_pylist() == ["b", "a", ""]


def test_the_shortest_lines() -> None:
    """As many as can be: there must be room for all, and to try one more."""
    schema = EventSchema("s", types=("v",))
    short = b'{"event_id":"1","event_timestamp":1,"customer_id":"1","type":"v"}'
    for count in range(70):
        decoded = EventDecoder(schema).decode_ndjson(b"\n".join([*[short] * count, b"{", b"{"]))
        assert (regular(decoded), len(decoded.rejected)) == (count, 2)


def test_the_longest_line() -> None:
    size = len(FULL)
    for longest in (size - 1, size):
        decoder = EventDecoder(SCHEMA, now=lambda: NOW, max_event_bytes=longest)
        decoded = decoder.decode_ndjson(b"  " + FULL + b" \n")
        assert regular(decoded) == (longest == size)
        assert [r.reason for r in decoded.rejected] == [
            f"line of {size} bytes, more than {longest}"
        ] * (longest < size)


def test_records_are_counted_once() -> None:
    decoded = check(b"\n".join([b"", FULL, b"x", b" ", FULL, b"{}"]))
    assert (decoded.records, decoded.index.tolist()) == (4, [0, 2])


@given(st.text(" \t\r\n\x0b{a", max_size=30))
def test_records_are_the_lines_that_are_not_blank(text: str) -> None:
    payload = text.encode()
    assert count_records(payload) == sum(1 for raw in payload.split(b"\n") if raw.strip(b" \t\r"))
    assert count_records(payload) == check(payload).records
