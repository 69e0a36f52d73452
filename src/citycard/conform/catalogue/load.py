# SPDX-License-Identifier: Apache-2.0
"""LOD: load: proofs, arithmetic, limits, and every way a credit must not happen (card facts 1.3)."""

from __future__ import annotations

from typing import Final

from citycard.conform import proofs
from citycard.conform.bench import Bench
from citycard.conform.catalogue.declare import COMPUTED, JTT, ONE, PBOC, SOURCES, WRITES, case
from citycard.conform.catalogue.purchase import log_is_exact
from citycard.conform.model import Case, Failed, Step, Undecided
from citycard.conform.steps import do, prepare, quiet, select, send
from citycard.conform.steps_purse import (
    COMPOSITE,
    LOAD,
    ROUND_FEN,
    again,
    cap_of,
    closes,
    emptied,
    init_command,
    makes,
    mark,
    moved,
    opening,
    opens,
    proves_tac,
    reset,
    transact,
    unmoved,
)

OVER: Final = 0x6985


def _room(bench: Bench) -> None:
    """Room under the cap for what these cases load."""
    if bench.balance() + ROUND_FEN > cap_of(bench):
        emptied(bench, ROUND_FEN)


def room() -> Step:
    """Prepare: at least 1,000 fen below the cap."""
    return prepare(_room)


def _mac1(bench: Bench) -> None:
    opened = opening(bench, LOAD, 100)
    if opened.mac1 != proofs.load_mac1(bench.lent(), opened):
        raise Failed("MAC1 is another than recomputed", "MAC1 与复算值不符")


def _to_the_cap(bench: Bench) -> None:
    cap = cap_of(bench)
    emptied(bench, ROUND_FEN)
    transact(bench, LOAD, cap - ROUND_FEN)
    left = bench.balance()
    emptied(bench, ROUND_FEN)
    if left != cap:
        raise Failed(f"the balance is {left} fen, the cap {cap}", f"余额 {left} 分，上限 {cap} 分")


def _beyond(bench: Bench, over_fen: int) -> None:
    answer = bench.send(init_command(bench, LOAD, cap_of(bench) - bench.balance() + over_fen))
    if answer.ok:
        raise Failed("INITIALIZE FOR LOAD opens beyond the cap", "超过上限仍可圈存初始化")


def _overflow(bench: Bench) -> None:
    answer = bench.send(init_command(bench, LOAD, 0xFFFF_FFFF))
    if answer.ok:
        raise Failed("INITIALIZE FOR LOAD of FFFFFFFF opens", "金额 FFFFFFFF 仍可圈存初始化")


def _proof(bench: Bench) -> None:
    opened = bench.opened[-1]
    tac = proofs.credit_tac(bench.lent(), opened, bench.moment)
    answer = bench.send(f"805A000202{opened.counter + 1:04X}08")
    if not answer.ok or answer.data[4:] != tac:
        raise Failed("GET TRANSACTION PROVE does not give the TAC", "取交易认证未返回 TAC")


def _stays_in_its_lane(bench: Bench) -> None:
    opened = bench.opened[-1]
    if bench.send(f"805A000602{opened.counter + 1:04X}08").ok:
        raise Failed("the card proves a purchase that was a load", "将圈存作为消费给出交易认证")


def _key_version(bench: Bench) -> None:
    load, debit = opening(bench, LOAD, 1), opening(bench, COMPOSITE, 0)
    if load.algorithm not in (0, 1) or not load.key_version:
        told = f"version {load.key_version}, algorithm {load.algorithm}"
        raise Failed(told, f"版本 {load.key_version}，算法 {load.algorithm}")
    if load.algorithm != debit.algorithm:
        raise Undecided("load and purchase keys have different algorithms", "圈存与消费密钥算法不同")


def _refused(id_: str, tamper: str, en: str, zh: str) -> Case:
    """A credit whose MAC2 is made for other data."""
    return case(
        id_,
        (en, zh),
        (PBOC, COMPUTED),
        room(),
        mark(),
        opens(LOAD, 200),
        closes(tamper, 0x9302),
        unmoved(),
        needs=WRITES,
    )


def _interrupted(id_: str, by: Step, en: str, zh: str) -> Case:
    return case(
        id_,
        (en, zh),
        (PBOC, SOURCES),
        room(),
        mark(),
        opens(LOAD, 200),
        by,
        closes("", OVER),
        unmoved(),
        needs=WRITES,
    )


