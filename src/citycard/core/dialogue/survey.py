# SPDX-License-Identifier: Apache-2.0
"""What card lies here, whatever its kind, and what it tells anybody who asks.

The answer to reset tells storage cards; CPU cards are asked for the applications citycard knows. Nothing is
written. A sector of an M1 card opens with a key that was given or with one of the published default keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from citycard.core import mohurd, tunion
from citycard.core.apdu import Command
from citycard.core.dialogue.exchange import CARD, Dialogue, Refused, ask
from citycard.core.dialogue.m1 import authenticate, read_uid
from citycard.core.dialogue.mohurd import SELECT as SELECT_CITY
from citycard.core.dialogue.mohurd import SELECT_MF, MohurdView, read_mohurd
from citycard.core.dialogue.read import (
    CardView,
    blocked_or,
    decoded_public,
    read_balance,
    read_card,
    read_log,
    read_record,
)
from citycard.core.layout import LayoutError
from citycard.core.refusal import Refusal
from citycard.core.storage import ticket
from citycard.core.storage.classic import BLOCK, BLOCKS, sector_of, trailer_of
from citycard.core.storage.part3 import Kind, kind_of
from citycard.core.storage.ultralight import PAGE, PAGES, READ_PAGES
from citycard.core.tlv import TlvError, find, parse

T_UNION, PBOC, MOHURD, DOMAINS, OTHER = "t-union", "pboc", "mohurd", "gp", "cpu"
STORAGE: Final = {
    Kind.CLASSIC_1K: "m1-1k",
    Kind.CLASSIC_4K: "m1-4k",
    Kind.ULTRALIGHT: "ultralight",
    Kind.TAG: "tag",
}
DEFAULT_KEYS: Final = tuple(map(bytes.fromhex, ("FFFFFFFFFFFF", "A0A1A2A3A4A5", "D3F7D3F7D3F7")))  # published
ISSUER_DOMAINS: Final = tuple(map(bytes.fromhex, ("A000000151000000", "A000000003000000")))
GET_CHALLENGE: Final = bytes.fromhex("0084000004")
RECOGNITION, KEY_TEMPLATE, CPLC = 0x0066, 0x00E0, 0x9F7F
DATA_OBJECTS: Final = (RECOGNITION, 0x0067, KEY_TEMPLATE, 0x00C1, CPLC)
BINARY_T_UNION: Final = (tunion.SFI_PUBLIC, tunion.SFI_HOLDER, tunion.SFI_KIND)
LOGS: Final = {
    tunion.AID_PURSE: (tunion.SFI_LOG,),
    mohurd.AID_PURSE: (mohurd.SFI_LOG, mohurd.SFI_LOAD_LOG),
}
BINARY_PBOC: Final = (tunion.SFI_PUBLIC, tunion.SFI_HOLDER)
RECORDS_T_UNION: Final = {
    tunion.SFI_LOG: tunion.LOG_RECORDS,
    tunion.SFI_INDUSTRY: len(tunion.INDUSTRY_TAGS),
    tunion.SFI_TRANSIT: tunion.TRANSIT_RECORDS,
}
RECORDS_MOHURD: Final = {
    mohurd.SFI_LOG: mohurd.LOG_RECORDS,
    mohurd.SFI_LOAD_LOG: mohurd.LOG_RECORDS,
    mohurd.SFI_AWAY: mohurd.LOG_RECORDS,
    mohurd.SFI_COMPOSITE: len(mohurd.COMPOSITE_IDS) + 1,
}
SCP: Final = bytes.fromhex("2A864886FC6B04")  # GlobalPlatform's object identifier of secure channels


@dataclass(frozen=True, slots=True)
class DomainView:
    """What an issuer's security domain tells: protocols with option i; keys as (version, id, type, size)."""

    aid: bytes
    protocols: tuple[tuple[int, int], ...]
    keys: tuple[tuple[int, int, int, int], ...]
    cplc: bytes


