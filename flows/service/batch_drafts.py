"""What most decisions of a batch are made and answered with: columns, and no record each.

What is special about one of them is left to who decides one by one, as of `together`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...features.online.reading import Beside
from ..decision.commit import Committed
from ..decision.commit_async import Done as Answer
from ..decision.drafts import Drafts, draft_many
from ..decision.request import Request, row_of
from ..telemetry.serving import SERVICE
from .batch_lines import AnswerLines, lines_of
from .live import Live, Seen
from .patience import Patience
from .together import Away, Done, new_ids, taken


class Told(NamedTuple):
    """The answer to a customer whose decision is new and in the log: JSON."""

    line: bytes


class Drafted(NamedTuple):
    """Decisions that can be committed, and what they were made from."""

    requests: Sequence[Request]
    read: Beside
    contacts: Sequence[bytes]
    persons: Sequence[bytes]
    drafts: Drafts


class Drafting:
    """Decides for several different customers of one channel, and writes what is answered.

    Parameters
    ----------
    patience
        See `Together`.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._lines: AnswerLines | None = None

    def make(
        self, live: Live, requests: Sequence[Request], read: Beside, ids: Sequence[str] | None
    ) -> Drafted | None:
        """Decide from what was read; None: it has to be done with records.

        Parameters
        ----------
        live, requests, read, ids
            As of `Together.decide`.
        """
        customers, n = [request.customer for request in requests], len(requests)
        channel = live.engine.loaded.strategy.channels.get(requests[0].channel)
        if channel is None or channel.direction == "outbound" or len(set(customers)) < n:
            return None
        held = [value or b"" for value in read.values]
        contacts, persons = held[:n], held[n:]
        names = ids or new_ids(read.at, customers)
        drafts = draft_many(live.engine, requests, read.rows, contacts, persons, read.at, names)
        if drafts is None:
            return None
        SERVICE.together(n)
        return Drafted(requests, read, contacts, persons, drafts)

    async def commit(self, live: Live, drafted: Drafted, *, given: bool) -> list[Done | Told]:
        """Commit what was made; see `Together.commit`."""
        requests, read, contacts, _, drafts = drafted
        answers: Sequence[Answer]
        try:
            with self._patience.limit():
                answers = await live.committer.commit_drafts(requests, contacts, drafts)
        except TimeoutError as error:
            return [Away(held, error) for held in contacts]
        receipts = [
            one.receipt if isinstance(one, Committed) and not one.repeated else None
            for one in answers
        ]
        lines = self._lines = lines_of(live.engine.loaded.strategy, self._lines)
        texts = lines.logged(requests, drafts.ids, read.at, drafts.answers, receipts)
        SERVICE.drafted(
            requests[0].channel,
            drafts.answers,
            drafts.excluded,
            [one is not None for one in receipts],
        )
        return [
            Told(text)
            if receipt is not None
            else taken(self._seen(drafted, i), answer, given=given)
            for i, (text, receipt, answer) in enumerate(zip(texts, receipts, answers, strict=True))
        ]

    @staticmethod
    def _seen(drafted: Drafted, i: int) -> Seen:
        _, read, contacts, persons, drafts = drafted
        return Seen(drafts.ids[i], read.at, row_of(read.rows, i), contacts[i], persons[i])
