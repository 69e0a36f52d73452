# SPDX-License-Identifier: Apache-2.0
"""The load SAM (圈存安全模块): checks a card's MAC1, approves the load with MAC2, checks the TAC.

Stateless: the office keeps what was asked between the steps of a load. Holds the load and TAC keys only.
Formulas: card facts 1.3, Load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citycard.core.crypto import same
from citycard.core.problem import Problem
from citycard.core.purse import BALANCE_MAX, Txn, load_mac1, load_mac2, load_tac, load_variable
from citycard.keys.hierarchy import card_factors
from citycard.keys.vault import KEY_MISSING, KeyName, Session, Vault

ANSWER_SIZE: Final = 16
TERMINAL_SIZE: Final = 6
MOMENT_SIZE: Final = 7
AMOUNT_MAX: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class LoadAsked:
    """A load as the card asks for it. `answer` is INIT LOAD's 16 bytes: balance4, online ATC2, key version1,
    algorithm1, rand4, MAC1 4. `issuer` is 8 bytes, `pan` 20 digits, `terminal` 6 bytes."""

    issuer: bytes
    pan: str
    terminal: bytes
    amount_fen: int
    answer: bytes
    txn: int = Txn.EP_LOAD

    def __post_init__(self) -> None:
        card_factors(self.issuer, self.pan)
        if len(self.answer) != ANSWER_SIZE or len(self.terminal) != TERMINAL_SIZE:
            raise ValueError("the answer to INIT LOAD has 16 bytes and a terminal number 6")
        if not 0 < self.amount_fen <= AMOUNT_MAX or self.txn not in (Txn.ED_LOAD, Txn.EP_LOAD):
            raise ValueError("a load adds an amount of four bytes and has type 01 or 02")

    @property
    def balance_before_fen(self) -> int:
        """What the card says it holds."""
        return int.from_bytes(self.answer[0:4], "big")

    @property
    def balance_after_fen(self) -> int:
        """What it will hold."""
        return self.balance_before_fen + self.amount_fen

    @property
    def counter(self) -> int:
        """The online ATC before its increment."""
        return int.from_bytes(self.answer[4:6], "big")

    @property
    def key_version(self) -> int:
        """Version of the card's load key."""
        return self.answer[6]

    @property
    def algorithm(self) -> int:
        """Algorithm id of the card's load key."""
        return self.answer[7]


class LoadSam:
    """MACs of loads; `vault` gives it the load and TAC keys, nothing else is kept."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault.only(KeyName.LOAD, KeyName.TAC)

    def __repr__(self) -> str:
        return "<load SAM>"

    def verify(self, asked: LoadAsked) -> bool:
        """Whether MAC1 is the card's; False also for a key version or algorithm this scheme never had."""
        return self._verified(asked) is not None

    def approve(self, asked: LoadAsked, moment: bytes) -> bytes | None:
        """MAC2 for a load at `moment` (seven BCD bytes, the host's clock), or None when MAC1 is wrong
        or the purse could not hold the sum."""
        _check_moment(moment)
        session = self._verified(asked)
        if session is None or asked.balance_after_fen > BALANCE_MAX:
            return None
        return session.mac(load_mac2(asked.amount_fen, asked.txn, asked.terminal, moment))

    def receipt(self, asked: LoadAsked, moment: bytes, tac: bytes) -> bool:
        """Whether `tac` proves that the card was credited as approved."""
        _check_moment(moment)
        if asked.balance_after_fen > BALANCE_MAX:
            return False
        message = load_tac(
            asked.balance_after_fen, asked.counter, asked.amount_fen, asked.txn, asked.terminal, moment
        )
        factors = card_factors(asked.issuer, asked.pan)
        try:
            expected = self._vault.tac(
                KeyName.TAC, asked.key_version, factors, message, suite=asked.algorithm
            )
        except Problem as problem:
            return _unknown(problem)
        return same(expected, tac)

    def _verified(self, asked: LoadAsked) -> Session | None:
        variable = load_variable(asked.answer[8:12], asked.counter)
        factors = card_factors(asked.issuer, asked.pan)
        try:
            session = self._vault.session(
                KeyName.LOAD, asked.key_version, factors, variable, suite=asked.algorithm
            )
        except Problem as problem:
            _unknown(problem)
            return None
        mac1 = session.mac(load_mac1(asked.balance_before_fen, asked.amount_fen, asked.txn, asked.terminal))
        return session if same(mac1, asked.answer[12:16]) else None


def _unknown(problem: Problem) -> bool:
    """False for a key the card made up; any other problem is ours and goes on."""
    if problem.declared is not KEY_MISSING:
        raise problem
    return False


def _check_moment(moment: bytes) -> None:
    if len(moment) != MOMENT_SIZE:
        raise ValueError(f"a moment has {MOMENT_SIZE} BCD bytes, this has {len(moment)}")
