# SPDX-License-Identifier: Apache-2.0
"""What the chip works with while it has power: its cells, its volatile session, the shape of a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from citycard.core.apdu import Command, Response
from citycard.core.card.atomic import Journal, Memory
from citycard.core.card.files import Directory, File
from citycard.core.card.keyfile import Key


@dataclass(frozen=True, slots=True)
class Staged:
    """One record in the CAPP cache; number 0 appends."""

    file: File
    number: int
    data: bytes


@dataclass(slots=True)
class Pending:
    """A purse transaction between INITIALIZE and the command that completes it."""

    txn: int
    amount_fen: int
    terminal: bytes
    rand: bytes
    key: Key
    tac: Key
    session_key: bytes = field(default=b"", repr=False)  # load only: made for MAC1, used again for MAC2
    staged: list[Staged] = field(default_factory=list)


@dataclass(slots=True)
class Session:
    """Volatile state: gone with the power. A challenge or a transaction waits for the next command only."""

    directory: Directory
    file: File | None = None
    state: int = 0  # security state of the current directory, 0..15
    mf_state: int = 0  # of the MF, kept while an application is selected
    challenge: bytes | None = None  # what the command before this one gave out
    issued: bytes | None = None  # what this command gives out, for the next
    pending: Pending | None = None


@dataclass(slots=True)
class Chip:
    """All a command handler may touch."""

    memory: Memory
    journal: Journal
    random: Callable[[int], bytes]  # that many random bytes
    directories: list[Directory]
    session: Session


Answer = bytes | int | Response
"""Data with 9000, or a status word alone, or both where a warning carries data."""
Handler = Callable[[Chip, Command], Answer]


@dataclass(frozen=True, slots=True)
class Entry:
    """A command the card knows: its handler, and what is checked before the handler runs."""

    run: Handler
    lc: int | None = None  # the one length of data it takes
    le: int | None = None  # the one length of data it gives
    continues: bool = False  # may follow INITIALIZE without ending the transaction
    blocked: bool = False  # works in a blocked application


Table = dict[int, Entry | dict[int, Entry]]
"""CLA and INS as one number -> entry, or entries by P1 and P2 as one number."""
