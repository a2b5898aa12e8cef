"""States of a model along a journal: the nearer its end, the closer together, in bounded number."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Snapshot(NamedTuple):
    """A state, how many examples of the journal it has learned, and what came after it.

    `people` holds, as they were, the blocks of those who learned between this and the next.
    """

    state: Any
    n: int
    people: dict[str, bytes]


class Snapshots:
    """The snapshots of a journal; the first is of the model before it.

    Parameters
    ----------
    state
        The model before the journal.
    most
        How many to keep, that one included.
    every
        The fewest examples between two of them.

    Examples
    --------
    >>> taken = Snapshots("nothing learned", most=4, every=10)
    >>> marks = taken.marks(0, 1000)
    >>> sorted(marks)
    [12, 787, 954, 990, 1000]
    >>> for n in sorted(marks):
    ...     taken.take(f"{n} learned", n)
    >>> [snapshot.n for snapshot in taken]
    [0, 787, 954, 1000]
    >>> taken.roll_back(980, {})
    ('954 learned', 954)
    """

    def __init__(self, state: Any, most: int, every: int) -> None:
        self.most, self.every = most, every
        self._taken = [Snapshot(state, 0, {})]

    def restore(self, snapshots: list[Snapshot]) -> None:
        """Take over what another one has."""
        self._taken = snapshots

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self._taken)

    def __len__(self) -> int:
        return len(self._taken)

    def touch(self, name: str, block: bytes) -> None:
        """Remember a block before it changes."""
        self._taken[-1].people.setdefault(name, block)

    def roll_back(self, n: int, people: dict[str, bytes]) -> tuple[Any, int]:
        """Return the last state that has learned no more than n examples, and how many it has.

        Later ones are dropped, and `people` gets the blocks as they were then.
        """
        while True:
            last = self._taken[-1]
            people.update(last.people)
            last.people.clear()
            if last.n <= n:
                return last.state, last.n
            self._taken.pop()

    def marks(self, start: int, end: int) -> set[int]:
        """Return where to take snapshots on the way from a place to the journal's end."""
        ratio = max(end / self.every, 1.0) ** (1.0 / (self.most - 1))
        ages, age = [0], self.every
        while age < end - start - self.every:
            ages.append(age)
            age = max(age + self.every, int(age * ratio))
        marks, last = set(), self._taken[-1].n
        for age in reversed(ages):
            if end - age - last >= self.every:
                last = end - age
                marks.add(last)
        return marks

    def take(self, state: Any, n: int) -> None:
        """Add a state; if there are too many, leave out the one that is missed least."""
        self._taken.append(Snapshot(state, n, {}))
        if len(self._taken) > self.most:
            places = [snapshot.n for snapshot in self._taken]
            widths = [
                (places[i + 1] - places[i - 1]) / (n - places[i + 1] + self.every)
                for i in range(1, len(places) - 1)
            ]
            gone = 1 + widths.index(min(widths))
            for name, block in self._taken.pop(gone).people.items():
                self._taken[gone - 1].people.setdefault(name, block)

    def last(self, n: int) -> int:
        """Return the index of the last snapshot that has learned no more than n examples."""
        return sum(snapshot.n <= n for snapshot in self._taken) - 1

    def begin(self, i: int) -> int:
        """Drop those before a snapshot and return its place, from which places count now."""
        start = self._taken[i].n
        self._taken = [s._replace(n=s.n - start) for s in self._taken[i:]]
        return start
