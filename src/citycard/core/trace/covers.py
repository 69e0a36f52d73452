# SPDX-License-Identifier: Apache-2.0
"""What MAC1, MAC2, MAC3 and TAC of the money commands cover, as a table of field names (card facts 1.3).

The bytes are the ones `core.purse` builds; a test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citycard.core.purse import Txn
from citycard.core.trace.context import Facts
from citycard.core.trace.layouts import BALANCE, COUNTER, MOMENT
from citycard.core.trace.values import Covered, Part, Words
from citycard.core.trace.words import meaning_of, title_of

LOAD_KEY: Final = Words("session key, from the card's load key", "过程密钥，由圈存子密钥产生")
UNLOAD_KEY: Final = Words("session key, from the card's unload key", "过程密钥，由圈提子密钥产生")
OVERDRAFT_KEY: Final = Words(
    "session key, from the card's overdraft key", "过程密钥，由修改透支限额子密钥产生"
)
PURCHASE_KEY: Final = Words("session key, from the card's purchase key", "过程密钥，由消费子密钥产生")
TAC_KEY: Final = Words("the card's TAC key, its halves xored (3DES)", "TAC 子密钥，左右两半异或（3DES）")
MESSAGE_KEY: Final = Words(
    "the key that protects messages here; the challenge is the IV", "报文保护密钥，随机数为初始值"
)
CHANNEL_KEY: Final = Words(
    "the channel's MAC session key, chained to the MAC before", "安全通道 MAC 会话密钥，与上一个 MAC 相链接"
)
LOAD_VARIABLE: Final = ("rand", "counter", "load_tail")
PURCHASE_VARIABLE: Final = ("rand", "counter", "terminal_txn_low")
KINDS: Final = {field.name: field.kind for field in (BALANCE, COUNTER, MOMENT)}


@dataclass(frozen=True, slots=True)
class Rule:
    """Fields covered, in order; the key; what made the session key."""

    fields: tuple[str, ...]
    key: Words
    variable: tuple[str, ...] = ()


_PURCHASE: Final = {
    "mac1": Rule(("amount_fen", "txn", "terminal", "moment"), PURCHASE_KEY, PURCHASE_VARIABLE),
    "mac2": Rule(("amount_fen",), PURCHASE_KEY, PURCHASE_VARIABLE),
    "tac": Rule(("amount_fen", "txn", "terminal", "terminal_txn", "moment"), TAC_KEY),
}
_LOAD: Final = {
    "mac1": Rule(("balance_fen", "amount_fen", "txn", "terminal"), LOAD_KEY, LOAD_VARIABLE),
    "mac2": Rule(("amount_fen", "txn", "terminal", "moment"), LOAD_KEY, LOAD_VARIABLE),
    "tac": Rule(("balance_after_fen", "counter", "amount_fen", "txn", "terminal", "moment"), TAC_KEY),
}
_UNLOAD: Final = {
    "mac1": Rule(("balance_fen", "amount_fen", "txn", "terminal"), UNLOAD_KEY, LOAD_VARIABLE),
    "mac2": Rule(("amount_fen", "txn", "terminal", "moment"), UNLOAD_KEY, LOAD_VARIABLE),
    "mac3": Rule(
        ("balance_after_fen", "counter", "amount_fen", "txn", "terminal", "moment"), UNLOAD_KEY, LOAD_VARIABLE
    ),
}
_OVERDRAFT: Final = {
    "mac1": Rule(("balance_fen", "overdraft_fen", "txn", "terminal"), OVERDRAFT_KEY, LOAD_VARIABLE),
    "mac2": Rule(("limit_fen", "txn", "terminal", "moment"), OVERDRAFT_KEY, LOAD_VARIABLE),
    "tac": Rule(("balance_after_fen", "counter", "limit_fen", "txn", "terminal", "moment"), TAC_KEY),
}
RULES: Final[dict[int, dict[str, Rule]]] = {
    Txn.ED_LOAD: _LOAD,
    Txn.EP_LOAD: _LOAD,
    Txn.UNLOAD: _UNLOAD,
    Txn.CASH: _PURCHASE,
    Txn.ED_PURCHASE: _PURCHASE,
    Txn.EP_PURCHASE: _PURCHASE,
    Txn.OVERDRAFT: _OVERDRAFT,
    Txn.COMPOSITE: _PURCHASE,
}
SIGNS: Final = {Txn.ED_LOAD: 1, Txn.EP_LOAD: 1, Txn.UNLOAD: -1, Txn.OVERDRAFT: 0}


def money_cover(txn: int, name: str, value: bytes, facts: Facts) -> Covered | None:
    """What the MAC of that name covers in a transaction of that type; None when it is of no such kind."""
    rule = RULES.get(txn, {}).get(name)
    if rule is None:
        return None
    whole = dict(facts) | {"txn": bytes((txn,)), "load_tail": b"\x80\x00"}
    if "terminal_txn" in facts:
        whole["terminal_txn_low"] = facts["terminal_txn"][-2:]
    if "balance_fen" in facts and txn in SIGNS:
        amount = int.from_bytes(facts.get("amount_fen", b""), "big")
        after = int.from_bytes(facts["balance_fen"], "big") + SIGNS[Txn(txn)] * amount
        if 0 <= after < 2**32:
            whole["balance_after_fen"] = after.to_bytes(4, "big")
    parts = tuple(part(field, whole.get(field)) for field in rule.fields)
    variable = tuple(part(field, whole.get(field)) for field in rule.variable)
    return Covered(name.upper(), value, parts, rule.key, variable)


def message_cover(head: bytes, data: bytes, value: bytes, challenge: bytes, *, channel: bool) -> Covered:
    """What a secure-messaging MAC covers: the header with Lc, and the data before the MAC (facts 1.7, 7).

    In a GlobalPlatform `channel` the MAC before is the start of the next one, and not a challenge.
    """
    parts = [part("cla", head[:1]), part("ins", head[1:2]), part("p1", head[2:3]), part("p2", head[3:4])]
    parts.append(part("lc", head[4:]))
    if data:
        parts.append(part("data", data))
    if channel:
        return Covered("MAC", value, tuple(parts), CHANNEL_KEY)
    return Covered("MAC", value, tuple(parts), MESSAGE_KEY, (part("challenge", challenge or None),))


def part(name: str, data: bytes | None) -> Part:
    """A field of a message, told in words."""
    title, tone = title_of(name)
    kind = KINDS.get(name, "uint" if name in ("terminal_txn", "terminal_txn_low") else "raw")
    meaning = Words("not seen", "未见") if data is None else meaning_of(name, kind, data)
    return Part(name, title, meaning, tone, data)