@dataclass(frozen=True, slots=True)
class Survey:
    """A card's kind, and of what was read all that its kind has; `sectors` are those that open, with keys."""

    kind: str
    uid: bytes = b""
    purse: CardView | None = None
    city: MohurdView | None = None
    domain: DomainView | None = None
    blocks: int = 0
    sectors: tuple[tuple[int, str, bytes], ...] = ()
    pages: bytes = b""

    @property
    def ticket(self) -> dict[str, Any] | None:
        """The fields of a city's ticket, unproven; None when there is none."""
        start = ticket.TICKET_PAGE * PAGE
        raw = self.pages[start : start + ticket.TICKET.size]
        try:
            return ticket.TICKET.decode(raw) if any(raw) else None
        except LayoutError:
            return None


def survey(atr: bytes, keys: Sequence[bytes] = ()) -> Dialogue[Survey | Refused]:
    """Tell kind and public content. Refused: UNKNOWN_CARD, CARD_BLOCKED, CARD_FAULT."""
    storage = kind_of(atr)
    return (yield from _cpu_card() if storage is None else _storage_card(storage, (*keys, *DEFAULT_KEYS)))


def _cpu_card() -> Dialogue[Survey | Refused]:
    purse = yield from read_card()
    if not isinstance(purse, Refused):
        return Survey(T_UNION, purse=purse, domain=(yield from read_domain()))
    if purse.refusal is not Refusal.UNKNOWN_CARD:
        return purse
    pboc = yield from _pboc_purse()
    if pboc is not None:
        return pboc if isinstance(pboc, Refused) else Survey(PBOC, purse=pboc)
    city = yield from read_mohurd()
    if not isinstance(city, Refused):
        return Survey(MOHURD, city=city, domain=(yield from read_domain()))
    if city.refusal is not Refusal.UNKNOWN_CARD:
        return city
    domain = yield from read_domain()
    if domain is not None:
        return Survey(DOMAINS, domain=domain)
    response = yield from ask(CARD, "GET CHALLENGE", GET_CHALLENGE)
    return Survey(OTHER) if response.ok else purse


def _pboc_purse() -> Dialogue[CardView | Refused | None]:
    """A purse under the AID of the city card whose public file is PBOC's, of 30 bytes; None: another."""
    response = yield from ask(CARD, "SELECT", SELECT_CITY)
    if response.ok:
        response = yield from ask(CARD, "READ BINARY 15", bytes.fromhex("00B0950000"))
    if not response.ok or len(response.data) != tunion.PUBLIC.size:
        return None
    balance = yield from read_balance()
    if isinstance(balance, Refused):
        return balance
    return CardView(decoded_public(response.data), balance_fen=balance)


def read_domain() -> Dialogue[DomainView | None]:
    """What the issuer's security domain tells, None when there is none."""
    for aid in ISSUER_DOMAINS:
        response = yield from ask(CARD, "SELECT", Command(0x00, 0xA4, 0x04, 0x00, aid, 256).encode())
        if response.ok:
            break
    else:
        return None
    recognised, template = (yield from _data(RECOGNITION)), (yield from _data(KEY_TEMPLATE))
    rows = tuple((raw[1], *raw[:1], *raw[2:4]) for raw in _values(template, (0xE0,), 0xC0) if len(raw) >= 4)
    found = [find(raw, 0x06) or b"" for raw in _values(recognised, (0x66, 0x73), 0x64)]
    protocols = tuple((oid[-2], oid[-1]) for oid in found if oid.startswith(SCP) and len(oid) == len(SCP) + 2)
    return DomainView(aid, protocols, rows, (yield from _data(CPLC)))


def _data(tag: int) -> Dialogue[bytes]:
    """A data object of the selected domain; empty when it has none."""
    response = yield from ask(CARD, "GET DATA", Command(0x80, 0xCA, tag >> 8, tag & 0xFF, le=256).encode())
    return response.data if response.ok else b""


def _values(raw: bytes, path: Sequence[int], wanted: int) -> list[bytes]:
    """The values of one tag under a path; none where the bytes are no such objects."""
    try:
        return [value for tag, value in parse(find(raw, *path) or b"") if tag == wanted]
    except TlvError:
        return []


