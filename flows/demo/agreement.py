"""One household's row looked up three ways, and whether the three agree."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from ...features.catalog import Catalog
from ...features.errors import StoreError
from ...features.online import FeatureClient, Features, now_us
from ..commands.values import Value, by_column
from ..settings import Settings
from .question import Answer, Question

_TOLERANCE = 1e-9
_SECONDS = 120.0


class FeastProcess:
    """A process with the Feast SDK loaded, which takes seconds: begun early, asked later."""

    def __init__(self, settings: Settings) -> None:
        self._process = subprocess.Popen(  # our own module, and no shell
            [sys.executable, "-m", "nextbest.flows.demo.feast_lookup"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(settings),
            start_new_session=True,  # Ctrl-C is for the demo to answer
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, question: Question) -> None:
        """Ask, without waiting for the answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # what it ended of is told by `answer`
            self._process.stdin.write(msgspec.json.encode(question))
            self._process.stdin.close()
        self._process.stdin = None

    def answer(self) -> Answer:
        """Wait for the answer.

        Raises
        ------
        StoreError
            If there is none, with what the process said last.
        """
        try:
            out, err = self._process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            raise StoreError(f"the Feast SDK gave no answer within {_SECONDS:.0f} s") from None
        if self._process.returncode:
            raise StoreError(f"the Feast SDK: {_last(err)}")
        return msgspec.json.decode(out, type=Answer)


@dataclass(frozen=True, slots=True)
class ThreeAnswers:
    """The same row from our reader, the Feast SDK and the command line.

    Attributes
    ----------
    at
        The instant of the reader and the command line, microseconds.
    row
        The reader's answer.
    reader, feast, command
        Values by column. Feast's are of an instant of its own, a moment later.
    feast_us
        How long Feast took, microseconds.
    differing
        Columns on which the three do not agree.
    """

    at: int
    row: Features
    reader: dict[str, Value]
    feast: dict[str, Value]
    command: dict[str, Value]
    feast_us: int
    differing: list[str]


def ask_three(
    settings: Settings, url: str, catalog: Catalog, feast: FeastProcess, customer_id: str
) -> ThreeAnswers:
    """Look one household up three ways.

    The command line is asked for the very instant of our reader: the two must be equal. Feast
    reads as of now: each of its values must lie between our reader's for the instants right
    before and right after, where they are equal up to the passing of that moment.

    Raises
    ------
    StoreError
        If one of the three does not answer, with what it said last.
    """
    directory = os.fspath((settings.data_dir / "feast").absolute())
    feast.ask(Question(customer_id, directory, url))
    reader = FeatureClient(url, catalog)
    try:
        at = now_us()
        row = reader.get([customer_id], at=at)
        ours = by_column(row, catalog, customer_id)
        command = _ask_command(settings, customer_id, at)
        answer = feast.answer()
        before, after = (
            by_column(reader.get([customer_id], at=t), catalog, customer_id)
            for t in (answer.before, answer.after)
        )
    finally:
        reader.close()
    differing = [
        column
        for column in catalog.columns
        if command.get(column) != ours[column]
        or not _between(answer.values.get(column), before[column], after[column])
    ]
    return ThreeAnswers(
        at, row, ours, answer.values, command, answer.after - answer.before, differing
    )


def _between(value: Value, before: Value, after: Value) -> bool:
    if value in (before, after):
        return True
    if not all(isinstance(v, int | float) for v in (value, before, after)):
        return False
    low, high = sorted((float(before or 0), float(after or 0)))
    number = float(value or 0)
    return (
        low <= number <= high
        or math.isclose(number, low, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        or math.isclose(number, high, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    )


def _ask_command(settings: Settings, customer_id: str, at: int) -> dict[str, Value]:
    script = Path(sys.executable).with_name("nextbest")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "nextbest.flows.cli"]
    data_dir = os.fspath(settings.data_dir)
    done = subprocess.run(  # noqa: S603  # our own command, and no shell
        [*program, "features", "get", "--at", str(at), "--json", "--data-dir", data_dir,
         "--", customer_id],
        capture_output=True, env=_environment(settings), timeout=_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise StoreError(f"nextbest features get {customer_id}: {_last(done.stderr)}")
    found: list[dict[str, Any]] = msgspec.json.decode(done.stdout)
    return {column: entry["value"] for column, entry in found[0]["features"].items()}


def _environment(settings: Settings) -> dict[str, str]:
    """A URL with a password goes by the environment: arguments can be seen by others."""
    given = {"NEXTBEST_REDIS_URL": settings.redis_url} if settings.redis_url else {}
    return {**os.environ, "FEAST_USAGE": "False", **given}


def _last(stderr: bytes) -> str:
    lines = [line for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("nextbest: ") if lines else "ended without a word"
