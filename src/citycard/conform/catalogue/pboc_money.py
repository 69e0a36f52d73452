# SPDX-License-Identifier: Apache-2.0
"""PBOC cards: deposit, cash, unload, overdraft limit, and the proof of every type of transaction.

Source: card facts 1.2, 1.3, 1.6. The overdraft limit is 0 again after every case.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from citycard.conform.bench import ED, Bench
from citycard.conform.catalogue import declare
from citycard.conform.catalogue.declare import ASSUMED, ONE, PBOC, SOURCES, WRITES
from citycard.conform.model import Case, Failed
from citycard.conform.steps import check, do, send
from citycard.conform.steps_card import (
    limit,
    proven,
    proves_mac1,
    proves_mac3,
    refused_closing,
    says,
    sets_limit,
    with_pin,
)
from citycard.conform.steps_purse import (
    CASH,
    COMPOSITE,
    DEPOSIT,
    DEPOSIT_LOAD,
    LOAD,
    NAMES,
    OVERDRAFT,
    PLAIN,
    UNLOAD,
    closes,
    closing_command,
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
    transact,
    unmoved,
)
from citycard.core.purse import Txn

case = partial(declare.case, prefix="PB")
AMOUNT: Final = 120


def _logged(bench: Bench) -> None:
    """The newest record of the log is that of the last transaction."""
    opened = bench.opened[-1]
    wanted = log_record(opened, bench.moment, opened.counter)
    found = bench.record(bench.kind.log, 1) or b""
    if found[:2] + found[5:] != wanted[:2] + wanted[5:]:
        raise Failed(f"the log shows {found.hex().upper()}", f"明细为 {found.hex().upper()}")


def _more_than_owned(bench: Bench) -> bytes:
    return init_command(bench, UNLOAD, bench.balance(ED) + 1)


def _below_debt(bench: Bench) -> bytes:
    """A limit under what is owed, with the right MAC."""
    bench.values["limit_fen"] = 0
    return closing_command(bench, opening(bench, OVERDRAFT, 0))


def _spend_over(bench: Bench) -> None:
    """Pay all that is owned and fifty fen of the limit of a hundred; then the limit may not go to zero."""
    transact(bench, DEPOSIT, bench.balance(ED) - 50)
    sw = bench.send(_below_debt(bench)).sw
    transact(bench, DEPOSIT_LOAD, 50)
    if sw != 0x9401:
        raise Failed(f"a limit below the debt answers {sw:04X}", f"限额低于欠款应答 {sw:04X}")


def _both_tell(bench: Bench) -> None:
    """The purse's balance before and after something was done to the deposit."""
    if bench.balance() != bench.values["purse_fen"]:
        raise Failed("the purse has moved with the deposit", "钱包余额随存折变化")


def _note_purse(bench: Bench) -> None:
    bench.values["purse_fen"] = bench.balance()


