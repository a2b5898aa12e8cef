"""Learning that is repaired: rewards that come late end as if they had come in order."""

import copy
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from itertools import accumulate, pairwise
from typing import Any, Generic, NamedTuple, Self, TypeVar

import numpy as np

from .checkpoint import pack, reading, unpack
from .errors import LearnerError
from .journal import Example, Journal, Order, checked, pack_examples, unpack_examples
from .settled import Settled
from .snapshots import Snapshot, Snapshots
from .teaching import Learn, learn_arm

_KIND = "RepairingLearner"
_SETTINGS = ("window", "max_examples", "snapshots", "every", "remember")
_TOTALS = ("learned", "replaced", "ignored", "refused", "replayed")

M = TypeVar("M")


class Repairs(NamedTuple):
    """What became of some examples.

    Attributes
    ----------
    learned
        How many were learned: as the last so far, between others, or in the place of another.
    replaced
        How many of them took the place of another with their id.
    ignored
        How many were left out because their id has an example that counts rather than they.
    refused
        The ids of those that came too late, in the order given.
    replayed
        How many examples were learned again because one before them is new or gone.
    people
        The new block of every customer whose weights may have changed.
    """

    learned: int
    replaced: int
    ignored: int
    refused: tuple[str, ...]
    replayed: int
    people: dict[str, bytes]


