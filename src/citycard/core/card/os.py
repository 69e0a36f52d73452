# SPDX-License-Identifier: Apache-2.0
"""The card's operating system: power, the command table, and what every command passes before its handler.

A card is a function: `process(command) -> response`. Any bytes get a status word. Checks come in this
order: 6700 not an APDU, 6E00 class, 6D00 instruction, 6A81 application blocked, 6A86 P1 P2, 6700 Lc, 6Cxx
Le, then the handler's own, which go from the file or key over rights to the transaction (card facts 1.5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.core.apdu import SHORT_MAX, SW, ApduError, Command, Response
from citycard.core.card.apps import filing, purse, security
from citycard.core.card.atomic import Fuse, Journal, Memory, PowerLost
from citycard.core.card.files import IMAGE_HEAD, Life, check_image, parse
from citycard.core.card.keyfile import index_keys
from citycard.core.card.state import Answer, Chip, Entry, Session, Table

ATR: Final = bytes.fromhex("3B80800101")
COMMANDS: Final[Table] = {**filing.COMMANDS, **security.COMMANDS, **purse.COMMANDS}
CLASSES: Final = frozenset(code >> 8 for code in COMMANDS)
INSTRUCTIONS: Final = frozenset(code & 0xFF for code in COMMANDS)
DATA_MAX: Final = 255  # the card's buffer: longer commands answer 6700
OK: Final = SW.OK.to_bytes(2, "big")


class Card:
    """An emulated contactless CPU card: cells that keep, and a session that lasts as long as the power.

    `random(n)` gives n random bytes. A card has no power until `power_on`. After a cut in mid-write it has
    none again, and `process` raises `PowerLost` until the next `power_on`.
    """

    def __init__(self, memory: Memory, random: Callable[[int], bytes]) -> None:
        self.memory = memory
        self._random = random
        self._chip: Chip | None = None  # what was parsed of the image; None after a cut
        self._powered = False

    @classmethod
    def from_image(cls, image: bytes, random: Callable[[int], bytes], fuse: Fuse | None = None) -> Card:
        """A card with these cells; `power_on` says CARD_IMAGE when they are not a card's."""
        return cls(Memory(image, fuse), random)

    def image(self) -> bytes:
        """All cells as they stand, keys included: a secret."""
        return self.memory.read(0, len(self.memory))

    @property
    def uid(self) -> bytes:
        """The chip's 7-byte unique identifier."""
        return bytes(self.memory.unpack(IMAGE_HEAD, 0)[-1])

    def power_on(self) -> bytes:
        """Finish an interrupted change, clear what is volatile, answer the ATR. `PowerLost` if cut again."""
        self._powered = False
        chip = self._chip or self._wake()
        chip.session = Session(chip.directories[0])
        self._powered = True
        return ATR

    def power_off(self) -> None:
        """The card leaves the field between two commands."""
        self._powered = False

    def _wake(self) -> Chip:
        table = check_image(self.memory)
        journal = Journal(self.memory)
        journal.recover()
        directories = parse(table)
        for directory in directories:
            index_keys(self.memory, directory)
        self._chip = Chip(self.memory, journal, self._random, directories, Session(directories[0]))
        return self._chip

    def process(self, command: bytes) -> bytes:
        """Answer one command APDU: data and status word. Raises nothing but `PowerLost`."""
        chip = self._chip
        if chip is None or not self._powered:
            raise PowerLost("the card has no power: power_on comes first")
        try:
            answer = run(chip, command)
        except PowerLost:
            self._chip, self._powered = None, False
            raise
        if isinstance(answer, bytes):
            return answer + OK
        if isinstance(answer, Response):
            return answer.encode()
        return answer.to_bytes(2, "big")


def run(chip: Chip, raw: bytes) -> Answer:
    """Look the command up, check it, run it, and end what it interrupts."""
    session = chip.session
    session.challenge, session.issued = session.issued, None
    try:
        command = Command.decode(raw)
        entry = _find(chip, command)
    except ApduError:
        entry = SW.WRONG_LENGTH
    if isinstance(entry, Entry):
        if not entry.continues:
            session.pending = None
        answer: Answer = entry.run(chip, command)
    else:
        answer = entry
    if isinstance(answer, int):
        session.pending = None  # a refusal ends the transaction
    return answer


def _find(chip: Chip, command: Command) -> Entry | int:
    """The entry of a command that may run, or the status word that says why not."""
    entry = COMMANDS.get(command.cla << 8 | command.ins)
    if entry is None:
        unknown = command.cla in CLASSES and command.ins not in INSTRUCTIONS
        return SW.WRONG_INS if unknown else SW.WRONG_CLA
    chosen = entry if isinstance(entry, Entry) else entry.get(command.p1 << 8 | command.p2)
    if not _open_to(chip, entry):
        return SW.NOT_SUPPORTED
    if chosen is None:
        return SW.WRONG_P1P2
    size = len(command.data)
    if size > DATA_MAX or (chosen.lc is not None and size != chosen.lc):
        return SW.WRONG_LENGTH
    le = command.le
    if le is not None and chosen.le is not None and le < SHORT_MAX and le != chosen.le:
        return 0x6C00 | chosen.le
    return chosen


def _open_to(chip: Chip, entry: Entry | dict[int, Entry]) -> bool:
    """Whether the current application, when blocked, still answers this command."""
    sample = entry if isinstance(entry, Entry) else next(iter(entry.values()))
    return sample.blocked or chip.session.directory.life(chip.memory) == Life.ACTIVE
