# SPDX-License-Identifier: Apache-2.0
"""PUR: purchase: proofs, arithmetic, and every way a debit must not happen (card facts 1.3, 2.3, 2.4)."""

from __future__ import annotations

from typing import Final

from citycard.conform import proofs
from citycard.conform.bench import Bench
from citycard.conform.catalogue.declare import COMPUTED, ONE, PBOC, SOURCES, WRITES, case
from citycard.conform.model import Case, Failed, Step, Undecided
from citycard.conform.steps import check, do, prepare, quiet, select, send
from citycard.conform.steps_purse import (
    COMPOSITE,
    LOAD,
    PLAIN,
    again,
    before_of,
    closes,
    fund,
    init_command,
    log_record,
    makes,
    mark,
    moved,
    opening,
    opens,
    proves_mac2,
    proves_tac,
    reset,
    stage_industry,
    transact,
    unmoved,
)

OVER: Final = 0x6985  # no transaction is open


def log_is_exact(bench: Bench) -> None:
    opened, record = bench.opened[-1], bench.record(0x18, 1)
    if record == log_record(opened, bench.moment, opened.counter):
        return
    if record == log_record(opened, bench.moment, opened.counter + 1):
        raise Undecided(
            "the log's serial is the counter after its increment; sources disagree which is right",
            "明细序号为递增后的计数器值，资料来源不一致",
        )
    shown = record.hex().upper() if record else "none"
    raise Failed(f"log record 1 is {shown}", f"第 1 条明细为 {shown}")


def _prove(bench: Bench, txn: int, serial: int) -> bytes | None:
    answer = bench.send(f"805A00{txn:02X}02{serial & 0xFFFF:04X}08")
    return answer.data if answer.ok else None


def _proven(bench: Bench) -> None:
    opened = bench.opened[-1]
    tac, mac2 = proofs.debit_receipt(bench.lent(), opened, bench.number - 1, bench.moment)
    told = _prove(bench, opened.txn, opened.counter + 1)
    if told != mac2 + tac:
        shown = told.hex().upper() if told else "9406"
        raise Failed(f"GET TRANSACTION PROVE gives {shown}", f"取交易认证应答 {shown}")


def _not_proven(bench: Bench, which: int, txn: int | None = None, off: int = 1) -> None:
    opened = bench.opened[which]
    if _prove(bench, opened.txn if txn is None else txn, opened.counter + off) is not None:
        raise Failed("the card proves a transaction that was not asked for so", "卡片错误地给出了交易认证")


def proves() -> Step:
    """GET TRANSACTION PROVE gives MAC2 and TAC of the last debit."""
    return do(_proven, "GET TRANSACTION PROVE gives MAC2 and TAC", "取交易认证返回 MAC2 与 TAC")


def _refused(id_: str, tamper: str, en: str, zh: str) -> Case:
    """A debit whose MAC1 is made for other data."""
    return case(
        id_,
        (en, zh),
        (PBOC, COMPUTED),
        fund(300),
        mark(),
        opens(PLAIN, 200),
        closes(tamper, 0x9302),
        unmoved(),
        needs=WRITES,
    )


def _interrupted(id_: str, by: Step, en: str, zh: str) -> Case:
    """A command between INITIALIZE and DEBIT ends the transaction."""
    return case(
        id_,
        (en, zh),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 200),
        by,
        closes("", OVER),
        unmoved(),
        needs=WRITES,
    )


def _walk(bench: Bench) -> None:
    """Twenty purchases and loads; the balance follows a three-line model."""
    balance_fen = bench.balance()
    for step in range(20):
        amount_fen = 1 + 37 * step % 91
        txn = (PLAIN, LOAD, COMPOSITE)[step % 3]
        transact(bench, txn, amount_fen)
        balance_fen += amount_fen if txn == LOAD else -amount_fen
        if (told := bench.balance()) != balance_fen:
            raise Failed(
                f"step {step}: {told} fen, expected {balance_fen}",
                f"第 {step} 步余额 {told}，应为 {balance_fen}",
            )


def _log_wraps(bench: Bench) -> None:
    for amount_fen in range(1, 12):
        transact(bench, PLAIN, amount_fen)
    kept = [bench.record(0x18, number) or bytes(23) for number in range(1, 11)]
    amounts = [int.from_bytes(record[5:9], "big") for record in kept]
    if amounts != list(range(11, 1, -1)):
        raise Failed(f"amounts in the log: {amounts}", f"明细金额为 {amounts}")


