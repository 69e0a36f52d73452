# SPDX-License-Identifier: Apache-2.0
"""A UID-only tag for doors: it has a number and nothing else, so it proves nothing; anybody can copy it."""

from __future__ import annotations

from typing import ClassVar

from citycard.core.card.atomic import Fuse, Memory
from citycard.core.storage.part3 import Kind, StorageCard, image_head


class Tag(StorageCard):
    """The tag and its reader: FF CA answers the number, any other command 6D00."""

    KINDS: ClassVar = (Kind.TAG,)

    @classmethod
    def blank(cls, uid: bytes) -> Tag:
        """A tag with this number."""
        return cls(Memory(image_head(Kind.TAG, uid)))

    @classmethod
    def from_image(cls, image: bytes, fuse: Fuse | None = None) -> Tag:
        """A tag with these cells; STORAGE_IMAGE when they are not a tag's."""
        return cls(Memory(image, fuse))
