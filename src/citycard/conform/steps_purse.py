# SPDX-License-Identifier: Apache-2.0
"""The words for the purse: fund it, open, debit, credit, tamper, tear, and compare before with after.

Cases are relative: they look at the card as it is (`mark`), do something, and say what must have moved
(`moved`, `unmoved`). So they run on a fresh card and on one that has seen a thousand others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from citycard.conform import proofs
from citycard.conform.annotate import command_name, status
from citycard.conform.bench import ED, EP, Bench, Purse
from citycard.conform.model import Failed, NotRun, Step, Text, Undecided
from citycard.conform.proofs import Opening
from citycard.conform.steps import ANY_REFUSAL
from citycard.core import tunion
from citycard.core.apdu import SW, Command, Response
from citycard.core.purse import Txn

PLAIN, COMPOSITE, LOAD = Txn.EP_PURCHASE, Txn.COMPOSITE, Txn.EP_LOAD
DEPOSIT, DEPOSIT_LOAD, CASH = Txn.ED_PURCHASE, Txn.ED_LOAD, Txn.CASH
UNLOAD, OVERDRAFT = Txn.UNLOAD, Txn.OVERDRAFT
P1: Final = {
    PLAIN: 0x01, COMPOSITE: 0x03, LOAD: 0x00, DEPOSIT: 0x01, DEPOSIT_LOAD: 0x00, CASH: 0x02, UNLOAD: 0x05,
    OVERDRAFT: 0x04,
}  # fmt: skip
LE: Final = {
    PLAIN: 15, COMPOSITE: 15, LOAD: 16, DEPOSIT: 15, DEPOSIT_LOAD: 16, CASH: 15, UNLOAD: 16, OVERDRAFT: 19,
}  # fmt: skip
OF_PURSE: Final = frozenset({PLAIN, COMPOSITE, LOAD})  # the others are of the deposit
NAMES: Final = {
    PLAIN: Text("purchase", "消费"),
    COMPOSITE: Text("composite purchase", "复合消费"),
    LOAD: Text("load", "圈存"),
    DEPOSIT: Text("purchase from the deposit", "存折消费"),
    DEPOSIT_LOAD: Text("load of the deposit", "存折圈存"),
    CASH: Text("cash withdrawal", "取现"),
    UNLOAD: Text("unload", "圈提"),
    OVERDRAFT: Text("change of the overdraft limit", "修改透支限额"),
}
MOVING: Final = {
    "balance_fen": Text("balance in fen", "余额（分）"),
    "offline": Text("offline counter", "脱机计数器"),
    "online": Text("online counter", "联机计数器"),
    "log": Text("log", "明细"),
    "transit": Text("transit file", "过程文件"),
}
AMOUNT_MAX: Final = 0xFFFF_FFFF
ROUND_FEN: Final = 1_000  # what is left on the card when a case makes room under the cap


# Conversations, for steps and coded steps alike


def init_command(bench: Bench, txn: Txn, amount_fen: int) -> bytes:
    """INITIALIZE for a transaction."""
    if not 0 <= amount_fen <= AMOUNT_MAX:
        raise Failed(
            f"balance and cap of the card imply {amount_fen} fen", f"由卡片余额与上限得出 {amount_fen} 分"
        )
    amount = b"" if txn == OVERDRAFT else amount_fen.to_bytes(4, "big")
    data = bench.values["index"] + amount + bench.values["terminal"]
    return Command(0x80, 0x50, P1[txn], EP if txn in OF_PURSE else ED, data, LE[txn]).encode()


def opening(bench: Bench, txn: Txn, amount_fen: int) -> Opening:
    """An open transaction; `Failed` when the card does not open it."""
    command = init_command(bench, txn, amount_fen)
    answer = bench.ok(command)
    if len(answer) != LE[txn]:
        raise Failed(
            f"INITIALIZE gives {len(answer)} bytes, expected {LE[txn]}",
            f"初始化应答 {len(answer)} 字节，应为 {LE[txn]}",
        )
    bench.opened.append(proofs.read_opening(command, answer))
    return bench.opened[-1]


def closing_command(bench: Bench, opened: Opening, tamper: str = "") -> bytes:
    """DEBIT or CREDIT for an open transaction, its MAC tampered with in a named way."""
    keys, signed = bench.lent(), opened
    if tamper == "stale":
        signed, tamper = bench.opened[-2], ""
    if opened.txn == OVERDRAFT:
        limit_fen = bench.values["limit_fen"]
        mac2 = proofs.limit_mac2(keys, signed, limit_fen, bench.moment, tamper)
        return proofs.limit_command(limit_fen, bench.moment, mac2)
    if opened.txn in proofs.ONLINE:
        mac2 = proofs.credit_mac2(keys, signed, bench.moment, tamper)
        closing = proofs.unload_command if opened.txn == UNLOAD else proofs.credit_command
        return closing(bench.moment, mac2)
    mac1 = proofs.debit_mac1(keys, signed, bench.number, bench.moment, tamper)
    return proofs.debit_command(opened, bench.number, bench.moment, mac1)


def transact(bench: Bench, txn: Txn, amount_fen: int, staged: Sequence[bytes] = ()) -> bytes:
    """A whole transaction that must succeed; what DEBIT or CREDIT answered."""
    opened = opening(bench, txn, amount_fen)
    for command in staged:
        bench.ok(command)
    answer = bench.ok(closing_command(bench, opened))
    bench.number += 1
    return answer


def funded(bench: Bench, least_fen: int, txn: Txn = LOAD) -> None:
    """See to it that the purse holds at least so much (or the deposit: `DEPOSIT_LOAD`); loads the rest."""
    missing = least_fen - bench.balance(EP if txn in OF_PURSE else ED)
    if missing > 0:
        answer = bench.send(init_command(bench, txn, missing))
        if not answer.ok:
            raise Undecided("the card cannot be funded for this case", "无法为本用例充值")
        opened = proofs.read_opening(init_command(bench, txn, missing), answer.data)
        bench.ok(closing_command(bench, opened))


def emptied(bench: Bench, left_fen: int) -> None:
    """See to it that the card holds exactly so much."""
    over = bench.balance() - left_fen
    if over > 0:
        transact(bench, COMPOSITE, over)
    funded(bench, left_fen)


def cap_of(bench: Bench) -> int:
    """The cap of the purse, by GET BALANCE P1 = 04."""
    answer = bench.send("805C040204")
    if not answer.ok or len(answer.data) != 4:
        raise NotRun("the card does not tell its cap", "卡片未给出余额上限")
    return int.from_bytes(answer.data, "big")


def stage_transit(filling: int) -> bytes:
    """UPDATE CAPP DATA CACHE that appends a transit record filled with one byte."""
    data = bytes((tunion.EXIT,)) + bytes((filling,)) * (tunion.TRANSIT.size - 1)
    return Command(0x80, 0xDC, 0, tunion.SFI_TRANSIT << 3, data).encode()


def industry(filling: int, number: int = 1) -> bytes:
    """An industry record filled with one byte after its tag and length."""
    head = (tunion.TAG_METRO - 1 + number).to_bytes(2, "big") + (tunion.INDUSTRY_SIZE - 4).to_bytes(2, "big")
    return head + bytes((filling,)) * (tunion.INDUSTRY_SIZE - len(head))


def stage_industry(filling: int, number: int = 1, by_identifier: bool = False) -> bytes:
    """UPDATE CAPP DATA CACHE of an industry record."""
    p2 = tunion.SFI_INDUSTRY << 3 | (0 if by_identifier else 4)
    return Command(0x80, 0xDC, number, p2, industry(filling, number)).encode()


def log_record(opened: Opening, moment: bytes, serial: int) -> bytes:
    """The log record that a transaction must leave."""
    return (
        serial.to_bytes(2, "big")
        + opened.overdraft_fen.to_bytes(3, "big")
        + opened.amount_fen.to_bytes(4, "big")
        + bytes((opened.txn,))
        + opened.terminal
        + moment
    )


# Steps


def fund(least_fen: int, txn: Txn = LOAD) -> Step:
    """Prepare: at least so much on the card, by a load of the purse or of the deposit."""
    return Step(lambda bench: funded(bench, least_fen, txn))


def leave(fen: int) -> Step:
    """Prepare: exactly so much on the card."""
    return Step(lambda bench: emptied(bench, fen))


def mark(sfi: int = EP) -> Step:
    """Remember what the card tells of its purse, or of its deposit."""

    def run(bench: Bench) -> None:
        bench.marked, bench.before = sfi, bench.purse(sfi)

    return Step(run)


def opens(txn: Txn, amount_fen: int) -> Step:
    """INITIALIZE must open the transaction."""
    en, zh = NAMES[txn]
    text = Text(f"INITIALIZE for {en} of {amount_fen} fen opens", f"{zh} {amount_fen} 分初始化成功")

    def run(bench: Bench) -> None:
        opening(bench, txn, amount_fen)

    return Step(run, text)


def stages(*commands: bytes, sw: int = SW.OK) -> Step:
    """UPDATE CAPP DATA CACHE, each with this status word."""

    def run(bench: Bench) -> None:
        for command in commands:
            _expect(bench.send(command), (sw,), bench)

    return Step(run, Text(f"UPDATE CAPP DATA CACHE answers {sw:04X}", f"更新复合缓存应答 {sw:04X}"))


def closes(tamper: str = "", sw: int | tuple[int, ...] = SW.OK, which: int = -1, keep: str = "") -> Step:
    """DEBIT or CREDIT the opened transaction `which`, with a tampered MAC if named."""
    allowed = sw if isinstance(sw, tuple) else (sw,)
    words = " / ".join("≠ 9000" if one == ANY_REFUSAL else f"{one:04X}" for one in allowed)

    def run(bench: Bench) -> None:
        answer = bench.send(closing_command(bench, bench.opened[which], tamper))
        _expect(answer, allowed, bench)
        if keep:
            bench.values[keep] = answer.data
        bench.values["closing"] = answer.data
        bench.number += answer.ok

    how_en = f" with a MAC made for another {tamper}" if tamper else ""
    how_zh = f"（MAC 不符：{tamper}）" if tamper else ""
    return Step(run, Text(f"DEBIT / CREDIT{how_en} answers {words}", f"扣款/入账{how_zh}应答 {words}"))


def again(sw: int) -> Step:
    """The last command once more."""

    def run(bench: Bench) -> None:
        _expect(bench.send(bench.trace[-1].command), (sw,), bench)

    return Step(run, Text(f"the same command again answers {sw:04X}", f"重发同一指令应答 {sw:04X}"))


def makes(txn: Txn, amount_fen: int, *staged: bytes) -> Step:
    """A whole transaction that must succeed."""
    en, zh = NAMES[txn]
    text = Text(f"{en} of {amount_fen} fen succeeds", f"{zh} {amount_fen} 分成功")

    def run(bench: Bench) -> None:
        bench.values["closing"] = transact(bench, txn, amount_fen, staged)

    return Step(run, text)


def proves_mac2() -> Step:
    """MAC2 of the last DEBIT is the one the key gives."""

    def run(bench: Bench) -> None:
        _, mac2 = proofs.debit_receipt(bench.lent(), bench.opened[-1], bench.number - 1, bench.moment)
        if bench.values["closing"][4:] != mac2:
            raise Failed("MAC2 is another than recomputed", "MAC2 与复算值不符")

    return Step(run, Text("MAC2 as recomputed", "MAC2 与复算值一致"))


def proves_tac() -> Step:
    """The TAC of the last DEBIT or CREDIT is the one the key gives."""

    def run(bench: Bench) -> None:
        opened, keys = bench.opened[-1], bench.lent()
        if opened.txn == OVERDRAFT:
            tac = proofs.limit_tac(keys, opened, bench.values["limit_fen"], bench.moment)
        elif opened.txn in proofs.ONLINE:
            tac = proofs.credit_tac(keys, opened, bench.moment)
        else:
            tac, _ = proofs.debit_receipt(keys, opened, bench.number - 1, bench.moment)
        if bench.values["closing"][:4] != tac:
            raise Failed("the TAC is another than recomputed", "TAC 与复算值不符")

    return Step(run, Text("TAC as recomputed", "TAC 与复算值一致"))


def moved(
    balance_fen: int = 0,
    *,
    offline: int = 0,
    online: int = 0,
    log: int = 0,
    transit: int = 0,
    industry: bytes | None = None,
) -> Step:
    """Since `mark`: by how much balance and counters moved, how many records came, what 2701 holds."""
    wanted = {"balance_fen": balance_fen, "offline": offline, "online": online}
    added = {"log": log, "transit": transit}

    def run(bench: Bench) -> None:
        before, after = before_of(bench), bench.purse(bench.marked)
        for name, by in wanted.items():
            _number(MOVING[name], getattr(before, name), getattr(after, name), by, bench)
        for name, count in added.items():
            _records(MOVING[name], getattr(before, name), getattr(after, name), count)
        kept = before.industry if industry is None else (industry, *before.industry[1:])
        if after.industry != kept:
            raise Failed(
                "industry records 2701 and 2702 are not as expected", "行业记录 2701、2702 与预期不符"
            )

    if industry is None and not any((wanted | added).values()):
        return Step(run, Text("nothing on the card has moved", "卡内数据未变"))
    parts = [(MOVING[name], by) for name, by in (wanted | added).items()]
    en = ", ".join(f"{name.en} {by:+d}" for name, by in parts)
    zh = "，".join(f"{name.zh} {by:+d}" for name, by in parts)
    return Step(run, Text(f"moved exactly: {en}", f"变化恰为：{zh}"))


def _number(name: Text, old: int | None, new: int | None, by: int, bench: Bench) -> None:
    if old is None or new is None:
        raise Failed(f"the card does not tell its {name.en}", f"卡片未给出{name.zh}")
    bench.note(f"{name.en} {old} → {new}", f"{name.zh} {old} → {new}")
    if new - old != by:
        en = f"{name.en} went from {old} to {new}, expected {by:+d}"
        raise Failed(en, f"{name.zh}由 {old} 变为 {new}，应变化 {by:+d}")


def unmoved() -> Step:
    """Since `mark`, nothing has moved."""
    return moved()


def _records(name: Text, before: tuple[bytes, ...], after: tuple[bytes, ...], added: int) -> None:
    """The newest records are those of before, pushed down by the one that was added, if any."""
    assert added in (0, 1)
    good = (after[1] == before[0] and after[0] != b"") if added else after == before
    if not good:
        raise Failed(f"the {name.en} does not show {added} new records", f"{name.zh}新增记录不是 {added} 条")


def _expect(answer: Response, allowed: tuple[int, ...], bench: Bench) -> None:
    told = status(answer.sw)
    name = command_name(bench.trace[-1].command)
    bench.note(f"{name.en}: {told.en}", f"{name.zh}：{told.zh}")
    if answer.sw in allowed or (ANY_REFUSAL in allowed and not answer.ok):
        return
    words = " / ".join("≠ 9000" if one == ANY_REFUSAL else f"{one:04X}" for one in allowed)
    raise Failed(f"status word {told.en}, expected {words}", f"状态字 {told.zh}，应为 {words}")


def before_of(bench: Bench) -> Purse:
    """The purse as marked."""
    assert bench.before is not None
    return bench.before


def reset(bench: Bench) -> None:
    """Power off and on, and the purse selected again."""
    bench.power()
    bench.select()
