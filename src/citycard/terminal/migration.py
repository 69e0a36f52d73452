# SPDX-License-Identifier: Apache-2.0
"""The office as the host of migrations, over HTTP: what `core.dialogue.migrate` asks of it."""

from __future__ import annotations

from typing import Any

import httpx

from citycard.core.dialogue.load import LoadOpened
from citycard.core.dialogue.migrate import AlreadyLoaded, Case, Offer, ProveFirst, Standing
from citycard.core.problem import Problem
from citycard.core.refusal import Refusal
from citycard.terminal.office import API, Unreachable, call

OFFER_SIZE = 11


class OfficeMigrations:
    """Implements `MigrationHost`; `client` has the office's root as its base URL."""

    def __init__(self, client: httpx.Client, token: str) -> None:
        self._client = client
        self._token = token

    def agree(self, case: Case) -> Refusal | None:
        """See `MigrationHost`."""
        return self._told("agree", case)

    def take_over(self, case: Case, proof: bytes) -> Refusal | None:
        """See `MigrationHost`."""
        return self._told("take_over", case, proof=proof.hex())

    def standing(self, case: Case) -> Standing | Refusal:
        """See `MigrationHost`."""
        answer = self._ask("standing", case)
        if isinstance(answer, Refusal):
            return answer
        if answer["standing"] == "loaded":
            return AlreadyLoaded()
        if answer["standing"] != "prove":
            return None
        terminal, moment = bytes.fromhex(answer["terminal"]), bytes.fromhex(answer["moment"])
        return ProveFirst(answer["load_id"], answer["counter"], terminal, moment)

    def begin(self, case: Case, opened: LoadOpened, terminal: bytes) -> Offer | Refusal:
        """See `MigrationHost`."""
        answer = self._ask("begin", case, card_answer=opened.raw.hex())
        if isinstance(answer, Refusal):
            return answer
        data = bytes.fromhex(answer["data"])
        return Offer(answer["load_id"], data) if len(data) == OFFER_SIZE else Refusal.OFFICE_REFUSED

    def credited(self, case: Case, load_id: str, tac: bytes) -> Refusal | None:
        """See `MigrationHost`."""
        return self._told("credited", case, load_id=load_id, tac=tac.hex())

    def absent(self, case: Case, load_id: str, counter: int) -> Refusal | None:
        """See `MigrationHost`."""
        return self._told("absent", case, load_id=load_id, counter=counter)

    def _told(self, step: str, case: Case, **particulars: Any) -> Refusal | None:
        answer = self._ask(step, case, **particulars)
        return answer if isinstance(answer, Refusal) else None

    def _ask(self, step: str, case: Case, **particulars: Any) -> dict[str, Any] | Refusal:
        """The office's answer, or its refusal; OFFICE_UNREACHABLE: perhaps heard, perhaps not."""
        told = {
            "old_uid": case.old_uid.hex(),
            "old_pan": case.old_pan,
            "old_counter": case.old_counter,
            "issuer": case.issuer.hex(),
            "new_pan": case.new_pan,
            "amount_fen": case.amount_fen,
        }
        try:
            response = call(
                self._client,
                "POST",
                f"{API}/migrations/{step}",
                self._token,
                json={"case": told} | particulars,
            )
            answer = response.json() if response.status_code == 200 else None
        except Unreachable:
            return Refusal.OFFICE_UNREACHABLE
        except (Problem, ValueError):
            return Refusal.OFFICE_REFUSED
        if not isinstance(answer, dict):
            return Refusal.OFFICE_REFUSED
        if answer["refusal"]:
            return Refusal[answer["refusal"]]
        return answer
