# SPDX-License-Identifier: Apache-2.0
"""The reader's side of every conversation with a card, as generators.

view = converse(read_card(), {"card": link})
"""

from citycard.core.dialogue.exchange import (
    CARD,
    HOST,
    SAM,
    CardGone,
    Dialogue,
    DialogueError,
    Exchange,
    Party,
    Refused,
    ask,
    converse,
)
from citycard.core.dialogue.load import Loaded, LoadOpened, close_load, load, open_load
from citycard.core.dialogue.personalise import KeySlot, key_slots, personalise
from citycard.core.dialogue.purchase import (
    Opened,
    Order,
    Receipt,
    Staged,
    Unproven,
    close_purchase,
    open_purchase,
    purchase,
)
from citycard.core.dialogue.read import (
    CardView,
    identify,
    read_balance,
    read_card,
    read_kind,
    read_log,
    read_memory,
)
from citycard.core.dialogue.recover import Fate, Found, Torn, prove, recover
from citycard.core.dialogue.sam import batch_mac, block_card, sam_terminal

__all__ = [
    "CARD",
    "HOST",
    "SAM",
    "CardGone",
    "CardView",
    "Dialogue",
    "DialogueError",
    "Exchange",
    "Fate",
    "Found",
    "KeySlot",
    "LoadOpened",
    "Loaded",
    "Opened",
    "Order",
    "Party",
    "Receipt",
    "Refused",
    "Staged",
    "Torn",
    "Unproven",
    "ask",
    "batch_mac",
    "block_card",
    "close_load",
    "close_purchase",
    "converse",
    "identify",
    "key_slots",
    "load",
    "open_load",
    "open_purchase",
    "personalise",
    "prove",
    "purchase",
    "read_balance",
    "read_card",
    "read_kind",
    "read_log",
    "read_memory",
    "recover",
    "sam_terminal",
]
