# SPDX-License-Identifier: Apache-2.0
"""PBOC cards with deposit and purse: structure, status words and their order, balances, PINs, T=0.

Source: card facts 1.1, 1.3 to 1.5, 3.1.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from citycard.conform.bench import Bench
from citycard.conform.catalogue import declare
from citycard.conform.catalogue.declare import (
    ASSUMED,
    ISO,
    LOCKS,
    ONE,
    PBOC,
    SOURCES,
    UNKNOWN,
    VENDOR,
    WRITES,
)
from citycard.conform.model import Failed, Step, Text
from citycard.conform.steps import ANY_REFUSAL, check, do, quiet, right_length, same, select, send, tag
from citycard.conform.steps_card import (
    Message,
    change,
    message,
    name_pins,
    pins,
    reload,
    told,
    verify,
    with_pin,
)
from citycard.conform.steps_purse import reset

case = partial(declare.case, prefix="PB")
INIT: Final = "{index} 00000001 {terminal}"
FORTUNE: Final = "{index} 7EFFFFFF {terminal}"  # more than any card holds
NO_KEY: Final = "7F 7EFFFFFF {terminal}"
TRIES_MAX: Final = 15  # one digit of an error counter
UNBLOCK_PIN: Final = Message("84240000", "{pin}", key="pin_unblock", enciphered=True)
WRONG_UNBLOCK: Final = Message("84240000", "{pin}", key="pin_unblock", enciphered=True, tamper="mac")


def off() -> Step:
    """The field goes and comes again; the application is selected."""
    return Step(reset)


def _exhaust_pin(bench: Bench) -> None:
    """Wrong PINs until it is blocked; then the right one is refused as well."""
    name_pins(bench)
    wrong = b"\x00\x20\x00\x00" + bytes((len(bench.values["other"]),)) + bench.values["other"]
    left: int | None = None
    for _ in range(TRIES_MAX + 1):
        sw = bench.send(wrong).sw
        if sw == 0x6983:
            break
        if sw & 0xFFF0 != 0x63C0 or (left is not None and sw & 0xF != left - 1):
            raise Failed(f"a wrong PIN answers {sw:04X}", f"错误口令应答 {sw:04X}")
        left = sw & 0xF
    else:
        raise Failed("the PIN is never blocked", "口令始终未锁定")
    told(bench.send("00200000" + f"{len(bench.values['pin']):02X}" + "{pin}"), 0x6983, "the right PIN", bench)


def exhausted() -> Step:
    """The PIN is blocked by wrong ones."""
    return do(_exhaust_pin, "63Cx falling, then 6983 for the right PIN", "63Cx 递减，之后正确口令应答 6983")


def _falls(bench: Bench) -> None:
    """One try less with each failure, a power cut between them; all of them back after the right PIN."""
    name_pins(bench)
    shown = "00200000" + f"{len(bench.values['pin']):02X}"
    first = bench.send(shown + "{other}").sw
    bench.ok(shown + "{pin}")
    second = bench.send(shown + "{other}").sw
    reset(bench)
    bench.ok(shown + "{pin}")
    if first & 0xFFF0 != 0x63C0 or second != first:
        raise Failed(f"{first:04X}, then {second:04X}", f"先 {first:04X}，后 {second:04X}")


def _falls_over_resets(bench: Bench) -> None:
    name_pins(bench)
    shown = "00200000" + f"{len(bench.values['pin']):02X}"
    first = bench.send(shown + "{other}").sw
    reset(bench)
    second = bench.send(shown + "{other}").sw
    bench.ok(shown + "{pin}")
    if second != first - 1:
        raise Failed(f"{first:04X}, after a reset {second:04X}", f"先 {first:04X}，复位后 {second:04X}")


def _wire(command: str, sw: int, keep: str = "", data: str | None = None) -> Step:
    """One exchange as it passes on the wire: 61xx is not followed."""

    def run(bench: Bench) -> None:
        answer = bench.exchange(command)
        told(answer, sw, command[:4], bench)
        if data is not None and answer.data != bench.filled(data):
            raise Failed(f"{answer.data.hex().upper()} is not the part", f"{answer.data.hex().upper()} 不符")
        if keep:
            bench.values[keep] = answer.data

    return Step(run, Text(f"{command[:8]} answers {sw:04X}", f"{command[:8]} 应答 {sw:04X}"))


def _parts(bench: Bench) -> None:
    """A waiting answer fetched in two parts is the answer."""
    whole = bench.ok(bench.kind.home)
    announced = bench.exchange(bench.kind.home)
    first = bench.exchange("00C0000005")
    rest = bench.exchange(bytes((0x00, 0xC0, 0x00, 0x00, first.sw & 0xFF)))
    words = (announced.sw, first.sw, rest.sw)
    if words != (0x6100 | len(whole), 0x6100 | len(whole) - 5, 0x9000) or first.data + rest.data != whole:
        told_ = " ".join(f"{word:04X}" for word in words)
        raise Failed(f"the parts are not the whole ({told_})", f"分段取回的数据不完整（{told_}）")


STRUCTURE: Final = (
    case(
        "STR-001",
        ("The application is selected by its name", "按名称选择应用"),
        (PBOC, SOURCES),
        select(keep="fci"),
        tag("fci", 0x6F, 0x84, keep="name"),
        same("name", "aid", "tag 84 is the name that was selected", "标签 84 等于所选名称"),
        selects=False,
    ),
    case(
        "STR-002",
        ("The beginning of a name is enough", "按名称前缀选择应用"),
        (ISO, SOURCES),
        send("00A4040005 A000000003 00", keep="fci"),
        tag("fci", 0x6F, 0x84, keep="name"),
        check(
            lambda b: bytes(b.values["name"]).startswith(b"\xa0\x00\x00\x00\x03"),
            "the application's name begins so",
            "应用名称以此开头",
        ),
        selects=False,
    ),
    case(
        "STR-003",
        ("The FCI shows the public file", "FCI 含公共应用信息"),
        (PBOC, SOURCES),
        select(keep="fci"),
        tag("fci", 0x6F, 0xA5, 0x9F0C, keep="told", size=30),
        send("00B095001E", keep="file"),
        same("told", "file", "tag 9F0C is file 0015", "标签 9F0C 等于 0015 文件"),
    ),
    case(
        "STR-004",
        ("The directory file names the application", "目录文件登记该应用"),
        (PBOC, ONE),
        send("00A40000023F00"),
        send("00B2010C00", keep="entry"),
        tag("entry", 0x61, 0x4F, keep="name"),
        same("name", "aid", "tag 4F is the application's name", "标签 4F 等于应用名称"),
        selects=False,
    ),
    case(
        "STR-005",
        ("File 0016 has 39 bytes", "0016 文件为 39 字节"),
        (PBOC, SOURCES),
        send("00B0960000", size=39),
    ),
    case(
        "STR-006",
        ("The purse is no file to read", "钱包文件不可按文件读取"),
        (PBOC, SOURCES),
        send("00B0820000", ANY_REFUSAL),
    ),
)
COMMANDS: Final = (
    case(
        "CMD-001",
        ("An unknown instruction", "未知指令"),
        (ISO, SOURCES),
        send("8099000000", 0x6D00),
        needs=UNKNOWN,
    ),
    case(
        "CMD-002",
        ("An unknown class", "未知类别"),
        (ISO, SOURCES),
        send("D0B0950000", 0x6E00),
        needs=UNKNOWN,
    ),
    case(
        "CMD-003",
        ("P1 P2 are told before the length", "参数错误先于长度错误"),
        (ISO, ONE),
        send("805009020A 00000000000000000000", 0x6A86),
    ),
    case(
        "CMD-004",
        ("The length is told before the key", "长度错误先于密钥错误"),
        (PBOC, ONE),
        send("805001020A 7F7EFFFFFF0000000000", 0x6700),
    ),
    case(
        "CMD-005",
        ("The key is told before the balance", "密钥错误先于余额不足"),
        (PBOC, ONE),
        send("805001020B" + NO_KEY + "0F", 0x9403),
    ),
    case(
        "CMD-006",
        ("The PIN is told before the balance", "口令未验先于余额不足"),
        (PBOC, ONE),
        send("805001010B" + FORTUNE + "0F", 0x6982),
    ),
    case(
        "CMD-007",
        ("The key is told before the PIN", "密钥错误先于口令未验"),
        (PBOC, ASSUMED),
        send("805001010B" + NO_KEY + "0F", 0x9403),
    ),
    case(
        "CMD-008",
        ("More than the purse holds", "钱包余额不足"),
        (PBOC, SOURCES),
        send("805001020B" + FORTUNE + "0F", 0x9401),
    ),
    case(
        "CMD-009",
        ("An offset behind the end", "偏移超出文件"),
        (ISO, SOURCES),
        send("00B095FF01", 0x6B00),
    ),
    case(
        "CMD-010",
        ("A file that is not there", "文件不存在"),
        (ISO, SOURCES),
        send("00B09D0000", 0x6A82),
    ),
    case(
        "CMD-011",
        ("Records of a file without records", "对透明文件读记录"),
        (ISO, SOURCES),
        send("00B201AC00", 0x6981),
    ),
    case(
        "CMD-012",
        ("A record that is not there", "记录不存在"),
        (ISO, SOURCES),
        send("00B263C400", 0x6A83),
    ),
    case(
        "CMD-013",
        ("CREDIT without INITIALIZE", "未初始化的入账"),
        (PBOC, SOURCES),
        send("805200000B 20260901120000 00000000 04", 0x6985),
        needs=WRITES,
    ),
    case(
        "CMD-014",
        ("DEBIT FOR UNLOAD without INITIALIZE", "未初始化的圈提"),
        (PBOC, SOURCES),
        send("805403000B 20260901120000 00000000 04", 0x6985),
        needs=WRITES,
    ),
    case(
        "CMD-015",
        ("UPDATE OVERDRAW LIMIT without INITIALIZE", "未初始化的修改透支限额"),
        (PBOC, SOURCES),
        send("805800000E 000064 20260901120000 00000000 04", 0x6985),
        needs=WRITES,
    ),
    case(
        "CMD-016",
        ("GET TRANSACTION PROVE of what never was", "不存在的交易认证"),
        (PBOC, SOURCES),
        send("805A000102FFFF08", 0x9406),
    ),
)
BALANCES: Final = (
    case(
        "BAL-001",
        ("The purse tells its balance to anybody", "钱包余额任意读取"),
        (PBOC, SOURCES),
        send("805C000204", size=4),
    ),
    case(
        "BAL-002",
        ("The deposit tells its balance after the PIN only", "存折余额须验证口令后读取"),
        (PBOC, SOURCES),
        send("805C000104", 0x6982),
    ),
    case(
        "BAL-003",
        ("After the PIN the deposit tells its balance", "验证口令后可读存折余额"),
        (PBOC, SOURCES),
        with_pin(),
        send("805C000104", size=4),
        needs=WRITES,
    ),
    case(
        "BAL-004",
        ("INITIALIZE tells the purse's balance", "初始化应答中的钱包余额一致"),
        (PBOC, SOURCES),
        send("805C000204", keep="told"),
        send("805001020B {index} 00000000 {terminal} 0F", keep="opened", size=15),
        check(
            lambda b: bytes(b.values["opened"])[:4] == b.values["told"],
            "both are the same amount",
            "两者金额相同",
        ),
    ),
    case(
        "BAL-005",
        ("INITIALIZE tells the deposit's balance", "初始化应答中的存折余额一致"),
        (PBOC, SOURCES),
        with_pin(),
        send("805C000104", keep="told"),
        send("805001010B {index} 00000000 {terminal} 0F", keep="opened", size=15),
        check(
            lambda b: bytes(b.values["opened"])[:4] == b.values["told"],
            "both are the same amount of the deposit",
            "存折两处金额相同",
        ),
        needs=WRITES,
    ),
    case(
        "BAL-006",
        ("There is no third purse", "不存在第三个钱包"),
        (PBOC, ASSUMED),
        send("805C000304", 0x6A86),
    ),
    case(
        "BAL-007",
        ("The variants of T-Union are unknown", "不支持交通联合的余额变体"),
        (PBOC, ASSUMED),
        send("805C010204", 0x6A86),
    ),
    case(
        "BAL-008",
        ("A wrong Le is told", "读余额长度错误时给出正确长度"),
        (PBOC, SOURCES),
        right_length("805C000210"),
    ),
)
PINS: Final = (
    case(
        "PIN-001",
        ("The right PIN", "口令正确"),
        (PBOC, SOURCES),
        pins(),
        verify("{pin}"),
        needs=WRITES,
    ),
    case(
        "PIN-002",
        ("Wrong PINs are counted, the right one gives the tries back", "错误口令计数，正确后恢复"),
        (PBOC, SOURCES),
        do(_falls, "63Cx, and as many again after the right PIN", "63Cx，正确口令后次数恢复"),
        needs=WRITES,
    ),
    case(
        "PIN-003",
        ("A reset forgets the PIN", "复位后口令状态失效"),
        (PBOC, SOURCES),
        with_pin(),
        off(),
        send("805C000104", 0x6982),
        needs=WRITES,
    ),
    case(
        "PIN-004",
        ("SELECT forgets the PIN", "重新选择后口令状态失效"),
        (PBOC, SOURCES),
        with_pin(),
        send("00A40000023F00"),
        Step(lambda b: _ignore(b.select())),
        send("805C000104", 0x6982),
        needs=WRITES,
    ),
    case(
        "PIN-005",
        ("A PIN of nine bytes", "口令长度错误"),
        (PBOC, ONE),
        send("0020000009 112233445566778899", 0x6700),
        needs=WRITES,
    ),
    case(
        "PIN-006",
        ("A PIN that is not there", "口令密钥不存在"),
        (VENDOR, ONE),
        send("0020000703 112233", 0x6A88),
        needs=WRITES,
    ),
    case(
        "PIN-007",
        ("CHANGE PIN changes it", "修改口令生效"),
        (PBOC, SOURCES),
        pins(),
        change("{pin}", "{other}"),
        verify("{pin}", 0x63C0, "the PIN of before"),
        verify("{other}", what="the new PIN"),
        change("{other}", "{pin}"),
        verify("{pin}"),
        needs=WRITES,
    ),
    case(
        "PIN-008",
        ("CHANGE PIN with a wrong PIN changes nothing", "原口令错误时不修改"),
        (PBOC, SOURCES),
        pins(),
        change("{other}", "{other}", 0x63C0),
        verify("{pin}"),
        needs=WRITES,
    ),
    case(
        "PIN-009",
        ("CHANGE PIN without the byte between", "修改口令缺少分隔字节"),
        (PBOC, ONE),
        send("805E010004 11223344", 0x6700),
        needs=WRITES,
    ),
    case(
        "PIN-010",
        ("RELOAD PIN sets a new one", "重装口令生效"),
        (PBOC, SOURCES),
        pins(),
        reload("{other}"),
        verify("{other}", what="the new PIN"),
        reload("{pin}"),
        verify("{pin}"),
        needs=WRITES,
    ),
    case(
        "PIN-011",
        ("RELOAD PIN with a wrong MAC sets nothing", "MAC 错误时不重装口令"),
        (PBOC, SOURCES),
        pins(),
        reload("{other}", 0x9302, wrong=True),
        verify("{pin}"),
        reload("{pin}"),
        needs=WRITES,
    ),
    case(
        "PIN-012",
        ("Tries of the PIN do not come back with the power", "断电不恢复口令次数"),
        (PBOC, SOURCES),
        do(_falls_over_resets, "one less after a reset", "复位后继续递减"),
        needs=LOCKS,
    ),
    case(
        "PIN-013",
        ("The PIN is blocked after its tries, RELOAD revives it", "口令锁定后可重装"),
        (PBOC, SOURCES),
        exhausted(),
        reload("{pin}"),
        verify("{pin}"),
        needs=LOCKS,
    ),
    case(
        "PIN-014",
        ("PIN UNBLOCK revives a blocked PIN", "口令解锁恢复口令"),
        (PBOC, SOURCES),
        exhausted(),
        message("PIN UNBLOCK", 0x9000, UNBLOCK_PIN),
        verify("{pin}"),
        needs=LOCKS,
    ),
    case(
        "PIN-015",
        ("PIN UNBLOCK with a wrong MAC revives nothing", "MAC 错误的口令解锁无效"),
        (PBOC, SOURCES),
        exhausted(),
        message("PIN UNBLOCK", 0x6988, WRONG_UNBLOCK),
        verify("{pin}", 0x6983),
        message("PIN UNBLOCK", 0x9000, UNBLOCK_PIN),
        needs=LOCKS,
    ),
    case(
        "PIN-016",
        ("A PIN that is not blocked is not unblocked", "未锁定的口令不可解锁"),
        (PBOC, ONE),
        pins(),
        message("PIN UNBLOCK", 0x6985, UNBLOCK_PIN),
        needs=LOCKS,
    ),
    case(
        "PIN-017",
        ("A blocked PIN stays blocked over a reset", "复位不能解除口令锁定"),
        (PBOC, SOURCES),
        exhausted(),
        off(),
        verify("{pin}", 0x6983),
        reload("{pin}"),
        needs=LOCKS,
    ),
)
RESPONSES: Final = (
    case(
        "RSP-001",
        ("INITIALIZE announces its answer, GET RESPONSE gives it", "初始化应答经取响应返回"),
        ("ISO/IEC 7816-3 T=0", SOURCES),
        _wire("805001020B" + INIT.replace("00000001", "00000000") + "0F", 0x610F),
        send("00C000000F", size=15),
    ),
    case(
        "RSP-002",
        ("An answer may be fetched in parts", "应答可分段取回"),
        ("ISO/IEC 7816-3 T=0", SOURCES),
        do(_parts, "61xx counts what is left; the parts are the whole", "61xx 给出剩余长度，分段合并完整"),
    ),
    case(
        "RSP-003",
        ("More is asked than waits", "取响应长度过大"),
        ("ISO/IEC 7816-3 T=0", SOURCES),
        _wire("805001020B" + INIT.replace("00000001", "00000000") + "0F", 0x610F),
        _wire("00C0000020", 0x6C0F),
        _wire("00C000000F", 0x9000),
    ),
    case(
        "RSP-004",
        ("Nothing waits", "无可取的响应"),
        (VENDOR, ASSUMED),
        quiet("805C000204"),
        _wire("00C0000004", 0x6985),
    ),
    case(
        "RSP-005",
        ("The next command discards what waits", "后续指令清除待取响应"),
        ("ISO/IEC 7816-3 T=0", ONE),
        _wire("805001020B" + INIT.replace("00000001", "00000000") + "0F", 0x610F),
        _wire("805C000204", 0x9000),
        _wire("00C000000F", 0x6985),
    ),
    case(
        "RSP-006",
        ("A reset discards what waits", "复位清除待取响应"),
        ("ISO/IEC 7816-3 T=0", SOURCES),
        _wire("805001020B" + INIT.replace("00000001", "00000000") + "0F", 0x610F),
        off(),
        quiet("805C000204"),
        _wire("00C000000F", 0x6985),
    ),
    case(
        "RSP-007",
        ("GET RESPONSE does not end the transaction", "取响应不中断交易"),
        (PBOC, SOURCES),
        _wire("805001020B" + INIT.replace("00000001", "00000000") + "0F", 0x610F),
        _wire("00C000000F", 0x9000),
        _wire("805401000F 00000001 20260901120000 00000000 08", 0x9302),
        needs=WRITES,
    ),
)


def _ignore(_: object) -> None:
    return None


CASES: Final = (*STRUCTURE, *COMMANDS, *BALANCES, *PINS, *RESPONSES)
