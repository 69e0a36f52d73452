# SPDX-License-Identifier: Apache-2.0
"""Two versions of every key at once: cards of both pay, load and are cleared."""

from __future__ import annotations

from datetime import datetime

from citycard.core import tunion
from citycard.core.calendar import bcd_datetime
from citycard.core.card import T_UNION
from citycard.core.card.factory import blank_card
from citycard.core.card.os import Card
from citycard.core.dialogue import CARD, HOST, SAM, Loaded, converse, load
from citycard.core.dialogue.personalise import KeySlot, key_slots, personalise
from citycard.core.dialogue.purchase import Order, Receipt, purchase
from citycard.core.record import Kind
from citycard.keys import (
    KeyName,
    LoadAsked,
    LoadSam,
    MemoryCounter,
    MemoryVault,
    Psam,
    TacRow,
    Vault,
    card_factors,
    scheme_ceremony,
)
from citycard.keys.ceremony import roll_over
from tests.keys.cast import ISSUER, MOMENT, NOON, PAN, TERMINAL, known_key, seeded
from tests.support.softhsm import PIN, SoftHsm

START = datetime(2031, 1, 1)


def serve_both(vault: Vault) -> None:
    """Make a card of each version and let both live a day, at one PSAM and one load SAM."""
    psam, sam = Psam(vault, TERMINAL, MemoryCounter()), LoadSam(vault)
    rows = []
    for version, pan in ((1, PAN), (2, PAN[:-1] + "2")):
        chip = made_card(vault, pan, version)
        assert loaded(chip, sam, pan, 5000)
        rows.append(paid(chip, psam, pan, version, 300))
    assert vault.tac_checker()(rows) == [True, True]
    crossed = [rows[0]._replace(key_version=2), rows[1]._replace(key_version=1)]
    assert vault.tac_checker()(crossed) == [False, False]


def made_card(vault: Vault, pan: str, version: int) -> Card:
    """A card as it left the line under that version; the line's clock is not the matter here."""
    held = vault.keys()
    if not any(info.name == KeyName.TRANSPORT for info in held):
        vault.import_key(KeyName.TRANSPORT, 0, 1, known_key("transport"))
    vault._clock = lambda: START if version == 2 else NOON  # type: ignore[attr-defined]
    chip, path = blank_card(T_UNION, known_key("transport"), seeded(version)), card_factors(ISSUER, pan)
    chip.power_on()

    def wrap(slot: KeySlot, header: bytes, challenge: bytes) -> tuple[bytes, bytes]:
        return vault.wrap_card_key(
            slot.name, slot.version, path, ("transport", 1, ()), slot.head, header, challenge
        )

    def authenticate(name: str, challenge: bytes) -> bytes:
        version_there = 1 if name == "transport" else version
        return vault.external_authentication(
            name, version_there, () if name == "transport" else path, challenge
        )

    public = tunion.PUBLIC.encode(
        issuer=ISSUER, app_type=2, enabled=1, pan=pan, valid_from=NOON.date(), valid_until=START.date()
    )
    assert (
        converse(personalise({0x15: public}, wrap, authenticate, key_slots(version)), {CARD: chip.process})
        is None
    )
    return chip


def loaded(chip: Card, sam: LoadSam, pan: str, amount_fen: int) -> bool:
    chip.power_on()
    from citycard.core.dialogue.read import identify

    converse(identify(), {CARD: chip.process})

    def host(answer: bytes) -> bytes:
        asked = LoadAsked(ISSUER, pan, TERMINAL, amount_fen, answer)
        mac2 = sam.approve(asked, MOMENT)
        return MOMENT + mac2 if mac2 else b""

    return isinstance(converse(load(amount_fen, TERMINAL), {CARD: chip.process, HOST: host}), Loaded)


def paid(chip: Card, psam: Psam, pan: str, version: int, amount_fen: int) -> TacRow:
    chip.power_on()
    from citycard.core.dialogue.read import identify

    converse(identify(), {CARD: chip.process})
    at = datetime(2031, 2, 1, 8)
    order = Order(amount_fen, TERMINAL, at, ISSUER, pan)
    receipt = converse(purchase(order), {CARD: chip.process, SAM: psam.process})
    assert isinstance(receipt, Receipt), receipt
    assert receipt.opened.key_version == version
    return TacRow(
        ISSUER, pan, version, 0, int(Kind.PURCHASE), int(order.txn), amount_fen, TERMINAL, receipt.terminal_txn,
        bcd_datetime(at), 0, 0, receipt.tac,
    )  # fmt: skip


def test_in_memory() -> None:
    vault = MemoryVault(clock=lambda: NOON, random=seeded(4))
    scheme_ceremony(vault)
    first = roll_over(vault, START)
    assert roll_over(vault, START) == first  # again, after a stop: the same
    assert vault.current("load", NOON).version == 1
    assert vault.current("load", START).version == 2
    serve_both(vault)
    second = roll_over(vault, datetime(2032, 1, 1))
    assert {info.version for info in second} == {3}
    assert vault.current("load", START).version == 2


def test_in_a_token(hsm: SoftHsm) -> None:
    from citycard.keys import Pkcs11Vault

    vault = Pkcs11Vault.open(hsm.module, hsm.new_token(), PIN, clock=lambda: NOON)
    scheme_ceremony(vault)
    roll_over(vault, START)
    serve_both(vault)
