# SPDX-License-Identifier: Apache-2.0
"""CAP: composite purchase (复合消费): what is staged is written with the debit, or not at all (facts 1.3)."""

from __future__ import annotations

from typing import Final

from citycard.conform.bench import Bench
from citycard.conform.catalogue.declare import COMPUTED, JTT, ONE, PBOC, SOURCES, WRITES, case
from citycard.conform.model import Case, Failed, Step
from citycard.conform.steps import check, do, prepare, quiet, select, send
from citycard.conform.steps_purse import (
    COMPOSITE,
    PLAIN,
    closes,
    fund,
    industry,
    makes,
    mark,
    moved,
    opens,
    proves_mac2,
    proves_tac,
    reset,
    stage_industry,
    stage_transit,
    stages,
    transact,
    unmoved,
)
from citycard.core import tunion

OVER: Final = 0x6985


def _discarded(id_: str, by: Step, sw: int, en: str, zh: str) -> Case:
    """Something after staging ends the transaction and what it staged."""
    return case(
        id_,
        (en, zh),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(COMPOSITE, 100),
        stages(stage_industry(0xA1), stage_transit(0xA2)),
        by,
        closes("", sw),
        unmoved(),
        needs=WRITES,
    )


def _newest(bench: Bench, filling: int) -> bool:
    return bench.record(tunion.SFI_TRANSIT, 1) == stage_transit(filling)[5:]


def _ring(bench: Bench) -> None:
    """Thirty-one rides: thirty are kept, newest first."""
    for filling in range(1, 32):
        transact(bench, COMPOSITE, 0, (stage_transit(filling),))
    for number in range(1, 31):
        if bench.record(tunion.SFI_TRANSIT, number) != stage_transit(32 - number)[5:]:
            raise Failed(f"record {number} of 001E is another", f"001E 第 {number} 条记录不符")
    if bench.record(tunion.SFI_TRANSIT, 31) is not None:
        raise Failed("there is a record 31", "存在第 31 条记录")


def _last_record(bench: Bench) -> None:
    number = len(tunion.INDUSTRY_TAGS)
    transact(bench, COMPOSITE, 0, (stage_industry(0x5C, number),))
    if bench.record(tunion.SFI_INDUSTRY, number) != industry(0x5C, number):
        raise Failed("record 2712 does not hold what was staged", "2712 记录与写入内容不符")


def _prefilled() -> Step:
    """Known contents, so that what is staged later cannot be what stood there."""
    return prepare(lambda b: _ignore(transact(b, COMPOSITE, 0, (stage_industry(0x11), stage_transit(0x12)))))


def _ignore(_: bytes) -> None:
    return None


