# SPDX-License-Identifier: Apache-2.0
"""What the security domain works with while it has power: its state, and what lasts one session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from citycard.core.apdu import SW, Command, Response
from citycard.core.gp.channel import Channel
from citycard.core.gp.state import Kind, Row, State, Use
from citycard.core.gp.store import Store

Answer = bytes | int | Response
"""Data with 9000, or a status word alone, or both where a warning carries data."""


class Applications(Protocol):
    """The applications of the chip, as the security domain needs them."""

    def personalise(self, aid: bytes, command: Command, decrypt: Callable[[bytes], bytes]) -> int:
        """Take a STORE DATA for an application; `decrypt` opens keys enciphered for the session."""
        ...


class NoApplications:
    """A chip whose applications are not personalised through the security domain."""

    def personalise(self, aid: bytes, command: Command, decrypt: Callable[[bytes], bytes]) -> int:
        """Refused: 6985."""
        return SW.CONDITIONS_OF_USE


@dataclass(slots=True)
class Opening:
    """A channel between INITIALIZE UPDATE and EXTERNAL AUTHENTICATE."""

    channel: Channel
    use: Use
    levels: tuple[int, ...]


@dataclass(slots=True)
class Session:
    """Volatile state: gone with the power and with the next SELECT."""

    domain: bytes  # AID of the selected security domain
    opening: Opening | None = None
    channel: Channel | None = None
    target: bytes | None = None  # application that STORE DATA goes to
    stored: bytes = b""  # STORE DATA blocks so far
    block: int = 0  # number of the next one
    listing: tuple[int, int, bytes, int] | None = None  # GET STATUS: P1, form, search, entries given

    def end_channel(self) -> None:
        """Forget the secure channel and what was begun in it."""
        self.opening = self.channel = self.target = self.listing = None
        self.stored, self.block = b"", 0


@dataclass(slots=True)
class Desk:
    """All a command handler may touch."""

    state: State
    store: Store
    random: Callable[[int], bytes]
    session: Session
    applications: Applications = field(default_factory=NoApplications)

    @property
    def domain(self) -> Row:
        """The selected security domain."""
        found = self.state.row(self.session.domain)
        assert found is not None, "a domain is not deleted while it is selected"
        return found

    @property
    def issuing(self) -> bool:
        """Whether the selected domain is the issuer's, which alone manages the card's content."""
        return self.domain.kind == Kind.ISSUER

    def keep(self, state: State) -> int:
        """Put a state in force: 9000, or 6A84 when it does not fit. `PowerLost` leaves old or new."""
        raw = state.encode()
        if not state.fits or len(raw) > self.store.limit:
            return SW.NO_SPACE
        self.store.save(raw)
        self.state = state
        return SW.OK

    def owns(self, row: Row) -> bool:
        """Whether the selected domain may act on an entry: the issuer's on all, others on their own."""
        return self.issuing or self.state.owner(row) == self.session.domain or row.aid == self.session.domain


Handler = Callable[[Desk, Command], Answer]


def counted(raw: bytes, parts: int) -> list[bytes] | None:
    """Exactly so many fields with one-byte lengths, None when the bytes are not that."""
    found: list[bytes] = []
    at = 0
    while at < len(raw) and len(found) < parts:
        end = at + 1 + raw[at]
        if end > len(raw):
            return None
        found.append(raw[at + 1 : end])
        at = end
    return found if len(found) == parts and at == len(raw) else None
