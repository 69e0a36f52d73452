# SPDX-License-Identifier: Apache-2.0
"""LCK: blocking, unblocking and key error counters; for expendable cards (card facts 1.4, 1.5).

The cases that can be undone come first; each of the last ones ruins its card.
"""

from __future__ import annotations

from typing import Final

from citycard.conform.bench import SELECT, Bench
from citycard.conform.catalogue.declare import ASSUMED, JTT, LOCKS, ONE, PBOC, SOURCES, case
from citycard.conform.catalogue.security import authentication, holder, restored, secured
from citycard.conform.model import Failed, Step, Text
from citycard.conform.steps import do, prepare, send
from citycard.conform.steps_purse import PLAIN, fund, makes, mark, moved

TRIES_MAX: Final = 15  # one digit of an error counter
BLOCK, BLOCK_FOR_EVER, UNBLOCK = "841E0000", "841E0001", "84180000"


def _word(bench: Bench, command: bytes | str, allowed: tuple[int, ...], what: str) -> None:
    sw = bench.send(command).sw
    bench.note(f"{what}: {sw:04X}", f"{what}：{sw:04X}")
    if sw not in allowed:
        words = " / ".join(f"{one:04X}" for one in allowed)
        raise Failed(f"{what} answers {sw:04X}, expected {words}", f"{what} 应答 {sw:04X}，应为 {words}")


def word(command: bytes, sw: int | tuple[int, ...], what: str) -> Step:
    """A command without data of its own answers a status word."""
    allowed = sw if isinstance(sw, tuple) else (sw,)
    words = " / ".join(f"{one:04X}" for one in allowed)
    return Step(
        lambda b: _word(b, command, allowed, what), Text(f"{what} answers {words}", f"{what} 应答 {words}")
    )


def signed(head: str, sw: int | tuple[int, ...], what: str, tamper: str = "") -> Step:
    """An administrative command under MAC answers a status word."""
    allowed = sw if isinstance(sw, tuple) else (sw,)
    words = " / ".join(f"{one:04X}" for one in allowed)
    text = Text(f"{what} answers {words}", f"{what} 应答 {words}")
    return Step(lambda b: _word(b, secured(b, head, tamper=tamper), allowed, what), text)


def block() -> Step:
    """APPLICATION BLOCK until unblocked."""
    return signed(BLOCK, 0x9000, "APPLICATION BLOCK")


def unblock() -> Step:
    """APPLICATION UNBLOCK."""
    return signed(UNBLOCK, 0x9000, "APPLICATION UNBLOCK")


def off() -> Step:
    """The field goes and comes again; nothing is selected, for SELECT may be what is refused."""
    return prepare(lambda b: _ignore(b.power()))


def _ignore(_: object) -> None:
    return None


def _fci_of_blocked(bench: Bench) -> None:
    answer = bench.send(SELECT)
    if answer.sw != 0x6283 or answer.data[:1] != b"\x6f":
        raise Failed(
            f"SELECT answers {answer.sw:04X} and {len(answer.data)} bytes",
            f"SELECT 应答 {answer.sw:04X}，{len(answer.data)} 字节",
        )


def _exhaust_unblock(bench: Bench) -> None:
    """Wrong MACs at APPLICATION UNBLOCK until the application is dead."""
    for _ in range(TRIES_MAX):
        sw = bench.send(secured(bench, UNBLOCK, tamper="mac")).sw
        if sw == 0x9303:
            return
        if sw != 0x6988:
            raise Failed(f"a wrong MAC answers {sw:04X}", f"MAC 错误应答 {sw:04X}")
    raise Failed("it never says 9303", "始终未应答 9303")


def _exhaust_message_key(bench: Bench) -> None:
    """Wrong MACs until the key is blocked; then the right one is refused as well."""
    for _ in range(TRIES_MAX + 1):
        sw = bench.send(secured(bench, "04D69600", bytes(55), "mac")).sw
        if sw == 0x6983:
            break
        if sw != 0x6988:
            raise Failed(f"a wrong MAC answers {sw:04X}", f"MAC 错误应答 {sw:04X}")
    else:
        raise Failed("the key is never blocked", "密钥始终未锁定")
    _word(bench, secured(bench, "04D69600", bytes(bench.values["file"])), (0x6983,), "the right MAC")


def _exhaust_control_key(bench: Bench) -> None:
    """Wrong cryptograms until the key is blocked; the tries fall one by one."""
    left: int | None = None
    for _ in range(TRIES_MAX + 1):
        sw = bench.send(authentication(bench, wrong=True)).sw
        if sw == 0x6983:
            break
        if sw & 0xFFF0 != 0x63C0 or (left is not None and sw & 0xF != left - 1):
            raise Failed(f"a wrong cryptogram answers {sw:04X}", f"错误密文应答 {sw:04X}")
        left = sw & 0xF
    else:
        raise Failed("the key is never blocked", "密钥始终未锁定")
    _word(bench, authentication(bench), (0x6983,), "the right cryptogram")


