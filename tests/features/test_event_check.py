"""Checking one event: the verdict, reason and path of the log's own decoder."""

from __future__ import annotations

import random
import subprocess
import sys

import msgspec
import pytest

from nextbest.features import EventError
from nextbest.features.event_check import EventChecker
from tests.features.codec_cases import DAY, NOW, SCHEMA, line
from tests.features.line_cases import EXACT, LATEST, MAX_BYTES, mutate, numbered, some_line

CHECKER = EventChecker(SCHEMA, future_skew_us=DAY, max_event_bytes=MAX_BYTES, now=lambda: NOW)


def checked(raw: bytes) -> tuple[str, str | None] | str:
    try:
        return CHECKER.check(raw)
    except EventError as error:
        return error.reason, error.path


def decoded(raw: bytes) -> tuple[str, str | None] | str:
    table, _, rejected = EXACT.decode(numbered(raw), NOW, LATEST)
    if rejected:
        return rejected[0].reason, rejected[0].path
    return str(table["customer_id"][0])


@pytest.mark.parametrize("seed", range(6))
def test_the_verdict_is_the_decoders(seed: int) -> None:
    rng = random.Random(seed)
    verdicts = []
    for _ in range(3000):
        raw = some_line(rng)
        raw = mutate(raw, rng) if rng.random() < 0.5 else raw
        if b"\n" not in raw and raw.strip(b" \t\r"):
            verdicts.append(checked(raw))
            assert verdicts[-1] == decoded(raw), raw
    refused = {verdict for verdict in verdicts if isinstance(verdict, tuple)}
    assert len(refused) > 50
    assert len(verdicts) - sum(isinstance(v, tuple) for v in verdicts) > 500


@pytest.mark.parametrize(
    ("raw", "reason", "path"),
    [
        pytest.param(line(event_id="é" * 129), "at most 256 bytes", "$.event_id", id="long-id"),
        pytest.param(line(customer_id="é" * 129), "got 258", "$.customer_id", id="long-customer"),
        pytest.param(
            line(event_timestamp=NOW + DAY + 1), "in the future", "$.event_timestamp", id="future"
        ),
        pytest.param(line(customer_id=""), "length >= 1", "$.customer_id", id="nobody"),
        pytest.param(line(type="buy"), "Invalid enum value", "$.type", id="type"),
        pytest.param(line() + b"x", "malformed", None, id="malformed"),
        pytest.param(b'{"x":"\xff"}', "Invalid UTF-8 (byte 6)", None, id="utf8"),
        pytest.param(b'{"x":' + b"[" * 9000, "nested too deeply", None, id="deep"),
        pytest.param(line(more="x" * MAX_BYTES), "more than 20000", None, id="long"),
        pytest.param(b"", "truncated", None, id="nothing"),
    ],
)
def test_what_is_wrong_is_said(raw: bytes, reason: str, path: str | None) -> None:
    with pytest.raises(EventError) as refused:
        CHECKER.check(raw)
    assert reason in refused.value.reason
    assert refused.value.path == path


def test_newlines_between_tokens_are_no_fault() -> None:
    pretty = msgspec.json.format(line(), indent=2)
    assert b"\n" in pretty
    assert CHECKER.check(msgspec.Raw(pretty)) == "c"
    with pytest.raises(EventError, match="malformed"):
        CHECKER.check(line(customer_id="a?b").replace(b"?", b"\n"))


def test_no_arrow_is_needed() -> None:
    code = "import sys, nextbest.features.event_check, nextbest.flows.publisher\n"
    code += "sys.exit(bool({'pyarrow', 'pandas', 'bytewax', 'confluent_kafka'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
