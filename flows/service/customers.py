"""`GET /v1/customers/{id}`: a customer as the next decision would see them; nothing is decided."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from ...features.errors import StateError
from ...features.online.answer import STATES
from ..decision.contact_bytes import ALL, Contacts, action_key, channel_key, hashed, tag_key
from ..decision.contact_kernels import UNBOUNDED
from ..decision.engine import LARGEST, Engine
from ..decision.errors import DecisionError, RequestError
from ..decision.ids import new_id
from ..decision.reasons import reasons
from ..decision.recent import MOST
from ..decision.record import Offer, Record, Value
from ..decision.request import MOST_OFFERS, Request, Row, row_of
from ..decision.request import check as check_request
from ..decision.why import Excluded, FeatureSeen
from .http import Scope
from .live import Live
from .loop_wire import (
    MOST_RECENT,
    Context,
    CustomerAnswer,
    OfferMade,
    Preview,
    Ranked,
    Resting,
)
from .paths import invalid, query, unescaped
from .recents import decisions_then
from .strategies import Strategies

LISTED = 5
"""Actions of a channel, unless told."""
RECENT = 5
"""Decisions of before, unless told."""
_PARAMETERS = ("channel", "n", "recent", "context")
_CONTEXT: msgspec.json.Decoder[dict[str, Value]] = msgspec.json.Decoder(Context)


class _Asked(NamedTuple):
    """Which channels, how many actions of each, how many decisions of before, and the moment."""

    channels: list[str]
    n: int
    recent: int
    context: dict[str, Value]


class CustomersRoute:
    """Shows customers over HTTP.

    Parameters
    ----------
    strategies
        By which actions are ranked.
    """

    def __init__(self, strategies: Strategies) -> None:
        self._strategies = strategies
        self._encoder = msgspec.json.Encoder()

    async def get(self, scope: Scope, raw_id: bytes) -> tuple[int, bytes]:
        """Answer all of a customer; ``raw_id`` is the rest of the path, still escaped.

        Raises
        ------
        ProblemError
            If the request is wrong, or no strategy is served.
        StoreError, RowError
            When the store is away; if the customer's row is damaged.
        """
        customer = unescaped(raw_id)
        live = self._strategies.live
        asked = _asked(scope, live.engine)
        channels, context = asked.channels, asked.context
        wanted = Request(customer=customer, channel=channels[0], context=context)
        try:
            check_request(wanted, channels, 1)
        except DecisionError as error:
            of_context = isinstance(error, RequestError) and error.field.startswith("context")
            raise invalid(str(error), "$.context" if of_context else "$.id") from None
        found = await live.client.get_beside(
            [customer], [live.keys.contacts(customer), live.keys.person(customer)]
        )
        contacts, persons = found.values
        recent: list[bytes] = []
        if asked.recent:
            recent = await self._strategies.store.newest(live.keys.recent(customer), MOST)
        row = row_of(found.rows)
        seen = _Seen(live, wanted, row, contacts or b"", persons or b"", found.at)
        known = row.age_ms >= 0
        engine = live.engine
        offered, resting = seen.contacts_told()
        answer = CustomerAnswer(
            customer,
            found.at,
            known,
            row.age_ms if known else None,
            engine.loaded.strategy.name,
            engine.loaded.version,
            dict(engine.models.versions),
            engine.exploring.control(customer),
            [
                FeatureSeen(name=name, value=value, state=STATES.get(state, "unknown"))
                for (name, value), state in zip(
                    engine.typed(row).items(), row.state.tolist(), strict=True
                )
            ],
            offered,
            resting,
            decisions_then(recent, asked.recent),
            context,
            {channel: seen.preview(channel, asked.n) for channel in channels},
        )
        return 200, self._encoder.encode(answer)


class _Seen:
    """What was read of one customer."""

    def __init__(
        self, live: Live, wanted: Request, row: Row, contacts: bytes, persons: bytes, at: int
    ) -> None:
        self._live, self._engine = live, live.engine
        self._wanted, self._row, self._at = wanted, row, at
        self._contacts, self._persons = contacts, persons

    def contacts_told(self) -> tuple[list[OfferMade], list[Resting]]:
        """Return what counts for caps, and what rests, by the names that the strategy has."""
        strategy, need = self._engine.loaded.strategy, self._engine.caps.need
        actions = {hashed(name): name for name in strategy.actions}
        channels = {hashed(name): name for name in strategy.channels}
        after = {hashed(rest.after): rest.after for rest in strategy.cool_downs}
        after |= {hashed(name): name for name in ("fail", "undelivered")}
        what = {ALL: "all"}
        what |= {action_key(name): f"action {name}" for name in strategy.actions}
        what |= {channel_key(name): f"channel {name}" for name in strategy.channels}
        for action in strategy.actions.values():
            for tag, value in action.tags.items():
                what[tag_key(tag, value)] = f"tag {tag}={value}"
        known = Contacts.unpack(self._contacts)
        offered = [
            OfferMade(offer.at, actions.get(offer.action), channels.get(offer.channel))
            for offer in known.offers
            if min(offer.at, self._at) + need(offer) > self._at  # one ahead of the clock is of now
        ]
        resting = [
            Resting(what[rest.what], rest.began, rest.until, after.get(rest.after))
            for rest in known.rests
            if rest.what in what and rest.until > self._at
        ]
        return offered, resting

    def preview(self, channel: str, n: int) -> Preview:
        """Rank the actions of a channel by their scores, without exploring."""
        engine = self._engine
        request = msgspec.structs.replace(self._wanted, channel=channel)
        identifier = new_id(self._at, request.customer)
        try:
            if self._live.models_fault:
                raise DecisionError(self._live.models_fault)
            record = engine.decide(
                request, self._row, self._contacts, self._persons, self._at, identifier
            )
            ranked = self._ranked(record, n)
        except (DecisionError, StateError) as error:
            return Preview(None, [], 0, [], str(error))
        room = engine.caps.check(self._contacts, channel, self._at).room
        excluded = [Excluded(action=name, rule=rule) for name, rule in record.excluded.items()]
        more = len(record.eligible) - len(ranked)
        return Preview(None if room >= UNBOUNDED else room, ranked, more, excluded)

    def _ranked(self, record: Record, n: int) -> list[Ranked]:
        engine, size = self._engine, len(record.eligible)
        if not size:
            return []
        scores = np.frombuffer(record.scores, "<f8")
        chances = {name: np.frombuffer(data, "<f8") for name, data in record.chances.items()}
        best = np.argsort(-scores, kind="stable")[:n].tolist()
        row = self._row
        seen = engine.inputs.read(row.values, row.state, record.context, record.channel, record.at)
        features = np.clip(seen.features, -LARGEST, LARGEST)
        offers = [
            Offer(
                action=record.eligible[i],
                score=float(scores[i]),
                propensity=1.0,
                draw=0.0,
                chances={name: float(all_[i]) for name, all_ in chances.items()},
                features=_numbers(features[engine.actions.index(record.eligible[i])]),
            )
            for i in best
        ]
        as_ranked = msgspec.structs.replace(record, offers=offers)
        said = reasons(engine, as_ranked, self._persons)
        return [
            Ranked(offer.action, rank, offer.score, offer.chances, own)
            for rank, (offer, own) in enumerate(zip(offers, said, strict=True))
        ]


def _numbers(values: np.ndarray) -> list[float | None]:
    return [None if x != x else x for x in values.tolist()]


def _asked(scope: Scope, engine: Engine) -> _Asked:
    """Return what is asked for; whether the moment can be one is checked later."""
    channels, given = list(engine.loaded.strategy.channels), dict[str, str]()
    for name, value in query(scope["query_string"]):
        if name not in _PARAMETERS:
            known = ", ".join(_PARAMETERS)
            raise invalid(f"no parameter {name!r:.80}; there are: {known}", f"$.{name:.80}")
        if name in given:
            raise invalid(f"{name} is given twice", f"$.{name}")
        given[name] = value
    if "channel" in given:
        if given["channel"] not in channels:
            reason = f"no channel {given['channel']!r:.80}; there are: {', '.join(channels)}"
            raise invalid(reason, "$.channel")
        channels = [given["channel"]]
    try:
        context = _CONTEXT.decode(given.get("context", "{}"))
    except msgspec.DecodeError as error:
        raise invalid(f"context is no JSON object of values: {error}", "$.context") from None
    return _Asked(
        channels,
        _whole(given, "n", LISTED, 1, MOST_OFFERS),
        _whole(given, "recent", RECENT, 0, MOST_RECENT),
        context,
    )


def _whole(given: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and least <= int(text[:6]) <= most):
        raise invalid(f"{name} is {text!r:.80}, not {least} to {most}", f"$.{name}")
    return int(text)
