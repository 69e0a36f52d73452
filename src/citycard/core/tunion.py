# SPDX-License-Identifier: Apache-2.0
"""Files of the T-Union (交通联合, JT/T 978) purse application, declared (card facts 1.6, 3.4, 4.2)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from citycard.core.layout import Field, Layout

AID_PURSE: Final = bytes.fromhex("A000000632010105")
SFI_PUBLIC, SFI_HOLDER, SFI_KIND = 0x15, 0x16, 0x17
SFI_LOG, SFI_INDUSTRY, SFI_TRANSIT = 0x18, 0x1A, 0x1E
LOG_RECORDS: Final = 10
TRANSIT_RECORDS: Final = 30
TAG_METRO: Final = 0x2701  # industry record of metro journeys
INDUSTRY_TAGS: Final = tuple(range(0x2701, 0x2713))  # 18 records, ids 2701..2712
INDUSTRY_SIZE: Final = 128

PUBLIC: Final = Layout(
    "public application info (EF15)",
    "JT/T 978 by way of facts 4.2",
    (
        Field("issuer", 8, "raw", note="level-1 diversification factor"),
        Field("app_type", 1),
        Field("enabled", 1, note="00 not enabled, 01 enabled"),
        Field("pan", 10, "bcd", note="leading 0 and 19 digits; the low 8 bytes are the level-2 factor"),
        Field("valid_from", 4, "date"),
        Field("valid_until", 4, "date"),
        Field("card_type", 1),
        Field("reserved", 1),
    ),
    examples=(
        (
            "01011000FFFFFFFF020103105170070104791381201907182040123100" + "00",
            {
                "issuer": bytes.fromhex("01011000FFFFFFFF"),
                "app_type": 2,
                "enabled": 1,
                "pan": "03105170070104791381",
                "valid_from": date(2019, 7, 18),
                "valid_until": date(2040, 12, 31),
                "card_type": 0,
                "reserved": 0,
            },
        ),
    ),
)
HOLDER: Final = Layout(
    "holder (EF16)",
    "JT/T 978 by way of facts 3.4, variant of 55 bytes",
    (
        Field("card_type", 1),
        Field("staff", 1),
        Field("name", 20, "raw", note="GB 18030, padded 00"),
        Field("id_number", 32, "raw", note="ASCII, padded 00; left empty by citycard: the card needs none"),
        Field("id_type", 1, note="00 national identity card"),
    ),
)
CARD_KIND: Final = Layout(
    "management info (EF17)",
    "JT/T 978 by way of facts 4.2, 11 bytes used",
    (
        Field("country", 4, "bcd", default="00000156"),
        Field("province", 2, "bcd"),
        Field("city", 2, "bcd"),
        Field("interoperable", 2, "bcd", default="0001"),
        Field("card_class", 1, note="01 ordinary, 02 student, 03 senior, 04 test, 05 military"),
    ),
    examples=(
        (
            "0000015658005840000101",
            {
                "country": "00000156",
                "province": "5800",
                "city": "5840",
                "interoperable": "0001",
                "card_class": 1,
            },
        ),
    ),
)
LOG: Final = Layout(
    "transaction log (EF18)",
    "PBOC by way of facts 1.6",
    (
        Field("counter", 2),
        Field("overdraft_fen", 3),
        Field("amount_fen", 4),
        Field("txn", 1),
        Field("terminal", 6, "raw"),
        Field("at", 7, "moment"),
    ),
    examples=(
        (
            "042D000000000001F40930008900034020241229141740",
            {
                "counter": 0x042D,
                "overdraft_fen": 0,
                "amount_fen": 500,
                "txn": 9,
                "terminal": bytes.fromhex("300089000340"),
                "at": datetime(2024, 12, 29, 14, 17, 40),
            },
        ),
    ),
)
ENTRY, EXIT, RIDE = 0x03, 0x04, 0x06
MODE_OTHER, MODE_METRO, MODE_BUS = 0x00, 0x01, 0x02
TRANSIT: Final = Layout(
    "public-transport process (EF1E)",
    "JT/T 978 by way of facts 4.2, cyclic, 48 bytes",
    (
        Field("event", 1, note="03 entry, 04 exit, 06 single ride"),
        Field("terminal", 8, "raw", note="left-padded with two zero bytes"),
        Field("mode", 1, note="01 metro, 02 bus, 00 other"),
        Field("line", 2),
        Field("station", 2),
        Field("operator", 2),
        Field("place_reserved", 1),
        Field("amount_fen", 4),
        Field("balance_after_fen", 4),
        Field("at", 7, "moment"),
        Field("city", 2, "bcd"),
        Field("acquirer", 8, "raw"),
        Field("reserved", 6, "raw"),
    ),
    examples=(
        (
            "040000300089000340010800190030000000"
            + "0001F400000E0120241229141740100001011000FFFFFFFF000000000000",
            {
                "event": 4,
                "terminal": bytes.fromhex("0000300089000340"),
                "mode": 1,
                "line": 0x0800,
                "station": 0x1900,
                "operator": 0x3000,
                "place_reserved": 0,
                "amount_fen": 500,
                "balance_after_fen": 0xE01,
                "at": datetime(2024, 12, 29, 14, 17, 40),
                "city": "1000",
                "acquirer": bytes.fromhex("01011000FFFFFFFF"),
                "reserved": bytes(6),
            },
        ),
    ),
)
ENTERED, EXITED = 0x01, 0x02
METRO: Final = Layout(
    "metro journey (EF1A record 2701)",
    "inferred from gate software, facts 4.2",
    (
        Field("tag", 2, default=TAG_METRO),
        Field("length", 2, default=INDUSTRY_SIZE - 4),
        Field("in_use", 1, default=1),
        Field("locked", 1),
        Field("serial", 8, "bcd"),
        Field("status", 1, note="01 entered, 02 exited"),
        Field("entry_city", 2, "bcd"),
        Field("exit_city", 2, "bcd"),
        Field("entry_organisation", 8, "raw"),
        Field("exit_organisation", 8, "raw"),
        Field("entry_station", 8),
        Field("exit_station", 8),
        Field("entry_terminal", 8, "raw"),
        Field("exit_terminal", 8, "raw"),
        Field("entry_at", 7, "moment"),
        Field("exit_at", 7, "moment"),
        Field("fare_max_fen", 4),
        Field("entry_line", 1),
        Field("exit_line", 1),
        Field("entry_amount_fen", 4),
        Field("entry_balance_fen", 4),
        Field("actual_fen", 4),
        Field("operator_specific", 29, "raw"),
    ),
)


def issuer_factor(public: bytes) -> bytes:
    """Level-1 factor: EF15 bytes 1-8."""
    return public[0:8]


def card_factor(public: bytes) -> bytes:
    """Level-2 factor: EF15 bytes 13-20, the low 8 bytes of the PAN."""
    return public[12:20]


def factors(issuer: bytes, pan: str) -> tuple[bytes, bytes]:
    """Both factors of a card, in order root to card."""
    return issuer, bytes.fromhex(pan)[2:]