CASES: Final = (
    case(
        "LOD-001",
        ("MAC1 of a load", "圈存 MAC1"),
        (PBOC, COMPUTED),
        room(),
        do(_mac1, "MAC1 as recomputed", "MAC1 与复算值一致"),
        needs=WRITES,
    ),
    case(
        "LOD-002",
        ("TAC of a load", "圈存 TAC"),
        (PBOC, COMPUTED),
        room(),
        makes(LOAD, 100),
        proves_tac(),
        needs=WRITES,
    ),
    case(
        "LOD-003",
        ("A load adds its amount, once", "圈存金额正确"),
        (PBOC, SOURCES),
        room(),
        mark(),
        makes(LOAD, 123),
        moved(123, online=1, log=1),
        needs=WRITES,
    ),
    case(
        "LOD-004",
        ("The log record of a load", "圈存明细内容"),
        (PBOC, SOURCES),
        room(),
        makes(LOAD, 60),
        do(
            log_is_exact,
            "serial, limit, amount, type, terminal, moment",
            "序号、限额、金额、类型、终端、时间",
        ),
        needs=WRITES,
    ),
    case(
        "LOD-005",
        ("A load of one fen", "圈存 1 分"),
        (PBOC, SOURCES),
        room(),
        mark(),
        makes(LOAD, 1),
        moved(1, online=1, log=1),
        needs=WRITES,
    ),
    _refused("LOD-006", "mac", "MAC2 with one wrong bit", "MAC2 错一位"),
    _refused("LOD-007", "amount", "MAC2 covers the amount", "MAC2 覆盖金额"),
    _refused("LOD-008", "type", "MAC2 covers the transaction type", "MAC2 覆盖交易类型"),
    _refused("LOD-009", "moment", "MAC2 covers date and time", "MAC2 覆盖日期时间"),
    _refused("LOD-010", "terminal", "MAC2 covers the terminal number", "MAC2 覆盖终端号"),
    _refused("LOD-011", "number", "The session key follows the online counter", "过程密钥含联机交易序号"),
    case(
        "LOD-012",
        ("MAC2 of an earlier session", "使用前次会话的 MAC2"),
        (PBOC, SOURCES),
        room(),
        mark(),
        opens(LOAD, 200),
        opens(LOAD, 200),
        closes("stale", 0x9302),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "LOD-013",
        ("A wrong MAC2 ends the transaction", "MAC2 错误后交易终止"),
        (PBOC, SOURCES),
        room(),
        mark(),
        opens(LOAD, 200),
        closes("mac", 0x9302),
        closes("", OVER),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "LOD-014",
        ("CREDIT sent twice credits once", "重复发送入账只入一次"),
        (PBOC, SOURCES),
        room(),
        mark(),
        opens(LOAD, 50),
        closes(),
        again(OVER),
        moved(50, online=1, log=1),
        needs=WRITES,
    ),
    _interrupted("LOD-015", quiet("805C030204"), "GET BALANCE ends the load", "查询余额使圈存终止"),
    _interrupted("LOD-016", select(), "SELECT ends the load", "重新选择使圈存终止"),
    _interrupted("LOD-017", prepare(lambda b: reset(b)), "A reset ends the load", "复位使圈存终止"),
    case(
        "LOD-018",
        ("DEBIT does not close a load", "圈存不能以扣款结束"),
        (PBOC, SOURCES),
        room(),
        mark(),
        opens(LOAD, 200),
        send("805401000F 00000001 20260101120000 00000000 08", OVER),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "LOD-019",
        ("Up to the cap", "充至余额上限"),
        (JTT, ONE),
        do(_to_the_cap, "the balance is the cap", "余额等于上限"),
        needs=WRITES,
    ),
    case(
        "LOD-020",
        ("One fen beyond the cap", "超过余额上限 1 分"),
        (JTT, ONE),
        room(),
        mark(),
        do(lambda b: _beyond(b, 1), "INITIALIZE FOR LOAD is refused", "圈存初始化被拒绝"),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "LOD-021",
        ("An amount that would wrap around", "金额溢出"),
        (PBOC, SOURCES),
        room(),
        mark(),
        do(_overflow, "INITIALIZE FOR LOAD of FFFFFFFF is refused", "FFFFFFFF 被拒绝"),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "LOD-022",
        ("GET TRANSACTION PROVE after a load", "圈存后取交易认证"),
        (PBOC, ONE),
        room(),
        makes(LOAD, 30),
        do(_proof, "the TAC of the load", "返回圈存 TAC"),
        needs=WRITES,
    ),
    case(
        "LOD-023",
        ("A load is not proven as a purchase", "圈存不能作为消费取认证"),
        (PBOC, ONE),
        room(),
        makes(LOAD, 30),
        do(_stays_in_its_lane, "9406 for type 06", "类型 06 应答 9406"),
        needs=WRITES,
    ),
    case(
        "LOD-024",
        ("INITIALIZE FOR LOAD tells version and algorithm", "圈存初始化返回密钥版本与算法"),
        (PBOC, SOURCES),
        room(),
        do(_key_version, "algorithm 00 or 01, version above 00", "算法 00 或 01，版本大于 00"),
        needs=WRITES,
    ),
)
