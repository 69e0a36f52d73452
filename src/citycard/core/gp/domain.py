# SPDX-License-Identifier: Apache-2.0
"""The card's security domains: the issuer's and supplementary ones, as an object that answers commands.

`SecurityDomain(store, random)` keeps all that lasts in a store of cells and answers
`process(command) -> Response`. Checks come in this order: class, instruction, the card's life, the secure
channel (a command that is not secured as the session asks ends the session with 6982), then the handler's
own. Card Specification 2.3, chapters 6, 7, 10 and 11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from citycard.core.apdu import SW, Command, Response
from citycard.core.card.atomic import Memory, PowerLost
from citycard.core.gp import content, loading, opening, told
from citycard.core.gp.channel import C_MAC, SECURE_BIT
from citycard.core.gp.desk import Answer, Applications, Desk, Handler, NoApplications, Session
from citycard.core.gp.state import CardLife, Kind, Life, Row, State
from citycard.core.gp.store import Store

AREA_SIZE: Final = 8192  # two copies; the fullest state measured has 3 KB
SELECT, GET_DATA, INITIALIZE, AUTHENTICATE = 0xA4, 0xCA, 0x50, 0x82
BY_NAME, FIRST, NEXT = 0x04, 0x00, 0x02
ISO_CLASS: Final = 0x00
FORMER_ISD_AID: Final = bytes.fromhex("A000000003000000")  # Open Platform's name, which tools still select by
CHANNEL_UNKNOWN, SECURING_UNKNOWN = 0x6881, 0x6882
LOCKED_WARNING: Final = 0x6283


@dataclass(frozen=True, slots=True)
class Entry:
    """A command of the domain: its handler, and when it may run."""

    run: Handler
    session: bool = True  # in a secure channel only
    iso: bool = False  # also with CLA 00
    locked: bool = False  # also when the card is locked


COMMANDS: Final[dict[int, Entry]] = {
    INITIALIZE: Entry(opening.initialize_update, session=False, locked=True),
    AUTHENTICATE: Entry(opening.external_authenticate, session=False, locked=True),
    GET_DATA: Entry(told.get_data, session=False, iso=True, locked=True),
    0xF2: Entry(told.get_status, locked=True),
    0xF0: Entry(content.set_status, locked=True),
    0xE6: Entry(content.install),
    0xE8: Entry(content.load),
    0xE4: Entry(content.delete),
    0xD8: Entry(loading.put_key),
    0xE2: Entry(loading.store_data),
}


class SecurityDomain:
    """The security domains of one chip. `random(n)` gives n random bytes."""

    def __init__(
        self, store: Store, random: Callable[[int], bytes], applications: Applications | None = None
    ) -> None:
        self._store = store
        self._random = random
        self._applications = applications or NoApplications()
        self._desk: Desk | None = None

    @classmethod
    def new(
        cls, state: State, random: Callable[[int], bytes], applications: Applications | None = None
    ) -> SecurityDomain:
        """A domain in cells of its own."""
        store = Store(Memory(bytes(AREA_SIZE)))
        store.save(state.encode())
        return cls(store, random, applications)

    def __repr__(self) -> str:
        return "<security domain>"

    def power_on(self) -> None:
        """Read what was kept, select the issuer's domain, have no session."""
        state = State.decode(self._store.load())
        session = Session(state.issuer.aid)
        self._desk = Desk(state, self._store, self._random, session, self._applications)

    @property
    def desk(self) -> Desk:
        """What it works with; the domain must have power."""
        if self._desk is None:
            self.power_on()
        assert self._desk is not None
        return self._desk

    @property
    def state(self) -> State:
        """What it remembers: keys included, a secret."""
        return self.desk.state

    def claims(self, name: bytes) -> bool:
        """Whether SELECT with this name means a security domain; no name means the issuer's."""
        return self._named(name) is not None

    def locks(self, aid: bytes) -> bool:
        """Whether an application of the chip may not be selected: it, or the whole card, is locked."""
        row = self.state.row(aid)
        return self.state.life >= CardLife.LOCKED or (row is not None and row.locked)

    def deselect(self) -> None:
        """Another application was selected: the secure channel is over."""
        self.desk.session.end_channel()

    def process(self, command: Command) -> Response:
        """Answer one command. Raises nothing but `PowerLost`, after which `power_on` comes first."""
        desk = self.desk
        try:
            return self._process(desk, command)
        except PowerLost:
            self._desk = None  # what is volatile is gone
            raise

    def _process(self, desk: Desk, command: Command) -> Response:
        word = _class_word(command)
        if word:
            return Response(b"", word)
        if command.ins == SELECT and command.cla == ISO_CLASS:
            return self._select(desk, command)
        entry = COMMANDS.get(command.ins)
        if entry is None:
            return Response(b"", SW.WRONG_INS)
        if command.cla & ~SECURE_BIT == ISO_CLASS and not entry.iso:
            return Response(b"", SW.WRONG_CLA)
        if not _alive(desk.state.life, entry):
            return Response(b"", SW.CONDITIONS_OF_USE)
        return _secured(desk, entry, command)

    def _select(self, desk: Desk, command: Command) -> Response:
        if command.p1 != BY_NAME or command.p2 not in (FIRST, NEXT):
            return Response(b"", SW.WRONG_P1P2)
        after = desk.session.domain if command.p2 == NEXT else None
        row = self._named(command.data, after)
        if row is None:
            return Response(b"", SW.FILE_NOT_FOUND)
        if desk.state.life == CardLife.TERMINATED:
            return Response(b"", SW.CONDITIONS_OF_USE)
        desk.session = Session(row.aid)
        word = LOCKED_WARNING if desk.state.life == CardLife.LOCKED else SW.OK
        return Response(told.fci(desk.state, row), word)

    def _named(self, name: bytes, after: bytes | None = None) -> Row | None:
        """The domain a name selects: the first whose AID begins so, or the next one after another."""
        if name == FORMER_ISD_AID:
            name = self.state.issuer.aid
        rows = [row for row in self.state.rows if row.is_domain and _selectable(self.state, row)]
        aids = [row.aid for row in rows]
        if after is not None:
            rows = rows[aids.index(after) + 1 :] if after in aids else []
        return next((row for row in rows if row.aid.startswith(name)), None)


