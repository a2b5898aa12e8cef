"""The first rows of a user's file, before anything is declared about it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ...features.errors import SourceError
from ..sources.csv_rows import LONGEST_FIELD, check_line_ends
from ..sources.opening import UNREADABLE, kind_of, open_bytes, unreadable
from ..sources.row_events import check_columns

MOST_ROWS = 20_000
_MOST_BYTES = 16 << 20
_MOST_COLUMNS = 1_000
_FIRST_BYTES = 1 << 20
_DELIMITERS = (",", ";", "\t", "|")
_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
csv.field_size_limit(LONGEST_FIELD)

Row = dict[str, Any]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What the beginning of a file holds.

    Attributes
    ----------
    columns
        Their names, in the order of the file.
    rows
        Column → value: text of CSV, values of JSON. A row that cannot be read is left out.
    whole
        Whether that is all of the file.
    bad
        How many rows were left out.
    text
        Whether values are text that has yet to be understood.
    delimiter, encoding
        Of CSV.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    whole: bool
    bad: int
    text: bool
    delimiter: str = ","
    encoding: str = "utf-8"


def read_sample(path: Path) -> Sample:
    """Read the beginning of a CSV or NDJSON file.

    Raises
    ------
    SourceError
        If there is no such file, it is of another kind, holds no row, or has a column twice.
    """
    kind = kind_of(path)
    if path.is_dir() or not path.exists():
        raise SourceError(
            f"{path}: {'is a directory; name one file' if path.is_dir() else 'no such file'}"
        )
    if kind not in ("csv", "ndjson"):
        raise SourceError(f"{path}: expected a file that ends in .csv, .ndjson or .jsonl (or .gz)")
    try:
        with open_bytes(path) as file:
            data = b""
            while len(data) <= _MOST_BYTES and (part := file.read(_MOST_BYTES)):
                data += part
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    whole = len(data) <= _MOST_BYTES
    if data.startswith(_WIDE_BOMS):
        raise SourceError(f"{path}: is UTF-16; save it as UTF-8")
    data = data.removeprefix(_BOM)
    if kind == "csv":
        check_line_ends(path, data.lstrip(b"\r\n")[:_FIRST_BYTES].partition(b"\n")[0])
    if not whole:
        data = data[: data.rfind(b"\n") + 1]
    if not data.strip():
        raise SourceError(f"{path}: is empty")
    found = _csv(path, data, whole) if kind == "csv" else _ndjson(data, whole)
    if not found.rows:
        raise SourceError(f"{path}: no row in it that can be read; is its first line the header?")
    if len(found.columns) > _MOST_COLUMNS:
        raise SourceError(f"{path}: {len(found.columns):,} columns, more than {_MOST_COLUMNS:,}")
    return found


def _csv(path: Path, data: bytes, whole: bool) -> Sample:
    encoding = "utf-8"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        encoding = "cp1252"
        text = data.decode(encoding, "replace")
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[Row] = []
    bad = 0
    header: list[str] | None = None
    try:
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if header is None:
                header = [name.strip() for name in fields]
                check_columns(str(path), header)
            elif len(rows) >= MOST_ROWS:
                whole = False
                break
            elif len(fields) == len(header):
                rows.append({k: v for k, v in zip(header, fields, strict=True) if k})
            else:
                bad += 1
    except csv.Error:
        bad += 1
        whole = False
    return Sample(
        columns=tuple(name for name in header or () if name),
        rows=tuple(rows), whole=whole, bad=bad, text=True, delimiter=delimiter, encoding=encoding,
    )  # fmt: skip


def _delimiter(text: str) -> str:
    """Return the mark that splits most of the first lines into as many fields as the header."""
    first = [line for line in text[:65_536].splitlines() if line.strip()][:50]

    def score(mark: str) -> tuple[int, int]:
        counts = [len(fields) for fields in csv.reader(first, delimiter=mark) if fields]
        alike = sum(count == counts[0] for count in counts) if counts else 0
        return (alike if counts and counts[0] > 1 else 0, counts[0] if counts else 0)

    return max(_DELIMITERS, key=score)


def _ndjson(data: bytes, whole: bool) -> Sample:
    rows: list[Row] = []
    bad = 0
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        if len(rows) >= MOST_ROWS:
            whole = False
            break
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(dict(_flat(row)))
        else:
            bad += 1
    columns = dict.fromkeys(name for row in rows for name in row)
    return Sample(columns=tuple(columns), rows=tuple(rows), whole=whole, bad=bad, text=False)


def _flat(row: Row) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if name == "properties" and isinstance(value, dict):
            yield from value.items()
        else:
            yield name, value
