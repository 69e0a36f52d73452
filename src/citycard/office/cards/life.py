# SPDX-License-Identifier: Apache-2.0
"""The life of a card: which verb moves it from which state to which.

    manufactured -> initialised -> personalised -> in stock -> active -> (lost | blocked | expired)
                 -> replaced / refunded -> destroyed

A verb that is not in the table for a card's state is refused with WRONG_STATUS. A verb that looks or changes
something else about the card (query, bind, unbind) leads back to the same state. A card that left stock is
destroyed only once its money has gone to the holder, that is from replaced or refunded.
"""

from __future__ import annotations

from typing import Final

from citycard.office.cards.models import Status

S = Status
BEFORE_ISSUE: Final = (S.MANUFACTURED, S.INITIALISED, S.PERSONALISED, S.IN_STOCK)
WITHDRAWN: Final = (S.LOST, S.BLOCKED, S.EXPIRED)
OUT: Final = (S.ACTIVE, *WITHDRAWN)  # with a holder, who is owed its balance and deposit

MOVES: Final[dict[tuple[str, Status], Status]] = {
    ("initialise", S.MANUFACTURED): S.INITIALISED,
    ("register", S.INITIALISED): S.PERSONALISED,
    ("stock_in", S.PERSONALISED): S.IN_STOCK,
    ("issue", S.IN_STOCK): S.ACTIVE,
    ("bind", S.ACTIVE): S.ACTIVE,
    ("unbind", S.ACTIVE): S.ACTIVE,
    ("report_loss", S.ACTIVE): S.LOST,
    ("cancel_loss", S.LOST): S.ACTIVE,
    ("block", S.ACTIVE): S.BLOCKED,
    ("unblock", S.BLOCKED): S.ACTIVE,
    ("expire", S.ACTIVE): S.EXPIRED,
    **{("replace", status): S.REPLACED for status in OUT},
    **{("refund", status): S.REFUNDED for status in OUT},
    **{("destroy", status): S.DESTROYED for status in (*BEFORE_ISSUE, S.REPLACED, S.REFUNDED)},
    **{("query", status): status for status in Status},
}


def move(verb: str, before: str) -> Status | None:
    """The state a verb leads to, or None when it is not a legal move."""
    return MOVES.get((verb, Status(before)))


def verbs_from(status: str) -> list[str]:
    """The verbs that are legal in a state, for the console's buttons."""
    return [verb for (verb, before) in MOVES if before == status]
