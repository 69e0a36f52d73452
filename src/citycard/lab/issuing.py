# SPDX-License-Identifier: Apache-2.0
"""From an order to a card in somebody's pocket: personalised over APDUs, registered, stocked and issued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import Any, Final

from citycard.blueprints import Scheme
from citycard.core import tunion
from citycard.core.card import T_UNION, Card, blank_card
from citycard.core.crypto import TRIPLE_DES
from citycard.core.dialogue import CARD, Refused, converse
from citycard.core.dialogue.personalise import KeySlot, key_slots, personalise
from citycard.keys.hierarchy import card_factors
from citycard.keys.vault import KeyName, Vault
from citycard.lab.people import Person
from citycard.services.contract import CardClass

PROVINCE: Final = "9900"


@dataclass(slots=True)
class Pocket:
    """A card in somebody's pocket."""

    pan: str
    issuer: str
    chip: Card
    person: Person


def personalise_chip(
    vault: Vault, transport_key: bytes, order: Any, city: str, randbytes: Callable[[int], bytes]
) -> Card:
    """A blank chip made the card of an office order (`pan`, `issuer_id`, `card_class`, validity)."""
    chip = blank_card(T_UNION, transport_key, randbytes)
    chip.power_on()
    issuer = bytes.fromhex(order.issuer_id)
    path = card_factors(issuer, order.pan)
    transport = (KeyName.TRANSPORT, 1, ())

    def wrap(slot: KeySlot, header: bytes, challenge: bytes) -> tuple[bytes, bytes]:
        return vault.wrap_card_key(slot.name, slot.version, path, transport, slot.head, header, challenge)

    def authenticate(name: str, challenge: bytes) -> bytes:
        return vault.external_authentication(name, 1, () if name == KeyName.TRANSPORT else path, challenge)

    files = {
        tunion.SFI_PUBLIC: tunion.PUBLIC.encode(
            issuer=issuer, app_type=2, enabled=1, pan=order.pan,
            valid_from=order.valid_from, valid_until=order.valid_until,
        ),
        tunion.SFI_HOLDER: tunion.HOLDER.encode(),
        tunion.SFI_KIND: tunion.CARD_KIND.encode(province=PROVINCE, city=city, card_class=order.card_class),
    }  # fmt: skip
    outcome = converse(personalise(files, wrap, authenticate, key_slots()), {CARD: chip.process})
    assert not isinstance(outcome, Refused), f"personalisation of {order.pan}: {outcome}"
    return chip


def issue_cards(
    scheme: Scheme,
    vault: Vault,
    transport_key: bytes,
    crowd: Sequence[Person],
    random: Random,
    tell: Callable[[int], None],
) -> list[Pocket]:
    """A card for each person, in order of persons; `tell` hears how many chips are done."""
    from citycard.office.cards import personalise as station
    from citycard.office.cards import verbs
    from citycard.office.staff.roles import Actor, Role

    custodian, clerk = (
        Actor("custodian", frozenset({Role.KEY_CUSTODIAN})),
        Actor("clerk", frozenset({Role.CLERK})),
    )
    issuers = [_issuer(scheme, random, person) for person in crowd]
    order_of = sorted(range(len(crowd)), key=lambda i: (issuers[i], crowd[i].card_class))
    pockets: dict[int, Pocket] = {}
    for (issuer, card_class), group in groupby(order_of, key=lambda i: (issuers[i], crowd[i].card_class)):
        members = list(group)
        orders = station.order(issuer, len(members), custodian, card_class=card_class)
        for member, order in zip(members, orders, strict=True):
            chip = personalise_chip(vault, transport_key, order, scheme.city, random.randbytes)
            pockets[member] = Pocket(order.pan, issuer, chip, crowd[member])
            tell(len(pockets))
    made = [pockets[member] for member in range(len(crowd))]
    results = [
        station.Personalised(p.pan, uid=f"{i:014x}", algorithm=TRIPLE_DES.id) for i, p in enumerate(made, 1)
    ]
    pans = [pocket.pan for pocket in made]
    _check(station.register(results, custodian))
    _check(verbs.stock_in_many(pans, clerk))
    _check(verbs.issue_many(list(zip(pans, _holders(crowd, clerk), strict=True)), clerk))
    return made


def _issuer(scheme: Scheme, random: Random, person: Person) -> str:
    """The scheme's own issuer, and for one ordinary card in ten another one."""
    own, *others = scheme.issuers
    foreign = others and person.card_class == CardClass.ORDINARY and random.random() < 0.1
    return (random.choice(others) if foreign else own).id


def _check(results: Sequence[Any]) -> None:
    """Nothing is refused when a city is founded."""
    from citycard.office.cards.actions import Done

    refused = [result for result in results if not isinstance(result, Done)]
    assert not refused, refused[0]


def _holders(crowd: Sequence[Person], clerk: Any) -> list[Any]:
    from citycard.office.holders import register

    holders: list[Any] = []
    for index, person in enumerate(crowd):
        guardian = None if person.guardian is None else holders[person.guardian]
        document = (
            ("identity_card", f"990100{person.birth_on:%Y%m%d}{index:04d}") if person.level >= 2 else None
        )
        holders.append(
            register.prepared(
                person.name,
                person.birth_on,
                kind="resident" if person.resident else "non_resident",
                level=person.level,
                guardian=guardian,
                document=document,
                phone=f"1990000{index:04d}",
            )
        )
    register.save_all(holders, clerk)
    return holders
