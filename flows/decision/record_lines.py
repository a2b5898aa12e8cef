"""The events of decisions, written from the arrays that they were made in.

What `record.events_of` writes of their records, byte for byte: most of a record is the same text
again and again, so it is joined from texts that are written once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress, islice, pairwise
from typing import Any
from zlib import crc32

import msgspec
import numpy as np

from ...features.kernels.layout import F64
from ...features.rows import FeatureRows
from .asked import Asked
from .concluding import Chosen
from .inputs import LARGEST, Inputs
from .models import Models
from .record import DECISION, Value
from .request import Request
from .room import Room
from .strategy import Strategy
from .survey import Survey
from .text_kernels import PAIRS, base64

_ENCODE = msgspec.json.Encoder().encode
_MOST_KEPT = 4096


class RecordLines:
    """Writes the events of decisions.

    Parameters
    ----------
    strategy, version, policy
        What decides, and what `Record` calls so.
    tags
        By action, what `Offer` calls so.
    """

    def __init__(
        self,
        strategy: Strategy,
        version: str,
        policy: str,
        inputs: Inputs,
        survey: Survey,
        tags: Mapping[str, Mapping[str, Value]],
    ) -> None:
        self._version, self._policy = version, policy
        self._inputs, self._survey = inputs, survey
        self._actions = [_ENCODE(name) for name in strategy.actions]
        objectives = [_ENCODE(name) for name in strategy.objectives]
        chances = b",".join(b"%b:%%b" % name for name in objectives)
        self._chances = [b'"' + b',%b:"' % name for name in objectives]
        self._each = 4 + len(objectives)
        self._chances[0] = b'","chances":{%b:"' % objectives[0]
        features = b",".join([b"%b"] * len(strategy.model.action_features))
        features = b',"features":[%b]' % features if features else b""
        self._offers = [
            b'{"action":%b,"score":%%b,"propensity":%%b,"draw":%%b,"chances":{%b}%b%b}'
            % (text, chances, features, _tags(tags[name]))
            for name, text in zip(strategy.actions, self._actions, strict=True)
        ]
        self._places = [place for place in inputs.categories() if place >= 0]
        self._numbers = [_ENCODE(name) for name in strategy.model.numbers]
        self._plain = b",".join(b"%b:%%b" % name for name in self._numbers)
        # Of the context that was the last, for a batch is often of one. Never set but as one, as
        # several threads may be here.
        self._categories: tuple[Mapping[str, Value], dict[bytes, tuple[bytes, bytes]]] = {}, {}
        self._eligible: dict[bytes, bytes] = {}
        self._excluded: dict[bytes, bytes] = {}
        self._heads: dict[tuple[str, int], tuple[bytes, bytes]] = {}

    def write(
        self,
        room: Room,
        asked: Asked,
        rows: FeatureRows,
        unknown: Sequence[Mapping[str, float]],
        models: Models,
        chosen: Chosen,
    ) -> tuple[list[bytes], list[Mapping[str, str]]]:
        """Return the events, and what excluded actions of each decision.

        Parameters
        ----------
        room
            The decisions were made in it; who is in the control group is there, too.
        asked, models
            With which they were made; no members of a fleet take turns.
        rows
            Those of ``asked``.
        unknown
            What `Survey.look` returned.
        chosen
            What `Concluding.conclude` returned.
        """
        eligible, actions = bytes(room.eligible_bytes), len(self._actions)
        masks = [eligible[a : a + actions] for a in range(0, actions * len(asked.ids), actions)]
        texts = self._texts(room, asked, rows)
        inputs = self._inputs_of(room, asked.requests, unknown)
        offers, firsts = self._offers_of(chosen)
        lots, made = bytes(room.lots_bytes), _made(models)
        same: Mapping[str, Value] | None = None
        context = b""
        lines: list[bytes] = []
        excluded: list[Mapping[str, str]] = []
        every = zip(
            asked.requests, asked.ids, asked.at, asked.contacts, asked.persons, masks, inputs,
            offers, firsts, rows.positions.tolist(), rows.age_ms.tolist(), strict=True,
        )  # fmt: skip
        for i, (request, name, at, contacts, person, mask, seen, offered, first, *row) in enumerate(
            every
        ):
            if request.context is not same:
                same = request.context
                context = b'"context":%b,' % _ENCODE(same) if same else b""
            place = request.channel, request.n
            head, middle = self._heads.get(place) or self._heads_of(*place)
            who, own, moment = _ENCODE(request.customer), name.encode(), b"%d" % at
            values, state, held, scores, *foretold = islice(texts, self._each)
            line = [
                b'{"event_id":"', own, b'","event_timestamp":', moment, b',"customer_id":', who,
                head, own, b'","customer":', who, b',"at":', moment, middle, made, context,
                b'"served":{"position":%d,"age_ms":%d,"values":"' % tuple(row), values,
                b'","state":"', state, b'"}',
            ]  # fmt: skip
            if contacts:
                line += (b',"contacts":"', held, b'"')
            named = self._eligible.get(mask)
            if named is None:
                named = self._eligible_text(mask)
            if seen and named:
                line += (b',"inputs":{', seen, b"}")
            checksum = crc32(person) if person else 0
            if checksum:
                line.append(b',"persons":%d' % checksum)
            if named:
                line += (offered, named, b',"scores":"', scores)
                for name_of, chances in zip(self._chances, foretold, strict=True):
                    line += (name_of, chances)
                line.append(b'"}')
            reasons, codes = self._survey.reasons(room, i, request, contacts)
            excluded.append(reasons)
            if reasons:
                line.append(self._excluded_text(reasons, codes))
            if lots[i]:
                line.append(b',"control":true')
            line += (b'},"action":', first, b"}}") if first else (b"}}}",)
            lines.append(b"".join(line))
        return lines, excluded

    def _texts(self, room: Room, asked: Asked, rows: FeatureRows) -> Iterator[bytes]:
        """Return bytes as they are written in JSON.

        Of each decision the features, their state, the contacts, scores, and chances by objective.
        """
        (n, columns), wide = rows.values.shape, 8 * room.kept.shape[1]
        held = [len(contacts) for contacts in asked.contacts]
        kept = room.kept_bytes[: wide * n]
        parts: list[bytes | memoryview] = [rows.values.tobytes(), rows.state.tobytes(), kept]
        begins = np.empty((n, self._each), np.int64)
        sizes = np.empty((n, self._each), np.int64)
        each, scores = np.arange(n), 9 * columns * n
        sizes[:, 0], sizes[:, 1], sizes[:, 2] = 8 * columns, columns, held
        sizes[:, 3:] = 8 * room.eligible[:n].sum(1, keepdims=True)
        begins[:, 0], begins[:, 1] = 8 * columns * each, columns * (8 * n + each)
        begins[:, 2] = scores + len(kept) + np.cumsum(sizes[:, 2]) - sizes[:, 2]
        begins[:, 3:] = (scores + wide * each)[:, None] + sizes[:, 3:] * np.arange(self._each - 3)
        ends = np.cumsum((sizes.ravel() + 2) // 3 * 4)
        out = np.empty(ends[-1] // 2, np.uint16)
        data = np.frombuffer(b"".join([*parts, *asked.contacts]), np.uint8)
        base64(data, begins.ravel(), sizes.ravel(), PAIRS, out)
        text, places = out.tobytes(), [0, *ends.tolist()]
        return iter([text[a:b] for a, b in pairwise(places)])

    def _offers_of(self, chosen: Chosen) -> tuple[list[bytes], list[bytes]]:
        """Return the texts of the offers of each answer, and the names of the first ones."""
        picks = chosen.picks
        if not len(picks):
            none = [b""] * len(chosen.ends)
            return none, none
        places = picks[:, 0].astype(np.int64).tolist()
        order = [3, 1, 2, *range(4, picks.shape[1])]
        numbers = _ENCODE(picks[:, order].tolist())[2:-2].split(b"],[")
        each = [
            self._offers[place] % tuple(text.split(b","))
            for place, text in zip(places, numbers, strict=True)
        ]
        offers, firsts, first = list[bytes](), list[bytes](), 0
        for end in chosen.ends:
            if first == end:
                offers.append(b"")
                firsts.append(b"")
                continue
            some = each[first] if first + 1 == end else b",".join(each[first:end])
            offers.append(b',"offers":[%b]' % some)
            firsts.append(self._actions[places[first]])
            first = end
        return offers, firsts

    def _inputs_of(
        self, room: Room, requests: Sequence[Request], unknown: Sequence[Mapping[str, float]]
    ) -> list[bytes]:
        """Return what the models see of each: texts of the entries of `Record.inputs`."""
        n = len(requests)
        seen: F64 = room.seen[:n]
        numbers = np.clip(seen[:, self._inputs.numbers], -LARGEST, LARGEST)
        texts = _ENCODE(numbers.tolist())[2:-2].split(b"],[") if n else []
        keys = seen[:, self._places].tobytes()
        size = 8 * len(self._places)
        found: list[bytes] = []
        plain, (of, categories) = self._plain, self._categories
        for i, request in enumerate(requests):
            if request.context is not of:
                of, categories = self._categories = request.context, {}
            key = keys[size * i : size * (i + 1)]
            pair = None if unknown[i] else categories.get(key)
            if pair is None:
                results = seen[i, : self._inputs.wanted].tolist()
                pair = tuple(  # type: ignore[assignment]  # of two
                    _ENCODE(one)[1:-1]
                    for one in self._inputs.categories_of(results, unknown[i], request.context)
                )
                assert pair is not None
                if not unknown[i]:
                    _bound(categories)
                    categories[key] = pair
            contexts, segments = pair
            parts = [contexts] if contexts else []
            if self._numbers:
                text = texts[i]
                if b"null" not in text:
                    parts.append(plain % tuple(text.split(b",")))
                else:
                    parts += [
                        b"%b:%b" % (name, number)
                        for name, number in zip(self._numbers, text.split(b","), strict=True)
                        if number != b"null"
                    ]
            if segments:
                parts.append(segments)
            found.append(b",".join(parts))
        return found

    def _excluded_text(self, reasons: Mapping[str, str], codes: bytes | None) -> bytes:
        found = None if codes is None else self._excluded.get(codes)
        if found is None:
            found = b',"excluded":%b' % _ENCODE(reasons)
            if codes is not None:
                _bound(self._excluded)
                self._excluded[codes] = found
        return found

    def _eligible_text(self, mask: bytes) -> bytes:
        names = b",".join(compress(self._actions, mask))
        _bound(self._eligible)
        found = self._eligible[mask] = b',"eligible":[%b]' % names if names else b""
        return found

    def _heads_of(self, channel: str, wanted: int) -> tuple[bytes, bytes]:
        """Return what comes before an id, and what after a time, up to the policy."""
        through = _ENCODE(channel)
        more = b'"wanted":%d,' % wanted if wanted != 1 else b""
        policy = b'"policy":%b,' % _ENCODE(self._policy) if self._policy else b""
        found = (
            b',"type":%b,"channel":%b,"properties":{"nextbest":{"id":"'
            % (_ENCODE(DECISION), through),
            b',"channel":%b,%b"strategy":%b,%b' % (through, more, _ENCODE(self._version), policy),
        )
        _bound(self._heads)
        self._heads[channel, wanted] = found
        return found


def _made(models: Models) -> bytes:
    """Return what a record says of the models."""
    versions = b'"models":%b,' % _ENCODE(models.versions) if models.versions else b""
    return versions + (b'"clock":%d,' % models.clock if models.clock else b"")


def _tags(told: Mapping[str, Value]) -> bytes:
    """Return what an offer says of its action's tags, as a format."""
    return b',"tags":%b' % _ENCODE(told).replace(b"%", b"%%") if told else b""


def _bound(kept: dict[Any, Any]) -> None:
    """Make room for one more."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
