# SPDX-License-Identifier: Apache-2.0
"""What became of a card's open intents: asked of the card itself, and written into the journal for good.

Purchase proven: a record marked RECOVERED. Purchase not made: void. Made, but the card has lost its TAC to
a later transaction: a record without a TAC, which clearing will not accept and people can look into; the
holder is not charged twice. Load proven: a record, and the host is told. Load not made and the card's
online counter unmoved: the host is told to reverse it. Anything else stays undecided, for people.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from citycard.core.dialogue import (
    SAM,
    CardView,
    Dialogue,
    Fate,
    Found,
    LoadOpened,
    Refused,
    Torn,
    open_load,
    recover,
)
from citycard.core.record import Flag, Kind, TapRecord
from citycard.core.refusal import Refusal
from citycard.terminal.journal import End, Intent, Journal

UNTOLD: Final = timedelta(seconds=60)  # longer than a terminal takes to start, shorter than shopping twice
Settled = list[tuple[Intent, bytes]]


class Recovery:
    """Settles open intents; `sam_number` is the PSAM transaction it can still check, 0 for none."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.sam_number = 0

    def settle(self, view: CardView) -> Dialogue[Settled | Refused]:
        """Ask the selected card about each of its open intents; the records of those that were made.

        Refused: the card or PSAM gave no answer to go by (the intent stays open), or claims a debit that
        the PSAM does not believe (NOT_PROVEN).
        """
        settled: Settled = []
        for intent in self._journal.intents_of(view.pan):
            found = yield from self._ask(intent)
            if isinstance(found, Refused):
                return found
            if intent.record.kind == Kind.LOAD:
                refused = yield from self._load(intent, found, settled)
            else:
                refused = self._purchase(intent, found, settled)
            if refused:
                return refused
        return settled

    def untold(self, pan: str, event: str, amount_fen: int, at: datetime) -> bytes | None:
        """The record written last before the terminal started again, if it is of this very tap: told once.

        It may have been killed between the record and the display, and the holder must not pay twice for
        that. `amount_fen` 0 fits any amount.
        """
        if self._journal.untold is None:
            return None
        its_event, raw = self._journal.untold
        record = TapRecord.decode(raw)
        if at - record.tapped_at > UNTOLD:
            self._journal.untold = None
        elif (record.pan, its_event) == (pan, event) and amount_fen in (0, record.list_fen):
            self._journal.untold = None
            return raw
        return None

    def _ask(self, intent: Intent) -> Dialogue[Found | Refused]:
        record = intent.record
        torn = Torn(record.txn, record.counter, record.terminal, record.tapped_at, record.amount_fen)
        remembers = record.kind == Kind.PURCHASE and record.terminal_txn == self.sam_number != 0
        return (yield from recover(torn, remembers))

    def _purchase(self, intent: Intent, found: Found, settled: Settled) -> Refused | None:
        if found.fate is Fate.DOUBTED:
            self._journal.void(intent, End.UNDECIDED)
            return Refused(Refusal.NOT_PROVEN, SAM, "CREDIT SAM", 0x9302)
        if found.fate is Fate.VOID:
            self._journal.void(intent)
        else:
            settled.append((intent, self._journal.record(intent, found.tac, found.mac, Flag.RECOVERED)))
        return None

    def _load(self, intent: Intent, found: Found, settled: Settled) -> Dialogue[Refused | None]:
        sent = bool(intent.load_id)  # without the host's answer CREDIT was never sent
        if found.fate is Fate.PROVEN and sent:
            settled.append((intent, self._journal.record(intent, found.tac, found.mac, Flag.RECOVERED)))
            return None
        if found.fate is not Fate.VOID:
            self._journal.void(intent, End.UNDECIDED)
            return None
        opened = yield from open_load(1, intent.record.terminal)  # the only command that tells the counter
        if isinstance(opened, LoadOpened):
            untouched = opened.counter == intent.record.counter
            self._journal.void(intent, End.REVERSE if untouched else End.UNDECIDED, opened.counter)
        return None
