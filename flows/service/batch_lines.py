"""The lines of a batch's answer, joined from texts that are written once a strategy."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ...features.receipts import Receipt
from ..decision.answers import Answers
from ..decision.request import Request
from ..decision.strategy import Strategy

_ENCODE = msgspec.json.Encoder().encode
_CUSTOMER = b'{"customer":'
_DRY, _LOGGED = b',"state":"dry","offers":[', b',"state":"logged","offers":['
_CHANCE, _COMMA = b',"propensity":', b","


class AnswerLines:
    """Writes what `BatchDecision` is of a decision that is new, the same bytes.

    Parameters
    ----------
    strategy
        Whose actions are answered.

    Examples
    --------
    >>> from ..decision.strategy import Action, Channel, Objective
    >>> strategy = Strategy(
    ...     name="tea", objectives={"sale": Objective(response="accept")},
    ...     channels={"web": Channel()}, actions={"green": Action(channels=["web"])},
    ... )
    >>> answers = Answers(("green",), [1, 0], [0], [0.5], [1.0], [False, True], [True, False])
    >>> people = [Request(customer=name, channel="web") for name in ("ann", "ben")]
    >>> first, second = msgspec.json.decode(b"[%b]" % AnswerLines(strategy).dry(people, 7, answers))
    >>> first["offers"][0]["score"], first["at"], second["offers"], second["control"]
    (0.5, 7, [], True)
    """

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self._heads: list[bytes] = []
        self._tails: list[bytes] = []
        for name, action in strategy.actions.items():
            self._heads.append(b'{"action":%b,"rank":' % _ENCODE(name))
            value = b"" if action.value is None else b',"value":%b' % _ENCODE(action.value)
            self._tails.append(b',"content":%b%b}' % (_ENCODE(action.content), value))
        self._first = [b'%b0,"score":' % head for head in self._heads]

    def dry(self, requests: Sequence[Request], at: int, answers: Answers) -> bytes:
        """Return the lines of some customers of a dry run, with commas between them.

        Parameters
        ----------
        requests, answers
            As many of each.
        at
            When it was decided, microseconds.
        """
        ends = [b"]%b}" % end for end in _ends(at)]
        found: list[bytes] = []
        for request, offers, control, explored in zip(
            requests, self._offers(answers), answers.control, answers.explored, strict=True
        ):
            end = ends[2 * control + explored]
            found += (_CUSTOMER, _ENCODE(request.customer), _DRY, offers, end, _COMMA)
        found.pop()
        return b"".join(found)

    def logged(
        self,
        requests: Sequence[Request],
        ids: Sequence[str],
        at: int,
        answers: Answers,
        receipts: Sequence[Receipt | None],
    ) -> list[bytes]:
        """Return the line of each customer; it has no meaning where there is no receipt.

        Parameters
        ----------
        requests, ids, answers, receipts
            As many of each.
        at
            As of `dry`.
        """
        ends = _ends(at)
        return [
            b'%b%b%b%b],"decision_id":"%b"%b,"receipt":"%b"}'
            % (
                _CUSTOMER, _ENCODE(request.customer), _LOGGED, offers, name.encode(),
                ends[2 * control + explored], str(receipt).encode(),
            )
            for request, name, offers, control, explored, receipt in zip(
                requests, ids, self._offers(answers), answers.control, answers.explored, receipts,
                strict=True,
            )
        ]  # fmt: skip

    def _offers(self, answers: Answers) -> list[bytes]:
        """Return the offers of each answer."""
        places, tails = answers.places, self._tails
        scores, chances = _numbers(answers.scores), _numbers(answers.propensities)
        found: list[bytes] = []
        k = 0
        for size in answers.sizes:
            own: list[bytes] = []
            for rank in range(size):
                place = places[k]
                head = (
                    b'%b%b%d,"score":' % (_COMMA, self._heads[place], rank)
                    if rank
                    else self._first[place]
                )
                own += (head, scores[k], _CHANCE, chances[k], tails[place])
                k += 1
            found.append(b"".join(own))
        return found


def lines_of(strategy: Strategy, last: AnswerLines | None) -> AnswerLines:
    """Return what writes the lines of a strategy: the last one, unless it is another's."""
    if last is not None and last.strategy is strategy:
        return last
    return AnswerLines(strategy)


def _ends(at: int) -> list[bytes]:
    """Return what is told of a decision, by who is in the control group or explored with."""
    return [
        b',"at":%d%b' % (at, more)
        for more in (b"", b',"explored":true', b',"control":true', b',"control":true')
    ]


def _numbers(values: list[float]) -> list[bytes]:
    """Return numbers as JSON."""
    return _ENCODE(values)[1:-1].split(_COMMA)
