# SPDX-License-Identifier: Apache-2.0
"""MACs and TACs as the kit makes and checks them, right or tampered with in one named way.

The formulas are those of `core.purse`. A tampered MAC is right for other data than are sent: `amount` one
fen more, `type` another transaction type, `moment` another time, `terminal` another terminal, `number`
another transaction number, `stale` the transaction opened before, and `mac` is right for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from citycard.conform.keyring import Keyring
from citycard.core import purse
from citycard.core.crypto import xor
from citycard.core.purse import Txn
from citycard.keys import KeyName

TAMPERS: Final = ("mac", "amount", "type", "moment", "terminal", "number", "stale")
ONE_BIT: Final = bytes((1, 0, 0, 0))
LOAD_DATA: Final = slice(5, 16)
DEBIT_HEAD, CREDIT_HEAD = bytes.fromhex("805401000F"), bytes.fromhex("805200000B")


@dataclass(frozen=True, slots=True)
class Opening:
    """A transaction as INITIALIZE opened it; `mac1` is the card's, for loads only."""

    txn: int
    amount_fen: int
    terminal: bytes
    balance_fen: int
    counter: int
    overdraft_fen: int
    key_version: int
    algorithm: int
    rand: bytes
    mac1: bytes = b""


def read_opening(command: bytes, answer: bytes) -> Opening:
    """The opening in an INITIALIZE command (11 bytes of data) and the data of its answer."""
    amount_fen, terminal = int.from_bytes(command[6:10], "big"), command[10:16]
    balance_fen, counter = int.from_bytes(answer[:4], "big"), int.from_bytes(answer[4:6], "big")
    if command[2] & 0x0F == 0:
        rand, mac1 = answer[8:12], answer[12:16]
        return Opening(
            Txn.EP_LOAD, amount_fen, terminal, balance_fen, counter, 0, answer[6], answer[7], rand, mac1
        )
    txn = Txn.COMPOSITE if command[2] & 0x0F == 3 else Txn.EP_PURCHASE
    overdraft_fen = int.from_bytes(answer[6:9], "big")
    return Opening(
        txn, amount_fen, terminal, balance_fen, counter, overdraft_fen, answer[9], answer[10], answer[11:15]
    )


def _tampered(opening: Opening, moment: bytes, tamper: str) -> tuple[Opening, bytes]:
    """What the MAC is made for instead of what is sent."""
    if tamper == "amount":
        return replace(opening, amount_fen=opening.amount_fen + 1), moment
    if tamper == "type":
        others = {Txn.EP_PURCHASE: Txn.COMPOSITE, Txn.COMPOSITE: Txn.EP_PURCHASE, Txn.EP_LOAD: Txn.ED_LOAD}
        return replace(opening, txn=others[Txn(opening.txn)]), moment
    if tamper == "terminal":
        return replace(opening, terminal=xor(opening.terminal, bytes(5) + b"\x01")), moment
    if tamper == "moment":
        return opening, xor(moment, bytes(6) + b"\x01")
    return opening, moment


def debit_mac1(keys: Keyring, opening: Opening, number: int, moment: bytes, tamper: str = "") -> bytes:
    """MAC1 of a purchase; `number` is the terminal's transaction number."""
    told, at = _tampered(opening, moment, tamper)
    variable = purse.purchase_variable(told.rand, told.counter, number ^ (tamper == "number"))
    message = purse.purchase_mac1(told.amount_fen, told.txn, told.terminal, at)
    mac = keys.session_mac(KeyName.PURCHASE, told.key_version, told.algorithm, variable, message)
    return xor(mac, ONE_BIT) if tamper == "mac" else mac


def debit_command(opening: Opening, number: int, moment: bytes, mac1: bytes) -> bytes:
    """DEBIT FOR PURCHASE."""
    return DEBIT_HEAD + number.to_bytes(4, "big") + moment + mac1 + b"\x08"


def debit_receipt(keys: Keyring, opening: Opening, number: int, moment: bytes) -> tuple[bytes, bytes]:
    """TAC and MAC2 that the card must answer."""
    variable = purse.purchase_variable(opening.rand, opening.counter, number)
    version, algorithm = opening.key_version, opening.algorithm
    mac2 = keys.session_mac(
        KeyName.PURCHASE, version, algorithm, variable, purse.purchase_mac2(opening.amount_fen)
    )
    covered = purse.purchase_tac(opening.amount_fen, opening.txn, opening.terminal, number, moment)
    return keys.tac(version, algorithm, covered), mac2


def load_mac1(keys: Keyring, opening: Opening) -> bytes:
    """MAC1 that the card must answer to INITIALIZE FOR LOAD."""
    message = purse.load_mac1(opening.balance_fen, opening.amount_fen, opening.txn, opening.terminal)
    return _load_mac(keys, opening, message)


def credit_mac2(keys: Keyring, opening: Opening, moment: bytes, tamper: str = "") -> bytes:
    """MAC2 of a load; with `number` tampered it is made for the next counter."""
    told, at = _tampered(opening, moment, tamper)
    if tamper == "number":
        told = replace(told, counter=told.counter + 1)
    mac = _load_mac(keys, told, purse.load_mac2(told.amount_fen, told.txn, told.terminal, at))
    return xor(mac, ONE_BIT) if tamper == "mac" else mac


def credit_command(moment: bytes, mac2: bytes) -> bytes:
    """CREDIT FOR LOAD."""
    return CREDIT_HEAD + moment + mac2 + b"\x04"


def credit_tac(keys: Keyring, opening: Opening, moment: bytes) -> bytes:
    """The TAC that the card must answer to CREDIT FOR LOAD."""
    after_fen = opening.balance_fen + opening.amount_fen
    covered = purse.load_tac(
        after_fen, opening.counter, opening.amount_fen, opening.txn, opening.terminal, moment
    )
    return keys.tac(opening.key_version, opening.algorithm, covered)


def _load_mac(keys: Keyring, opening: Opening, message: bytes) -> bytes:
    variable = purse.load_variable(opening.rand, opening.counter)
    return keys.session_mac(KeyName.LOAD, opening.key_version, opening.algorithm, variable, message)