CASES: Final = (
    case(
        "CAP-001",
        ("A composite purchase of nothing (entry) writes both files", "零金额复合消费（进站）写两个文件"),
        (JTT, SOURCES),
        fund(300),
        mark(),
        makes(COMPOSITE, 0, stage_industry(0x31), stage_transit(0x32)),
        moved(0, offline=1, log=1, transit=1, industry=industry(0x31)),
        needs=WRITES,
    ),
    case(
        "CAP-002",
        ("A composite purchase with an amount (exit)", "带金额复合消费（出站）"),
        (JTT, SOURCES),
        fund(300),
        mark(),
        makes(COMPOSITE, 150, stage_industry(0x33), stage_transit(0x34)),
        moved(-150, offline=1, log=1, transit=1, industry=industry(0x33)),
        needs=WRITES,
    ),
    case(
        "CAP-003",
        ("MAC2 of a composite purchase", "复合消费 MAC2"),
        (PBOC, COMPUTED),
        fund(300),
        makes(COMPOSITE, 40),
        proves_mac2(),
        needs=WRITES,
    ),
    case(
        "CAP-004",
        ("TAC of a composite purchase (type 09)", "复合消费 TAC（类型 09）"),
        (PBOC, COMPUTED),
        fund(300),
        makes(COMPOSITE, 40),
        proves_tac(),
        needs=WRITES,
    ),
    case(
        "CAP-005",
        ("The log tells type 09", "明细交易类型为 09"),
        (PBOC, SOURCES),
        fund(300),
        makes(COMPOSITE, 40),
        check(
            lambda b: (b.record(0x18, 1) or bytes(10))[9] == 9,
            "log record 1 has type 09",
            "第 1 条明细类型为 09",
        ),
        needs=WRITES,
    ),
    case(
        "CAP-006",
        ("Staged records are not visible before DEBIT", "扣款前缓存内容不可见"),
        (PBOC, SOURCES),
        fund(300),
        _prefilled(),
        opens(COMPOSITE, 0),
        stages(stage_industry(0x35), stage_transit(0x36)),
        check(
            lambda b: b.record(tunion.SFI_INDUSTRY, 1) == industry(0x11) and _newest(b, 0x12),
            "both files stand as before",
            "两个文件不变",
        ),
        needs=WRITES,
    ),
    _discarded(
        "CAP-007",
        quiet("00B095001E"),
        OVER,
        "A command in between discards what was staged",
        "中间指令使缓存失效",
    ),
    _discarded("CAP-008", select(), OVER, "SELECT discards what was staged", "重新选择使缓存失效"),
    _discarded(
        "CAP-009", prepare(lambda b: reset(b)), OVER, "A reset discards what was staged", "复位使缓存失效"
    ),
    case(
        "CAP-010",
        ("A wrong MAC1 discards what was staged", "MAC1 错误使缓存失效"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(COMPOSITE, 100),
        stages(stage_industry(0x37), stage_transit(0x38)),
        closes("mac", 0x9302),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "CAP-011",
        ("MAC1 of a composite purchase covers type 09", "复合消费 MAC1 覆盖类型 09"),
        (PBOC, COMPUTED),
        fund(300),
        mark(),
        opens(COMPOSITE, 100),
        closes("type", 0x9302),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "CAP-012",
        ("001E alone may be staged (flat fare)", "可仅写 001E（单一票价）"),
        (JTT, SOURCES),
        fund(300),
        mark(),
        makes(COMPOSITE, 20, stage_transit(0x39)),
        moved(-20, offline=1, log=1, transit=1),
        needs=WRITES,
    ),
    case(
        "CAP-013",
        ("Staging by identifier finds the same record", "按标识缓存同一记录"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        makes(COMPOSITE, 0, stage_industry(0x3A, by_identifier=True)),
        moved(0, offline=1, log=1, industry=industry(0x3A)),
        needs=WRITES,
    ),
    case(
        "CAP-014",
        ("The last industry record is written as the first", "末条行业记录可写"),
        (JTT, SOURCES),
        fund(300),
        do(_last_record, "record 2712 holds what was staged", "2712 记录为写入内容"),
        needs=WRITES,
    ),
    case(
        "CAP-015",
        ("A record of another length is refused", "缓存记录长度错误"),
        (PBOC, ONE),
        fund(300),
        mark(),
        opens(COMPOSITE, 0),
        send("80DC00F02F" + "00" * 47, 0x6700),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "CAP-016",
        ("A record with another tag is refused", "缓存记录标签错误"),
        (PBOC, ONE),
        fund(300),
        mark(),
        opens(COMPOSITE, 0),
        send("80DC01D480 2702007C" + "00" * 124, (0x6A80, 0x6A83)),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "CAP-017",
        ("A record that is not there is refused", "缓存不存在的记录"),
        (PBOC, SOURCES),
        fund(300),
        opens(COMPOSITE, 0),
        send("80DC13D480 2713007C" + "00" * 124, 0x6A83),
        needs=WRITES,
    ),
    case(
        "CAP-018",
        ("The log cannot be staged", "交易明细不可缓存写入"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(COMPOSITE, 0),
        send("80DC00C017" + "00" * 23, 0x6982),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "CAP-019",
        ("A transparent file cannot be staged", "二进制文件不可缓存写入"),
        (PBOC, ONE),
        fund(300),
        opens(COMPOSITE, 0),
        send("80DC01AC1E" + "00" * 30, (0x6981, 0x6982)),
        needs=WRITES,
    ),
    case(
        "CAP-020",
        ("Nothing is staged in a plain purchase", "普通消费不可更新复合缓存"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 10),
        stages(stage_transit(0x3B), sw=OVER),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "CAP-021",
        ("The thirty-first ride replaces the oldest", "第 31 条过程记录覆盖最旧一条"),
        (JTT, SOURCES),
        fund(300),
        do(_ring, "thirty rides, newest first", "保留最近 30 条"),
        needs=WRITES,
    ),
    case(
        "CAP-022",
        ("A refused record ends the transaction", "缓存失败使交易终止"),
        (PBOC, ONE),
        fund(300),
        mark(),
        opens(COMPOSITE, 10),
        quiet("80DC00F02F" + "00" * 47),
        closes("", OVER),
        unmoved(),
        needs=WRITES,
    ),
)
