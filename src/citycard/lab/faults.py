# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a city: torn cards, lost and repeated uploads, processes killed between two writes.

Every fault is drawn from one seeded source, so that a seed names one city and its misfortunes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import Final

import httpx

OFFICE_STATEMENTS: Final = 14  # statements of one request, about


class Killed(BaseException):
    """The process dies here: nothing after this line runs, as with SIGKILL.

    Not an `Exception`, so that no handler in the code under test can survive its own death.
    """


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each misfortune strikes, in per mille of its occasions."""

    tear: int = 0
    kill_terminal: int = 0
    request_lost: int = 0
    answer_lost: int = 0
    repeated: int = 0
    late_upload: int = 0
    kill_clearing: int = 0
    kill_office: int = 0
    file_lost: int = 0  # of the exchange, on its way through the box; the next four as well
    unsigned: int = 0
    file_altered: int = 0
    file_late: int = 0
    file_repeated: int = 0
    clock_wrong: int = 0  # of a terminal, for a day
    lake_damaged: int = 0  # of a clearing run; the next two as well
    disk_full: int = 0
    run_in_parts: int = 0
    compaction: int = 0
    rate_gap: int = 0  # of the contracts, for an evening; the next two as well
    participant_unknown: int = 0
    rates_overlap: int = 0
    kill_bank: int = 0  # the office, while it orders payments or reads a statement
    bank_late: int = 0  # of a payment; the next two as well
    bank_rejects: int = 0
    bank_returns: int = 0
    statement_cut: int = 0
    statement_twice: int = 0


CALM = Rates()
ROUGH = Rates(
    tear=60, kill_terminal=15, request_lost=80, answer_lost=80, repeated=100, late_upload=150,
    kill_clearing=300, kill_office=40, clock_wrong=60, lake_damaged=100, disk_full=100, run_in_parts=100,
    compaction=150, rate_gap=100, participant_unknown=100, rates_overlap=100, kill_bank=150, bank_late=200,
    bank_rejects=150, bank_returns=100, statement_cut=150, statement_twice=150,
)  # fmt: skip


class Faults:
    """Draws misfortunes; `counts` tells how many of each struck."""

    def __init__(self, rates: Rates, random: Random) -> None:
        self.rates = rates
        self.random = random
        self.counts: dict[str, int] = {}

    def strikes(self, name: str) -> bool:
        """Whether the named misfortune strikes now."""
        rate: int = getattr(self.rates, name)
        if not rate or self.random.randrange(1000) >= rate:
            return False
        self.counts[name] = self.counts.get(name, 0) + 1
        return True

    def tear_step(self, steps: int) -> int | None:
        """At which exchange of a conversation the card leaves the field, or None."""
        return self.random.randrange(steps) if self.strikes("tear") else None


class DeathTimer:
    """Raises `Killed` when the given number of durable steps has been made; hand `step` to the store."""

    def __init__(self) -> None:
        self._left: int | None = None

    def arm(self, steps: int) -> None:
        """Die at the step of this number, counted from now, the first being 0."""
        self._left = steps

    @property
    def armed(self) -> bool:
        """Whether there is a step to die at."""
        return self._left is not None

    def disarm(self) -> None:
        """Live on."""
        self._left = None

    def step(self, *_: object) -> None:
        """One durable step is about to be made."""
        if self._left is None:
            return
        if self._left == 0:
            self._left = None
            raise Killed
        self._left -= 1


class RoughNetwork(httpx.BaseTransport):
    """A network that loses requests and answers and delivers requests twice, to an office that may die.

    `mortal` gives a context within which the office's process ends when its timer runs out.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport,
        faults: Faults,
        mortal: Callable[[DeathTimer], AbstractContextManager[None]],
    ) -> None:
        self._inner = inner
        self._faults = faults
        self._mortal = mortal
        self._death = DeathTimer()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Deliver, or do not, or do twice."""
        if self._faults.strikes("request_lost"):
            raise httpx.ConnectTimeout("the request was lost on the way", request=request)
        response = self._ask(request)
        if self._faults.strikes("repeated"):
            response.read()
            response = self._ask(request)
        if self._faults.strikes("answer_lost"):
            response.read()
            raise httpx.ReadTimeout("the answer was lost on the way", request=request)
        return response

    def _ask(self, request: httpx.Request) -> httpx.Response:
        """One delivery; an office that dies in it answers nothing."""
        if not self._faults.strikes("kill_office"):
            return self._inner.handle_request(request)
        self._death.arm(self._faults.random.randrange(OFFICE_STATEMENTS))
        try:
            with self._mortal(self._death):
                return self._inner.handle_request(request)
        except Killed:
            raise httpx.ReadTimeout("the office died", request=request) from None
        finally:
            self._death.disarm()
