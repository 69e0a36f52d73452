# SPDX-License-Identifier: Apache-2.0
"""The purse on a Classic-like card ("M1 card"), declared: sectors, blocks, access, layouts, keys.

    sector 1   4  5  public data, with a MAC          read A|B, write B
    sector 2   8  9  balance and its backup           decrement A|B, increment and write B
              10     migration mark                   read A|B, write B
    sector 3  12 13  state of the last transactions   read and write A|B
    sector 4  16-18, sector 5  20-22  log ring        read and write A|B

Key A debits, key B loads. The chip has no journal, so every change is made in this order: state (what is
going to happen, into the older of its two blocks), balance, backup, log. The balance block, when it is a
whole value block, is the truth; when it is torn, the backup is. Sector keys are diversified by UID, sector
and key; MACs cover the UID, so that copied blocks prove nothing on another card. The layout is citycard's
own, for cities' M1 layouts are not published. Integers are most significant byte first, value blocks as the
chip has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol

from citycard.core.layout import Field, Layout, LayoutError
from citycard.core.purse import Txn
from citycard.core.storage.access import Conditions

INFO_BLOCKS: Final = (4, 5)
BALANCE_BLOCK, BACKUP_BLOCK, MARK_BLOCK = 8, 9, 10
STATE_BLOCKS: Final = (12, 13)
LOG_BLOCKS: Final = (16, 17, 18, 20, 21, 22)
SECTORS: Final[dict[int, Conditions]] = {  # access conditions by sector: data groups 0 to 2, trailer
    1: (0b100, 0b100, 0b100, 0b011),
    2: (0b110, 0b110, 0b100, 0b011),
    3: (0b000, 0b000, 0b000, 0b011),
    4: (0b000, 0b000, 0b000, 0b011),
    5: (0b000, 0b000, 0b000, 0b011),
}
LAYOUT_VERSION: Final = 1
BALANCE_MAX_FEN: Final = 100_000  # 1,000 yuan, the customary limit of a purse without a known holder
COUNTER_MAX: Final = 0xFFFF
MAC_SIZE: Final = 4
MIGRATION_ID_SIZE: Final = 6

INFO: Final = Layout(
    "public data (blocks 4 and 5)",
    "citycard M1 layout 1",
    (
        Field("version", 1, default=LAYOUT_VERSION),
        Field("card_class", 1, default=1, note="01 ordinary, 02 student, 03 senior, as EF17"),
        Field("pan", 10, "bcd"),
        Field("valid_until", 4, "date"),
        Field("issuer", 8, "raw"),
        Field("reserved", 4, "raw"),
        Field("mac", MAC_SIZE, "raw", note="over the UID and all before it"),
    ),
)
STATE: Final = Layout(
    "state (blocks 12 and 13)",
    "citycard M1 layout 1",
    (
        Field("counter", 2),
        Field("txn", 1, note="02 load, 03 unload, 06 purchase"),
        Field("amount_fen", 3),
        Field("before_fen", 3),
        Field("nonce", 3, "raw", note="of terminal and moment: no two have the same state"),
        Field("mac", MAC_SIZE, "raw", note="over the UID and all before it"),
    ),
    examples=(
        (
            "0007060000C80003E800000011223344",
            {
                "counter": 7,
                "txn": 6,
                "amount_fen": 200,
                "before_fen": 1000,
                "nonce": bytes(3),
                "mac": bytes.fromhex("11223344"),
            },
        ),
    ),
)
LOG: Final = Layout(
    "log (blocks 16 to 18, 20 to 22)",
    "citycard M1 layout 1",
    (
        Field("counter", 2),
        Field("txn", 1),
        Field("amount_fen", 3),
        Field("terminal", 6, "raw"),
        Field("at_s", 4, note="seconds since 2000-01-01, the scheme's zone"),
    ),
)


class Mark(IntEnum):
    """How far a card has come on its way to another card."""

    FROZEN = 0x01  # no debit, no load: its balance is promised to another card
    CLOSED = 0x02  # its balance is there


MARK: Final = Layout(
    "migration mark (block 10)",
    "citycard M1 layout 1",
    (
        Field("mark", 1),
        Field("counter", 2, note="of the newest transaction when the card was frozen"),
        Field("migration", MIGRATION_ID_SIZE, "raw"),
        Field("amount_fen", 3),
        Field("mac", MAC_SIZE, "raw", note="over the UID and all before it"),
    ),
)
CREDITS: Final = frozenset({Txn.EP_LOAD})


class M1Keys(Protocol):
    """What a terminal's security module does for M1 cards; sector keys leave it, the reader needs them."""

    def sector_key(self, uid: bytes, sector: int, which: str) -> bytes:
        """Key `A` or `B` of a card's sector, six bytes."""
        ...

    def record_mac(self, uid: bytes, message: bytes) -> bytes:
        """The four-byte MAC of a record on a card."""
        ...


def sealed(keys: M1Keys, uid: bytes, layout: Layout, **values: Any) -> bytes:
    """A record with its MAC, which is its last field."""
    raw = layout.encode(**values)
    return raw[:-MAC_SIZE] + keys.record_mac(uid, raw[:-MAC_SIZE])


def opened(keys: M1Keys, uid: bytes, layout: Layout, raw: bytes) -> dict[str, Any] | None:
    """A record's fields, None when its MAC is not this card's or it holds no valid values."""
    try:
        fields = layout.decode(raw[: layout.size])
    except LayoutError:
        return None
    return fields if keys.record_mac(uid, raw[: layout.size - MAC_SIZE]) == fields["mac"] else None


@dataclass(frozen=True, slots=True)
class State:
    """What the card says of one transaction: what was going to happen."""

    counter: int
    txn: int
    amount_fen: int
    before_fen: int
    mac: bytes
    block: int  # where it stands

    @property
    def after_fen(self) -> int:
        """The balance it leads to."""
        return self.before_fen + (self.amount_fen if self.txn in CREDITS else -self.amount_fen)


def newest(keys: M1Keys, uid: bytes, blocks: dict[int, bytes]) -> list[State]:
    """The valid states of a card, newest first."""
    found = []
    for block, raw in blocks.items():
        fields = opened(keys, uid, STATE, raw)
        if fields:
            found.append(
                State(
                    fields["counter"],
                    fields["txn"],
                    fields["amount_fen"],
                    fields["before_fen"],
                    fields["mac"],
                    block,
                )
            )
    return sorted(found, key=lambda state: -state.counter)


assert INFO.size == 32
assert {STATE.size, LOG.size, MARK.size} == {16}
