# SPDX-License-Identifier: Apache-2.0
"""The kit's plugs into PC/SC: a card on a reader to be tested, a played card in a virtual reader.

Both belong to the terminal's room (`terminal.pcsc`, `terminal.vpcd`) and are looked up when they are asked
for: an installation without them tests emulated cards and its own terminal.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

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
    return cast(Field, _module("citycard.terminal.pcsc").PcscLink(name))


def serve_virtual(card: Field, host: str, port: int) -> bool:
    """Put a card into vpcd's virtual reader until the reader hangs up (True) or the card leaves (False)."""
    vpcd = _module("citycard.terminal.vpcd")
    return bool(vpcd.serve(vpcd.dial(host, port), card))


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        raise CONFORM_NO_READER(module=name) from None
