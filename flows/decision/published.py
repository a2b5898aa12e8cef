"""Models as they are in the store: read, checked, and never taken back to an older one.

A worker stores what is served of each objective's learner, a `PublishedArms` with a stamp and, at
its end, a checksum. Whoever decides looks at the checksums often, which is cheap, and reads a model
when its checksum has changed.

Of one timeline, which is what one learner learned, a model that is older than the one in use is
left: a worker that was killed goes on from its last snapshot, and its models are behind until it
has read again what it had read. A learner that began anew has another timeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...learners import LearnerError
from ...learners.published import PublishedArms
from .errors import ModelError
from .keys import Keys
from .models import Models, load_model, models_with, publish
from .roster import Roster, read_roster
from .strategy import Strategy

ROSTER = ":fleet"
"""What a fleet's roster is called among the models."""
TAG_BYTES = 16
"""A model's bytes end with a checksum of them all."""
MOST_BYTES = 256 << 20
"""Of a published model."""

Commands = list[tuple[Any, ...]]
Found = Mapping[str, PublishedArms | Roster]


def model_of(objective: str, data: bytes) -> PublishedArms:
    """Return the model that is in some bytes: one that was published, or that learns.

    Raises
    ------
    ModelError
        If there is none, or it has more than `MOST_BYTES`.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker, SegmentOfOne
    >>> model_of("sale", SegmentOfOne(BayesianRanker(["tea"])).publish().to_bytes()).arms
    ('tea',)
    """
    if len(data) > MOST_BYTES:
        raise ModelError(f"objective {objective!r}: a model of more than {MOST_BYTES} bytes")
    try:
        try:
            return PublishedArms.from_bytes(data)
        except LearnerError as error:
            try:
                # What earlier workers stored was the learner itself.
                return publish(load_model(data))
            except LearnerError:
                raise error from None
    except LearnerError as error:
        raise ModelError(f"objective {objective!r}: {error}") from error


