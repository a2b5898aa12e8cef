"""What is open to N customers and what models see of them, in one call."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...features.kernels._jit import kernel_of
from ...features.kernels.layout import F64, I64, U8, Int
from ...learners.kernels import crc
from . import contact_kernels
from .contact_kernels import NO_CONTACTS, open_actions, whole
from .expressions import kernel as k
from .expressions.kernel import judge, look

(
    S_RULES,  # where the rules' table begins; then that of what models see, and the caps
    S_LOOKS,
    S_CAPS,
    S_CONSTANTS,  # how many of the constants are the rules'
    S_EXTRAS,  # how many of the extras are the rules'
    S_NAMED,  # programs whose results are wanted
    S_NUMBERS,  # how many of them are numbers of the models; which ones stands behind the head
    S_FEATURES,  # actions x action features
    S_RULES_WORK,  # doubles of working memory that the rules need
    S_LOOKS_WORK,
    S_HEAD,
) = range(11)
A_CHANNEL, A_TIME, A_WORDS, A_CAPS, A_OFFERS, A_ALL = range(6)
"""What is asked of each customer: the channel's place, when, where the words of their contacts end,
where the channel's caps begin, and how many offers are wanted."""


@kernel_of(contact_kernels.__file__, k.__file__, crc.__file__)
def survey(
    table: I64,
    constants: F64,
    n: Int,
    asked: I64,
    values: F64,
    state: U8,
    extras: F64,
    words: I64,
    largest: float,
    slack: Int,
    work: F64,
    eligible: npt.NDArray[np.bool_],
    excluded: npt.NDArray[np.uint16],
    capped: I64,
    wanted: I64,
    seen: F64,
) -> Int:
    """Ask the rules, the caps and the models' expressions; as `judge`, `open_actions` and `look`.

    Return the first customer whose contacts are damaged, -1 if there is none.

    Parameters
    ----------
    table, constants
        Head, numbers, and the tables of the three; the constants of the rules, then the models'.
    n
        How many customers: as many rows of all that follows are read and written.
    asked
        int64[N, A_ALL].
    values, state
        float64[N, columns], uint8[N, columns].
    extras
        float64[N, .]: those of the rules, then the models'.
    words
        All contacts end to end; of one who has none there are no words.
    work
        As many doubles as the head says.
    eligible, excluded
        bool[N, K] and uint16[N, K], what the rules say; what caps close is not eligible.
    capped
        int64[N, K + 2]: codes of the caps, how many actions they close, and the room.
    wanted
        int64[N, 2], receives how many actions are eligible, and how many offers there will be.
    seen
        float64[N, .], receives results, numbers (0 where one is missing), features and boosts.
    """
    rules = table[table[S_RULES] : table[S_LOOKS]]
    looks = table[table[S_LOOKS] : table[S_CAPS]]
    caps = table[table[S_CAPS] :]
    judging = work[: table[S_RULES_WORK]]
    looking = work[table[S_RULES_WORK] : table[S_RULES_WORK] + table[S_LOOKS_WORK]]
    first = table[S_EXTRAS]
    more = extras.shape[1] - first
    actions = eligible.shape[1]
    named = table[S_NAMED]
    features = named + table[S_NUMBERS]
    boosts = features + table[S_FEATURES]
    start = 0
    for i in range(n):
        at = asked[i, A_TIME]
        end = asked[i, A_WORDS]
        contacts = words[start:end]
        if start == end:
            contacts = NO_CONTACTS[:]
        elif not whole(words, start, end):
            return i
        start = end
        for place in range(first):
            judging[place] = extras[i, place]
        judge(
            rules, constants[: table[S_CONSTANTS]], asked[i, A_CHANNEL], at, values[i], state[i],
            judging, eligible[i], excluded[i],
        )  # fmt: skip
        capped[i, actions + 1] = open_actions(
            contacts, caps[asked[i, A_CAPS] :], at, slack, capped[i]
        )
        if capped[i, actions]:
            for action in range(actions):
                if capped[i, action] != 0:
                    eligible[i, action] = False
        count = 0
        for action in range(actions):
            count += eligible[i, action]
        wanted[i, 0] = count
        wanted[i, 1] = min(count, capped[i, actions + 1], asked[i, A_OFFERS])
        for place in range(more):
            looking[place] = extras[i, first + place]
        look(
            looks, constants[table[S_CONSTANTS] :], values[i], state[i], looking, largest,
            seen[i, features:boosts], seen[i, boosts : boosts + actions],
        )  # fmt: skip
        for program in range(named):
            seen[i, program] = looking[more + program]
        for j in range(table[S_NUMBERS]):
            v = looking[more + table[S_HEAD + j]]
            bounded = largest if v > largest else -largest if v < -largest else v
            seen[i, named + j] = bounded if v == v else 0.0
    return -1
