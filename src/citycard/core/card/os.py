# SPDX-License-Identifier: Apache-2.0
"""The card's operating system: power, the command table, and what every command passes before its handler.

A card is a function: `process(command) -> response`. Any bytes get a status word. Checks come in this
order: 6700 not an APDU, 6A81 card blocked, 6E00 class, 6D00 instruction, 6A81 application blocked, 6A86 P1
P2, 6700 Lc, 6Cxx Le, then the handler's own, which go from the file or key over rights to the transaction
(card facts 1.5). A selected applet receives every command but SELECT (see `applet`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

from citycard.core.apdu import SHORT_MAX, SW, ApduError, Command, Response
from citycard.core.card.applet import Applet
from citycard.core.card.apps import blocking, filing, making, purse, security
from citycard.core.card.atomic import Fuse, Journal, Memory, PowerLost
from citycard.core.card.files import MF_SLOT, Life
from citycard.core.card.image import IMAGE_HEAD, Tree, check_head
from citycard.core.card.legacy import upgraded
from citycard.core.card.state import VOID, Answer, Chip, Entry, Session, Table, Traits

ATR: Final = bytes.fromhex("3B80800101")
ATR_T0: Final = bytes.fromhex("3B600000")
COMMANDS: Final[Table] = {
    **filing.COMMANDS,
    **security.COMMANDS,
    **blocking.COMMANDS,
    **making.COMMANDS,
    **purse.COMMANDS,
}
REQUIRES: Final = {**purse.REQUIRES, **blocking.REQUIRES}
SELECT: Final = 0x00A4
DATA_MAX: Final = 255  # the card's buffer: longer commands answer 6700
OK: Final = SW.OK.to_bytes(2, "big")


@cache
def command_table(traits: Traits) -> Table:
    """The commands a card of these traits knows, by CLA and INS: what `Card` uses unless given others.

    To wrap one handler, copy it: `table | {0x805A: replace(table[0x805A], run=mine)}`, and where the value
    is a table by P1 and P2, likewise one level down.
    """
    table: Table = {}
    for code, entry in COMMANDS.items():
        if isinstance(entry, Entry):
            table[code] = entry
            continue
        wants = REQUIRES.get(code, {})
        known = {p: chosen for p, chosen in entry.items() if p not in wants or wants[p] & traits}
        if known:
            table[code] = known
    return table


class Card:
    """An emulated contactless CPU card: cells that keep, and a session that lasts as long as the power.

    `random(n)` gives n random bytes. A card has no power until `power_on`. After a cut in mid-write it has
    none again, and `process` raises `PowerLost` until the next `power_on`. `commands` takes the place of
    `command_table(traits)`, for whoever wants a card that behaves otherwise; `applets` see `applet`.
    """

    def __init__(
        self,
        memory: Memory,
        random: Callable[[int], bytes],
        commands: Table | None = None,
        applets: Iterable[Applet] = (),
    ) -> None:
        self.memory = memory
        self._random = random
        self._commands = commands
        self._applets = {applet.aid: applet for applet in applets}
        self._chip: Chip | None = None  # what was parsed of the image; None after a cut
        self._powered = False

    @classmethod
    def from_image(
        cls,
        image: bytes,
        random: Callable[[int], bytes],
        fuse: Fuse | None = None,
        commands: Table | None = None,
        applets: Iterable[Applet] = (),
    ) -> Card:
        """A card with these cells; CARD_IMAGE, here or at `power_on`, when they are not a card's.

        An image of an older version becomes one of today's.
        """
        return cls(Memory(upgraded(image), fuse), random, commands, applets)

    def image(self) -> bytes:
        """All cells as they stand, keys included: a secret."""
        return self.memory.read(0, len(self.memory))

    @property
    def uid(self) -> bytes:
        """The chip's 7-byte unique identifier."""
        return bytes(self.memory.unpack(IMAGE_HEAD, 0)[5])

    @property
    def traits(self) -> Traits:
        """How this card behaves where kinds of card differ."""
        return Traits(self.memory.unpack(IMAGE_HEAD, 0)[4])

    def power_on(self) -> bytes:
        """Finish an interrupted change, clear what is volatile, answer the ATR. `PowerLost` if cut again."""
        self._powered = False
        chip = self._chip or self._wake()
        chip.session = Session(chip.root, free=filing.unguarded(chip.root))
        self._powered = True
        return ATR_T0 if chip.traits & Traits.T0 else ATR

    def power_off(self) -> None:
        """The card leaves the field between two commands."""
        self._powered = False

    def _wake(self) -> Chip:
        traits = Traits(check_head(self.memory))
        journal = Journal(self.memory)
        journal.recover()
        commands = command_table(traits) if self._commands is None else self._commands
        chip = Chip(
            self.memory, journal, self._random, traits, Tree(), Session(VOID), commands, self._applets
        )
        chip.read_structure(MF_SLOT)
        self._chip = chip
        return chip

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
    except ApduError:
        session.pending = None
        return SW.WRONG_LENGTH
    if session.applet is not None and command.cla << 8 | command.ins != SELECT:
        dead = chip.root.life != Life.ACTIVE
        return SW.NOT_SUPPORTED if dead else session.applet.process(chip, command)
    entry = _find(chip, command)
    if isinstance(entry, Entry):
        if not entry.continues:
            session.pending = None
        answer = entry.run(chip, command)
    else:
        answer = entry
    if isinstance(answer, int):
        session.pending = None  # a refusal ends the transaction
    if chip.traits & Traits.T0:
        return _held(session, command, answer)
    return answer


def _find(chip: Chip, command: Command) -> Entry | int:
    """The entry of a command that may run, or the status word that says why not."""
    if chip.root.life != Life.ACTIVE:
        return SW.NOT_SUPPORTED
    entry = chip.commands.get(command.cla << 8 | command.ins)
    if entry is None:
        return _unknown(chip.commands, command)
    if isinstance(entry, Entry):
        chosen: Entry | None = entry
        sample = entry
    else:
        chosen = entry.get(command.p1 << 8 | command.p2)
        sample = chosen or next(iter(entry.values()))
    directory = chip.session.directory
    if directory is VOID and not sample.bare:
        return SW.CONDITIONS_OF_USE
    if directory.life != Life.ACTIVE and not sample.blocked:
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


def _unknown(commands: Table, command: Command) -> SW:
    """6D00 when the class is one of the card's and no command of any class has the instruction."""
    classes, instructions = {code >> 8 for code in commands}, {code & 0xFF for code in commands}
    unknown = command.cla in classes and command.ins not in instructions
    return SW.WRONG_INS if unknown else SW.WRONG_CLA


def _held(session: Session, command: Command, answer: Answer) -> Answer:
    """T=0: data that answers a command with data waits for GET RESPONSE and is announced by 61xx."""
    if command.ins == filing.GET_RESPONSE or isinstance(answer, int):
        return answer
    session.response = b""
    data = answer if isinstance(answer, bytes) else answer.data
    if not data:
        return answer
    if command.data:
        session.response = data
        sw = SW.OK if isinstance(answer, bytes) else answer.sw
        return 0x6100 | (len(data) & 0xFF) if sw == SW.OK else sw
    if command.le is not None and command.le != len(data) <= SHORT_MAX:
        return 0x6C00 | (len(data) & 0xFF)
    return answer