def _refused(number: str, txn: Txn, tamper: str) -> Case:
    name = NAMES[txn]
    group = {CASH: "CSH", UNLOAD: "UNL", DEPOSIT: "DEP", DEPOSIT_LOAD: "DEP", OVERDRAFT: "OVD"}[txn]
    return case(
        f"{group}-{number}",
        (f"{name.en} with a MAC made for another {tamper}", f"{name.zh} MAC 不符（{tamper}）"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        limit(100),
        mark(ED),
        refused_closing(txn, AMOUNT, tamper),
        unmoved(),
        needs=WRITES,
    )


def _proof(number: int, txn: Txn, sfi: int) -> Case:
    name = NAMES[txn]
    load = DEPOSIT_LOAD if sfi == ED else LOAD
    return case(
        f"PRV-{number:03d}",
        (f"The proof of a {name.en}", f"{name.zh}的交易认证"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, load),
        makes(txn, AMOUNT) if txn != OVERDRAFT else sets_limit(0),
        proven(),
        needs=WRITES,
    )


DEPOSITS: Final = (
    case(
        "DEP-001",
        ("A load of the deposit", "存折圈存"),
        (PBOC, SOURCES),
        with_pin(),
        mark(ED),
        opens(DEPOSIT_LOAD, AMOUNT),
        proves_mac1(),
        closes(),
        proves_tac(),
        moved(AMOUNT, online=1, log=1),
        needs=WRITES,
    ),
    case(
        "DEP-002",
        ("A purchase from the deposit", "存折消费"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        mark(ED),
        makes(DEPOSIT, AMOUNT),
        proves_tac(),
        proves_mac2(),
        moved(-AMOUNT, offline=1, log=1),
        needs=WRITES,
    ),
    case(
        "DEP-003",
        ("Deposit and purse are apart", "存折与钱包相互独立"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        do(_note_purse, "the purse tells its balance", "读取钱包余额"),
        makes(DEPOSIT, AMOUNT),
        do(_both_tell, "the purse has not moved", "钱包余额不变"),
        needs=WRITES,
    ),
    case(
        "DEP-004",
        ("The log shows the type of a purchase from the deposit", "存折消费明细"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        makes(DEPOSIT, AMOUNT),
        do(_logged, "serial, amount, type 05, terminal and time", "序号、金额、类型05、终端与时间"),
        needs=WRITES,
    ),
    case(
        "DEP-005",
        ("A composite purchase is the purse's alone", "复合消费仅限钱包"),
        (PBOC, ASSUMED),
        with_pin(),
        send("805003010B {index} 00000000 {terminal} 0F", 0x6A86),
        needs=WRITES,
    ),
    case(
        "DEP-006",
        ("A load of the deposit needs the PIN", "存折圈存须验证口令"),
        (PBOC, SOURCES),
        send("805000010B {index} 00000001 {terminal} 10", 0x6982),
    ),
    _refused("007", DEPOSIT, "amount"),
    _refused("008", DEPOSIT, "type"),
    _refused("009", DEPOSIT_LOAD, "amount"),
    _refused("010", DEPOSIT_LOAD, "mac"),
)
CASHES: Final = (
    case(
        "CSH-001",
        ("A cash withdrawal", "取现"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        mark(ED),
        makes(CASH, AMOUNT),
        proves_tac(),
        proves_mac2(),
        moved(-AMOUNT, offline=1, log=1),
        needs=WRITES,
    ),
    case(
        "CSH-002",
        ("The log shows the type of a withdrawal", "取现明细"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        makes(CASH, AMOUNT),
        do(_logged, "serial, amount, type 04, terminal and time", "序号、金额、类型04、终端与时间"),
        needs=WRITES,
    ),
    case(
        "CSH-003",
        ("The purse gives no cash", "钱包不可取现"),
        (PBOC, ONE),
        with_pin(),
        send("805002020B {index} 00000001 {terminal} 0F", 0x6A86),
        needs=WRITES,
    ),
    case(
        "CSH-004",
        ("Cash needs the PIN", "取现须验证口令"),
        (PBOC, SOURCES),
        send("805002010B {index} 00000001 {terminal} 0F", 0x6982),
    ),
    case(
        "CSH-005",
        ("More cash than there is", "取现余额不足"),
        (PBOC, SOURCES),
        with_pin(),
        send("805002010B {index} 7EFFFFFF {terminal} 0F", 0x9401),
        needs=WRITES,
    ),
    _refused("006", CASH, "amount"),
    _refused("007", CASH, "type"),
    _refused("008", CASH, "moment"),
)
UNLOADS: Final = (
    case(
        "UNL-001",
        ("An unload", "圈提"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        mark(ED),
        opens(UNLOAD, AMOUNT),
        proves_mac1(),
        closes(),
        proves_mac3(),
        moved(-AMOUNT, online=1, log=1),
        needs=WRITES,
    ),
    case(
        "UNL-002",
        ("The log shows the type of an unload", "圈提明细"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        makes(UNLOAD, AMOUNT),
        do(_logged, "serial, amount, type 03, terminal and time", "序号、金额、类型03、终端与时间"),
        needs=WRITES,
    ),
    case(
        "UNL-003",
        ("No more is unloaded than is owned", "圈提金额超过余额"),
        (PBOC, SOURCES),
        with_pin(),
        says("INITIALIZE FOR UNLOAD", 0x9401, _more_than_owned),
        needs=WRITES,
    ),
    case(
        "UNL-004",
        ("The purse is not unloaded", "钱包不可圈提"),
        (PBOC, ASSUMED),
        with_pin(),
        send("805005020B {index} 00000001 {terminal} 10", 0x6A86),
        needs=WRITES,
    ),
    case(
        "UNL-005",
        ("A command in between ends the unload", "其他指令使圈提终止"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        opens(UNLOAD, AMOUNT),
        send("805C000104", size=4),
        closes(sw=0x6985),
        needs=WRITES,
    ),
    case(
        "UNL-006",
        ("CREDIT does not complete an unload", "入账指令不能完成圈提"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        mark(ED),
        opens(UNLOAD, AMOUNT),
        send("805200000B 20260901120000 00000000 04", 0x6985),
        unmoved(),
        needs=WRITES,
    ),
    _refused("007", UNLOAD, "amount"),
    _refused("008", UNLOAD, "type"),
    _refused("009", UNLOAD, "mac"),
)
OVERDRAFTS: Final = (
    case(
        "OVD-001",
        ("A change of the overdraft limit", "修改透支限额"),
        (PBOC, SOURCES),
        with_pin(),
        limit(100),
        mark(ED),
        opens(OVERDRAFT, 0),
        proves_mac1(),
        closes(),
        proves_tac(),
        moved(100, online=1, log=1),
        sets_limit(0),
        needs=WRITES,
    ),
    case(
        "OVD-002",
        ("INITIALIZE tells the limit", "初始化应答给出透支限额"),
        (PBOC, SOURCES),
        with_pin(),
        sets_limit(100),
        send("805001010B {index} 00000000 {terminal} 0F", keep="opened"),
        sets_limit(0),
        check(
            lambda b: bytes(b.values["opened"])[6:9] == b"\x00\x00\x64",
            "bytes 6 to 8 are the limit",
            "第 6 至 8 字节为限额",
        ),
        needs=WRITES,
    ),
    case(
        "OVD-003",
        ("The limit does not go below what is owed", "限额不得低于欠款"),
        (PBOC, ONE),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        sets_limit(100),
        do(_spend_over, "spent into the limit; a limit of 0 answers 9401", "透支消费后限额改 0 应答 9401"),
        sets_limit(0),
        needs=WRITES,
    ),
    case(
        "OVD-004",
        ("No overdraft limit for the purse", "钱包无透支"),
        (PBOC, ASSUMED),
        with_pin(),
        send("8050040207 {index} {terminal} 13", 0x6A86),
        needs=WRITES,
    ),
    _refused("005", OVERDRAFT, "amount"),
    _refused("006", OVERDRAFT, "moment"),
    _refused("007", OVERDRAFT, "mac"),
)
TYPES: Final = (
    (DEPOSIT_LOAD, 1), (LOAD, 2), (UNLOAD, 1), (CASH, 1), (DEPOSIT, 1), (PLAIN, 2), (OVERDRAFT, 1),
    (COMPOSITE, 2),
)  # fmt: skip
PROOFS: Final = (
    *(_proof(number, txn, sfi) for number, (txn, sfi) in enumerate(TYPES, 1)),
    case(
        "PRV-009",
        ("A proof under another type", "其他类型的交易认证"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        makes(CASH, AMOUNT),
        proven(DEPOSIT, sw=0x9406),
        needs=WRITES,
    ),
    case(
        "PRV-010",
        ("A proof of the transaction to come", "未来交易的认证"),
        (PBOC, SOURCES),
        with_pin(),
        fund(500, DEPOSIT_LOAD),
        makes(UNLOAD, AMOUNT),
        proven(ahead=2, sw=0x9406),
        needs=WRITES,
    ),
)
CASES: Final = (*DEPOSITS, *CASHES, *UNLOADS, *OVERDRAFTS, *PROOFS)
