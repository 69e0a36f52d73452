# SPDX-License-Identifier: Apache-2.0
"""What a security domain remembers without power: registry, keys, counters and data objects, as one value.

Immutable: a command computes the next state, and the store replaces the whole. The bytes are versioned:
a version byte, then one TLV for each thing; inside, fields with one-byte lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from citycard.core.gp.keys import AES, DEK, DIVERSIFICATION_SIZE, ENC, MAC, KeySet, check_value
from citycard.core.problem import declare
from citycard.core.tlv import parse, tlv

VERSION: Final = 1
ISD_AID: Final = bytes.fromhex("A000000151000000")
SSD_LOAD_FILE: Final = bytes.fromhex("A0000001515350")  # the package and module of supplementary domains
SSD_MODULE: Final = bytes.fromhex("A000000151535041")
INITIAL_VERSION: Final = 0xFF  # key version of keys the factory left; the first keys put replace them
TRIES: Final = 10  # wrong cryptograms in a row before a key set is of no more use
ROWS_MAX, KEYS_MAX, OBJECTS_MAX = 32, 24, 16  # what the store's area is sized for
CPLC_SIZE: Final = 42

CARD_STORE_VERSION = declare(
    "CARD_STORE_VERSION",
    "The card's security domain is kept in version {found}; this citycard reads version {known}. Use the one "
    "that made the card, or make it anew.",
    "卡片安全域的数据版本为 {found}，本程序只支持 {known}；请使用制作该卡的程序，或重新制卡。",
)


class CardLife(IntEnum):
    """States of the card (5.1.1), which are those of the issuer security domain."""

    OP_READY = 0x01
    INITIALIZED = 0x07
    SECURED = 0x0F
    LOCKED = 0x7F
    TERMINATED = 0xFF


class Life(IntEnum):
    """States of applications, domains and load files (5.2, 5.3)."""

    LOADED = 0x01
    INSTALLED = 0x03
    SELECTABLE = 0x07
    PERSONALIZED = 0x0F  # security domains only
    LOCK_BIT = 0x80


class Privilege(IntEnum):
    """Bits of the first privilege byte (6.6.1)."""

    SECURITY_DOMAIN = 0x80
    DAP_VERIFICATION = 0xC0
    DELEGATED_MANAGEMENT = 0xA0
    CARD_LOCK = 0x10
    CARD_TERMINATE = 0x08
    CARD_RESET = 0x04
    CVM_MANAGEMENT = 0x02


ISD_PRIVILEGES: Final = bytes.fromhex("9EFE80")


class Kind(IntEnum):
    """What a row of the registry is; the numbers are P1 of GET STATUS."""

    ISSUER = 0x80
    APPLICATION = 0x40  # supplementary domains too
    LOAD_FILE = 0x20


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of the registry; `fixed` ones belong to the chip and are never deleted."""

    kind: Kind
    aid: bytes
    life: int
    privileges: bytes = bytes(3)
    load_file: bytes = b""
    domain: bytes = b""  # the security domain it belongs to; empty: the issuer's
    modules: tuple[bytes, ...] = ()
    fixed: bool = False

    @property
    def is_domain(self) -> bool:
        """Whether it is a security domain, the issuer's or a supplementary one."""
        return self.kind != Kind.LOAD_FILE and bool(self.privileges[0] & Privilege.SECURITY_DOMAIN)

    @property
    def locked(self) -> bool:
        """Whether an application is locked."""
        return self.kind == Kind.APPLICATION and bool(self.life & Life.LOCK_BIT)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a domain."""

    domain: bytes
    version: int
    id: int
    kind: int
    value: bytes

    def __repr__(self) -> str:
        return f"<key {self.version:02X}/{self.id:02X} {check_value(self.kind, self.value).hex().upper()}>"


@dataclass(frozen=True, slots=True)
class Use:
    """The counters of a key version: secure channel sequence, wrong cryptograms in a row."""

    domain: bytes
    version: int
    sequence: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Object:
    """A data object of a domain."""

    domain: bytes
    tag: int
    value: bytes


@dataclass(frozen=True, slots=True)
class State:
    """All of it. `told` are the ten diversification bytes, `cplc` the production life cycle data."""

    life: CardLife
    scp02_i: int
    scp03_i: int
    told: bytes
    cplc: bytes
    rows: tuple[Row, ...]
    keys: tuple[Key, ...] = ()
    uses: tuple[Use, ...] = ()
    objects: tuple[Object, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.told) == DIVERSIFICATION_SIZE
        assert len(self.cplc) == CPLC_SIZE

    @property
    def issuer(self) -> Row:
        """The issuer security domain."""
        return next(row for row in self.rows if row.kind == Kind.ISSUER)

    def row(self, aid: bytes) -> Row | None:
        """The entry with exactly this AID."""
        return next((row for row in self.rows if row.aid == aid), None)

    def owner(self, row: Row) -> bytes:
        """AID of the domain a row belongs to."""
        return row.domain or self.issuer.aid

    def key(self, domain: bytes, version: int, id: int) -> Key | None:
        """One key."""
        wanted = (domain, version, id)
        return next((key for key in self.keys if (key.domain, key.version, key.id) == wanted), None)

    def versions(self, domain: bytes) -> list[int]:
        """Versions of a domain that have all three channel keys, oldest first."""
        found = dict.fromkeys(key.version for key in self.keys if key.domain == domain)
        return [version for version in found if self.key_set(domain, version)]

    def key_set(self, domain: bytes, version: int) -> KeySet | None:
        """A domain's keys of a version, None unless ENC, MAC and DEK are there and of one kind."""
        found = [self.key(domain, version, id) for id in (ENC, MAC, DEK)]
        keys = [key for key in found if key]
        if len(keys) != 3 or len({(key.kind, len(key.value)) for key in keys}) != 1:
            return None
        return KeySet(keys[0].value, keys[1].value, keys[2].value, keys[0].kind)

    def use(self, domain: bytes, version: int) -> Use:
        """Counters of a key version; zeros when it was never used."""
        fresh = Use(domain, version)
        return next((use for use in self.uses if (use.domain, use.version) == (domain, version)), fresh)

    def used(self, use: Use) -> State:
        """With these counters."""
        return replace(self, uses=(*self._other_uses(use.domain, use.version), use))

    def _other_uses(self, domain: bytes, version: int) -> Iterator[Use]:
        return (use for use in self.uses if (use.domain, use.version) != (domain, version))

    def with_row(self, row: Row) -> State:
        """With this entry, in the place of the one with its AID if there is one."""
        known = self.row(row.aid)
        rows = tuple(row if old is known else old for old in self.rows)
        return replace(self, rows=rows if known else (*rows, row))

    def without(self, aid: bytes) -> State:
        """Without an entry and all that is its own."""
        return replace(
            self,
            rows=tuple(row for row in self.rows if row.aid != aid),
            keys=tuple(key for key in self.keys if key.domain != aid),
            uses=tuple(use for use in self.uses if use.domain != aid),
            objects=tuple(thing for thing in self.objects if thing.domain != aid),
        )

    def with_keys(self, domain: bytes, gone: set[tuple[int, int]], new: tuple[Key, ...]) -> State:
        """Without a domain's keys of these (version, id), with new ones in their place; counters start anew.

        The place matters: a domain's first version is its default.
        """
        going = [key.domain == domain and (key.version, key.id) in gone for key in self.keys]
        at = going.index(True) if True in going else len(self.keys)
        kept = [key for key, goes in zip(self.keys, going, strict=True) if not goes]
        touched = {version for version, _ in gone} | {key.version for key in new}
        uses = [use for use in self.uses if use.domain != domain or use.version not in touched]
        return replace(self, keys=(*kept[:at], *new, *kept[at:]), uses=tuple(uses))

    def object(self, domain: bytes, tag: int) -> bytes | None:
        """A data object's value."""
        wanted = (domain, tag)
        return next((thing.value for thing in self.objects if (thing.domain, thing.tag) == wanted), None)

    def with_object(self, domain: bytes, tag: int, value: bytes) -> State:
        """With a data object, over the one with its tag."""
        kept = [thing for thing in self.objects if (thing.domain, thing.tag) != (domain, tag)]
        return replace(self, objects=(*kept, Object(domain, tag, value)))

    def renamed(self, aid: bytes) -> State:
        """With another AID of the issuer security domain."""
        old = self.issuer.aid

        def name(domain: bytes) -> bytes:
            return aid if domain == old else domain

        return replace(
            self,
            rows=tuple(
                replace(row, aid=aid if row.kind == Kind.ISSUER else row.aid, domain=name(row.domain))
                for row in self.rows
            ),
            keys=tuple(replace(key, domain=name(key.domain)) for key in self.keys),
            uses=tuple(replace(use, domain=name(use.domain)) for use in self.uses),
            objects=tuple(replace(thing, domain=name(thing.domain)) for thing in self.objects),
        )

    @property
    def fits(self) -> bool:
        """Whether it stays within the numbers the area is sized for."""
        return len(self.rows) <= ROWS_MAX and len(self.keys) <= KEYS_MAX and len(self.objects) <= OBJECTS_MAX

    def encode(self) -> bytes:
        """The bytes the store keeps: a secret."""
        head = _pack(bytes((self.life, self.scp02_i, self.scp03_i)), self.told, self.cplc)
        things = [tlv(0xC0, head)]
        things += [tlv(0xC1, _pack_row(row)) for row in self.rows]
        things += [
            tlv(0xC2, _pack(key.domain, bytes((key.version, key.id, key.kind)), key.value))
            for key in self.keys
        ]
        things += [
            tlv(0xC3, _pack(use.domain, bytes((use.version, use.failures)), use.sequence.to_bytes(3, "big")))
            for use in self.uses
        ]
        things += [
            tlv(0xC4, _pack(thing.domain, thing.tag.to_bytes(2, "big"), thing.value))
            for thing in self.objects
        ]
        return bytes((VERSION,)) + b"".join(things)

    @classmethod
    def decode(cls, raw: bytes) -> State:
        """Back from the store, which vouches for the bytes; CARD_STORE_VERSION for another version."""
        if raw[:1] != bytes((VERSION,)):
            raise CARD_STORE_VERSION(found=raw[:1].hex(), known=VERSION)
        things = [(tag, _unpack(value)) for tag, value in parse(raw[1:])]
        flags, told, cplc = things[0][1]
        rows = tuple(_unpack_row(parts) for tag, parts in things if tag == 0xC1)
        keys = tuple(Key(p[0], p[1][0], p[1][1], p[1][2], p[2]) for tag, p in things if tag == 0xC2)
        uses = tuple(
            Use(p[0], p[1][0], int.from_bytes(p[2], "big"), p[1][1]) for tag, p in things if tag == 0xC3
        )
        objects = tuple(Object(p[0], int.from_bytes(p[1], "big"), p[2]) for tag, p in things if tag == 0xC4)
        return cls(CardLife(flags[0]), flags[1], flags[2], told, cplc, rows, keys, uses, objects)


