# SPDX-License-Identifier: Apache-2.0
"""What a simulated city keeps in memory, to go back to: chips, terminals' stores, dice and the clock.

The rest of a city lies in its home folder, which whoever goes back puts in place before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from citycard.core.card import Card
from citycard.lab.city import City
from citycard.terminal.store import MemoryStore


@dataclass(frozen=True, slots=True)
class Memory:
    """A city's memory at a moment."""

    now: datetime
    chips: list[bytes]
    stores: dict[str, MemoryStore]
    dice: Any


def keep(city: City) -> Memory:
    """Everything `recall` needs; the city is of the kind that is not durable."""
    stores = {name: post.store for name, post in city.posts.items()}
    kept = {name: store.copy() for name, store in stores.items() if isinstance(store, MemoryStore)}
    assert len(kept) == len(stores), "terminals of a durable city keep their memory in folders"
    return Memory(city.clock(), [p.chip.image() for p in city.pockets], kept, city.random.getstate())


def recall(city: City, memory: Memory) -> None:
    """The city is as it was; terminals start anew from their stores."""
    city.clock.back_to(memory.now)
    city.random.setstate(memory.dice)
    del city.pockets[len(memory.chips) :]
    for pocket, image in zip(city.pockets, memory.chips, strict=True):
        pocket.chip = Card.from_image(image, city.random.randbytes)
    for name, store in memory.stores.items():
        post = city.posts[name]
        post.death.disarm()
        city.posts[name] = city.start(post.plan, store.copy(post.death.step), post.token, post.death)
