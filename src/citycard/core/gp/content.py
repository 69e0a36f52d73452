# SPDX-License-Identifier: Apache-2.0
"""Management of the card's content: INSTALL, SET STATUS, DELETE, on the registry alone.

The chip's applications are in its ROM, so there is nothing to load: INSTALL [for load] answers 6A81 and LOAD
6985. What can be installed are instances of the modules of the load files the registry lists, supplementary
security domains first of all. Card Specification 2.3, 11.2, 11.5, 11.10, and the life cycles of 5.1 to 5.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.gp.desk import Answer, Desk, counted
from citycard.core.gp.state import SSD_MODULE, CardLife, Kind, Life, Privilege, Row
from citycard.core.tlv import TlvError, parse

CONFIRMATION: Final = b"\x00"  # no receipt
AID_SIZES: Final = range(5, 17)
FOR_LOAD, FOR_INSTALL, MAKE_SELECTABLE = 0x02, 0x04, 0x08
EXTRADITION, PERSONALISATION = 0x10, 0x20
TRUSTED_PATH: Final = b"\x80\x00"  # the other two privilege bytes
GRANTED: Final = Privilege.SECURITY_DOMAIN | Privilege.CARD_RESET | Privilege.CVM_MANAGEMENT

# From a card's state, which ones SET STATUS may set (5.1.2); 'from LOCKED back to SECURED' is unlocking.
CARD_MOVES: Final[dict[CardLife, tuple[CardLife, ...]]] = {
    CardLife.OP_READY: (CardLife.INITIALIZED, CardLife.SECURED, CardLife.LOCKED, CardLife.TERMINATED),
    CardLife.INITIALIZED: (CardLife.SECURED, CardLife.LOCKED, CardLife.TERMINATED),
    CardLife.SECURED: (CardLife.LOCKED, CardLife.TERMINATED),
    CardLife.LOCKED: (CardLife.SECURED, CardLife.TERMINATED),
    CardLife.TERMINATED: (),
}


def install(desk: Desk, command: Command) -> Answer:
    """INSTALL, by what P1 asks for."""
    if command.p2 or command.p1 not in (0x04, 0x08, 0x0C, 0x10, 0x20):
        known = command.p1 & FOR_LOAD or command.p1 == 0x40
        return SW.NOT_SUPPORTED if known and not command.p2 else SW.WRONG_P1P2
    parts = counted(command.data, 6) or counted(command.data + b"\x00", 6)  # some tools leave out "no token"
    if parts is None:
        return SW.WRONG_DATA
    if command.p1 == PERSONALISATION:
        return _for_personalisation(desk, parts)
    if not desk.issuing:
        return SW.CONDITIONS_OF_USE
    if command.p1 == EXTRADITION:
        return _extradite(desk, parts)
    if command.p1 & FOR_INSTALL:
        return _install(desk, parts, selectable=bool(command.p1 & MAKE_SELECTABLE))
    return _make_selectable(desk, parts)


def _install(desk: Desk, parts: list[bytes], *, selectable: bool) -> Answer:
    load_file, module, aid, privileges, parameters, _token = parts
    found = desk.state.row(load_file)
    if found is None or found.kind != Kind.LOAD_FILE or module not in found.modules:
        return SW.KEY_NOT_FOUND
    aid = aid or module
    if len(aid) not in AID_SIZES or len(privileges) not in (1, 3) or not _well_formed(parameters):
        return SW.WRONG_DATA
    if bool(privileges[0] & Privilege.SECURITY_DOMAIN) != (module == SSD_MODULE):
        return SW.WRONG_DATA
    if privileges[0] & ~GRANTED or privileges[1:] not in (b"", bytes(2), TRUSTED_PATH):
        return SW.CONDITIONS_OF_USE
    if desk.state.row(aid):
        return SW.CONDITIONS_OF_USE
    life = Life.SELECTABLE if selectable else Life.INSTALLED
    row = Row(Kind.APPLICATION, aid, life, privileges.ljust(3, b"\x00"), load_file)
    return _confirmed(desk.keep(desk.state.with_row(row)))


def _well_formed(parameters: bytes) -> bool:
    """Install parameters are TLVs with C9 (the application's own) among them, or absent."""
    try:
        return not parameters or any(tag == 0xC9 for tag, _ in parse(parameters))
    except TlvError:
        return False


def _make_selectable(desk: Desk, parts: list[bytes]) -> Answer:
    row = desk.state.row(parts[2])
    if row is None or row.kind != Kind.APPLICATION:
        return SW.KEY_NOT_FOUND
    if row.life != Life.INSTALLED:
        return SW.CONDITIONS_OF_USE
    return _confirmed(desk.keep(desk.state.with_row(replace(row, life=Life.SELECTABLE))))


def _extradite(desk: Desk, parts: list[bytes]) -> Answer:
    """Give an application to another domain."""
    domain, row = desk.state.row(parts[0]), desk.state.row(parts[2])
    if domain is None or row is None or row.kind != Kind.APPLICATION:
        return SW.KEY_NOT_FOUND
    if not domain.is_domain or domain.locked or row.is_domain:
        return SW.CONDITIONS_OF_USE
    return _confirmed(desk.keep(desk.state.with_row(replace(row, domain=domain.aid))))


def _for_personalisation(desk: Desk, parts: list[bytes]) -> Answer:
    """From now on STORE DATA goes to this application."""
    row = desk.state.row(parts[2])
    if row is None or row.kind != Kind.APPLICATION:
        return SW.KEY_NOT_FOUND
    if row.locked or row.life < Life.SELECTABLE or not desk.owns(row):
        return SW.CONDITIONS_OF_USE
    desk.session.target = row.aid
    return CONFIRMATION


def load(desk: Desk, command: Command) -> Answer:
    """LOAD: no INSTALL [for load] can have come before."""
    return SW.CONDITIONS_OF_USE


# SET STATUS


def set_status(desk: Desk, command: Command) -> Answer:
    """SET STATUS of the card (P1 80), an application or domain (40), a domain with what it owns (60)."""
    if command.p1 == Kind.ISSUER:
        return _set_card(desk, command)
    if command.p1 not in (0x40, 0x60):
        return SW.WRONG_P1P2
    row = desk.state.row(command.data)
    if row is None or row.kind != Kind.APPLICATION or (command.p1 == 0x60 and not row.is_domain):
        return SW.KEY_NOT_FOUND
    if not desk.owns(row) or (row.aid == desk.session.domain and command.p2 & Life.LOCK_BIT):
        return SW.CONDITIONS_OF_USE
    state = desk.state
    rows = [row]
    if command.p1 == 0x60:
        rows += [other for other in state.rows if other.domain == row.aid and other.aid != row.aid]
    for one in rows:
        life = _moved(one, command.p2)
        if life is None and one is row:
            return SW.CONDITIONS_OF_USE
        state = state.with_row(replace(one, life=one.life if life is None else life))
    return desk.keep(state)


def _set_card(desk: Desk, command: Command) -> Answer:
    if not desk.issuing:
        return SW.CONDITIONS_OF_USE
    try:
        wanted = CardLife(command.p2)
    except ValueError:
        return SW.WRONG_P1P2
    if wanted not in CARD_MOVES[desk.state.life]:
        return SW.CONDITIONS_OF_USE
    word = desk.keep(replace(desk.state, life=wanted))
    if wanted == CardLife.TERMINATED and word == SW.OK:
        desk.session.end_channel()
    return word


def _moved(row: Row, wanted: int) -> int | None:
    """The life an entry takes, None when it may not. Unlocking brings back the state before the lock."""
    if wanted & Life.LOCK_BIT:
        return None if row.locked or row.life < Life.INSTALLED else row.life | Life.LOCK_BIT
    if row.locked:
        return row.life & ~Life.LOCK_BIT
    if row.is_domain and wanted == Life.PERSONALIZED and row.life == Life.SELECTABLE:
        return wanted
    return None


# DELETE


def delete(desk: Desk, command: Command) -> Answer:
    """DELETE an application, a domain without belongings, or keys. The chip's own entries stay: 6985."""
    if command.p1 & 0x7F or command.p2 not in (0x00, 0x80):
        return SW.WRONG_P1P2
    try:
        fields = dict(parse(command.data))
    except TlvError:
        return SW.WRONG_DATA
    if 0x4F in fields:
        return _delete_entry(desk, fields[0x4F], related=command.p2 == 0x80)
    if fields.keys() & {0xD0, 0xD2} and all(len(fields.get(tag, b"?")) == 1 for tag in (0xD0, 0xD2)):
        return _delete_keys(desk, fields)
    return SW.WRONG_DATA


def _delete_entry(desk: Desk, aid: bytes, *, related: bool) -> Answer:
    row = desk.state.row(aid)
    if row is None:
        return SW.KEY_NOT_FOUND
    if not desk.issuing or row.fixed or aid == desk.session.domain:
        return SW.CONDITIONS_OF_USE
    state = desk.state
    dependants = [other for other in state.rows if aid in (other.load_file, other.domain) and other != row]
    if any(other.fixed for other in dependants) or (dependants and not related):
        return SW.CONDITIONS_OF_USE
    for gone in (*dependants, row):
        state = state.without(gone.aid)
    return _confirmed(desk.keep(state))


def _delete_keys(desk: Desk, fields: dict[int, bytes]) -> Answer:
    """Keys by identifier, by version, or one by both; the last channel keys of the issuer stay."""
    domain, state = desk.session.domain, desk.state
    wanted = [
        (key.version, key.id)
        for key in state.keys
        if key.domain == domain
        and fields.get(0xD2, bytes((key.version,)))[0] == key.version
        and fields.get(0xD0, bytes((key.id,)))[0] == key.id
    ]
    if not wanted:
        return SW.KEY_NOT_FOUND
    after = state.with_keys(domain, set(wanted), ())
    if desk.issuing and not after.versions(domain):
        return SW.CONDITIONS_OF_USE
    return _confirmed(desk.keep(after))


def _confirmed(word: int) -> Answer:
    return CONFIRMATION if word == SW.OK else word