class PublishedModels:
    """The published models of a strategy's objectives as they were last seen; does no I/O.

    Ask the store for `tag_commands`, give the replies to `changed`, ask for `model_commands` of
    what it returns, and give the bytes to `decode` and what that returns to `take`.

    Parameters
    ----------
    keys
        Of the strategy.
    objectives
        Their names.
    before
        What an earlier one of the same keys took: of its timelines nothing older is taken.
    fleet
        Whether there is a fleet: then its roster is looked for, and of each member in it a model
        of every objective, called ``objective:member``, instead of the objectives' own.

    Attributes
    ----------
    models
        By objective, of those that there are.
    roster
        Of the fleet; None: there is none, or it was not seen.

    Examples
    --------
    >>> from nextbest.learners import BayesianRanker, SegmentOfOne
    >>> from nextbest.learners.published_stamp import Stamp
    >>> learner = SegmentOfOne(BayesianRanker(["tea"]))
    >>> seen = PublishedModels(Keys("shop", "spring"), ["x"])
    >>> new, old = (learner.publish().stamped(Stamp("0" * 16, n)).to_bytes() for n in (5, 4))
    >>> for data in (new, old):
    ...     changed = seen.changed([data[-16:]])
    ...     print(list(changed), seen.take(changed, seen.decode({"x": data})))
    ['x'] []
    ['x'] ['x']
    >>> seen.models["x"].stamp.sequence
    5
    """

    def __init__(
        self,
        keys: Keys,
        objectives: Sequence[str],
        before: PublishedModels | None = None,
        *,
        fleet: bool = False,
    ) -> None:
        self.keys, self._own, self._fleet = keys, tuple(objectives), fleet
        self.models: Mapping[str, PublishedArms] = {}
        self.roster: Roster | None = None
        self._tags: dict[str, bytes] = {}
        if before is not None and before.keys == keys:
            self.roster = before.roster if fleet else None
            kept = before.models.items()
            self.models = {name: model for name, model in kept if name in self.objectives}

    @property
    def objectives(self) -> tuple[str, ...]:
        """What is asked for: objectives, members' objectives, and `ROSTER`."""
        if not self._fleet:
            return self._own
        if self.roster is None:
            return *self._own, ROSTER
        members = self.roster.champion, *self.roster.challengers
        return ROSTER, *(f"{name}:{member}" for member in members for name in self._own)

    @property
    def none_published(self) -> bool:
        """Whether the store had no model at the last look."""
        return not any(self._tags.values())

    @property
    def tag_commands(self) -> Commands:
        """What asks for the tags of all models: one reply each."""
        return [("GETRANGE", self._key(name), -TAG_BYTES, -1) for name in self.objectives]

    def changed(self, tags: Sequence[bytes]) -> dict[str, bytes]:
        """Return those tags, by objective, that are not as they were last taken in."""
        found = zip(self.objectives, tags, strict=True)
        return {name: tag for name, tag in found if tag != self._tags.get(name, b"")}

    def model_commands(self, objectives: Sequence[str]) -> Commands:
        """What asks for the bytes of models: one reply each, empty where there is none."""
        # One byte more than may be tells that there are too many.
        return [("GETRANGE", self._key(name), 0, MOST_BYTES) for name in objectives]

    def _key(self, name: str) -> str:
        return self.keys.fleet() if name == ROSTER else self.keys.model(name)

    def decode(self, found: Mapping[str, bytes]) -> Found:
        """Return the models that are in what was read, by objective, and the roster; takes none.

        Raises
        ------
        ModelError
            As `model_of`.
        """
        return {
            name: read_roster(data) if name == ROSTER else model_of(name, data)
            for name, data in found.items()
            if data
        }

    def newer(self, found: Found) -> dict[str, PublishedArms]:
        """Return those models that are not older than what is here."""
        models = {name: one for name, one in found.items() if isinstance(one, PublishedArms)}
        return {name: model for name, model in models.items() if not self._is_older(name, model)}

    def with_found(self, strategy: Strategy, found: Found) -> Models:
        """Return what decides once `take` took what was found, and the roster in it.

        Raises
        ------
        ModelError
            As `Models`.
        """
        roster = found.get(ROSTER, self.roster)
        assert not isinstance(roster, PublishedArms)
        return models_with(strategy, {**self.models, **self.newer(found)}, roster)

    def take(self, tags: Mapping[str, bytes], found: Found) -> list[str]:
        """Take models; return the names of those that were left, being older than what is here.

        Parameters
        ----------
        tags
            As `changed` gave them: they count as seen.
        found
            As `decode` gave them; none, if they cannot be used: not asked for again, then, before
            they change.
        """
        fresh = self.newer(found)
        self._tags.update(tags)
        roster = found.get(ROSTER)
        if isinstance(roster, Roster):
            self.roster = roster
        # Members that left are forgotten, as are their models.
        kept = {**self.models, **fresh}
        self.models = {name: kept[name] for name in (*self._own, *self.objectives) if name in kept}
        return [name for name in found if name not in fresh and name != ROSTER]

    def _is_older(self, name: str, model: PublishedArms) -> bool:
        known = self.models.get(name)
        return known is not None and model.stamp is not None and model.stamp.is_older(known.stamp)


def read_models(client: Any, seen: PublishedModels) -> bool:
    """Take up what has changed in the store; return whether anything was taken.

    Parameters
    ----------
    client
        `redis.Redis`; its errors are the caller's.
    seen
        Where it is taken up.

    Raises
    ------
    ModelError
        If a model cannot be used. Those before are kept, and it is not read again before it
        changes.
    """
    changed = seen.changed(_asked(client, seen.tag_commands))
    if not changed:
        return False
    names = list(changed)
    data = dict(zip(names, _asked(client, seen.model_commands(names)), strict=True))
    try:
        found = seen.decode(data)
    except ModelError:
        seen.take(changed, {})
        raise
    left = seen.take(changed, found)
    return len(left) < len(found)


def _asked(client: Any, commands: Commands) -> list[bytes]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[bytes] = pipeline.execute()
    return replies
