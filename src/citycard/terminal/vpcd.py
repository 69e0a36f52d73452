# SPDX-License-Identifier: Apache-2.0
"""The card's side of vpcd, the virtual reader of pcscd: an emulated card appears in a PC/SC reader.

Wire (card facts 7.3): a two-byte length, then so many bytes. One byte from the reader is control: 00 power
off, 01 power on, 02 reset, 04 asks for the ATR, which alone is answered. Anything else is a command.

vpcd writes length and body in two pieces and the kernel delays the acknowledgement between them: 44 ms per
exchange unless TCP_QUICKACK is set before every read. A card that leaves hangs up; presented again, it
connects anew. That works where vpcd listens (`dial`). Where vpcd dials ("reversed", `listen`), Debian's vpcd
wants both of its slots answered before pcscd starts and ends pcscd when one hangs up, so a card there stays.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Final

from citycard.core.dialogue.exchange import CardGone
from citycard.core.problem import declare
from citycard.terminal.link import Link

HOST: Final = "127.0.0.1"
PORT: Final = 0x8C7B  # 35963, the first slot of Debian's reader file
POWER_OFF, POWER_ON, RESET, ASK_ATR = b"\x00", b"\x01", b"\x02", b"\x04"
READ_SIZE: Final = 65_538  # the longest message at once: two bytes of length and 65,535 more
GET_UID: Final = bytes.fromhex("FFCA0000")  # PC/SC part 3: the reader answers it, not the card
DIAL_TIMEOUT_S: Final = 5.0
SLOTS: Final = 2

VPCD_UNREACHABLE = declare(
    "VPCD_UNREACHABLE",
    "There is no virtual reader at {host}:{port} ({why}). Install vsmartcard-vpcd and start pcscd, or name "
    "its port with --port.",
    "{host}:{port} 处没有虚拟读卡器（{why}）。请安装 vsmartcard-vpcd 并启动 pcscd，或用 --port 指定端口。",
)


class Nothing:
    """A card that knows no command, for a slot that must not be empty."""

    def connect(self) -> bytes:
        """The shortest answer to reset there is: T=0, no historical bytes."""
        return b"\x3b\x00"

    def __call__(self, command: bytes) -> bytes:
        """6D00 to everything."""
        return b"\x6d\x00"


def dial(host: str = HOST, port: int = PORT) -> socket.socket:
    """A connection to a vpcd that listens, the way of Debian's reader file. VPCD_UNREACHABLE."""
    try:
        wire = socket.create_connection((host, port), timeout=DIAL_TIMEOUT_S)
    except OSError as fault:
        raise VPCD_UNREACHABLE(host=host, port=port, why=fault.strerror or fault) from None
    wire.settimeout(None)
    return wire


def listen(port: int, host: str = HOST) -> list[socket.socket]:
    """Sockets for both slots of a reversed vpcd, at `port` and the next; to be open before pcscd starts."""
    return [socket.create_server((host, port + slot)) for slot in range(SLOTS)]


def serve(
    wire: socket.socket, link: Link, after: Callable[[], None] = lambda: None, uid: bytes = b""
) -> bool:
    """Answer the reader until it hangs up (True) or the card leaves (False); the wire is closed then.

    `after` is called when an answer is on its way, with time to spare: it may keep the card's image. With a
    `uid`, GET UID is answered as contactless readers do.
    """
    try:
        atr = link.connect()
        for message in _messages(wire):
            if uid and message[:4] == GET_UID:
                _send(wire, uid + b"\x90\x00")
            elif len(message) != 1:
                _send(wire, link(message))
                after()
            elif message == ASK_ATR:
                _send(wire, atr)
            elif message in (POWER_ON, RESET):
                atr = link.connect()
    except CardGone:
        return False
    except OSError:
        return True
    finally:
        wire.close()
    return True


def _send(wire: socket.socket, answer: bytes) -> None:
    wire.sendall(len(answer).to_bytes(2, "big") + answer)


def _messages(wire: socket.socket) -> Iterator[bytes]:
    """Messages as they come; ends when the reader hangs up."""
    waiting = b""
    while True:
        size = int.from_bytes(waiting[:2], "big") + 2 if len(waiting) >= 2 else READ_SIZE
        if len(waiting) >= size:
            yield waiting[2:size]
            waiting = waiting[size:]
            continue
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        piece = wire.recv(READ_SIZE)
        if not piece:
            return
        waiting += piece
