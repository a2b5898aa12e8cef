"""Lines of events as producers write them, and what becomes of them on a bad day."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from nextbest.features.codec import Decoded
from nextbest.features.encoder import RecordEncoder
from nextbest.features.events import MAX_TIMESTAMP
from nextbest.features.line_decoder import LineDecoder, Lines
from tests.features.codec_cases import DAY, DECODER, NOW, SCHEMA

MAX_BYTES = 20_000  # as DECODER has it
LATEST = NOW + DAY
EXACT = LineDecoder(SCHEMA, max_event_bytes=MAX_BYTES)
ENCODER = RecordEncoder(
    [("type", ("cart", "view")), ("channel", ("web", "")), ("word", ("b", "", "é", "b"))],
    ["value", "count", "good"],
)
KEYS = ("event_id", "event_timestamp", "customer_id", "type", "channel", "properties")
NUMBERS = (
    *("0", "-0", "-0.0", "0.0", "1", "-1", "7.25", "1e5", "1E-3", "0.1", "1.0", "-12.50", "+1"),
    *("01", "-01", "1.", ".5", "-", "1.5.5", "NaN", "Infinity", "-Infinity", "1_0", "0x1"),
    *("9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740992"),
    *("0.1000000000000000055511151231257827", "123456789012345.6", "1234567890.12345678"),
    *("99999999999999999999999999", "1e999", "0.00000000000000001", "0." + "0" * 40 + "1"),
    *("123456789012345678", "1234567890123456789", "18446744073709551616", "00", "1" * 25),
)
TIMES = (*NUMBERS, str(LATEST), str(LATEST + 1), str(MAX_TIMESTAMP + 1), f"{NOW}.0", f'"{NOW}"')
STRINGS = (
    *('""', '"web"', '"app"', '"b"', '"é"', '"a\\"b"', '"\\u00e9"', '"\\ud800"', '"tab\there"'),
    *('"\x7f"', '"\x00"', '"twenty characters lng"', '"sixteen chars!!!"', '"seven c"', "'x'"),
    *(f'"{"x" * n}"' for n in (8, 9, 15, 17, 64, 65, 256, 257, 4096, 4097)),
    *(f'"{"é" * n}"' for n in (32, 33, 128, 129)),
)
ODD = ("null", "true", "false", "nul", "nulls", "truex", "{}", "[]", '{"a":1}', "", " ", ",7")
TYPES = ('"view"', '"cart"', '"car"', '"carts"', '"vie\\u0077"', '"VIEW"')
VALUES: dict[str, tuple[str, ...]] = {
    "event_id": STRINGS,
    "event_timestamp": TIMES,
    "customer_id": STRINGS,
    "type": TYPES,
    "channel": STRINGS,
    "value": NUMBERS,
    "count": NUMBERS,
    "good": ("true", "false"),
    "word": STRINGS,
}
BYTES = b'{}[]",:\\ \t\r\n0123456789.-+eEnulltruefalse\x00\x01\x1f\x7f\x80\xc3\xa9\xff\xef\xbb\xbf'
ENDS = (b"\n",) * 8 + (b"\r\n", b"\n\n", b"\n \t\n", b" \n")


def some_line(rng: random.Random) -> bytes:
    """An event, mostly good, with its keys in any order."""
    fields: dict[str, Any] = {
        "event_id": f'"e-{rng.randrange(10**6)}"',
        "event_timestamp": str(NOW - rng.randrange(DAY)),
        "customer_id": f'"customer-{rng.randrange(40)}"',
        "type": rng.choice(TYPES[:2]),
    }
    if rng.random() < 0.6:
        fields["channel"] = rng.choice(('"web"', '"app"', "null", '""'))
    properties = {
        "value": repr(round(rng.uniform(-99, 99), rng.randrange(6))),
        "count": str(rng.randrange(-100, 100)),
        "good": rng.choice(("true", "false")),
        "word": f'"w-{rng.randrange(30)}"',
    }
    inner = [name for name in properties if rng.random() < 0.5]
    outer = [*fields, "properties"] if rng.random() < 0.8 else list(fields)
    if rng.random() < 0.3:
        rng.shuffle(inner)
        rng.shuffle(outer)
    if rng.random() < 0.25:
        given = rng.choice([*fields, *properties])
        (fields if given in fields else properties)[given] = rng.choice(
            VALUES[given] if rng.random() < 0.7 else (*ODD, *NUMBERS, *STRINGS)
        )
    comma, colon = rng.choice(((",", ":"), (",", ":"), (", ", ": "), (" , ", "\t:\r")))
    if rng.random() < 0.05:
        inner.append(rng.choice(list(properties)))  # perhaps twice
    if rng.random() < 0.05:
        outer.append(rng.choice(outer))
    if rng.random() < 0.05:
        inner.append(rng.choice(("more", "valu", "values", "type")))
    if rng.random() < 0.05:
        outer.append(rng.choice(("more", "even", "event_ids", "value")))
    values = {**properties, **fields}

    def write(names: list[str]) -> str:
        pairs = (f'"{n}"{colon}{values.get(n, rng.choice(ODD))}' for n in names)
        return "{" + comma.join(pairs) + "}"

    values["properties"] = write(inner)
    return write(outer).encode()


def mutate(line: bytes, rng: random.Random) -> bytes:
    """Change a few bytes: flip, insert, delete, repeat or cut."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(line) + 1)
        what = rng.randrange(6)
        if what == 0:
            line = line[:at] + bytes([rng.choice(BYTES)]) + line[at + 1 :]
        elif what == 1:
            line = line[:at] + bytes([rng.choice(BYTES)]) + line[at:]
        elif what == 2:
            line = line[:at] + line[at + 1 :]
        elif what == 3 and line:
            line = (
                line[:at] + bytes([line[at % len(line)] ^ 1 << rng.randrange(8)]) + line[at + 1 :]
            )
        elif what == 4:
            line = line[:at] + line[max(0, at - rng.randrange(30)) :]
        else:
            line = line[: max(at, len(line) - 12)]
    return line


