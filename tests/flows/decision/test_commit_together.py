"""Lines that are written in one call leave what they leave one by one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from nextbest.features.kernels.hashing import hash_string
from nextbest.flows.decision.calling import by_text
from nextbest.flows.decision.commit_call import Answer
from nextbest.flows.decision.commit_types import Line, Log
from nextbest.flows.decision.committing import Committing
from nextbest.flows.decision.contacts import Update
from nextbest.flows.decision.keys import Keys
from nextbest.flows.decision.scripts import AGAIN, CONFLICT, DONE, POINTER
from nextbest.flows.partitions import LINE_BITS, MAX_LINES
from tests.flows.kept_cases import whole

CUSTOMERS = [f"customer-{n}" for n in range(12)]
LONGEST = 6000
SECONDS = 100.0


def steps_of(name: str, kind: str) -> Committing:
    """A strategy whose log is in streams, in streams that are soon trimmed, or outside."""
    retention = 1.0 if kind == "trimmed" else 0.0
    log = None if kind == "outside" else Log(f"log-{name}", 3, 7, retention)
    return Committing(Keys("shop", name), log, SECONDS, 1000)


def some_lines(draw: random.Random, steps: Committing, held: dict[str, bytes]) -> list[Line]:
    """Lines of decisions and outcomes: some were there before, some are of stale contacts."""
    lines = []
    for _ in range(draw.randint(1, 24)):
        customer = draw.choice(CUSTOMERS)
        key = steps.keys.decision(f"{customer}-{draw.randint(0, 9)}")
        update, before = None, b""
        if draw.random() < 0.8:
            stale = draw.random() < 0.2
            before = b"stale" if stale else held.get(customer, b"")
            after = draw.choice([b"", before, b"%d" % draw.randint(0, 99)])
            update = Update(after, 60_000)
            if not stale:
                held[customer] = after
        text = b'{"event_id":"%d","%s":1}' % (draw.randint(0, 9), b"x" * draw.randint(0, LONGEST))
        out = b"go-%d" % draw.randint(0, 9) if draw.random() < 0.3 else None
        channel = draw.choice(["web", "email"])
        first = int(hash_string(customer)[0])
        lines.append(Line(text, key, customer, channel, first, before, update, out))
    return lines


def write(store: redis.Redis, steps: Committing, lines: Sequence[Line]) -> list[Answer]:
    running = steps.write(lines)
    command = by_text(next(running))  # type: ignore[arg-type]  # the script
    reply = store.execute_command(*command)  # type: ignore[no-untyped-call]  # untyped
    with pytest.raises(StopIteration) as end:
        running.send(reply)
    found: list[Answer] = end.value.value
    return found


def left(store: redis.Redis, steps: Committing) -> dict[str, Any]:
    """All that is in the store of a strategy, without places in its log."""
    found: dict[str, Any] = {}
    for key in store.scan_iter(f"{steps.keys.prefix}*"):
        name = key.decode().removeprefix(steps.keys.prefix)
        if store.type(key) == b"stream":
            found[name] = [fields for _, fields in store.xrange(key)]
        else:
            value: Any = whole(store, key.decode()) if name.startswith("decision:") else None
            found[name] = store.get(key) if value is None else value.partition(b" ")[2]
            found[f"{name} ends"] = 0 < store.pttl(key) <= max(60_000, SECONDS * 1000)
    for stream in steps._log or ():
        entries: Any = store.xrange(stream)
        log = [fields[b"events"] for _, fields in entries]
        found[f"log {stream[-1]}"] = b"".join(log).splitlines()
    return found


def lines_in(store: redis.Redis, steps: Committing, line: Line, position: int | None) -> bytes:
    """The line that is at a position of its partition."""
    assert position is not None
    entries: Any = store.xrange(steps._log[steps._number(line.hash)])  # type: ignore[index]
    text: bytes = entries[position >> LINE_BITS][1][b"events"]
    return text.splitlines()[position % MAX_LINES]


@pytest.mark.parametrize("kind", ["here", "trimmed", "outside"])
def test_together_is_as_one_after_the_other(kind: str, store: redis.Redis) -> None:
    together, alone = steps_of("together", kind), steps_of("alone", kind)
    draw, held = random.Random(7), {}  # guards nothing
    met: dict[int, int] = {}
    most = 0
    for _ in range(60):
        lines = some_lines(draw, together, held)
        own = [
            line._replace(key=line.key.replace(together.keys.prefix, alone.keys.prefix))
            for line in lines
        ]
        there = write(store, together, lines)
        one_by_one = [write(store, alone, [line])[0] for line in own]
        for line, first, second in zip(lines, there, one_by_one, strict=True):
            assert first.status == second.status
            met[first.status] = met.get(first.status, 0) + 1
            assert (first.position is None) == (second.position is None)
            if first.status == CONFLICT:
                assert first.told == second.told
                held[line.customer] = first.told
            elif first.status == AGAIN:
                kept = store.get(line.key)
                assert first.told == kept
                assert isinstance(kept, bytes)
                assert kept.startswith(POINTER) == (kind == "here")
            elif kind != "outside":
                most = max(most, (first.position or 0) % MAX_LINES)
                assert lines_in(store, together, line, first.position) == line.text
                assert lines_in(store, alone, line, second.position) == line.text
    assert left(store, together) == left(store, alone)
    assert min(met[DONE], met[AGAIN], met[CONFLICT]) > 50
    assert most > 2 or kind == "outside"


@pytest.mark.parametrize("wrong", ["contacts", "decision", "log", "outbound"])
def test_what_the_store_refuses_of_one_leaves_nothing_of_any(
    wrong: str, store: redis.Redis
) -> None:
    steps = Committing(Keys("shop", "tea"), Log("log", 3, 7), SECONDS, 1000)
    keys, lines = steps.keys, []
    for number, customer in enumerate(CUSTOMERS):
        first, key = int(hash_string(customer)[0]), keys.decision(f"d-{number}")
        update = Update(b"after", 1000)
        out = b"go" if number else None
        lines.append(Line(b"{}", key, customer, "web", first, b"", update, out))
    assert {line.hash % 7 % 3 for line in lines} == {0, 1, 2}
    name = {
        "contacts": keys.contacts(CUSTOMERS[-1]),
        "decision": lines[-1].key,
        "log": "log:2",
        "outbound": keys.outbound("web"),
    }[wrong]
    store.lpush(name, "not ours")
    with pytest.raises(redis.ResponseError, match=r"WRONGTYPE|wrong kind"):
        write(store, steps, lines)
    there = {key.decode() for key in store.scan_iter() if store.type(key) != b"stream"}
    assert there == {name}
    assert all(store.xlen(stream) == 0 for stream in steps._log or () if stream != name)