class RepairingLearner(Generic[M]):
    """Keep a model as if all examples of a window had come in order, each once.

    The examples of the last `window` of event time are kept in a journal, and the model as it was
    at some places of it. An example that belongs before others takes the model back to the place
    before it and learns from there on again; so does a response that takes the place of a "no
    response". Many at once are one way back and one replay. The weights are, bit for bit, those of
    a model that learned the journal in order.

    What comes later than the window is refused and counted. An id is remembered while its example
    is in the journal and for `max_examples` examples more, or as `remember` says; its place can be
    taken only inside the window.

    Memory is at most `max_examples` examples (while a call runs, those given as well), as many
    ids, `snapshots` + 2 models, and the blocks of the customers in the journal. If the window has
    more examples, it is shorter, and by how much hangs on the batches: `reach` says how far back
    it goes.

    Parameters
    ----------
    model
        The model as it is now. It belongs to the learner from now on, which replaces it in a
        repair: read `model` anew each time, and keep no counts of your own in it.
    window
        How late an example may be: microseconds of event time before the newest one seen.
    learn
        Teaches an example to the model and returns the customer's new block of weights, None if
        there are no such: `learn_arm`, `learn_person`, `learn_label` or your own. The same
        examples must give the same weights.
    save, load
        Make bytes of a model and a model of them. Without them models are copied by
        `copy.deepcopy`, and there is no `to_bytes`.
    max_examples, snapshots
        Bounds of memory.
    every
        The fewest examples between two snapshots: less is quicker to repair, and slower to learn.
    remember
        For how long an id is remembered, microseconds of event time after its example, where it
        cannot come again later; None: as long as `max_examples` allows.

    Attributes
    ----------
    model
        The model, all examples learned.
    latest
        The newest event time seen; None at first.
    learned, replaced, ignored, refused, replayed
        Totals of `Repairs`.

    Raises
    ------
    LearnerError
        If a setting is out of range.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker, Example
    >>> def example(name, minute, reward, **more):
    ...     return Example(name, minute * 60_000_000, minute, {}, None, 0, reward, **more)
    >>> late = RepairingLearner(BayesianRanker(["tea", "coffee"]), window=3600_000_000)
    >>> late.learn_many([example("b", 2, 0.0, silence=True), example("c", 3, 1.0)]).learned
    2
    >>> done = late.learn_many([example("a", 1, 1.0), example("b", 2, 1.0)])
    >>> done.learned, done.replaced, done.replayed, done.refused
    (2, 1, 1, ())
    >>> in_order = BayesianRanker(["tea", "coffee"])
    >>> for _ in range(3):
    ...     step = in_order.learn({}, None, 0, 1.0)
    >>> in_order.to_bytes() == late.model.to_bytes()
    True
    """

    def __init__(
        self,
        model: M,
        *,
        window: int,
        learn: Learn[M] = learn_arm,
        save: Callable[[M], bytes] | None = None,
        load: Callable[[bytes], M] | None = None,
        max_examples: int = 100_000,
        snapshots: int = 16,
        every: int = 256,
        remember: int | None = None,
    ) -> None:
        if not 0 <= window < 2**63:
            raise LearnerError(f"window must not be negative, got {window}")
        if snapshots < 4:
            raise LearnerError(f"snapshots must be at least 4, got {snapshots}")
        if not 1 <= every <= max_examples // 2:
            raise LearnerError(
                f"every must be in [1, max_examples / 2], got {every} of {max_examples}"
            )
        if (save is None) != (load is None):
            raise LearnerError("save and load go together")
        self.model = model
        self.window, self.max_examples = int(window), int(max_examples)
        self.snapshots, self.every, self.remember = int(snapshots), int(every), remember
        self.latest: int | None = None
        self.learned = self.replaced = self.ignored = self.refused = self.replayed = 0
        self._learn, self._save, self._load = learn, save, load
        self._journal = Journal()
        self._people: dict[str, bytes] = {}
        self._floor: Order | None = None
        self._settled = Settled(self.max_examples)
        self._taken = Snapshots(self._copy(), self.snapshots, self.every)
        self._end = self._first = 0

    @property
    def pending(self) -> int:
        """Examples in the journal."""
        return len(self._journal)

    @property
    def examples(self) -> tuple[Example, ...]:
        """Those in the journal."""
        return (*self._journal.examples,)

    @property
    def reach(self) -> int | None:
        """The event time (microseconds) before which examples are refused; None if none are."""
        if self.latest is None:
            return None
        bound = self.latest - self.window
        return bound if self._floor is None else max(bound, self._floor[0])

    def person(self, customer: str) -> bytes | None:
        """Return the block of a customer who has examples in the journal; None of others."""
        return self._people.get(customer)

    def learn_many(
        self, examples: Iterable[Example], people: Mapping[str, bytes] | None = None
    ) -> Repairs:
        """Learn some examples, wherever they belong; all, or if one cannot be learned, none.

        Parameters
        ----------
        examples
            In any order.
        people
            The blocks of the customers that have no example in the journal yet, as their rows
            have them; others are known here better. A customer without one is new.

        Raises
        ------
        LearnerError
            If an example is malformed or the model refuses it; the message names it.
        """
        given = [checked(example) for example in examples]
        before, self._first = self.latest, len(self._journal)
        try:
            counts, refused = self._enter(given, people or {})
            done, touched = self._redo(appended=self._first == self._end)
        except BaseException:
            self._recover(before)
            raise
        learned, replaced, ignored = counts
        self._journal.keep()
        self._end = len(self._journal)
        self._settle()
        self.learned += learned
        self.replaced += replaced
        self.ignored += ignored
        self.refused += len(refused)
        self.replayed += done - learned
        changed = {name: self._people[name] for name in sorted(touched)}
        self._forget_people()
        return Repairs(learned, replaced, ignored, refused, done - learned, changed)

    def to_bytes(self) -> bytes:
        """Return a snapshot, from which `from_bytes` makes an equal learner.

        It has the journal, the model as it is, and all that it may be taken back to.

        Raises
        ------
        LearnerError
            If the learner was made without `save`.
        """
        if self._save is None:
            raise LearnerError("a learner without save and load has no bytes")
        values, arrays = pack_examples(self._journal.examples)
        people = [self._people, *(snapshot.people for snapshot in self._taken)]
        states = [self._save(self.model), *(snapshot.state for snapshot in self._taken)]
        values |= self._settled.pack() | {
            "settings": {name: getattr(self, name) for name in _SETTINGS},
            "totals": [getattr(self, name) for name in _TOTALS],
            "latest": self.latest,
            "floor": self._floor,
            "places": [snapshot.n for snapshot in self._taken],
            "sizes": [len(state) for state in states],
            "people": [{name: len(block) for name, block in each.items()} for each in people],
        }
        blocks = [block for each in people for block in each.values()]
        arrays |= {
            "states": np.frombuffer(b"".join(states), np.uint8),
            "blocks": np.frombuffer(b"".join(blocks), np.uint8),
        }
        return pack(_KIND, values, arrays)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        learn: Learn[M] = learn_arm,
        save: Callable[[M], bytes],
        load: Callable[[bytes], M],
    ) -> Self:
        """Return the learner of a snapshot; it goes on to the same weights, bit for bit.

        Parameters
        ----------
        data, learn, save, load
            As of `to_bytes`, and as the snapshot's learner had them.

        Raises
        ------
        LearnerError
            If the bytes are damaged, or of another version or kind.
        """
        values, arrays = unpack(data, _KIND)
        with reading(_KIND):
            data = arrays["states"].tobytes()
            ends = list(accumulate(values["sizes"], initial=0))
            states = [data[a:b] for a, b in pairwise(ends)]
            learner = cls(load(states[0]), learn=learn, save=save, load=load, **values["settings"])
            for example in unpack_examples(values, arrays):
                learner._journal.insert(example)
            learner._journal.keep()
            learner._end = len(learner._journal)
            blocks = BytesIO(arrays["blocks"].tobytes())
            people = [
                {n: blocks.read(size) for n, size in each.items()} for each in values["people"]
            ]
            learner._people = people[0]
            places = zip(states[1:], values["places"], people[1:], strict=True)
            learner._taken.restore([Snapshot(*place) for place in places])
            learner.latest = values["latest"]
            learner._floor = values["floor"] and tuple(values["floor"])
            learner._settled.restore(values, learner.latest)
            for name, total in zip(_TOTALS, values["totals"], strict=True):
                setattr(learner, name, total)
        return learner

    def _enter(
        self, given: list[Example], people: Mapping[str, bytes]
    ) -> tuple[tuple[int, int, int], tuple[str, ...]]:
        """Bring the journal up to date, and `_first` to the first place that changed."""
        journal, fresh = self._journal, set()
        replaced = ignored = 0
        refused: list[str] = []
        for example in given:
            self.latest = example.time if self.latest is None else max(self.latest, example.time)
            old = journal.get(example.id)
            if self._is_late(example, old):
                refused.append(example.id)
                continue
            if old is not None:
                if not example.beats(old):
                    ignored += 1
                    continue
                self._first = min(self._first, journal.remove(old))
                if example.id in fresh:
                    ignored += 1
                else:
                    replaced += 1
            fresh.add(example.id)
            self._first = min(self._first, journal.insert(example))
            name = example.customer
            if name is not None and name not in self._people:
                self._people[name] = people.get(name, b"")
        return (len(given) - ignored - len(refused), replaced, ignored), tuple(refused)

    def _is_late(self, example: Example, old: Example | None) -> bool:
        if example.id in self._settled:
            return True
        places = [example.order] if old is None else [example.order, old.order]
        assert self.latest is not None
        bound = self.latest - self.window
        return any(
            place[0] < bound or (self._floor is not None and place <= self._floor)
            for place in places
        )

    def _redo(self, *, appended: bool) -> tuple[int, set[str]]:
        """Bring the model up to the journal's end; return how many steps, and whom they changed."""
        touched: set[str] = set()
        start = self._first
        if not appended:
            before: dict[str, bytes] = {}
            state, start = self._taken.roll_back(start, before)
            self.model = copy.deepcopy(state) if self._load is None else self._load(state)
            self._people.update(before)
            touched.update(before)
        examples = self._journal.examples
        marks = self._taken.marks(start, len(examples))
        for n in range(start, len(examples)):
            if not examples[n].withdrawn:
                self._step(examples[n])
            if n + 1 in marks:
                self._taken.take(self._copy(), n + 1)
        touched.update(e.customer for e in examples[start:] if e.customer is not None)
        return len(examples) - start, touched

    def _step(self, example: Example) -> None:
        name = example.customer
        block = None if name is None else self._people[name]
        try:
            new = self._learn(self.model, example, block)
        except LearnerError as error:
            raise LearnerError(f"example {example.id!r}: {error}") from error
        if name is not None and block is not None and new is not None:
            self._taken.touch(name, block)
            self._people[name] = new

    def _recover(self, latest: int | None) -> None:
        """Be as before a call that failed."""
        self.latest = latest
        self._journal.undo()
        self._redo(appended=False)
        self._forget_people()

    def _copy(self) -> Any:
        return copy.deepcopy(self.model) if self._save is None else self._save(self.model)

    def _settle(self) -> None:
        """Let the journal begin later, where nothing can change any more or room is short."""
        if self.latest is None:
            return
        final = self._journal.index((self.latest - self.window, -(2**63), ""))
        k = self._taken.last(final)
        while k > 0 or len(self._journal) > self.max_examples:
            short = k < 1
            k = max(k, 1)
            gone = self._journal.cut(self._taken.begin(k))
            if short:
                self._floor = gone[-1].order
            self._settled.add(gone)
            k = 0
        self._settled.forget(self.latest, self.remember)
        self._end = len(self._journal)

    def _forget_people(self) -> None:
        if len(self._people) > len(self._journal.customers):
            here = self._journal.customers
            self._people = {name: block for name, block in self._people.items() if name in here}