def some_chunk(rng: random.Random, lines: int) -> bytes:
    """Lines, each perhaps mutated, and their ends."""
    parts = []
    for _ in range(lines):
        line = some_line(rng)
        parts.append(mutate(line, rng) if rng.random() < 0.5 else line)
        parts.append(rng.choice(ENDS))
    return b"".join(parts[: len(parts) - (rng.random() < 0.5)])


def numbered(payload: bytes) -> Lines:
    lines = enumerate(line.strip(b" \t\r") for line in payload.split(b"\n"))
    kept = [(number, raw) for number, raw in lines if raw]
    numbers = np.array([number for number, _ in kept], np.int64)
    return Lines(np.arange(len(kept)), numbers, [raw for _, raw in kept])


def check(payload: bytes) -> Decoded:
    """Decode a chunk; all that comes of it must be what comes of its lines one by one."""
    decoded = DECODER.decode_ndjson(payload)
    lines = numbered(payload)
    table, ordinals, rejected = EXACT.decode(lines, NOW, LATEST)
    assert decoded.records == len(lines.raws)
    assert decoded.rejected == rejected
    assert decoded.index.dtype == np.int64
    assert decoded.index.tolist() == ordinals.tolist()
    assert decoded.table.schema == table.schema
    for name, found, wanted in zip(table.column_names, decoded.table, table, strict=True):
        assert found.num_chunks <= 1
        # By their text: -0.0 is not 0.0 here.
        assert repr(found.to_pylist()) == repr(wanted.to_pylist()), name
        if name in ("type", "channel", "word") and found.num_chunks:
            words, most = (column.chunk(0).dictionary.to_pylist() for column in (found, wanted))
            assert len(set(words)) == len(words), name
            assert set(words) <= set(most), name
    positions = 100 + decoded.index
    batch = decoded.encode(ENCODER, positions)
    exact = ENCODER.encode(table, positions)
    assert batch.records.tobytes() == exact.records.tobytes()
    assert batch.ids.tobytes() == exact.ids.tobytes()
    return decoded
