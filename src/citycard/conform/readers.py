# SPDX-License-Identifier: Apache-2.0
"""The kit's plugs into PC/SC: a card on a reader to be tested, a played card in a virtual reader.

Both belong to the terminal's room (`terminal.pcsc`, `terminal.vpcd`) and are looked up when they are asked
for: an installation without them tests emulated cards and its own terminal.
"""

from __future__ import annotations

import contextlib
import socket
from importlib import import_module
from typing import Any

from citycard.conform.guard import Field
from citycard.core.problem import declare

CONFORM_NO_READER = declare(
    "CONFORM_NO_READER",
    "This installation has no link to readers ({module} is missing). Test an emulated card with "
    "`--reader emulated`, or install a citycard with PC/SC.",
    "本安装不含读卡器接口（缺少 {module}）。请用 `--reader emulated` 测试模拟卡，或安装带 PC/SC 的版本。",
)


def open_reader(name: str) -> Field:
    """The card in the reader of this name. CONFORM_NO_READER, and the problems of the PC/SC link."""
    return RawReader(_module("citycard.terminal.pcsc").PcscLink(name))


class RawReader:
    """A reader that tells what the card said: the link of terminals repeats 6Cxx with the right Le itself."""

    def __init__(self, link: Any) -> None:
        self._link = link

    def connect(self) -> bytes:
        """Power the card off and on."""
        return bytes(self._link.connect())

    def __call__(self, command: bytes) -> bytes:
        """One exchange; with T=0 the link does what T=0 wants."""
        send = self._link if self._link._t0 else self._link._transmit
        return bytes(send(command))


def need_virtual() -> None:
    """Say now, and not when the first card is to be shown, that there is no virtual reader."""
    _module("citycard.terminal.vpcd")


class VirtualReader:
    """A card in vpcd's virtual reader, until the reader hangs up or the card leaves."""

    def __init__(self, host: str, port: int) -> None:
        self._vpcd = _module("citycard.terminal.vpcd")
        self._wire = self._vpcd.dial(host, port)

    def serve(self, card: Field) -> None:
        """Answer the reader."""
        self._vpcd.serve(self._wire, card)

    def remove(self) -> None:
        """Take the card out: hang up."""
        with contextlib.suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        raise CONFORM_NO_READER(module=name) from None