def new_state(
    sets: dict[int, KeySet],
    *,
    told: bytes = bytes(DIVERSIFICATION_SIZE),
    scp02_i: int = 0x55,
    scp03_i: int = 0x70,
    cplc: bytes = bytes(CPLC_SIZE),
    aid: bytes = ISD_AID,
    rows: tuple[Row, ...] = (),
) -> State:
    """A domain as the factory leaves it: key sets by version (the first is the default), more rows if any."""
    issuer = Row(Kind.ISSUER, aid, CardLife.OP_READY, ISD_PRIVILEGES, fixed=True)
    domains = Row(Kind.LOAD_FILE, SSD_LOAD_FILE, Life.LOADED, modules=(SSD_MODULE,), fixed=True)
    keys = tuple(
        Key(aid, version, id, keyset.kind, bytes(value))
        for version, keyset in sets.items()
        for id, value in zip((ENC, MAC, DEK), keyset.keys, strict=True)
    )
    return State(CardLife.OP_READY, scp02_i, scp03_i, told, cplc, (issuer, domains, *rows), keys)


def is_aes(keyset: KeySet) -> bool:
    """Whether a set speaks SCP03."""
    return keyset.kind == AES


def _pack(*parts: bytes) -> bytes:
    return b"".join(bytes((len(part),)) + part for part in parts)


def _unpack(raw: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(raw):
        parts.append(raw[at + 1 : at + 1 + raw[at]])
        at += 1 + raw[at]
    return parts


def _pack_row(row: Row) -> bytes:
    flags = bytes((row.kind, row.life, row.fixed))
    return _pack(row.aid, flags, row.privileges, row.load_file, row.domain, *row.modules)


def _unpack_row(parts: list[bytes]) -> Row:
    aid, flags, privileges, load_file, domain, *modules = parts
    return Row(Kind(flags[0]), aid, flags[1], privileges, load_file, domain, tuple(modules), bool(flags[2]))
