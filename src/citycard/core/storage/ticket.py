# SPDX-License-Identifier: Apache-2.0
"""A ticket on an Ultralight-class chip, declared: what it is good for, locked; and where it was last used.

    page 2      lock bits: pages 4 to 9 once the ticket is issued
    page 3      one-time bits: bit 0 ends the ticket for good
    pages 4-9   the ticket, with a MAC over UID and content
    pages 10-12, 13-15  stamps of the last two rides, taking turns
    counter 0   rides taken

The counter is the truth: it only grows, and a torn increment leaves it before or after. A stamp is written
before the ride it belongs to is counted, so that a terminal finds its own ride again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from citycard.core.layout import Field, Layout, LayoutError

TICKET_PAGE, STAMP_PAGES = 4, (10, 13)
LOCKED_PAGES: Final = range(4, 10)
ENDED: Final = 0x01  # in the last byte of the one-time page
RIDES_COUNTER: Final = 0
LAYOUT_VERSION: Final = 1
MAC_SIZE: Final = 4

TICKET: Final = Layout(
    "ticket (pages 4 to 9)",
    "citycard ticket layout 1",
    (
        Field("version", 1, default=LAYOUT_VERSION),
        Field("product", 1),
        Field("rides", 1),
        Field("card_class", 1, default=1),
        Field("serial", 4),
        Field("valid_from", 4, "date"),
        Field("valid_until", 4, "date"),
        Field("issuer", 4, "raw", note="the first four bytes of the issuer's code"),
        Field("mac", MAC_SIZE, "raw", note="over the UID and all before it"),
    ),
)
STAMP: Final = Layout(
    "stamp (pages 10 to 12, 13 to 15)",
    "citycard ticket layout 1",
    (
        Field("ride", 1, note="which ride this was, counted from 1"),
        Field("terminal", 6, "raw"),
        Field("at_s", 4, note="seconds since 2000-01-01, the scheme's zone"),
        Field("check", 1, "raw", note="first byte of the MAC over the UID and all before it"),
    ),
)


class RecordKeys(Protocol):
    """What a security module does for tickets (`keys.storage.StorageSam`)."""

    def record_mac(self, uid: bytes, message: bytes) -> bytes:
        """The four-byte MAC of a record on a card."""
        ...


def sealed(keys: RecordKeys, uid: bytes, layout: Layout, **values: Any) -> bytes:
    """A record that ends with (the beginning of) its MAC."""
    raw = layout.encode(**values)
    size = layout.fields[-1].size
    return raw[:-size] + keys.record_mac(uid, raw[:-size])[:size]


def opened(keys: RecordKeys, uid: bytes, layout: Layout, raw: bytes) -> dict[str, Any] | None:
    """A record's fields, None when its MAC is not this ticket's or it holds no valid values."""
    size = layout.fields[-1].size
    if keys.record_mac(uid, raw[:-size])[:size] != raw[-size:]:
        return None
    try:
        return layout.decode(raw)
    except LayoutError:
        return None


@dataclass(frozen=True, slots=True)
class TicketView:
    """What a ticket says: its fields, rides taken, whether it was ended, its stamps by ride number."""

    uid: bytes
    fields: dict[str, Any]
    taken: int
    ended: bool
    stamps: dict[int, dict[str, Any]]

    @property
    def left(self) -> int:
        """Rides that remain."""
        return max(0, int(self.fields["rides"]) - self.taken)


assert TICKET.size == 4 * len(LOCKED_PAGES)
assert STAMP.size == 12
