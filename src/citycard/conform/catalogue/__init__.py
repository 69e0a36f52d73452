# SPDX-License-Identifier: Apache-2.0
"""The catalogue: numbered test cases, declared, by profile of card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citycard.conform import kinds
from citycard.conform.catalogue import (
    balance,
    commands,
    composite,
    gp,
    load,
    locks,
    pboc,
    pboc_money,
    pboc_safe,
    purchase,
    quality,
    security,
    structure,
    tear,
)
from citycard.conform.kinds import Kind
from citycard.conform.model import Case, Text

T_UNION: Final[tuple[Case, ...]] = (
    *structure.CASES,
    *commands.CASES,
    *balance.CASES,
    *quality.CASES,
    *purchase.CASES,
    *composite.CASES,
    *load.CASES,
    *security.CASES,
    *tear.CASES,
    *locks.CASES,  # last: they may end the card
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The cases for a kind of card, in the order they run; `prefix` begins their ids."""

    kind: Kind
    prefix: str
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        assert all(case.id.startswith(f"{self.prefix}-") for case in self.cases)


CATALOGUES: Final[dict[str, Catalogue]] = {
    one.kind.name: one
    for one in (
        Catalogue(kinds.T_UNION, "TU", T_UNION),
        Catalogue(kinds.GP, "GP", gp.CASES),
        Catalogue(kinds.PBOC, "PB", (*pboc.CASES, *pboc_money.CASES, *pboc_safe.CASES)),
    )
}
GROUPS: Final[dict[str, Text]] = {
    "STR": Text("Structure: application, FCI, files", "结构：应用、FCI、文件"),
    "CMD": Text("Commands and status words", "指令与状态字"),
    "BAL": Text("Balance", "余额"),
    "RND": Text("Random numbers", "随机数质量"),
    "TIM": Text("Time at the reader", "交易时间"),
    "PUR": Text("Purchase", "消费"),
    "CAP": Text("Composite purchase", "复合消费"),
    "LOD": Text("Load", "圈存"),
    "SEC": Text("Authentication and secure messaging", "认证与安全报文"),
    "TEA": Text("Tear and recover", "断电与恢复"),
    "CNT": Text("Counters", "计数器"),
    "PIN": Text("PINs", "口令"),
    "RSP": Text("GET RESPONSE", "取响应"),
    "DEP": Text("Deposit", "存折"),
    "CSH": Text("Cash", "取现"),
    "UNL": Text("Unload", "圈提"),
    "OVD": Text("Overdraft limit", "透支限额"),
    "PRV": Text("Proofs of transactions", "交易认证"),
    "DAT": Text("GET DATA", "取数据"),
    "INI": Text("Opening a channel", "建立安全通道"),
    "SC2": Text("Secure channel SCP02", "安全通道 SCP02"),
    "SC3": Text("Secure channel SCP03", "安全通道 SCP03"),
    "STA": Text("Registry", "注册表"),
    "KEY": Text("Keys", "密钥"),
    "INT": Text("Internal authentication", "内部认证"),
    "LCK": Text("Locks", "锁定"),
}
