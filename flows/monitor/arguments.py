"""What a notebook is given behind ``--``, as it was typed."""

from __future__ import annotations

from collections.abc import Sequence


def arguments_of(argv: Sequence[str]) -> dict[str, str | list[str]]:
    """Return the arguments by name; one that is given again and again is a list.

    `marimo.cli_args` takes for a number what looks like one: customer 0007 would be customer 7.

    Parameters
    ----------
    argv
        As `sys.argv`.

    Examples
    --------
    >>> arguments_of(["customer.py", "--customer", "0007", "--data-dir=1e5"])
    {'customer': '0007', 'data-dir': '1e5'}
    >>> arguments_of(["off_policy.py", "--", "--policy", "a b.yaml", "--policy", "true"])
    {'policy': ['a b.yaml', 'true']}
    """
    words = list(argv[1:])
    if "--" in words:
        words = words[words.index("--") + 1 :]
    given: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            given.append((name, [value] if equals else []))
        elif given:
            given[-1][1].append(word)
    values: dict[str, list[str]] = {}
    for name, parts in given:
        values.setdefault(name, []).append(" ".join(parts))
    return {name: found if len(found) > 1 else found[0] for name, found in values.items()}
