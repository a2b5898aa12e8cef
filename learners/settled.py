"""The ids of examples that can no longer be taken back: what comes again under one is too late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .journal import Example


class Settled:
    """Ids and the event times of their examples, the oldest first, in bounded number.

    Parameters
    ----------
    most
        How many ids to remember.

    Examples
    --------
    >>> settled = Settled(most=2)
    >>> settled.add([Example(name, time, 0, {}) for name, time in (("a", 1), ("b", 4), ("c", 5))])
    >>> settled.forget(14, span=10)
    >>> list(settled), "b" in settled
    (['b', 'c'], True)
    >>> settled.forget(15, span=10)
    >>> list(settled)
    ['c']
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._times: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        """Whether an id is remembered."""
        return name in self._times

    def __iter__(self) -> Iterator[str]:
        """Yield the ids."""
        return iter(self._times)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._times)

    def add(self, examples: Iterable[Example]) -> None:
        """Remember some, which come after all before in the order of examples."""
        self._times.update((example.id, example.time) for example in examples)

    def forget(self, latest: int, span: int | None) -> None:
        """Forget those of more than a span before the newest time, and what there is no room for.

        Parameters
        ----------
        latest
            The newest event time, microseconds.
        span
            Microseconds; None: only what there is no room for.
        """
        while len(self._times) > self.most:
            del self._times[next(iter(self._times))]
        while span is not None and self._times:
            name = next(iter(self._times))
            if self._times[name] >= latest - span:
                break
            del self._times[name]

    def pack(self) -> dict[str, list[str] | list[int]]:
        """Return plain values, from which `restore` makes it again."""
        return {"settled": [*self._times], "settled_times": [*self._times.values()]}

    def restore(self, values: Mapping[str, list[object]], latest: int | None) -> None:
        """Take over what `pack` returned; of older bytes, which had no times, all are new."""
        names = values["settled"]
        times = values.get("settled_times") or [latest or 0] * len(names)
        self._times = dict(zip(names, times, strict=True))  # type: ignore[arg-type]  # as packed
