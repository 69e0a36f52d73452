# SPDX-License-Identifier: Apache-2.0
"""From an order to its personalisation data: what goes onto each card, sealed for the vault."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from django.conf import settings

from citycard.core import tunion
from citycard.core.dialogue.personalise import KeySlot, key_slots
from citycard.core.problem import declare
from citycard.keys.durable import create_file
from citycard.keys.perso_file import SUFFIX, PersoEntry, PersoHead, write
from citycard.keys.vault import Vault
from citycard.office import clock
from citycard.office.cards.models import Card
from citycard.office.issuing.models import CardOrder

FOLDER: Final = "perso"
DATA_NAME: Final = f"data{SUFFIX}"
APP_TYPE: Final = 2  # a purse with overdraft barred, as T-Union cards state it
ENABLED: Final = 1

ORDER_UNKNOWN = declare(
    "ORDER_UNKNOWN",
    "There is no order {order}. Place it with `citycard card order FILE`.",
    "没有订单 {order}；请用 `citycard card order 文件` 登记。",
)
PERSO_VERSIONS = declare(
    "PERSO_VERSIONS",
    "New cards would get keys of different versions ({versions}), and a card tells one. Roll all keys over, "
    "or retire those that were left behind.",
    "新卡将得到不同版本的密钥（{versions}），而卡片只标识一个版本；请统一切换密钥版本。",
)


def folder(order: str) -> Path:
    """Where the data, the journal and the report of an order are."""
    return Path(settings.CITYCARD_HOME) / FOLDER / order


def order_named(name: str) -> CardOrder:
    """ORDER_UNKNOWN."""
    found = CardOrder.objects.filter(name=name).first()
    if found is None:
        raise ORDER_UNKNOWN(order=name)
    return found


def make_data(order: CardOrder, vault: Vault, random: Callable[[int], bytes] = os.urandom) -> Path:
    """The order's data file, made once: a file that is there is left as it is."""
    path = folder(order.name) / DATA_NAME
    if path.exists():
        return path
    version = version_for_new_cards(vault, order.algorithm)
    cards = Card.objects.filter(ordered__order=order).order_by("ordered__place")
    slots = key_slots(version, order.algorithm)
    entries = [PersoEntry(card.pan, _files(card, order), slots) for card in cards]
    head = PersoHead(
        order.name, order.issuer_id, order.profile, len(entries), order.algorithm, version,
        clock.now().isoformat(),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # another process was first, and its file is the file
        create_file(path, write(vault, head, entries, random))
    return path


def version_for_new_cards(vault: Vault, algorithm: int) -> int:
    """The one version that every key of a new card has today. KEY_MISSING, PERSO_VERSIONS."""
    names = [slot.name for slot in key_slots()] + ["control"]
    at = clock.now()
    versions = {name: vault.current(name, at, suite=algorithm).version for name in names}
    if len(set(versions.values())) > 1:
        raise PERSO_VERSIONS(versions=", ".join(f"{name} {version}" for name, version in versions.items()))
    return versions["purchase"]


def control_slot(slots: tuple[KeySlot, ...]) -> KeySlot:
    """The control key that goes with a card's other keys."""
    return KeySlot("control", 0x39, 0, slots[0].version, slots[0].algorithm)


def _files(card: Card, order: CardOrder) -> dict[int, bytes]:
    public = tunion.PUBLIC.encode(
        issuer=bytes.fromhex(card.issuer_id), app_type=APP_TYPE, enabled=ENABLED, pan=card.pan,
        valid_from=card.valid_from, valid_until=card.valid_until,
    )  # fmt: skip
    kind = tunion.CARD_KIND.encode(province=order.province, city=order.city, card_class=card.card_class)
    return {tunion.SFI_PUBLIC: public, tunion.SFI_HOLDER: tunion.HOLDER.encode(), tunion.SFI_KIND: kind}
