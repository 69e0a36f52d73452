# SPDX-License-Identifier: Apache-2.0
"""Data fields of the purse's and the PSAM's commands, declared (card facts 1.3, 6.2).

Names are those of `trace.words.TITLES`. Card files are declared in `core.tunion`; here is what commands and
answers carry.
"""

from __future__ import annotations

from typing import Final

from citycard.core import mohurd, tunion
from citycard.core.layout import Field, Layout
from citycard.core.trace import context

PBOC: Final = "PBOC ED/EP by way of facts 1.3"
PSAM: Final = "terminal implementations by way of facts 6.2"

KEY_INDEX, AMOUNT, TERMINAL = Field("key_index", 1), Field("amount_fen", 4), Field("terminal", 6, "raw")
BALANCE, COUNTER, OVERDRAFT = Field("balance_fen", 4), Field("counter", 2), Field("overdraft_fen", 3)
KEY_VERSION, ALGORITHM, RAND = Field("key_version", 1), Field("algorithm", 1), Field("rand", 4, "raw")
MOMENT, TXN, TERMINAL_TXN = Field("moment", 7, "moment"), Field("txn", 1), Field("terminal_txn", 4)
MAC1, MAC2, MAC3 = (Field(name, 4, "raw") for name in ("mac1", "mac2", "mac3"))
TAC = Field("tac", 4, "raw")

INIT: Final = Layout("INITIALIZE, command", PBOC, (KEY_INDEX, AMOUNT, TERMINAL))
INIT_LOAD_ANSWER: Final = Layout(
    "INITIALIZE FOR LOAD, answer", PBOC, (BALANCE, COUNTER, KEY_VERSION, ALGORITHM, RAND, MAC1)
)
INIT_DEBIT_ANSWER: Final = Layout(
    "INITIALIZE FOR PURCHASE, answer", PBOC, (BALANCE, COUNTER, OVERDRAFT, KEY_VERSION, ALGORITHM, RAND)
)
INIT_OVERDRAFT: Final = Layout("INITIALIZE FOR UPDATE, command", PBOC, (KEY_INDEX, TERMINAL))
INIT_OVERDRAFT_ANSWER: Final = Layout(
    "INITIALIZE FOR UPDATE, answer",
    PBOC,
    (BALANCE, COUNTER, OVERDRAFT, KEY_VERSION, ALGORITHM, RAND, MAC1),
)
CREDIT: Final = Layout("CREDIT FOR LOAD, command", PBOC, (MOMENT, MAC2))
CREDIT_ANSWER: Final = Layout("CREDIT FOR LOAD, answer", PBOC, (TAC,))
DEBIT: Final = Layout("DEBIT FOR PURCHASE, command", PBOC, (TERMINAL_TXN, MOMENT, MAC1))
DEBIT_ANSWER: Final = Layout("DEBIT FOR PURCHASE, answer", PBOC, (TAC, MAC2))
UNLOAD_ANSWER: Final = Layout("DEBIT FOR UNLOAD, answer", PBOC, (MAC3,))
SET_OVERDRAFT: Final = Layout("UPDATE OVERDRAW LIMIT, command", PBOC, (Field("limit_fen", 3), MOMENT, MAC2))
BALANCE_ANSWER: Final = Layout("GET BALANCE, answer", PBOC, (Field("balance_now_fen", 4),))
PROVE: Final = Layout("GET TRANSACTION PROVE, command", PBOC, (Field("serial2", 2),))
PROVE_ANSWER: Final = Layout("GET TRANSACTION PROVE, answer", PBOC, (MAC2, TAC))

SAM_INIT: Final = Layout(
    "INIT SAM FOR PURCHASE, command",
    PSAM,
    (RAND, COUNTER, AMOUNT, TXN, MOMENT, KEY_VERSION, ALGORITHM, Field("card_factor", 8, "raw")),
)
SAM_INIT_ANSWER: Final = Layout("INIT SAM FOR PURCHASE, answer", PSAM, (TERMINAL_TXN, MAC1))
SAM_CREDIT: Final = Layout("CREDIT SAM FOR PURCHASE, command", PSAM, (MAC2,))
PLATFORM: Final = "GlobalPlatform by way of facts 7.1, 7.2"
CRYPTOGRAM: Final = Field("proof", 8, "raw")
INIT_UPDATE: Final = Layout("INITIALIZE UPDATE, command", PLATFORM, (Field("host_challenge", 8, "raw"),))
_CHANNEL: Final = (Field("diversification", 10, "raw"), KEY_VERSION, Field("protocol", 1))
SCP02_ANSWER: Final = Layout(
    "INITIALIZE UPDATE, answer of SCP02",
    PLATFORM,
    (*_CHANNEL, Field("sequence", 2), Field("card_challenge", 6, "raw"), CRYPTOGRAM),
)
SCP03_ANSWER: Final = Layout(
    "INITIALIZE UPDATE, answer of SCP03",
    PLATFORM,
    (
        *_CHANNEL,
        Field("protocol_i", 1, "raw"),
        Field("card_challenge", 8, "raw"),
        CRYPTOGRAM,
        Field("sequence", 3),
    ),
)
KEY_HEAD: Final = Layout(
    "WRITE KEY in clear, command",
    "FMCOS by way of facts 3.2",
    tuple(Field(name, 1) for name in ("key_type", "key_use", "key_change", "key_third", "key_fourth")),
)
CREATE_FILE: Final = Layout(
    "CREATE FILE, command",
    "FMCOS by way of facts 3.2",
    (Field("file_type", 1), Field("file_size", 2), Field("rights", 4, "raw")),
)
INDUSTRY_HEAD: Final = Layout(
    "industry record (EF1A)",
    "JT/T 978 by way of facts 4.2",
    (Field("tag", 2), Field("length", 2), Field("in_use", 1), Field("locked", 1)),
)
FILES: Final[dict[str, dict[int, Layout]]] = {
    context.T_UNION: {
        tunion.SFI_PUBLIC: tunion.PUBLIC,
        tunion.SFI_HOLDER: tunion.HOLDER,
        tunion.SFI_KIND: tunion.CARD_KIND,
        tunion.SFI_LOG: tunion.LOG,
        tunion.SFI_INDUSTRY: tunion.METRO,
        tunion.SFI_TRANSIT: tunion.TRANSIT,
    },
    context.MF: {mohurd.SFI_CARD: mohurd.CARD},
    context.MOHURD: {
        mohurd.SFI_PUBLIC: mohurd.PUBLIC,
        mohurd.SFI_LOG: tunion.LOG,
        mohurd.SFI_LOAD_LOG: tunion.LOG,
        mohurd.SFI_AWAY: tunion.LOG,
    },
    context.SAM_APP: {
        0x15: Layout(
            "PSAM public file",
            PSAM,
            (
                Field("sam_serial", 10, "raw"),
                Field("version", 1),
                Field("app_type", 1),
                Field("reserved", 2, "raw"),
            ),
        ),
        0x16: Layout("PSAM terminal number", PSAM, (TERMINAL,)),
        0x17: Layout("PSAM key index", PSAM, (KEY_INDEX,)),
    },
}
"""Contents of files by application and short identifier; a new kind of card is a line here and in `files`."""
