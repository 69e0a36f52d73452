# SPDX-License-Identifier: Apache-2.0
"""The kit's plugs into PC/SC: a card on a reader to be tested, a played card in a virtual reader."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from citycard.conform.guard import Field
from citycard.terminal import vpcd
from citycard.terminal.pcsc import PcscLink


@contextlib.contextmanager
def open_reader(name: str, seconds: float) -> Iterator[RawReader]:
    """The card in the reader of this name, waited for. READER_*, PCSC_*, CARD_ABSENT, CARD_MUTE."""
    with PcscLink(name, seconds) as link:
        link.wait(seconds)
        yield RawReader(link)


class RawReader:
    """A reader that tells what the card said: the link of terminals repeats 6Cxx with the right Le itself."""

    def __init__(self, link: PcscLink) -> None:
        self._link = link

    @property
    def name(self) -> str:
        """What PC/SC calls the reader."""
        return self._link.reader

    def connect(self) -> bytes:
        """Power the card off and on."""
        return self._link.connect()

    def __call__(self, command: bytes) -> bytes:
        """One exchange; with T=0 the link does what T=0 wants."""
        return self._link(command) if self._link.t0 else self._link.transmit(command)


class VirtualReader:
    """A card in vpcd's virtual reader, until the reader hangs up or the card leaves. VPCD_UNREACHABLE."""

    def __init__(self, host: str, port: int) -> None:
        self._wire = vpcd.dial(host, port)

    def serve(self, card: Field) -> None:
        """Answer the reader."""
        vpcd.serve(self._wire, card)

    def remove(self) -> None:
        """Take the card out: hang up."""
        with contextlib.suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)
