# SPDX-License-Identifier: Apache-2.0
"""Every kind of card that can be emulated, by name: made blank, and opened again from its image.

CPU cards go by the names of their profiles; `gp` is a T-Union card with security domains, and any profile can
have them (`gp:NAME`). Cards without a processor: `m1-1k`, `m1-4k`, `ultralight`, `tag`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from citycard.core.card import PROFILES, Card, blank_card
from citycard.core.card.atomic import Fuse
from citycard.core.card.image import check_head, parse
from citycard.core.gp.card import GpCard, gp_card
from citycard.core.gp.keys import AES, DES, KeySet
from citycard.core.gp.state import ISD_AID
from citycard.core.problem import declare
from citycard.core.storage import ClassicCard, Kind, Tag, UltralightCard, card_from_image
from citycard.core.storage.part3 import IMAGE_MAGIC

Random = Callable[[int], bytes]

KIND_UNKNOWN = declare(
    "KIND_UNKNOWN",
    "There is no kind of card called {name}. The kinds are {known}.",
    "没有名为 {name} 的卡片种类，可用的有：{known}。",
)

GP: Final = "gp"
GP_TEST_KEY: Final = bytes.fromhex("404142434445464748494A4B4C4D4E4F")  # published: cards for trying things
GP_TEST_SETS: Final = {0x30: KeySet.single(GP_TEST_KEY, AES), 0x20: KeySet.single(GP_TEST_KEY, DES)}


class Emulated(Protocol):
    """A card in software, of whatever kind."""

    def power_on(self) -> bytes:
        """Give it power; its ATR."""
        ...

    def power_off(self) -> None:
        """Take its power."""
        ...

    def process(self, command: bytes) -> bytes:
        """Answer a command."""
        ...

    def image(self) -> bytes:
        """All of it as bytes: a secret."""
        ...


_STORAGE: Final[dict[str, Callable[[Random], Emulated]]] = {
    "m1-1k": lambda random: ClassicCard.blank(random(4), Kind.CLASSIC_1K),
    "m1-4k": lambda random: ClassicCard.blank(random(4), Kind.CLASSIC_4K),
    "ultralight": lambda random: UltralightCard.blank(b"\x04" + random(6)),
    "tag": lambda random: Tag.blank(random(4)),
}


def kinds() -> list[str]:
    """The names of all kinds, but for `gp:NAME`."""
    return [*PROFILES, GP, *_STORAGE]


def new_card(
    name: str, transport_key: bytes, random: Random, gp_sets: dict[int, KeySet] | None = None
) -> Emulated:
    """A blank card of a kind, without power. KIND_UNKNOWN.

    `gp_sets` are the issuer's key sets by version where the kind has security domains; without them the
    published test key is all there is, which is for trying things only.
    """
    if name in _STORAGE:
        return _STORAGE[name](random)
    base, _, wanted = name.partition(":")
    profile = (wanted or "t-union") if base == GP else name
    if profile not in PROFILES or (wanted and base != GP):
        raise KIND_UNKNOWN(name=name, known=", ".join(kinds()))
    if base == GP:
        return gp_card(PROFILES[profile], transport_key, gp_sets or GP_TEST_SETS, random)
    return blank_card(PROFILES[profile], transport_key, random)


def open_card(image: bytes, random: Random, fuse: Fuse | None = None) -> Emulated:
    """The card whose image this is, without power. CARD_IMAGE, STORAGE_IMAGE."""
    if image[: len(IMAGE_MAGIC)] == IMAGE_MAGIC:
        return card_from_image(image, fuse)
    plain = Card.from_image(image, random, fuse)
    check_head(plain.memory)
    if ISD_AID in parse(plain.memory).areas:
        return GpCard.from_image(image, random, fuse)
    return plain