def _selectable(state: State, row: Row) -> bool:
    if row.kind == Kind.ISSUER:
        return True
    return state.life < CardLife.LOCKED and not row.locked and row.life >= Life.SELECTABLE


def _class_word(command: Command) -> int:
    """0 for a class the domain knows: 00, 04, 80, 84; else the status word that says why not."""
    cla = command.cla
    if cla in (0x00, 0x04, 0x80, 0x84):
        return 0
    if cla & 0x40 or (cla & 0x7C in (0x00, 0x04) and cla & 0x03):
        return CHANNEL_UNKNOWN
    return SECURING_UNKNOWN if cla & 0x7C in (0x08, 0x0C) else SW.WRONG_CLA


def _alive(life: CardLife, entry: Entry) -> bool:
    if life == CardLife.TERMINATED:
        return entry.run is told.get_data
    return life != CardLife.LOCKED or entry.locked


def _secured(desk: Desk, entry: Entry, command: Command) -> Response:
    """Check the command against the session, run it, and secure its answer."""
    session, secure = desk.session, bool(command.cla & SECURE_BIT)
    if command.ins == INITIALIZE and not secure:
        return _response(entry.run(desk, command))
    if command.ins == AUTHENTICATE:
        if not secure:
            session.end_channel()
            return Response(b"", SW.SECURITY_STATUS)
        return _response(entry.run(desk, command))
    session.opening = None
    channel = session.channel
    if channel is None:
        if secure:
            return Response(b"", SW.CONDITIONS_OF_USE)
        return Response(b"", SW.SECURITY_STATUS) if entry.session else _response(entry.run(desk, command))
    plain = channel.unwrap(command) if bool(channel.level & C_MAC) == secure else None
    if plain is None:
        session.end_channel()
        return Response(b"", SW.SECURITY_STATUS)
    response = _response(entry.run(desk, plain))
    return Response(channel.seal_answer(response.data, response.sw), response.sw)


def _response(answer: Answer) -> Response:
    if isinstance(answer, Response):
        return answer
    return Response(b"", answer) if isinstance(answer, int) else Response(answer, SW.OK)
