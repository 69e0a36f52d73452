# SPDX-License-Identifier: Apache-2.0
"""MACs and TACs as the kit makes and checks them, right or tampered with in one named way.

The formulas are those of `core.purse`. A tampered MAC is right for other data than are sent: `amount` one
fen more, `type` another transaction type, `moment` another time, `terminal` another terminal, `number`
another transaction number, `stale` the transaction opened before, and `mac` is right for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from citycard.conform.keyring import Keys
from citycard.core import purse
from citycard.core.crypto import xor
from citycard.core.purse import Txn
from citycard.keys import KeyName

TAMPERS: Final = ("mac", "amount", "type", "moment", "terminal", "number", "stale")
ONE_BIT: Final = bytes((1, 0, 0, 0))
LOAD_DATA: Final = slice(5, 16)
DEBIT_HEAD, CREDIT_HEAD = bytes.fromhex("805401000F"), bytes.fromhex("805200000B")
UNLOAD_HEAD, LIMIT_HEAD = bytes.fromhex("805403000B"), bytes.fromhex("805800000E")
ED: Final = 0x01
OPENED_BY: Final = {  # P1 of INITIALIZE, and whether P2 is the deposit
    (0, False): Txn.EP_LOAD,
    (0, True): Txn.ED_LOAD,
    (1, False): Txn.EP_PURCHASE,
    (1, True): Txn.ED_PURCHASE,
    (2, True): Txn.CASH,
    (3, False): Txn.COMPOSITE,
    (4, True): Txn.OVERDRAFT,
    (5, True): Txn.UNLOAD,
}
ONLINE: Final = frozenset({Txn.ED_LOAD, Txn.EP_LOAD, Txn.UNLOAD})
ONLINE_KEYS: Final = {Txn.UNLOAD: "unload", Txn.OVERDRAFT: "overdraft"}  # the others are loads
OTHERS: Final = {  # the type that a MAC tampered with in its `type` is made for
    Txn.EP_PURCHASE: Txn.COMPOSITE,
    Txn.COMPOSITE: Txn.EP_PURCHASE,
    Txn.ED_PURCHASE: Txn.CASH,
    Txn.CASH: Txn.ED_PURCHASE,
    Txn.EP_LOAD: Txn.ED_LOAD,
    Txn.ED_LOAD: Txn.EP_LOAD,
    Txn.UNLOAD: Txn.ED_LOAD,
}


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


def txn_of(command: bytes) -> Txn | None:
    """The type of transaction that an INITIALIZE command asks for; None for what is none."""
    return OPENED_BY.get((command[2] & 0x0F, command[3] == ED))


def read_opening(command: bytes, answer: bytes) -> Opening:
    """The opening in an INITIALIZE command and the data of its answer."""
    txn = txn_of(command)
    assert txn is not None
    balance_fen, counter = int.from_bytes(answer[:4], "big"), int.from_bytes(answer[4:6], "big")
    if txn == Txn.OVERDRAFT:
        limit, told = int.from_bytes(answer[6:9], "big"), answer[9:]
        return Opening(
            txn, 0, command[6:12], balance_fen, counter, limit, told[0], told[1], told[2:6], told[6:]
        )
    amount_fen, terminal = int.from_bytes(command[6:10], "big"), command[10:16]
    if txn in ONLINE:
        rand, mac1 = answer[8:12], answer[12:16]
        return Opening(txn, amount_fen, terminal, balance_fen, counter, 0, answer[6], answer[7], rand, mac1)
    overdraft_fen = int.from_bytes(answer[6:9], "big")
    return Opening(
        txn, amount_fen, terminal, balance_fen, counter, overdraft_fen, answer[9], answer[10], answer[11:15]
    )


def _tampered(opening: Opening, moment: bytes, tamper: str) -> tuple[Opening, bytes]:
    """What the MAC is made for instead of what is sent."""
    if tamper == "amount":
        return replace(opening, amount_fen=opening.amount_fen + 1), moment
    if tamper == "type":
        return replace(opening, txn=OTHERS[Txn(opening.txn)]), moment
    if tamper == "terminal":
        return replace(opening, terminal=xor(opening.terminal, bytes(5) + b"\x01")), moment
    if tamper == "moment":
        return opening, xor(moment, bytes(6) + b"\x01")
    return opening, moment


def debit_mac1(keys: Keys, opening: Opening, number: int, moment: bytes, tamper: str = "") -> bytes:
    """MAC1 of a purchase; `number` is the terminal's transaction number."""
    told, at = _tampered(opening, moment, tamper)
    variable = purse.purchase_variable(told.rand, told.counter, number ^ (tamper == "number"))
    message = purse.purchase_mac1(told.amount_fen, told.txn, told.terminal, at)
    mac = keys.session_mac(KeyName.PURCHASE, told.key_version, told.algorithm, variable, message)
    return xor(mac, ONE_BIT) if tamper == "mac" else mac


