"""The names of environment variables: which there are, and what a mistaken one was meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from ..features.errors import SettingsError

PREFIX = "NEXTBEST_"
OTHERS: Mapping[str, str] = {
    "NEXTBEST_ALLOW_PUBLIC_API": "the engine's own API may answer on every network",
    "NEXTBEST_API_KEY": "the key that `nextbest simulate --url` shows",
    "NEXTBEST_API_KEYS": "keys of which a request to the service must carry one, between commas",
    "NEXTBEST_CATALOG": "what `nextbest.flows.worker` runs, as are the next ones",
    "NEXTBEST_CHAOS": "how long the tests of crashes are",
    "NEXTBEST_CHAOS_SEED": "their random numbers",
    "NEXTBEST_COLUMNS": "which columns of files are which",
    "NEXTBEST_DECISIONS": "a decision point",
    "NEXTBEST_DRAIN": "end at the end of the log",
    "NEXTBEST_FOLLOW": "wait for files to grow",
    "NEXTBEST_INPUT": "files, with colons between",
    "NEXTBEST_LAWS": "how long the tests of the laws are",
    "NEXTBEST_PARTITIONS": "of the stream",
    "NEXTBEST_STRATEGY": "a strategy's file",
    "NEXTBEST_STREAM": "a stream of the store",
    "NEXTBEST_TOPIC": "a topic",
}
"""Variables that are no settings, and what they are."""

_OF_KUBERNETES = re.compile(
    r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$"
)
"""What Kubernetes adds to the variables of a pod for each service of its namespace."""

_UNITS: Mapping[str, Mapping[str, float]] = {
    "bytes": {
        "b": 1, "k": 1 << 10, "kib": 1 << 10, "kb": 10**3, "m": 1 << 20, "mib": 1 << 20,
        "mb": 10**6, "g": 1 << 30, "gib": 1 << 30, "gb": 10**9, "mi": 1 << 20, "gi": 1 << 30,
        "ki": 1 << 10,
    },
    "seconds": {
        "us": 1e-6, "ms": 1e-3, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400,
        "w": 604_800,
    },
}  # fmt: skip
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")
_NEAR = 0.75


def check_names(names: Iterable[str], settings: Iterable[str]) -> None:
    """Check that no variable has a name that is nearly, but not quite, one of ours.

    Parameters
    ----------
    names
        Of all variables of an environment.
    settings
        Names of settings, as attributes.

    Raises
    ------
    SettingsError
        If one looks like a mistake; the message says what was probably meant. What resembles none
        of ours is left alone: it may be the user's own, or come from Kubernetes.

    Examples
    --------
    >>> check_names(["NEXTBEST_SERVICE_HOST", "NEXTBEST_IMAGE_TAG", "PATH"], ["shards"])
    >>> check_names(["NEXTBEST_SHARD"], ["shards"])
    Traceback (most recent call last):
        ...
    nextbest.features.errors.SettingsError: NEXTBEST_SHARD: there is no such setting; did you mean \
NEXTBEST_SHARDS? Rename or unset it
    """
    known = {f"{PREFIX}{name.upper()}" for name in settings} | OTHERS.keys()
    for name in unknown(names, known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=_near(name))
        if near:
            raise SettingsError(
                f"{name}: there is no such setting; did you mean {near[0]}? Rename or unset it"
            )


def unknown(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the variables with our prefix that are neither known nor made by Kubernetes.

    >>> unknown(["NEXTBEST_TYPO", "NEXTBEST_PORT_8080_TCP_ADDR", "HOME"], ["NEXTBEST_SHARDS"])
    ['NEXTBEST_TYPO']
    """
    ours = {name for name in names if name.startswith(PREFIX)} - set(known)
    return sorted(name for name in ours if not _OF_KUBERNETES.search(name))


def in_units(name: str, text: str) -> str | None:
    """Return how a quantity with a unit is written for a setting, None if it is none.

    >>> in_units("memory_bytes", "4GiB"), in_units("idle_seconds", "90 min")
    ('a plain number, without a unit: 4294967296', 'a plain number, without a unit: 5400')
    >>> in_units("shards", "4GiB") is None
    True
    """
    units = _UNITS.get(name.rpartition("_")[2])
    found = _QUANTITY.fullmatch(text)
    if units is None or found is None or found[2].lower() not in units:
        return None
    return f"a plain number, without a unit: {float(found[1]) * units[found[2].lower()]:.12g}"


def _near(name: str) -> float:
    """How alike two names must be: what they all begin with does not count."""
    return 1 - (1 - _NEAR) * (len(name) - len(PREFIX)) / len(name)
