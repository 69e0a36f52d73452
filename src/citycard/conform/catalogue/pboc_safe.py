# SPDX-License-Identifier: Apache-2.0
"""PBOC cards: authentication both ways, secure messaging in all its forms, blocking.

Source: card facts 1.1, 1.4, 1.7, 3.1. Files 0003, 0004, 0006 and keys 30 to 32 are the laboratory's own
(`conform.stock`); a card without them is not tested for what needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from citycard.conform.bench import Bench
from citycard.conform.catalogue import declare
from citycard.conform.catalogue.declare import ISO, LOCKS, ONE, PBOC, SOURCES, VENDOR, WRITES
from citycard.conform.catalogue.security import authenticate, authentication
from citycard.conform.model import Case, Failed, Step
from citycard.conform.steps import do, prepare, send
from citycard.conform.steps_card import Message, keeps, message, read_secured, says, there, told
from citycard.core.apdu import Command

case = partial(declare.case, prefix="PB")
TRIES_MAX: Final = 15
SAMPLE: Final = bytes.fromhex("0102030405060708")
TEXT: Final = "53797374656D20746573742030313233"
OTHER: Final = "4F74686572206461746120616C736F21"
BLOCK, BLOCK_FOR_EVER, UNBLOCK, CARD_BLOCK = "841E0000", "841E0001", "84180000", "84160000"
WRITE_15, WRITE_ENC, READ_MAC, READ_ENC = "04D69500", "04D68300", "04B08400", "04B08600"
PUBLIC: Final = "{public}"


def _public() -> Step:
    """Prepare: file 0015 as `public`, which a good MAC writes back."""
    return prepare(lambda b: b.values.update(public=b.ok("00B095001E")))


def _internal(p1: int, id_: int = 1, data: bytes = SAMPLE) -> Callable[[Bench], bytes]:
    return lambda bench: Command(0x00, 0x88, p1, id_, data, 256).encode()


def _internal_is(name: str, p1: int) -> Callable[[Bench], None]:
    """INTERNAL AUTHENTICATE gives what the key makes of the data."""

    def run(bench: Bench) -> None:
        keys = bench.lab()
        wanted = {
            "encrypt": lambda: keys.encrypt("encrypt", SAMPLE),
            "decrypt": lambda: keys.decrypt("decrypt", SAMPLE),
            "mac": lambda: keys.mac_under("mac", SAMPLE, bytes(8)),
        }[name]()
        if bench.ok(_internal(p1)(bench)) != wanted:
            raise Failed("the answer is not what the key makes of the data", "应答与密钥运算结果不符")

    return run


def _without_challenge(bench: Bench) -> bytes:
    command = authentication(bench)
    bench.send("805C000204")
    return command


def _numbered(bench: Bench) -> bytes:
    command = authentication(bench)
    return command[:3] + b"\x09" + command[4:]


def _exhaust_control(bench: Bench) -> None:
    """Wrong cryptograms until the control key is blocked; then the right one is refused as well."""
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
    told(bench.send(authentication(bench)), 0x6983, "the right cryptogram", bench)


def _exhaust_unblock(bench: Bench) -> None:
    """Wrong MACs at APPLICATION UNBLOCK until the application is dead."""
    for _ in range(TRIES_MAX):
        sw = bench.send(Message(UNBLOCK, tamper="mac").made(bench)).sw
        if sw == 0x9303:
            return
        if sw != 0x6988:
            raise Failed(f"a wrong MAC answers {sw:04X}", f"MAC 错误应答 {sw:04X}")
    raise Failed("it never says 9303", "始终未应答 9303")


def _dead(bench: Bench) -> None:
    """Whatever comes, 6A81; after a reset as well."""
    for _ in range(2):
        for command in (bench.kind.home, b"\x00\x84\x00\x00\x08", b"\x80\x5c\x00\x02\x04"):
            told(bench.send(command), 0x6A81, "a command to the blocked card", bench)
        bench.power()


def off() -> Step:
    """The field goes and comes again; nothing is selected, for SELECT may be what is refused."""
    return prepare(lambda b: _ignore(b.power()))


def home(sw: int) -> Step:
    """SELECT answers a status word."""
    return says("SELECT", sw, lambda b: b.kind.home)


def _ignore(_: object) -> None:
    return None


def _wrong_write(number: str, tamper: str, sw: int) -> Case:
    return case(
        f"SEC-{number}",
        (f"A write under a MAC, tampered: {tamper}", f"安全报文写被篡改：{tamper}"),
        (PBOC, SOURCES),
        _public(),
        message("UPDATE BINARY", sw, Message(WRITE_15, PUBLIC, tamper=tamper)),
        send("00B095001E", data="{public}"),
        message("UPDATE BINARY", 0x9000, Message(WRITE_15, PUBLIC)),
        needs=WRITES,
    )


AUTHENTICATIONS: Final = (
    case(
        "SEC-001",
        ("External authentication", "外部认证"),
        (PBOC, SOURCES),
        authenticate(),
        needs=WRITES,
    ),
    case(
        "SEC-002",
        ("A wrong cryptogram tells the tries left", "外部认证错误给出剩余次数"),
        (PBOC, SOURCES),
        authenticate(None, wrong=True),
        authenticate(),
        needs=WRITES,
    ),
    case(
        "SEC-003",
        ("No challenge just before", "外部认证前无随机数"),
        (PBOC, SOURCES),
        says("EXTERNAL AUTHENTICATE", 0x6984, _without_challenge),
        needs=WRITES,
    ),
    case(
        "SEC-004",
        ("A control key that is not there", "外部认证密钥不存在"),
        (VENDOR, ONE),
        says("EXTERNAL AUTHENTICATE", 0x6A88, _numbered),
        needs=WRITES,
    ),
    case(
        "SEC-005",
        ("A cryptogram of seven bytes", "外部认证长度错误"),
        (PBOC, SOURCES),
        send("0084000008"),
        send("0082000007 11223344556677", 0x6700),
        needs=WRITES,
    ),
    case(
        "INT-001",
        ("Internal authentication enciphers", "内部认证：加密"),
        (VENDOR, SOURCES),
        there("0088000108010203040506070808", "key 30"),
        do(_internal_is("encrypt", 0), "the data enciphered under key 30", "密钥 30 加密结果"),
        needs=WRITES,
    ),
    case(
        "INT-002",
        ("Internal authentication deciphers", "内部认证：解密"),
        (VENDOR, SOURCES),
        there("0088010108010203040506070808", "key 31"),
        do(_internal_is("decrypt", 1), "the data deciphered under key 31", "密钥 31 解密结果"),
        needs=WRITES,
    ),
    case(
        "INT-003",
        ("Internal authentication makes a MAC", "内部认证：计算 MAC"),
        (VENDOR, SOURCES),
        there("0088020108010203040506070804", "key 32"),
        do(_internal_is("mac", 2), "the MAC under key 32", "密钥 32 的 MAC"),
        needs=WRITES,
    ),
    case(
        "INT-004",
        ("Internal authentication of a ragged block", "内部认证数据非整块"),
        (VENDOR, ONE),
        there("0088000108010203040506070808", "key 30 to cipher with"),
        says("INTERNAL AUTHENTICATE", 0x6700, _internal(0, data=SAMPLE[:7])),
        needs=WRITES,
    ),
    case(
        "INT-005",
        ("An internal key that is not there", "内部认证密钥不存在"),
        (VENDOR, ONE),
        says("INTERNAL AUTHENTICATE", 0x6A88, _internal(0, 9)),
    ),
    case(
        "INT-006",
        ("Internal authentication with an unknown P1", "内部认证参数错误"),
        (VENDOR, ONE),
        says("INTERNAL AUTHENTICATE", 0x6A86, _internal(7)),
    ),
)
MESSAGES: Final = (
    case(
        "SEC-006",
        ("A write under a MAC", "安全报文写（MAC）"),
        (PBOC, SOURCES),
        _public(),
        message("UPDATE BINARY", 0x9000, Message(WRITE_15, PUBLIC)),
        send("00B095001E", data="{public}"),
        needs=WRITES,
    ),
    case(
        "SEC-007",
        ("A protected file is not written in plain", "受保护文件不可明文写"),
        (PBOC, SOURCES),
        _public(),
        says("UPDATE BINARY", 0x6987, lambda b: Command(0x00, 0xD6, 0x95, 0, b.values["public"]).encode()),
        needs=WRITES,
    ),
    case(
        "SEC-008",
        ("A MAC over a challenge of eight bytes", "8 字节随机数的 MAC"),
        (PBOC, ONE),
        _public(),
        message("UPDATE BINARY", 0x9000, Message(WRITE_15, PUBLIC, size=8)),
        needs=WRITES,
    ),
    _wrong_write("009", "mac", 0x6988),
    _wrong_write("010", "data", 0x6988),
    _wrong_write("011", "header", 0x6988),
    _wrong_write("012", "none", 0x6984),
    _wrong_write("013", "stale", 0x6988),
    case(
        "SEC-014",
        ("A secured command without a MAC", "安全报文缺少 MAC"),
        (PBOC, SOURCES),
        send("0084000004"),
        send("04D6950003 112233", 0x6987),
        needs=WRITES,
    ),
    case(
        "SEC-015",
        ("An enciphered write is stored in plain", "密文写入后为明文"),
        (PBOC, SOURCES),
        there("00B0830000", "file 0003"),
        message("UPDATE BINARY", 0x9000, Message(WRITE_ENC, TEXT, enciphered=True)),
        send("00B0830010", data=TEXT),
        message("UPDATE BINARY", 0x9000, Message(WRITE_ENC, OTHER, enciphered=True)),
        send("00B0830010", data=OTHER),
        needs=WRITES,
    ),
    case(
        "SEC-016",
        ("A file that wants cipher takes no plain data under a MAC", "加密文件拒绝仅 MAC 的明文"),
        (PBOC, ONE),
        there("00B0830000", "file 0003 for cipher"),
        message("UPDATE BINARY", (0x6A80, 0x6988), Message(WRITE_ENC, TEXT)),
        needs=WRITES,
    ),
    case(
        "SEC-017",
        ("A cipher whose length is a lie", "密文长度字节错误"),
        (VENDOR, ONE),
        there("00B0830000", "file 0003 to lie to"),
        message("UPDATE BINARY", 0x6A80, Message(WRITE_ENC, TEXT, tamper="padding")),
        needs=WRITES,
    ),
    case(
        "SEC-018",
        ("A read under a MAC", "安全报文读"),
        (PBOC, SOURCES),
        there("00B0840000", "file 0004"),
        keeps("text", bytes.fromhex(TEXT)),
        says("UPDATE BINARY", 0x9000, lambda b: Command(0x00, 0xD6, 0x84, 0, b.values["text"]).encode()),
        message("READ BINARY", 0x9000, Message(READ_MAC, le=0), keep="answer"),
        read_secured("answer", TEXT),
        needs=WRITES,
    ),
    case(
        "SEC-019",
        ("A file to be read under a MAC is not read in plain", "须安全报文读的文件不可明文读"),
        (PBOC, ONE),
        there("00B0840000", "file 0004 to refuse"),
        send("00B0840010", 0x6987),
    ),
    case(
        "SEC-020",
        ("A read under a wrong MAC gives nothing", "MAC 错误的安全报文读"),
        (PBOC, SOURCES),
        there("00B0840000", "file 0004 to keep"),
        message("READ BINARY", 0x6988, Message(READ_MAC, tamper="mac", le=0)),
        message("READ BINARY", 0x9000, Message(READ_MAC, le=0)),
        needs=WRITES,
    ),
    case(
        "SEC-021",
        ("A read under a MAC of an enciphered file", "加密文件的安全报文读"),
        (VENDOR, ONE),
        there("00B0860000", "file 0006"),
        message("UPDATE BINARY", 0x9000, Message("04D68600", TEXT, enciphered=True)),
        message("READ BINARY", 0x9000, Message(READ_ENC, le=0), keep="answer"),
        read_secured("answer", TEXT, enciphered=True),
        needs=WRITES,
    ),
    case(
        "SEC-022",
        ("The MAC of an answer is made with the command's challenge", "应答 MAC 使用指令的随机数"),
        (VENDOR, ONE),
        there("00B0840000", "file 0004 to read twice"),
        says("UPDATE BINARY", 0x9000, lambda b: Command(0x00, 0xD6, 0x84, 0, bytes.fromhex(TEXT)).encode()),
        message("READ BINARY", 0x9000, Message(READ_MAC, le=0)),
        message("READ BINARY", 0x9000, Message(READ_MAC, le=0), keep="answer"),
        read_secured("answer", TEXT),
        needs=WRITES,
    ),
)
BLOCKS: Final = (
    case(
        "LCK-001",
        ("APPLICATION BLOCK with a wrong MAC blocks nothing", "MAC 错误的应用锁定无效"),
        (PBOC, SOURCES),
        _public(),
        message("APPLICATION BLOCK", 0x6988, Message(BLOCK, tamper="mac")),
        off(),
        home(0x9000),
        message("UPDATE BINARY", 0x9000, Message(WRITE_15, PUBLIC)),
        needs=LOCKS,
    ),
    case(
        "LCK-002",
        ("A blocked application is not selected", "锁定的应用不可选择"),
        (VENDOR, SOURCES),
        message("APPLICATION BLOCK", 0x9000, Message(BLOCK)),
        off(),
        home(0x6A81),
        message("APPLICATION UNBLOCK", 0x9000, Message(UNBLOCK)),
        needs=LOCKS,
    ),
    case(
        "LCK-003",
        ("A blocked application opens no transaction", "锁定的应用不可交易"),
        (PBOC, SOURCES),
        message("APPLICATION BLOCK", 0x9000, Message(BLOCK)),
        send("805001020B {index} 00000000 {terminal} 0F", 0x6A81),
        message("APPLICATION UNBLOCK", 0x9000, Message(UNBLOCK)),
        needs=LOCKS,
    ),
    case(
        "LCK-004",
        ("Unblocked, it works as before", "解锁后恢复正常"),
        (PBOC, SOURCES),
        message("APPLICATION BLOCK", 0x9000, Message(BLOCK)),
        message("APPLICATION UNBLOCK", 0x9000, Message(UNBLOCK)),
        off(),
        home(0x9000),
        send("805001020B {index} 00000000 {terminal} 0F", size=15),
        needs=LOCKS,
    ),
    case(
        "LCK-005",
        ("An application that is not blocked is not unblocked", "未锁定的应用不可解锁"),
        (PBOC, ONE),
        message("APPLICATION UNBLOCK", 0x6985, Message(UNBLOCK)),
        needs=LOCKS,
    ),
    case(
        "LCK-006",
        ("CARD BLOCK with the application's key blocks nothing", "应用密钥不能锁卡"),
        (PBOC, ONE),
        message("CARD BLOCK", 0x6988, Message(CARD_BLOCK)),
        off(),
        home(0x9000),
        needs=LOCKS,
    ),
    case(
        "LCK-007",
        ("CARD BLOCK without a challenge", "锁卡前无随机数"),
        (PBOC, SOURCES),
        message("CARD BLOCK", 0x6984, Message(CARD_BLOCK, key="mf_maintenance", tamper="none")),
        home(0x9000),
        needs=LOCKS,
    ),
    case(
        "LCK-008",
        ("The control key locks after its tries", "控制密钥达到错误次数后锁定"),
        (PBOC, SOURCES),
        do(_exhaust_control, "63Cx falling, then 6983 for good", "63Cx 递减，之后恒为 6983"),
        needs=LOCKS,
        ruins=True,
    ),
    case(
        "LCK-009",
        ("Wrong unblocking kills the application", "解锁失败超限应用永久锁定"),
        (PBOC, SOURCES),
        message("APPLICATION BLOCK", 0x9000, Message(BLOCK)),
        do(_exhaust_unblock, "6988, then 9303", "6988，之后 9303"),
        off(),
        home(0x6A81),
        needs=LOCKS,
        ruins=True,
    ),
    case(
        "LCK-010",
        ("Blocked for ever is for ever", "永久锁定不可恢复"),
        (PBOC, SOURCES),
        message("APPLICATION BLOCK for ever", 0x9000, Message(BLOCK_FOR_EVER)),
        message("APPLICATION UNBLOCK", 0x6985, Message(UNBLOCK)),
        off(),
        home(0x6A81),
        needs=LOCKS,
        ruins=True,
    ),
    case(
        "LCK-011",
        ("A blocked card answers nothing else, for ever", "锁卡后一律拒绝"),
        (ISO, SOURCES),
        message("CARD BLOCK", 0x9000, Message(CARD_BLOCK, key="mf_maintenance")),
        do(_dead, "6A81 to everything, after a reset too", "一律应答 6A81，复位后亦然"),
        needs=LOCKS,
        ruins=True,
    ),
)
CASES: Final = (*AUTHENTICATIONS, *MESSAGES, *BLOCKS)