def debit_command(opening: Opening, number: int, moment: bytes, mac1: bytes) -> bytes:
    """DEBIT FOR PURCHASE."""
    return DEBIT_HEAD + number.to_bytes(4, "big") + moment + mac1 + b"\x08"


def debit_receipt(keys: Keys, opening: Opening, number: int, moment: bytes) -> tuple[bytes, bytes]:
    """TAC and MAC2 that the card must answer."""
    variable = purse.purchase_variable(opening.rand, opening.counter, number)
    version, algorithm = opening.key_version, opening.algorithm
    mac2 = keys.session_mac(
        KeyName.PURCHASE, version, algorithm, variable, purse.purchase_mac2(opening.amount_fen)
    )
    covered = purse.purchase_tac(opening.amount_fen, opening.txn, opening.terminal, number, moment)
    return keys.tac(version, algorithm, covered), mac2


def load_mac1(keys: Keys, opening: Opening) -> bytes:
    """MAC1 that the card must answer to INITIALIZE FOR LOAD, UNLOAD or UPDATE OVERDRAW LIMIT."""
    if opening.txn == Txn.OVERDRAFT:
        limited = purse.overdraft_mac1(opening.balance_fen, opening.overdraft_fen, opening.terminal)
        return _load_mac(keys, opening, limited)
    message = purse.load_mac1(opening.balance_fen, opening.amount_fen, opening.txn, opening.terminal)
    return _load_mac(keys, opening, message)


def credit_mac2(keys: Keys, opening: Opening, moment: bytes, tamper: str = "") -> bytes:
    """MAC2 of a load; with `number` tampered it is made for the next counter."""
    told, at = _tampered(opening, moment, tamper)
    if tamper == "number":
        told = replace(told, counter=told.counter + 1)
    mac = _load_mac(keys, told, purse.load_mac2(told.amount_fen, told.txn, told.terminal, at))
    return xor(mac, ONE_BIT) if tamper == "mac" else mac


def credit_command(moment: bytes, mac2: bytes) -> bytes:
    """CREDIT FOR LOAD."""
    return CREDIT_HEAD + moment + mac2 + b"\x04"


def credit_tac(keys: Keys, opening: Opening, moment: bytes) -> bytes:
    """The TAC that the card must answer to CREDIT FOR LOAD."""
    after_fen = opening.balance_fen + opening.amount_fen
    covered = purse.load_tac(
        after_fen, opening.counter, opening.amount_fen, opening.txn, opening.terminal, moment
    )
    return keys.tac(opening.key_version, opening.algorithm, covered)


def _load_mac(keys: Keys, opening: Opening, message: bytes) -> bytes:
    variable = purse.load_variable(opening.rand, opening.counter)
    name = ONLINE_KEYS.get(Txn(opening.txn), KeyName.LOAD)
    return keys.session_mac(name, opening.key_version, opening.algorithm, variable, message)


# Unload and the overdraft limit


def unload_command(moment: bytes, mac2: bytes) -> bytes:
    """DEBIT FOR UNLOAD; its MAC2 is that of a load."""
    return UNLOAD_HEAD + moment + mac2 + b"\x04"


def unload_mac3(keys: Keys, opening: Opening, moment: bytes) -> bytes:
    """MAC3 that the card must answer to DEBIT FOR UNLOAD."""
    after_fen = opening.balance_fen - opening.amount_fen
    covered = purse.load_tac(
        after_fen, opening.counter, opening.amount_fen, opening.txn, opening.terminal, moment
    )
    return _load_mac(keys, opening, covered)


def limit_mac2(keys: Keys, opening: Opening, limit_fen: int, moment: bytes, tamper: str = "") -> bytes:
    """MAC2 of a change of the overdraft limit; tampered `amount`: made for one fen more."""
    told, at = _tampered(opening, moment, "" if tamper == "amount" else tamper)
    message = purse.overdraft_mac2(limit_fen + (tamper == "amount"), told.terminal, at)
    mac = _load_mac(keys, told, message)
    return xor(mac, ONE_BIT) if tamper == "mac" else mac


def limit_command(limit_fen: int, moment: bytes, mac2: bytes) -> bytes:
    """UPDATE OVERDRAW LIMIT."""
    return LIMIT_HEAD + limit_fen.to_bytes(3, "big") + moment + mac2 + b"\x04"


def limit_tac(keys: Keys, opening: Opening, limit_fen: int, moment: bytes) -> bytes:
    """The TAC that the card must answer to UPDATE OVERDRAW LIMIT."""
    available_fen = opening.balance_fen - opening.overdraft_fen + limit_fen
    covered = purse.overdraft_tac(available_fen, opening.counter, limit_fen, opening.terminal, moment)
    return keys.tac(opening.key_version, opening.algorithm, covered)