def _storage_card(kind: Kind, keys: Sequence[bytes]) -> Dialogue[Survey | Refused]:
    uid = yield from read_uid()
    if isinstance(uid, Refused):
        return uid
    if kind in BLOCKS:
        blocks = BLOCKS[kind]
        sectors = []
        for sector in range(sector_of(blocks - 1) + 1):
            key = yield from _opening(sector, keys)
            if key is not None:
                sectors.append((sector, *key))
        return Survey(STORAGE[kind], uid, blocks=blocks, sectors=tuple(sectors))
    pages = b""
    for page in range(0, PAGES, READ_PAGES) if kind == Kind.ULTRALIGHT else ():
        response = yield from ask(CARD, f"READ {page}", bytes((0xFF, 0xB0, 0x00, page, READ_PAGES * PAGE)))
        if not response.ok:
            return Refused(Refusal.UNREADABLE, CARD, f"READ {page}", response.sw)
        pages += response.data
    return Survey(STORAGE[kind], uid, pages=pages)


def _opening(sector: int, keys: Sequence[bytes]) -> Dialogue[tuple[str, bytes] | None]:
    """Which key opens a sector, None when none of these does."""
    for key in dict.fromkeys(keys):
        for which in "AB":
            refused = yield from authenticate(CARD, trailer_of(sector), key, which)
            if refused is None:
                return which, key
    return None


def read_logs() -> Dialogue[list[dict[str, Any]] | Refused]:
    """The purse's last transactions, newest first. Refused: UNKNOWN_CARD, CARD_BLOCKED, CARD_FAULT."""
    for aid, files in LOGS.items():
        response = yield from ask(CARD, "SELECT", Command(0x00, 0xA4, 0x04, 0x00, aid, 256).encode())
        if not response.ok:
            refused = blocked_or(Refusal.UNKNOWN_CARD, response, "SELECT")
            if refused.refusal is Refusal.UNKNOWN_CARD:
                continue
            return refused
        rows: list[dict[str, Any]] = []
        for sfi in files:
            found = yield from read_log(sfi)
            if isinstance(found, Refused):
                return found
            rows += found
        return sorted(rows, key=lambda row: row["at"], reverse=True) if len(files) > 1 else rows
    return refused


def read_all(found: Survey) -> Dialogue[None]:
    """Read every file, data object or block that opens; whatever the card refuses is passed over."""
    if found.kind == T_UNION:
        yield from _files(tunion.AID_PURSE, BINARY_T_UNION, RECORDS_T_UNION)
    elif found.kind == PBOC:
        yield from _files(mohurd.AID_PURSE, BINARY_PBOC, {tunion.SFI_LOG: tunion.LOG_RECORDS})
    elif found.kind == MOHURD:
        yield from ask(CARD, "SELECT MF", SELECT_MF)
        yield from _binary(mohurd.SFI_CARD)
        yield from _files(mohurd.AID_PURSE, (mohurd.SFI_PUBLIC,), RECORDS_MOHURD)
    if found.domain is not None:
        select = Command(0x00, 0xA4, 0x04, 0x00, found.domain.aid, 256).encode()
        yield from ask(CARD, "SELECT", select)
        for tag in DATA_OBJECTS:
            yield from _data(tag)
    for sector, which, key in found.sectors:
        last = trailer_of(sector)
        yield from authenticate(CARD, last, key, which)
        for block in range(last + 1):
            if sector_of(block) == sector:
                yield from ask(CARD, f"READ {block}", bytes((0xFF, 0xB0, 0x00, block, BLOCK)))
    for page in range(0, len(found.pages) // PAGE, READ_PAGES):
        yield from ask(CARD, f"READ {page}", bytes((0xFF, 0xB0, 0x00, page, READ_PAGES * PAGE)))


def _files(aid: bytes, binary: Sequence[int], records: Mapping[int, int]) -> Dialogue[None]:
    """An application's files; of each record file at most so many, to the first that is not there."""
    yield from ask(CARD, "SELECT", Command(0x00, 0xA4, 0x04, 0x00, aid, 256).encode())
    for sfi in binary:
        yield from _binary(sfi)
    for sfi, most in records.items():
        for number in range(1, most + 1):
            if not isinstance((yield from read_record(sfi, number)), bytes):
                break


def _binary(sfi: int) -> Dialogue[None]:
    yield from ask(CARD, f"READ BINARY {sfi:02X}", bytes((0x00, 0xB0, 0x80 | sfi, 0x00, 0x00)))