def _spend_all(bench: Bench) -> None:
    transact(bench, PLAIN, bench.balance())
    if bench.balance():
        raise Failed("money is left", "仍有余额")


def _one_too_many(bench: Bench) -> None:
    answer = bench.send(init_command(bench, PLAIN, bench.balance() + 1))
    if answer.sw != 0x9401:
        raise Failed(f"status word {answer.sw:04X}, expected 9401", f"状态字 {answer.sw:04X}，应为 9401")


def _rand_fresh(bench: Bench) -> None:
    rands = [opening(bench, PLAIN, 0).rand for _ in range(8)]
    if len(set(rands)) < len(rands):
        raise Failed("a random number came twice", "随机数重复")


CASES: Final = (
    case(
        "PUR-001",
        ("MAC2 of a purchase", "消费 MAC2"),
        (PBOC, COMPUTED),
        fund(300),
        makes(PLAIN, 100),
        proves_mac2(),
        needs=WRITES,
    ),
    case(
        "PUR-002",
        ("TAC of a purchase", "消费 TAC"),
        (PBOC, COMPUTED),
        fund(300),
        makes(PLAIN, 100),
        proves_tac(),
        needs=WRITES,
    ),
    case(
        "PUR-003",
        ("A purchase takes its amount, once", "消费扣款金额正确"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        makes(PLAIN, 123),
        moved(-123, offline=1, log=1),
        needs=WRITES,
    ),
    case(
        "PUR-004",
        ("The log record of a purchase", "消费明细内容"),
        (PBOC, SOURCES),
        fund(300),
        makes(PLAIN, 77),
        do(
            log_is_exact,
            "serial, limit, amount, type, terminal, moment",
            "序号、限额、金额、类型、终端、时间",
        ),
        needs=WRITES,
    ),
    case(
        "PUR-005",
        ("A purchase of one fen", "消费 1 分"),
        (PBOC, SOURCES),
        fund(10),
        mark(),
        makes(PLAIN, 1),
        moved(-1, offline=1, log=1),
        needs=WRITES,
    ),
    case(
        "PUR-006",
        ("A purchase of all there is", "消费全部余额"),
        (PBOC, SOURCES),
        fund(10),
        do(_spend_all, "the balance is 0 afterwards", "消费后余额为 0"),
        needs=WRITES,
    ),
    case(
        "PUR-007",
        ("One fen more than there is", "消费超过余额 1 分"),
        (PBOC, SOURCES),
        fund(10),
        mark(),
        do(_one_too_many, "INITIALIZE answers 9401", "初始化应答 9401"),
        unmoved(),
        needs=WRITES,
    ),
    _refused("PUR-008", "mac", "MAC1 with one wrong bit", "MAC1 错一位"),
    _refused("PUR-009", "amount", "MAC1 covers the amount", "MAC1 覆盖金额"),
    _refused("PUR-010", "type", "MAC1 covers the transaction type", "MAC1 覆盖交易类型"),
    _refused("PUR-011", "moment", "MAC1 covers date and time", "MAC1 覆盖日期时间"),
    _refused("PUR-012", "terminal", "MAC1 covers the terminal number", "MAC1 覆盖终端号"),
    _refused(
        "PUR-013",
        "number",
        "The session key follows the terminal's transaction number",
        "过程密钥含终端交易序号",
    ),
    case(
        "PUR-014",
        ("MAC1 of an earlier session", "使用前次会话的 MAC1"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 200),
        opens(PLAIN, 200),
        closes("stale", 0x9302),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "PUR-015",
        ("A wrong MAC1 ends the transaction", "MAC1 错误后交易终止"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 200),
        closes("mac", 0x9302),
        closes("", OVER),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "PUR-016",
        ("DEBIT sent twice debits once", "重复发送扣款只扣一次"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 50),
        closes(),
        again(OVER),
        moved(-50, offline=1, log=1),
        needs=WRITES,
    ),
    _interrupted("PUR-017", quiet("805C030204"), "GET BALANCE ends the transaction", "查询余额使交易终止"),
    _interrupted("PUR-018", quiet("00B095001E"), "READ BINARY ends the transaction", "读文件使交易终止"),
    _interrupted("PUR-019", select(), "SELECT ends the transaction", "重新选择使交易终止"),
    _interrupted("PUR-020", prepare(lambda b: reset(b)), "A reset ends the transaction", "复位使交易终止"),
    _interrupted(
        "PUR-021", quiet("006A000000"), "An unknown command ends the transaction", "未知指令使交易终止"
    ),
    case(
        "PUR-022",
        ("CREDIT does not close a purchase", "消费不能以入账结束"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 200),
        send("805200000B 20260101120000 00000000 04", OVER),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "PUR-023",
        ("Random numbers of INITIALIZE differ", "初始化随机数各不相同"),
        (PBOC, SOURCES),
        do(_rand_fresh, "eight sessions, eight random numbers", "八次会话随机数均不同"),
    ),
    case(
        "PUR-024",
        ("GET TRANSACTION PROVE after a purchase", "消费后取交易认证"),
        (PBOC, ONE),
        fund(300),
        makes(PLAIN, 20),
        proves(),
        needs=WRITES,
    ),
    case(
        "PUR-025",
        ("The proof outlives the power", "断电后仍可取交易认证"),
        (PBOC, ONE),
        fund(300),
        makes(PLAIN, 20),
        prepare(lambda b: reset(b)),
        proves(),
        needs=WRITES,
    ),
    case(
        "PUR-026",
        ("The proof is of the last transaction only", "只保留最近一笔的交易认证"),
        (PBOC, ONE),
        fund(300),
        makes(PLAIN, 20),
        makes(PLAIN, 30),
        do(lambda b: _not_proven(b, -2), "9406 for the purchase before", "前一笔应答 9406"),
        needs=WRITES,
    ),
    case(
        "PUR-027",
        ("The proof is of its type", "交易认证区分交易类型"),
        (PBOC, ONE),
        fund(300),
        makes(PLAIN, 20),
        do(lambda b: _not_proven(b, -1, COMPOSITE), "9406 for another type", "类型不符应答 9406"),
        needs=WRITES,
    ),
    case(
        "PUR-028",
        ("The proof is not of a transaction to come", "不能取未发生交易的认证"),
        (PBOC, ONE),
        fund(300),
        makes(PLAIN, 20),
        do(lambda b: _not_proven(b, -1, None, 2), "9406 for the next serial", "下一序号应答 9406"),
        needs=WRITES,
    ),
    case(
        "PUR-029",
        ("An opened purchase leaves the proof alone", "仅初始化不改变交易认证"),
        (PBOC, ONE),
        fund(300),
        makes(PLAIN, 20),
        quiet("805003020B {index} 00000005 {terminal} 0F"),
        proves(),
        needs=WRITES,
    ),
    case(
        "PUR-030",
        ("Twenty transactions follow the arithmetic", "二十笔交易余额连续"),
        (PBOC, SOURCES),
        fund(2000),
        do(_walk, "the balance follows every step", "余额逐步相符"),
        needs=WRITES,
    ),
    case(
        "PUR-031",
        ("The eleventh log record replaces the oldest", "第 11 条明细覆盖最旧一条"),
        (PBOC, SOURCES),
        fund(200),
        do(_log_wraps, "the last ten amounts, newest first", "最近十笔金额由新到旧"),
        needs=WRITES,
    ),
    case(
        "PUR-032",
        ("A purchase leaves transit files alone", "普通消费不改动公交文件"),
        (PBOC, ONE),
        fund(300),
        makes(COMPOSITE, 0, stage_industry(0x2B)),
        mark(),
        makes(PLAIN, 10),
        check(
            lambda b: (
                b.purse().industry == before_of(b).industry and b.purse().transit == before_of(b).transit
            ),
            "files 001A and 001E stay",
            "001A 与 001E 不变",
        ),
        needs=WRITES,
    ),
    case(
        "PUR-033",
        ("The TAC covers all four bytes of the transaction number", "TAC 覆盖终端交易序号全部 4 字节"),
        (PBOC, COMPUTED),
        fund(300),
        prepare(lambda b: setattr(b, "number", b.number + 0x0123_0000)),
        makes(PLAIN, 10),
        proves_tac(),
        needs=WRITES,
    ),
    case(
        "PUR-034",
        ("A new INITIALIZE replaces the one before", "再次初始化使前次会话失效"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 200),
        opens(PLAIN, 100),
        closes("", 0x9302, which=-2),
        unmoved(),
        needs=WRITES,
    ),
)
