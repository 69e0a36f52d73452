# SPDX-License-Identifier: Apache-2.0
"""What the chip works with while it has power: its cells, its volatile session, the shape of a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING, Any, Final

from citycard.core.apdu import Command, Response
from citycard.core.card.atomic import Journal, Memory
from citycard.core.card.files import Area, Directory, File
from citycard.core.card.image import Tree, parse
from citycard.core.card.keyfile import Key, index_keys

if TYPE_CHECKING:
    from citycard.core.card.applet import Applet


class Traits(IntFlag):
    """Where kinds of card differ, or sources do: one bit each, kept in the image's head.

    The comments name the fact that is open; the bit clear is the first alternative.
    """

    BALANCES = 1  # GET BALANCE P1 01 to 04 as T-Union has them, not 00 alone (facts 1.3)
    BLOCK_TOLD = 2  # SELECT of a blocked application: 6283 with FCI, 9303 for ever; else 6A81 (1.4)
    WIDE_RECORDS = 4  # tag and length of a variable record have two bytes each, not one (3.1, 4.2)
    EP_CREDIT = 8  # overdraft and unload for the EP too, not the ED alone (1.3)
    TWO_TICKETS = 16  # the second ticket's INIT 80501x, DEBIT 80541x, balances 06 to 0A (1.4)
    DUAL_ALGORITHM = 32  # 80CD chooses 3DES or SM4; administrative commands name theirs in P1 (1.4)
    LOG_SERIAL_AFTER = 64  # the log holds the counter after its increment, not before (10.3)
    WHOLE_OVERDRAFT_TAC = 128  # TAC of an overdraft change under the whole key, not its halves' xor (10.2)
    T0 = 256  # T=0: answers to commands with data wait for GET RESPONSE, wrong Le is told as 6Cxx
    PIN_UNBLOCK_BY_LINE = 512  # PIN UNBLOCK under key 36, not 37 (1.4)


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
    purse: File
    amount_fen: int
    terminal: bytes
    rand: bytes
    key: Key
    tac: Key
    session_key: bytes = field(default=b"", repr=False)  # loads and their like: made for MAC1, used for MAC2
    staged: list[Staged] = field(default_factory=list)


VOID: Final = Directory(-1, -1, 0, 0, 0, 0, 0xEF, 0xEF, 0, 0, b"")  # current while there is no MF


@dataclass(slots=True)
class Session:
    """Volatile state: gone with the power. A challenge or a transaction waits for the next command only."""

    directory: Directory
    file: File | None = None
    state: int = 0  # security state of the current directory, 0..15
    mf_state: int = 0  # of the MF, kept while an application is selected
    free: bool = False  # nobody guards the current directory yet: it had no key file when it was entered
    challenge: bytes | None = None  # what the command before this one gave out
    issued: bytes | None = None  # what this command gives out, for the next
    pending: Pending | None = None
    response: bytes = b""  # T=0: what waits for GET RESPONSE
    algorithm: int | None = None  # dual-algorithm card: chosen until the power goes
    applet: Applet | None = None  # selected instead of the directory
    applet_state: Any = None  # whatever the selected applet keeps; None when it is selected


@dataclass(slots=True)
class Chip:
    """All a command handler may touch."""

    memory: Memory
    journal: Journal
    random: Callable[[int], bytes]  # that many random bytes
    traits: Traits
    tree: Tree
    session: Session
    commands: Table
    applets: Mapping[bytes, Applet]  # by AID

    @property
    def directories(self) -> list[Directory]:
        """All directories, the MF first."""
        return self.tree.directories

    @property
    def areas(self) -> Mapping[bytes, Area]:
        """Applets' areas, by AID."""
        return self.tree.areas

    def read_structure(self, current: int) -> None:
        """Parse the table and the keys anew, after it changed; `current` is the slot to stand in."""
        self.tree = parse(self.memory)
        for directory in self.directories:
            index_keys(self.memory, directory)
        found = (directory for directory in self.directories if directory.slot == current)
        self.session.directory = next(found, self.root)
        self.session.file = None

    @property
    def root(self) -> Directory:
        """The MF; on a card without one, a directory with nothing in it."""
        return self.directories[0] if self.directories else VOID


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
    bare: bool = False  # works on a card without MF


Table = dict[int, Entry | dict[int, Entry]]
"""CLA and INS as one number -> entry, or entries by P1 and P2 as one number."""
