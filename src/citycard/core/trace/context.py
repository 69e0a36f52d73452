# SPDX-License-Identifier: Apache-2.0
"""What a trace remembers between exchanges: the selected application and file, the pending transaction.

`facts` are fields seen in this presentation by name (amount, terminal, random number ...), so that what a
MAC covers can be told when it comes two exchanges later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from citycard.core import tunion
from citycard.core.trace.values import Words

MF, T_UNION, MOHURD, SAM_APP, DOMAIN, OTHER = "mf", "t-union", "mohurd", "psam", "domain", "other"
NAMES: Final[tuple[tuple[bytes, str, Words], ...]] = (
    (tunion.AID_PURSE, T_UNION, Words("T-Union purse", "交通联合电子钱包")),
    (b"2PAY.SYS.DDF01", MF, Words("contactless directory", "非接支付系统目录 PPSE")),
    (b"1PAY.SYS.DDF01", MF, Words("directory", "支付系统目录 PSE")),
    (bytes.fromhex("A00000063201"), OTHER, Words("T-Union application", "交通联合应用")),
    (bytes.fromhex("A0000000038698"), MOHURD, Words("MOHURD city card", "住建部城市一卡通")),
    (bytes.fromhex("A000000151"), DOMAIN, Words("GlobalPlatform security domain", "GlobalPlatform 安全域")),
    (
        bytes.fromhex("A0000000030000"),
        DOMAIN,
        Words("GlobalPlatform security domain", "GlobalPlatform 安全域"),
    ),
    (b"CITYCARD.PSAM", SAM_APP, Words("PSAM", "消费安全模块 PSAM")),
)
FIDS: Final[dict[int, tuple[str, Words]]] = {
    0x3F00: (MF, Words("master file", "主文件 MF")),
    0x3F01: (T_UNION, Words("purse application", "电子钱包应用")),
    0x8011: (SAM_APP, Words("PSAM application", "PSAM 应用")),
}
Facts = Mapping[str, bytes]
NO_FACTS: Final[Facts] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Context:
    """Of one card or module: `application` a key of NAMES, `file` its SFI, `txn` the open transaction."""

    application: str = ""
    file: int = 0
    txn: int = 0
    challenge: bytes = field(default=b"", repr=False)
    facts: Facts = field(default_factory=lambda: NO_FACTS, repr=False)


def application_named(name: bytes) -> tuple[str, Words] | None:
    """The application of a DF name, whole or by its beginning."""
    for known, key, words in NAMES:
        if name.startswith(known):
            return key, words
    return None
