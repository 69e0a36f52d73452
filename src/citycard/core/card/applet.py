# SPDX-License-Identifier: Apache-2.0
"""The applet port: an application of the card that is no PBOC directory but an object with its own commands.

An applet is known by its AID. The card's image holds an area for it, so many bytes under that AID
(`profiles.AreaSpec` in a profile, or `install` on a card that is there); the object itself is given to the
card each time: `Card(memory, random, applets=(domain,))`. A card whose image has no area for an applet does
not show it, and an area without its applet is not selectable.

What the card does for it:

- SELECT by name chooses it, by its AID or the beginning of it, as it chooses directories; these come first,
  then applets in the order they were given. SELECT with an empty name means the first applet. SELECT is
  always the card's; when nothing fits, 6A82, and the selected applet stays selected.
- While it is selected, `process` receives every other command, whatever its class; nothing has been checked
  but that the bytes are an APDU. Card block comes before it (6A81). Whatever `process` answers goes out.
- Persistent state lies in `chip.areas[AID]` (`files.Area`): read with `area.read(chip.memory, at, size)`;
  write with `change = Change(chip.memory)`, `area.write(change, at, data)`, `chip.journal.commit(change)`:
  all or nothing, also when power is cut. One change holds up to `journal_room()` bytes of body.
- Volatile state is `chip.session.applet_state`: any object, None after power-on and after each SELECT.
  The applet object itself keeps nothing, since one object may serve many cards.
- Randomness is `chip.random(n)`. There is no clock.

`process` must not raise but let `PowerLost` through: any bytes get an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from citycard.core.apdu import Command
from citycard.core.card.atomic import BODY_MAX, cells_up
from citycard.core.card.files import NAME_MAX, Area
from citycard.core.card.image import add_node, free_place, free_slot

if TYPE_CHECKING:
    from citycard.core.card.state import Answer, Chip


class Applet(Protocol):
    """An application with commands of its own."""

    @property
    def aid(self) -> bytes:
        """Its name, 5 to 16 bytes; also the name of its area."""
        ...

    def select(self, chip: Chip, command: Command) -> Answer:
        """It has just become current: what SELECT answers, such as its FCI."""
        ...

    def process(self, chip: Chip, command: Command) -> Answer:
        """The answer to a command while it is selected."""
        ...


def install(chip: Chip, aid: bytes, size: int, content: bytes = b"") -> bool:
    """Add an area of `size` bytes under an AID, all or nothing; False when the card has no room for it."""
    assert 5 <= len(aid) <= NAME_MAX
    assert len(content) <= size <= 0xFFFF
    slot, place = free_slot(chip.memory, chip.tree), free_place(chip.memory, chip.tree, cells_up(size))
    if slot is None or place is None or aid in chip.areas:
        return False
    add_node(chip.memory, chip.journal, Area(slot, aid, size, place), content)
    chip.read_structure(chip.session.directory.slot)
    return True


def journal_room() -> int:
    """Bytes of cells, 8 of address for each run of them included, that one change may hold."""
    return BODY_MAX
