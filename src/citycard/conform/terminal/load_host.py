# SPDX-License-Identifier: Apache-2.0
"""The laboratory's host of loads: it checks MAC1, gives MAC2, and is told how every load ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from citycard.core.apdu import SW
from citycard.core.calendar import bcd_datetime
from citycard.core.refusal import Refusal
from citycard.keys import LoadAsked, LoadSam, Vault
from citycard.terminal import LoadOffer, LoadRequest


class LaboratoryHost:
    """A load host (`terminal.LoadHost`) over a load SAM. `open` are loads whose end it was not told."""

    def __init__(self, vault: Vault, clock: Callable[[], datetime]) -> None:
        self._sam, self._clock = LoadSam(vault), clock
        self._asked: dict[str, tuple[LoadOffer, LoadAsked]] = {}  # by the terminal's name of the request
        self.open: set[str] = set()

    def approve(self, asked: LoadAsked, moment: bytes) -> bytes | None:
        """MAC2, or None when MAC1 is wrong."""
        return self._sam.approve(asked, moment)

    def begin(self, request: LoadRequest) -> LoadOffer | Refusal:
        """Allow a load; asked again under the same name, the same offer."""
        if request.request_id in self._asked:
            return self._asked[request.request_id][0]
        answer, at = request.card_answer, self._clock()
        asked = LoadAsked(request.issuer, request.pan, request.terminal, request.amount_fen, answer)
        mac2 = self.approve(asked, bcd_datetime(at))
        if mac2 is None:
            return Refusal.OFFICE_REFUSED
        offer = LoadOffer(f"L{len(self._asked)}", at, mac2)
        self._asked[request.request_id] = offer, asked
        self.open.add(offer.load_id)
        return offer

    def confirm(self, load_id: str, tac: bytes, balance_after_fen: int) -> Refusal | None:
        """The card was credited: its TAC must prove it."""
        offer, asked = self._find(load_id)
        if not self._sam.receipt(asked, bcd_datetime(offer.at), tac):
            return Refusal.OFFICE_REFUSED
        self.open.discard(load_id)
        return None

    def reverse(self, load_id: str, status_word: int, online_counter: int) -> Refusal | None:
        """The card was not credited: its counter stands still."""
        _, asked = self._find(load_id)
        if (status_word, online_counter) != (SW.MAC_NOT_AVAILABLE, asked.counter):
            return Refusal.OFFICE_REFUSED
        self.open.discard(load_id)
        return None

    def _find(self, load_id: str) -> tuple[LoadOffer, LoadAsked]:
        return next(pair for pair in self._asked.values() if pair[0].load_id == load_id)
