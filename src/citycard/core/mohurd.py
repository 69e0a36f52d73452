# SPDX-License-Identifier: Apache-2.0
"""Files of the MOHURD card (住建部, CJ/T 166, CJ/T 304), declared (card facts 4.1)."""

from __future__ import annotations

from datetime import date
from typing import Final

from citycard.core.layout import Field, Layout

AID_PURSE: Final = bytes.fromhex("A00000000386980701")
SFI_CARD: Final = 0x05  # in the MF
SFI_PUBLIC, SFI_LOG, SFI_LOAD_LOG, SFI_AWAY, SFI_COMPOSITE = 0x15, 0x18, 0x1A, 0x10, 0x17
LOG_RECORDS: Final = 10
COMPOSITE_SIZE, COMPOSITE_SHORT = 48, 16
COMPOSITE_IDS: Final = (0x01, 0x02, 0x03, 0x04, 0x05, 0x09)  # of 48 bytes; record 11 has 16
COMPOSITE_SHORT_ID: Final = 0x11

CARD: Final = Layout(
    "card information (MF EF05)",
    "CJ/T 166 by way of facts 4.1",
    (
        Field("issuer", 2, "bcd"),
        Field("city", 2, "bcd"),
        Field("industry", 2, "bcd"),
        Field("reserved", 2, "raw"),
        Field("serial", 8, "raw", note="city2 type1 subtype1 sequence4; the card's diversification factor"),
        Field("card_type", 1),
        Field("sub_type", 1),
        Field("issued_on", 4, "date"),
        Field("device", 6, "raw"),
        Field("version", 2, "bcd"),
    ),
)
PUBLIC: Final = Layout(
    "public application info (EF15)",
    "CJ/T 166 by way of facts 4.1; the FCI shows the first 30 bytes",
    (
        Field("issuer", 2, "bcd"),
        Field("city", 2, "bcd"),
        Field("industry", 2, "bcd"),
        Field("reserved", 2, "raw"),
        Field("enabled", 1, note="00 not enabled, 01 enabled"),
        Field("version", 1),
        Field("interoperable", 2, "raw"),
        Field("serial", 8, "raw", note="the card's diversification factor"),
        Field("valid_from", 4, "date"),
        Field("valid_until", 4, "date"),
        Field("card_type", 1),
        Field("sub_type", 1),
        Field("bitmap", 4, "raw"),
    ),
    examples=(
        (
            "0731410000000000010100004100000089999985201506052038080800" + "0000000000",
            {
                "issuer": "0731",
                "city": "4100",
                "industry": "0000",
                "reserved": bytes(2),
                "enabled": 1,
                "version": 1,
                "interoperable": bytes(2),
                "serial": bytes.fromhex("4100000089999985"),
                "valid_from": date(2015, 6, 5),
                "valid_until": date(2038, 8, 8),
                "card_type": 0,
                "sub_type": 0,
                "bitmap": bytes(4),
            },
        ),
    ),
)


def factors(public: bytes) -> tuple[bytes, bytes]:
    """Diversification factors, root to card: city and FF0000000000, then the serial (facts 2.2)."""
    return public[2:4] + bytes.fromhex("FF0000000000"), public[12:20]


def composite_records() -> tuple[bytes, ...]:
    """The records of EF17 as the factory leaves them: identifier, length, zeros.

    The last two bytes of the long ones are a checksum whose algorithm is not published (facts 10.5); the
    card keeps what terminals write and computes none.
    """
    sizes = dict.fromkeys(COMPOSITE_IDS, COMPOSITE_SIZE) | {COMPOSITE_SHORT_ID: COMPOSITE_SHORT}
    return tuple(bytes((id_, size - 2)) + bytes(size - 2) for id_, size in sizes.items())
