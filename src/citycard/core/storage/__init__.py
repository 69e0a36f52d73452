# SPDX-License-Identifier: Apache-2.0
"""Cards without a processor: MIFARE-Classic-like, Ultralight-class and UID-only, behind a PC/SC reader.

`ClassicCard.blank(uid)`, `UltralightCard.blank(uid)` and `Tag.blank(uid)` give a card, `card_from_image` the
one an image belongs to; all answer `power_on()` and `process(command)` like `core.card.Card`.
"""

from citycard.core.card.atomic import Fuse
from citycard.core.storage.classic import ClassicCard
from citycard.core.storage.part3 import IMAGE_HEAD, STORAGE_IMAGE, Kind, StorageCard, atr, kind_of
from citycard.core.storage.tag import Tag
from citycard.core.storage.ultralight import UltralightCard

_CLASSES: dict[int, type[ClassicCard] | type[UltralightCard] | type[Tag]] = {
    kind: cls for cls in (ClassicCard, UltralightCard, Tag) for kind in cls.KINDS
}


def card_from_image(image: bytes, fuse: Fuse | None = None) -> StorageCard:
    """The card these cells are; STORAGE_IMAGE when they are no storage card's."""
    if len(image) < IMAGE_HEAD.size or image[5] not in _CLASSES:
        raise STORAGE_IMAGE(what=f"{len(image)} bytes")
    return _CLASSES[image[5]].from_image(image, fuse)


__all__ = [
    "ClassicCard",
    "Kind",
    "StorageCard",
    "Tag",
    "UltralightCard",
    "atr",
    "card_from_image",
    "kind_of",
]
