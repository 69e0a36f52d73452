# SPDX-License-Identifier: Apache-2.0
"""BAL: what the card tells of its money agrees with itself (card facts 1.3, 1.4); nothing is written."""

from __future__ import annotations

from typing import Final

from citycard.conform.bench import Bench
from citycard.conform.catalogue.declare import JTT, ONE, PBOC, SOURCES, case
from citycard.conform.model import Failed, NotRun
from citycard.conform.steps import check, do, send
from citycard.conform.steps_purse import reset
from citycard.core.purse import BALANCE_MAX


def _told(bench: Bench, index: int) -> int:
    answer = bench.send(f"805C{index:02X}0204")
    if not answer.ok:
        raise NotRun(f"GET BALANCE P1 = {index:02X} is not offered", f"卡片不支持 P1={index:02X} 的余额查询")
    return int.from_bytes(answer.data, "big")


def _available(bench: Bench) -> None:
    available, limit, over, actual = (_told(bench, index) for index in range(4))
    if available != actual + limit - over:
        raise Failed(
            f"available {available}, actual {actual}, limit {limit}, overdrawn {over}",
            f"可用 {available}，实际 {actual}，透支限额 {limit}，已透支 {over}",
        )


def _cap(bench: Bench) -> None:
    limit, actual, cap = (_told(bench, index) for index in (1, 3, 4))
    if actual > cap or cap + limit > BALANCE_MAX:
        raise Failed(
            f"actual {actual}, cap {cap}, limit {limit}", f"实际 {actual}，上限 {cap}，透支限额 {limit}"
        )


def _number(name: str, start: int, stop: int, bench: Bench) -> int:
    return int.from_bytes(bench.values[name][start:stop], "big")


CASES: Final = (
    case(
        "BAL-001",
        ("Available = actual + overdraft limit - overdrawn", "可用余额 = 实际余额 + 透支限额 - 已透支"),
        (JTT, SOURCES),
        do(_available, "the four balances add up", "四种余额相符"),
    ),
    case(
        "BAL-002",
        ("The balance is within the cap, cap and limit within FFFFFF", "余额不超过上限"),
        (JTT, ONE),
        do(_cap, "actual <= cap, cap + limit <= FFFFFF", "余额 ≤ 上限，上限 + 透支限额 ≤ FFFFFF"),
    ),
    case(
        "BAL-003",
        ("INITIALIZE FOR PURCHASE tells the balance", "消费初始化返回的余额一致"),
        (PBOC, SOURCES),
        send("805C030204", keep="asked"),
        send("805001020B {index} 00000000 {terminal} 0F", size=15, keep="told"),
        check(
            lambda b: _number("told", 0, 4, b) == _number("asked", 0, 4, b),
            "both are one balance",
            "余额一致",
        ),
    ),
    case(
        "BAL-004",
        ("INITIALIZE FOR PURCHASE tells the overdraft limit", "消费初始化返回的透支限额一致"),
        (PBOC, SOURCES),
        send("805C010204", keep="asked"),
        send("805001020B {index} 00000000 {terminal} 0F", keep="told"),
        check(
            lambda b: _number("told", 6, 9, b) == _number("asked", 0, 4, b),
            "both are one limit",
            "透支限额一致",
        ),
    ),
    case(
        "BAL-005",
        ("INITIALIZE tells a known algorithm and a key version", "初始化返回算法标识与密钥版本"),
        (PBOC, SOURCES),
        send("805003020B {index} 00000000 {terminal} 0F", size=15, keep="told"),
        check(
            lambda b: b.values["told"][10] in (0, 1) and b.values["told"][9] > 0,
            "algorithm 00 or 01, version above 00",
            "算法标识 00 或 01，版本大于 00",
        ),
    ),
    case(
        "BAL-006",
        ("Plain and composite purchase share one counter", "普通消费与复合消费共用计数器"),
        (PBOC, SOURCES),
        send("805001020B {index} 00000000 {terminal} 0F", keep="plain"),
        send("805003020B {index} 00000000 {terminal} 0F", keep="composite"),
        check(
            lambda b: bool(b.values["plain"][4:6] == b.values["composite"][4:6]),
            "both tell the same counter",
            "计数器相同",
        ),
    ),
    case(
        "BAL-007",
        ("INITIALIZE alone moves no counter", "仅初始化不改变计数器"),
        (PBOC, SOURCES),
        send("805003020B {index} 00000000 {terminal} 0F", keep="one"),
        send("805003020B {index} 00000000 {terminal} 0F", keep="two"),
        check(
            lambda b: bool(b.values["one"][:6] == b.values["two"][:6]),
            "balance and counter stay",
            "余额与计数器不变",
        ),
    ),
    case(
        "BAL-008",
        ("INITIALIZE FOR LOAD tells the balance", "圈存初始化返回的余额一致"),
        (PBOC, SOURCES),
        send("805C030204", keep="asked"),
        send("805000020B {index} 00000000 {terminal} 10", (0x9000,), size=16, keep="told"),
        check(
            lambda b: _number("told", 0, 4, b) == _number("asked", 0, 4, b),
            "both are one balance",
            "余额一致",
        ),
    ),
    case(
        "BAL-009",
        ("The balance outlives the power", "断电后余额不变"),
        (PBOC, SOURCES),
        send("805C030204", keep="asked"),
        do(lambda b: reset(b), "after a reset", "复位后"),
        send("805C030204", data="{asked}"),
    ),
)
