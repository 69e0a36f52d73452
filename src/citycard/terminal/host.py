# SPDX-License-Identifier: Apache-2.0
"""The host of a load: who checks the card's MAC1, gives MAC2, and is told how it ended.

`LoadHost` is the port, `OfficeLoads` the office over HTTP. Every question may be repeated: a request has a
name, and confirming or reversing twice is once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import httpx

from citycard.core.calendar import bcd_datetime
from citycard.core.problem import Problem
from citycard.core.refusal import Refusal
from citycard.terminal.office import API, Unreachable, call


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What the host is asked: `card_answer` is the card's 16-byte answer to INIT LOAD."""

    request_id: str
    terminal: bytes
    pan: str
    issuer: bytes
    amount_fen: int
    card_answer: bytes


@dataclass(frozen=True, slots=True)
class LoadOffer:
    """The host allows: its name of the load, its moment (both go into TAC and record), and MAC2."""

    load_id: str
    at: datetime
    mac2: bytes

    @property
    def data(self) -> bytes:
        """What CREDIT carries: date 4, time 3, MAC2 4 bytes."""
        return bcd_datetime(self.at) + self.mac2


class LoadHost(Protocol):
    """The port. `Refusal.OFFICE_UNREACHABLE` means: perhaps heard, perhaps not; ask again later."""

    def begin(self, request: LoadRequest) -> LoadOffer | Refusal:
        """Allow a load; the same `request_id` gives the same offer."""
        ...

    def confirm(self, load_id: str, tac: bytes, balance_after_fen: int) -> Refusal | None:
        """The card was credited, and this TAC proves it. None when the host has noted it."""
        ...

    def reverse(self, load_id: str, status_word: int, online_counter: int) -> Refusal | None:
        """The card was not credited: it answered GET TRANSACTION PROVE so, and its counter stands still."""
        ...


class OfficeLoads:
    """The office as the host of loads; `client` has the office's root as its base URL."""

    def __init__(self, client: httpx.Client, token: str) -> None:
        self._client = client
        self._token = token

    def begin(self, request: LoadRequest) -> LoadOffer | Refusal:
        body = {
            "terminal": request.terminal.hex(),
            "pan": request.pan,
            "issuer": request.issuer.hex(),
            "request_id": request.request_id,
            "card_answer": request.card_answer.hex(),
            "amount_fen": request.amount_fen,
        }
        answer = self._post("/loads", body)
        if isinstance(answer, Refusal):
            return answer
        try:
            at = datetime.fromisoformat(answer["at"]).replace(microsecond=0, tzinfo=None)
            offer = LoadOffer(str(answer["load_id"]), at, bytes.fromhex(answer["mac2"]))
        except (KeyError, TypeError, ValueError):
            return Refusal.OFFICE_REFUSED
        return offer if len(offer.mac2) == 4 else Refusal.OFFICE_REFUSED

    def confirm(self, load_id: str, tac: bytes, balance_after_fen: int) -> Refusal | None:
        body = {"tac": tac.hex(), "balance_after_fen": balance_after_fen}
        answer = self._post(f"/loads/{load_id}/confirm", body)
        return answer if isinstance(answer, Refusal) else None

    def reverse(self, load_id: str, status_word: int, online_counter: int) -> Refusal | None:
        proof = {"status_word": f"{status_word:04X}", "online_counter": online_counter}
        answer = self._post(f"/loads/{load_id}/reverse", {"proof": proof})
        return answer if isinstance(answer, Refusal) else None

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | Refusal:
        try:
            response = call(self._client, "POST", API + path, self._token, json=body)
        except Unreachable:
            return Refusal.OFFICE_UNREACHABLE
        except Problem:
            return Refusal.OFFICE_REFUSED
        if response.status_code != 200:
            return Refusal.OFFICE_REFUSED
        try:
            answer = response.json()
        except ValueError:
            return Refusal.OFFICE_REFUSED
        return answer if isinstance(answer, dict) else Refusal.OFFICE_REFUSED
