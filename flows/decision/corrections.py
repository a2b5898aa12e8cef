"""Outcomes that take the place of others: what all of them did to the contacts is taken back.

An outcome may be corrected again and again, by naming the first or the last: they are of one line,
and only the newest counts. What ties them is kept among a customer's rests, as long as anything
that an outcome of the line began may last; nothing rests by it.
"""

from __future__ import annotations

from .contact_bytes import Contacts, Offered, Rest, hashed

LINK = hashed("link:")
"""A rest that is none: `Rest.cause` is an outcome, and `Rest.after` the one that it corrects."""
NOTE = hashed("note:")
"""What rests after an offer that was not delivered: nothing; the note lets it be corrected."""


def take_back(known: Contacts, own: int, corrected: int, offer: Offered, at: int, us: int) -> None:
    """Undo what the line of an outcome did to their offer, and put one more into the line.

    Parameters
    ----------
    own, corrected
        Hashes of ids: the new outcome, and the one that it corrects.
    offer
        Theirs.
    at, us
        When, microseconds, and how long anything that an outcome begins may last.

    Examples
    --------
    >>> known = Contacts([], [Rest(hashed("action:tea"), 1, 9, hashed("refuse"), hashed("o-1"))])
    >>> take_back(known, hashed("o-2"), hashed("o-1"), Offered(1, 2, 3), 5, 9)
    >>> [rest.what == LINK for rest in known.rests]
    [True]
    """
    line = _line(known, corrected)
    if any(rest.what == NOTE and rest.cause in line for rest in known.rests):
        known.offers.append(offer)
    links = [rest for rest in known.rests if rest.what == LINK]
    known.rests = [rest for rest in known.rests if rest.what != LINK and rest.cause not in line]
    for link in links:
        lasts = max(link.until, at + us) if link.cause in line else link.until
        known.rests.append(link._replace(until=lasts))
    known.rests.append(Rest(LINK, at, at + us, corrected, own))


def _line(known: Contacts, outcome: int) -> set[int]:
    """Return an outcome and all that corrections tie to it."""
    ties = [(rest.cause, rest.after) for rest in known.rests if rest.what == LINK]
    line: set[int] = set()
    waiting = {outcome}
    while waiting:
        one = waiting.pop()
        line.add(one)
        waiting |= {end for tie in ties if one in tie for end in tie} - line
    return line
