# SPDX-License-Identifier: Apache-2.0
"""TEA, CNT: the field goes at any moment, and counters come to their end (card facts 1.3, 1.5).

A reader can cut between two commands; a field of the laboratory also cuts inside one, at every cell that
the card writes. Whatever happens, a transaction is made whole or not at all, and the card tells which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.conform import proofs
from citycard.conform.bench import Bench, Purse
from citycard.conform.catalogue.declare import CUTS, ISO, ONE, PBOC, PREPARED, SOURCES, WRITES, case
from citycard.conform.catalogue.load import room
from citycard.conform.catalogue.security import secured
from citycard.conform.model import Failed, Step, Undecided
from citycard.conform.steps import check, do, prepare
from citycard.conform.steps_purse import (
    COMPOSITE,
    LOAD,
    PLAIN,
    closes,
    closing_command,
    fund,
    industry,
    init_command,
    makes,
    mark,
    moved,
    opening,
    opens,
    reset,
    stage_industry,
    stage_transit,
    stages,
    transact,
    unmoved,
)
from citycard.core.dialogue import CardGone
from citycard.core.purse import Txn

CUTS_MAX: Final = 400  # cells one command may write: far above any journal of a purse
AMOUNT_FEN: Final = 7


def _proven(bench: Bench, which: int = -1) -> bytes | None:
    opened = bench.opened[which]
    answer = bench.send(f"805A00{opened.txn:02X}02{opened.counter + 1:04X}08")
    if not answer.ok and answer.sw != 0x9406:
        raise Failed(f"GET TRANSACTION PROVE answers {answer.sw:04X}", f"取交易认证应答 {answer.sw:04X}")
    return answer.data if answer.ok else None


def _proof_given(bench: Bench) -> None:
    """The answer was lost; the proof must be what it held."""
    opened = bench.opened[-1]
    told = _proven(bench)
    if opened.txn == LOAD:
        wanted, told = proofs.credit_tac(bench.lent(), opened, bench.moment), (told or b"")[4:]
    else:
        tac, mac2 = proofs.debit_receipt(bench.lent(), opened, bench.number - 1, bench.moment)
        wanted = mac2 + tac
    if told != wanted:
        raise Failed("the proof is not that of the lost answer", "交易认证与丢失的应答不符")


def _no_proof(bench: Bench) -> None:
    if _proven(bench) is not None:
        raise Failed("the card proves a transaction that was not made", "卡片证明了未完成的交易")


def _twice(bench: Bench) -> None:
    if _proven(bench) != _proven(bench):
        raise Failed("asked twice, the card tells two things", "两次取认证结果不同")


def off() -> Step:
    """The field goes and comes again; the purse is selected."""
    return prepare(lambda b: reset(b))


# Cuts inside a command


def _cut(bench: Bench, writes: int, command: bytes) -> bool:
    """Send a command while the field goes at its write number `writes`; whether it went."""
    bench.guard.cut_after(writes)
    try:
        bench.ok(command)
    except CardGone:
        return True
    finally:
        bench.guard.cut_after(None)
    return False


def _whole(before: Purse, txn: Txn, new: Purse, staged: bool, fill: int) -> bool:
    """Whether `new` is `before` with the whole of a transaction added."""
    loads = txn == LOAD
    if before.offline is None or before.online is None:
        raise Failed("the card does not tell its counters", "卡片未给出计数器")
    return (
        new
        == Purse(
            before.balance_fen + (AMOUNT_FEN if loads else -AMOUNT_FEN),
            before.offline + (not loads),
            before.online + loads,
            (new.log[0], before.log[0]),
            (stage_transit(fill)[5:], before.transit[0]) if staged else before.transit,
            (industry(fill), before.industry[1]) if staged else before.industry,
        )
        and new.log[0] != before.log[0]
    )


def _cut_everywhere(txn: Txn, staged: bool = False, twice: bool = False) -> Callable[[Bench], None]:
    """Cut the command that completes a transaction at each of its writes, one after another."""

    def run(bench: Bench) -> None:
        made = 0
        for writes in range(CUTS_MAX):
            before, fill = bench.purse(), 1 + writes % 250
            opened = opening(bench, txn, AMOUNT_FEN)
            for command in (stage_industry(fill), stage_transit(fill)) if staged else ():
                bench.ok(command)
            went = _cut(bench, writes, closing_command(bench, opened))
            bench.number += 1
            if twice and went:
                _cut_start(bench, writes % 8)
            reset(bench)
            proven, after = _proven(bench) is not None, bench.purse()
            whole = _whole(before, txn, after, staged, fill)
            if not whole and after != before:
                raise Failed(
                    f"cut at write {writes}: neither made nor not made",
                    f"在第 {writes} 次写入断电：交易不完整",
                )
            if proven != whole:
                raise Failed(
                    f"cut at write {writes}: the proof tells another thing",
                    f"在第 {writes} 次写入断电：交易认证与事实不符",
                )
            made += whole
            if not went:
                bench.note(f"{writes} cuts, {made} times made", f"断电 {writes} 次，其中完成 {made} 次")
                return
        raise Undecided("the command writes without end", "写入次数过多")

    return run


def _cut_start(bench: Bench, writes: int) -> None:
    """Cut the card while it finishes, at its next power on, what the first cut interrupted."""
    bench.guard.cut_after(writes)
    try:
        bench.power()
    except CardGone:
        pass
    finally:
        bench.guard.cut_after(None)


def _cut_file(bench: Bench) -> None:
    """Cut a protected write at each of its writes: the file holds the old content or the new.

    After each cut a write that is not cut gives the key its tries back: a cut one may have cost one.
    """
    size = len(bench.ok("00B0960037"))
    for writes in range(CUTS_MAX):
        old, new = bytes((0xA0,)) * size, bytes((0x50,)) * size
        bench.ok(secured(bench, "04D69600", old))
        went = _cut(bench, writes, secured(bench, "04D69600", new))
        reset(bench)
        now = bench.ok("00B0960037")
        if now not in (old, new):
            raise Failed(
                f"cut at write {writes}: file 0016 is a mixture",
                f"在第 {writes} 次写入断电：0016 文件新旧混杂",
            )
        if not went:
            bench.note(f"{writes} cuts", f"断电 {writes} 次")
            return
    raise Undecided("the command writes without end", "写入次数过多")


# Counters


def _resets_keep_counters(bench: Bench) -> None:
    for _ in range(5):
        before = bench.purse()
        transact(bench, PLAIN, 1)
        reset(bench)
        after = bench.purse()
        if after.offline != (before.offline or 0) + 1 or after.online != before.online:
            raise Failed(
                f"offline counter {before.offline} -> {after.offline}",
                f"脱机计数器 {before.offline} → {after.offline}",
            )


def _init_at_end(txn: Txn) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        answer = bench.send(init_command(bench, txn, 0))
        if answer.sw != 0x9402:
            raise Failed(f"status word {answer.sw:04X}, expected 9402", f"状态字 {answer.sw:04X}，应为 9402")

    return run


def _last_one(txn: Txn) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        transact(bench, txn, 0 if txn == PLAIN else 1)
        _init_at_end(txn)(bench)

    return run


CASES: Final = (
    case(
        "TEA-001",
        ("Off after INITIALIZE FOR PURCHASE", "消费初始化后断电"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 100),
        off(),
        do(_no_proof, "9406: nothing was debited", "应答 9406：未扣款"),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "TEA-002",
        ("Off after staging", "更新缓存后断电"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(COMPOSITE, 100),
        stages(stage_industry(0x41), stage_transit(0x42)),
        off(),
        do(_no_proof, "9406: nothing was debited", "应答 9406：未扣款"),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "TEA-003",
        ("The answer to DEBIT is lost", "扣款应答丢失"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 100),
        closes(),
        off(),
        do(_proof_given, "the proof is what the answer held", "交易认证等于丢失的应答"),
        moved(-100, offline=1, log=1),
        needs=WRITES,
    ),
    case(
        "TEA-004",
        ("The answer to a composite DEBIT is lost", "复合消费扣款应答丢失"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(COMPOSITE, 100),
        stages(stage_industry(0x43), stage_transit(0x44)),
        closes(),
        off(),
        do(_proof_given, "the proof is what the answer held", "交易认证等于丢失的应答"),
        moved(-100, offline=1, log=1, transit=1, industry=industry(0x43)),
        needs=WRITES,
    ),
    case(
        "TEA-005",
        ("Off after INITIALIZE FOR LOAD", "圈存初始化后断电"),
        (PBOC, SOURCES),
        room(),
        mark(),
        opens(LOAD, 100),
        off(),
        do(_no_proof, "9406: nothing was credited", "应答 9406：未入账"),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "TEA-006",
        ("The answer to CREDIT is lost", "入账应答丢失"),
        (PBOC, SOURCES),
        room(),
        mark(),
        opens(LOAD, 100),
        closes(),
        off(),
        do(_proof_given, "the proof holds the TAC", "交易认证含 TAC"),
        moved(100, online=1, log=1),
        needs=WRITES,
    ),
    case(
        "TEA-007",
        ("Torn before DEBIT, then paid: once", "扣款前断电后重新消费只扣一次"),
        (PBOC, SOURCES),
        fund(300),
        mark(),
        opens(PLAIN, 60),
        off(),
        makes(PLAIN, 60),
        moved(-60, offline=1, log=1),
        needs=WRITES,
    ),
    case(
        "TEA-008",
        ("Asking for the proof changes nothing", "取交易认证不改变数据"),
        (PBOC, ONE),
        fund(300),
        makes(PLAIN, 10),
        mark(),
        do(_twice, "the same proof twice", "两次认证相同"),
        unmoved(),
        needs=WRITES,
    ),
    case(
        "TEA-009",
        ("DEBIT is all or nothing at every write", "扣款在任一写入点断电均完整"),
        (PBOC, SOURCES),
        fund(2000),
        do(
            _cut_everywhere(PLAIN),
            "made whole or not at all, and the proof tells which",
            "要么完成要么未发生，且认证一致",
        ),
        needs=CUTS,
    ),
    case(
        "TEA-010",
        ("A composite DEBIT is all or nothing at every write", "复合消费在任一写入点断电均完整"),
        (PBOC, SOURCES),
        fund(2000),
        do(
            _cut_everywhere(COMPOSITE, True),
            "balance, log and both files together",
            "余额、明细与两个文件一致",
        ),
        needs=CUTS,
    ),
    case(
        "TEA-011",
        ("CREDIT is all or nothing at every write", "入账在任一写入点断电均完整"),
        (PBOC, SOURCES),
        room(),
        do(
            _cut_everywhere(LOAD),
            "made whole or not at all, and the proof tells which",
            "要么完成要么未发生，且认证一致",
        ),
        needs=CUTS,
    ),
    case(
        "TEA-012",
        ("Cut again while it recovers", "恢复过程中再次断电"),
        (PBOC, SOURCES),
        fund(2000),
        do(_cut_everywhere(COMPOSITE, True, True), "still whole or not at all", "仍然要么完成要么未发生"),
        needs=CUTS,
    ),
    case(
        "TEA-013",
        ("A protected write is all or nothing", "安全报文写文件断电完整性"),
        (ISO, ONE),
        do(_cut_file, "old content or new, no mixture", "旧内容或新内容，无混杂"),
        needs=CUTS,
    ),
    case(
        "CNT-001",
        ("A reset keeps the counters", "复位后计数器保持"),
        (PBOC, SOURCES),
        fund(100),
        do(_resets_keep_counters, "one up with each purchase, kept over resets", "每次消费加一，复位后保持"),
        needs=WRITES,
    ),
    case(
        "CNT-002",
        ("No purchase at the end of the offline counter", "脱机计数器到上限时不可消费"),
        (PBOC, SOURCES),
        do(_init_at_end(PLAIN), "INITIALIZE answers 9402", "初始化应答 9402"),
        needs=PREPARED,
        prepared=(0xFFFF, 0),
    ),
    case(
        "CNT-003",
        ("No composite purchase at the end of the offline counter", "脱机计数器到上限时不可复合消费"),
        (PBOC, SOURCES),
        do(_init_at_end(COMPOSITE), "INITIALIZE answers 9402", "初始化应答 9402"),
        needs=PREPARED,
        prepared=(0xFFFF, 0),
    ),
    case(
        "CNT-004",
        ("No load at the end of the online counter", "联机计数器到上限时不可圈存"),
        (PBOC, SOURCES),
        do(_init_at_end(LOAD), "INITIALIZE answers 9402", "初始化应答 9402"),
        needs=PREPARED,
        prepared=(0, 0xFFFF),
    ),
    case(
        "CNT-005",
        ("The last purchase, then no more", "最后一笔消费后不可再消费"),
        (PBOC, SOURCES),
        do(_last_one(PLAIN), "one succeeds, then 9402", "成功一次后应答 9402"),
        needs=PREPARED,
        prepared=(0xFFFE, 0),
    ),
    case(
        "CNT-006",
        ("The last load, then no more", "最后一笔圈存后不可再圈存"),
        (PBOC, SOURCES),
        do(_last_one(LOAD), "one succeeds, then 9402", "成功一次后应答 9402"),
        needs=PREPARED,
        prepared=(0, 0xFFFE),
    ),
    case(
        "CNT-007",
        ("GET TRANSACTION PROVE is asked with the counter plus one", "取交易认证序号为计数器加一"),
        (PBOC, ONE),
        fund(100),
        makes(PLAIN, 1),
        check(
            lambda b: not b.send(f"805A000602{b.opened[-1].counter:04X}08").ok,
            "the counter itself is not it",
            "计数器原值不应成立",
        ),
        do(_proof_given, "the counter plus one is", "计数器加一成立"),
        needs=WRITES,
    ),
)