def _tries_over_resets(bench: Bench) -> None:
    """Tries do not come back with the power."""
    tries = []
    for _ in range(2):
        tries.append(bench.send(authentication(bench, wrong=True)).sw)
        bench.power()
        bench.select()
    _word(bench, authentication(bench), (0x9000,), "the right cryptogram")
    if tries[1] != tries[0] - 1:
        raise Failed(
            f"{tries[0]:04X}, then after a reset {tries[1]:04X}", f"先 {tries[0]:04X}，复位后 {tries[1]:04X}"
        )


INIT: Final = bytes.fromhex("805001020B01000000009900000000010F")
INIT_LOAD: Final = bytes.fromhex("805000020B010000000199000000000110")
CASES: Final = (
    case(
        "LCK-001",
        ("APPLICATION BLOCK with a wrong MAC blocks nothing", "MAC 错误的应用锁定无效"),
        (PBOC, SOURCES),
        holder(),
        signed(BLOCK, 0x6988, "APPLICATION BLOCK, wrong MAC", "mac"),
        off(),
        word(SELECT, 0x9000, "SELECT"),
        restored(),
        needs=LOCKS,
    ),
    case(
        "LCK-002",
        ("A blocked application tells so when selected", "锁定的应用在选择时告知"),
        (JTT, SOURCES),
        block(),
        off(),
        do(_fci_of_blocked, "SELECT answers 6283 with the FCI", "SELECT 应答 6283 并返回 FCI"),
        unblock(),
        needs=LOCKS,
    ),
    case(
        "LCK-003",
        ("A blocked application opens no transaction", "锁定的应用不可交易"),
        (PBOC, SOURCES),
        block(),
        word(INIT, (0x6A81, 0x6283, 0x6985), "INITIALIZE FOR PURCHASE"),
        word(INIT_LOAD, (0x6A81, 0x6283, 0x6985), "INITIALIZE FOR LOAD"),
        unblock(),
        needs=LOCKS,
    ),
    case(
        "LCK-004",
        ("A blocked application can still be read", "锁定的应用仍可读取"),
        (JTT, ASSUMED),
        block(),
        send("805C030204", size=4),
        send("00B095001E", size=30),
        unblock(),
        needs=LOCKS,
    ),
    case(
        "LCK-005",
        ("A reset does not unblock", "复位不能解锁"),
        (PBOC, SOURCES),
        block(),
        off(),
        off(),
        word(SELECT, 0x6283, "SELECT"),
        unblock(),
        needs=LOCKS,
    ),
    case(
        "LCK-006",
        ("Unblocked, it works as before", "解锁后恢复正常"),
        (PBOC, SOURCES),
        fund(100),
        mark(),
        block(),
        unblock(),
        off(),
        word(SELECT, 0x9000, "SELECT"),
        makes(PLAIN, 10),
        moved(-10, offline=1, log=1),
        needs=LOCKS,
    ),
    case(
        "LCK-007",
        ("An application that is not blocked is not unblocked", "未锁定的应用不可解锁"),
        (PBOC, ONE),
        signed(UNBLOCK, 0x6985, "APPLICATION UNBLOCK"),
        needs=LOCKS,
    ),
    case(
        "LCK-008",
        ("Tries do not come back with the power", "断电不恢复尝试次数"),
        (PBOC, SOURCES),
        do(_tries_over_resets, "one less after a reset", "复位后继续递减"),
        needs=LOCKS,
    ),
    case(
        "LCK-009",
        ("The control key locks after its tries", "控制密钥达到错误次数后锁定"),
        (PBOC, SOURCES),
        do(_exhaust_control_key, "63Cx falling, then 6983 for good", "63Cx 递减，之后恒为 6983"),
        needs=LOCKS,
        ruins=True,
    ),
    case(
        "LCK-010",
        ("The maintenance key locks after its tries", "维护密钥达到错误次数后锁定"),
        (PBOC, SOURCES),
        holder(),
        do(_exhaust_message_key, "6988, then 6983 for good", "6988，之后恒为 6983"),
        needs=LOCKS,
        ruins=True,
    ),
    case(
        "LCK-011",
        ("Wrong unblocking kills the application", "解锁失败超限应用永久锁定"),
        (PBOC, SOURCES),
        block(),
        do(_exhaust_unblock, "6988, then 9303", "6988，之后 9303"),
        off(),
        word(SELECT, 0x9303, "SELECT"),
        needs=LOCKS,
        ruins=True,
    ),
    case(
        "LCK-012",
        ("Blocked for ever is for ever", "永久锁定不可恢复"),
        (PBOC, SOURCES),
        signed(BLOCK_FOR_EVER, 0x9000, "APPLICATION BLOCK for ever"),
        off(),
        word(SELECT, (0x9303, 0x6A81), "SELECT"),
        needs=LOCKS,
        ruins=True,
    ),
)
