# SPDX-License-Identifier: Apache-2.0
"""Emulated specimens of the kinds beside T-Union: keys of their own, and a life behind them.

The contact card of the laboratory has, beside what its profile declares, the files and keys that a test of
secure messaging needs: EF03 is written enciphered, EF04 read under a MAC, EF06 both; keys 30, 31 and 32 are
for internal authentication. A maker's card is personalised likewise, or those cases are not run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Final

from citycard.conform import kinds
from citycard.conform.bench import Bench
from citycard.conform.guard import Guard
from citycard.conform.keyring import LabKeys
from citycard.conform.specimens import EmulatedField, Specimen
from citycard.conform.stands import LIVED_AT, Stock
from citycard.conform.steps_purse import DEPOSIT, DEPOSIT_LOAD, LOAD, PLAIN, transact
from citycard.core import mohurd
from citycard.core.apdu import Command
from citycard.core.calendar import bcd_datetime
from citycard.core.card import CONTACT, T_UNION, Card, Profile, made_card
from citycard.core.card.access import ALWAYS
from citycard.core.card.files import ENCIPHERED, MF_FID, UNDER_MAC
from citycard.core.card.files import Kind as FileKind
from citycard.core.card.keyfile import PIN_SIZE, KeyType
from citycard.core.card.spec import DirectorySpec, FileSpec, KeySpec
from citycard.core.crypto import KEY_SIZE
from citycard.core.gp.card import GpCard, gp_card
from citycard.core.gp.keys import AES, DES, KeySet

Random = Callable[[int], bytes]
PIN: Final = bytes.fromhex("123456")  # of specimens
UNDER_MAC_READ: Final = 0x7F  # SM byte: reading needs a MAC
SCP02_VERSION, SCP03_VERSION = 0x20, 0x30


def _laboratory_card() -> Profile:
    root, app = CONTACT.directories
    free = partial(FileSpec, kind=FileKind.TRANSPARENT, length=16, write=ALWAYS, protected=0xFF)
    files = (
        free(0x0003, under=UNDER_MAC | ENCIPHERED),
        free(0x0004, sm=UNDER_MAC_READ),
        free(0x0006, under=UNDER_MAC | ENCIPHERED, sm=UNDER_MAC_READ),
    )
    keys = (
        KeySpec("encrypt", KeyType.ENCRYPT, 1),
        KeySpec("decrypt", KeyType.DECRYPT, 1),
        KeySpec("mac", KeyType.MAC, 1),
    )
    wider = replace(app, files=(*app.files, *files), keys=(*app.keys, *keys))
    return replace(CONTACT, directories=(root, wider))


LABORATORY: Final = _laboratory_card()
PUBLIC: Final = mohurd.PUBLIC.encode(
    issuer="0999", city="9900", enabled=1, version=1, serial=bytes.fromhex("9900000000000018"),
    valid_from=date(2020, 1, 1), valid_until=date(2099, 12, 31), card_type=1,
)  # fmt: skip


def _keys(profile: Profile, random: Random) -> dict[str, bytes]:
    """A key for every name of the profile; those of the MF are called `mf_...`."""
    named = {_name(spec, key): random(KEY_SIZE) for spec in profile.directories for key in spec.keys}
    return named | {"pin": PIN}


def _name(spec: DirectorySpec, key: KeySpec) -> str:
    return f"mf_{key.name}" if spec.fid == MF_FID else key.name


def pboc_stock(random: Random) -> Stock:
    """Contact cards whose deposit and purse were loaded and paid from once."""
    keys = LabKeys(_keys(LABORATORY, random))
    holder = bytes((0x01, 0x00)) + b"TEST CARD".ljust(37, b"\x00")
    contents = {(0x3F01, 0x0015): PUBLIC[:30], (0x3F01, 0x0016): holder}

    def value(spec: DirectorySpec, key: KeySpec) -> bytes:
        found = keys.value(_name(spec, key))
        return found.ljust(PIN_SIZE, b"\xff") if key.type == KeyType.PIN else found

    card = made_card(LABORATORY, value, contents, random)
    guard = Guard(EmulatedField(Specimen(card)), allow_write=True)
    bench = Bench(guard, keys, bcd_datetime(LIVED_AT), lambda: 0, kind=kinds.PBOC)
    bench.begin(selects=True)
    transact(bench, LOAD, 5_000)
    transact(bench, PLAIN, 150)
    bench.ok(Command(0x00, 0x20, 0x00, 0x00, PIN).encode())
    transact(bench, DEPOSIT_LOAD, 7_000)
    transact(bench, DEPOSIT, 250)
    return Stock(kinds.PBOC, keys, card.image(), lambda image: Card.from_image(image, random))


def gp_stock(random: Random) -> Stock:
    """T-Union cards with an issuer security domain of two key sets."""
    sets = {
        SCP03_VERSION: KeySet(random(16), random(16), random(16), AES),
        SCP02_VERSION: KeySet(random(16), random(16), random(16), DES),
    }
    image = gp_card(T_UNION, random(KEY_SIZE), sets, random).image()
    return Stock(kinds.GP, LabKeys(sets=sets), image, lambda image: GpCard.from_image(image, random))


STOCKS: Final[dict[str, Callable[[Random], Stock]]] = {"gp": gp_stock, "pboc": pboc_stock}
