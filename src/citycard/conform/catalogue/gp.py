# SPDX-License-Identifier: Apache-2.0
"""Issuer security domains: what they tell, SCP02 and SCP03, the registry, keys, the card's life.

Source: Card Specification 2.3, chapter 11 and Appendix E; SCP03: Amendment D (card facts section 7).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from citycard.conform.bench import Bench
from citycard.conform.catalogue import declare
from citycard.conform.catalogue.declare import (
    ASSUMED,
    COMPUTED,
    GPC,
    ISO,
    LOCKS,
    ONE,
    SCP3,
    SOURCES,
    UNKNOWN,
    WRITES,
)
from citycard.conform.keyring import LabKeys
from citycard.conform.model import Case, Failed, Step
from citycard.conform.steps import ANY_REFUSAL, check, do, same, select, send, tag
from citycard.conform.steps_card import told
from citycard.conform.steps_gp import (
    HOST,
    OVER,
    entries,
    opened,
    opens_channel,
    put,
    sends,
    status,
    through,
    updated,
)
from citycard.core.apdu import Command
from citycard.core.gp.channel import authentication
from citycard.core.gp.client import Subset
from citycard.core.gp.keys import AES, DES, KeySet
from citycard.core.tlv import parse

case = partial(declare.case, prefix="GP")
SCP02, SCP03 = 0x20, 0x30  # versions of the key sets
PUT_VERSION: Final = 0x31
LAB_SET: Final = KeySet(bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)), AES)  # put and deleted
LAB_DES_SET: Final = KeySet(bytes(range(1, 17)), bytes(range(17, 33)), bytes(range(33, 49)), DES)
DELETE_PUT: Final = Command(0x80, 0xE4, 0x00, 0x00, bytes((0xD2, 1, PUT_VERSION)), 256)
NOBODY: Final = bytes.fromhex("F0000000000001")
TRIES_MAX: Final = 300  # a domain may give one byte of them
OID: Final = bytes.fromhex("2A864886FC6B")
CARD, CARD_LOCKED, SECURED = 0x80, 0x7F, 0x0F


def _issuer(bench: Bench) -> None:
    """GET STATUS of the issuer's domain: itself, alone, with life and privileges."""
    found = entries(bench.values["rows"])
    if len(found) != 1 or not found[0].get(0x4F, b"").startswith(bench.kind.aid):
        raise Failed("it does not list itself, alone", "未单独列出自身")
    if len(found[0].get(0x9F70, b"")) not in (1, 2) or not found[0].get(0xC5):
        raise Failed("its entry tells no life or no privileges", "条目缺少状态或权限")


def _rows(subset: Subset, needed: frozenset[int]) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        answer = through(bench, status(subset))
        told(answer, (0x9000, 0x6310, 0x6A88), "GET STATUS", bench)
        for fields in entries(answer.data):
            if not needed <= fields.keys() or not 5 <= len(fields[0x4F]) <= 16:
                raise Failed("an entry lacks fields or has no whole AID", "条目缺少字段或 AID 长度错误")

    return run


def _begins(bench: Bench) -> None:
    """Entries for the beginning of an AID all begin so."""
    for fields in entries(bench.values["rows"]):
        if not fields[0x4F].startswith(bench.kind.aid[:5]):
            raise Failed("an entry that was not asked for", "返回了未请求的条目")


def _key_rows(bench: Bench) -> None:
    rows = [value for tag_, value in parse(bench.values["keys"]) if tag_ == 0xC0]
    if not rows or any(len(row) < 4 for row in rows):
        raise Failed("a key's row is not whole", "密钥信息条目不完整")
    versions = {row[1] for row in rows}
    if not set(bench.lab().sets) <= versions:
        raise Failed(f"versions {sorted(versions)} are told", f"所列版本为 {sorted(versions)}")


def _fresh(version: int) -> Callable[[Bench], None]:
    """Two sessions have two challenges."""

    def run(bench: Bench) -> None:
        first, _ = updated(bench, version)
        second, _ = updated(bench, version)
        if (first.sequence, first.challenge) == (second.sequence, second.challenge):
            raise Failed("two sessions have the same challenge", "两次会话的随机数相同")

    return run


def _replayed(bench: Bench) -> None:
    """EXTERNAL AUTHENTICATE that opened a session opens no other."""
    told(opened(bench, SCP03, 1), 0x9000, "EXTERNAL AUTHENTICATE", bench)
    told(bench.send(bench.trace[-1].command), OVER, "the same again", bench)


def _counts(bench: Bench) -> None:
    """SCP02's sequence counter goes up by one with each session."""
    first, _ = updated(bench, SCP02)
    opened(bench, SCP02, 1)
    second, _ = updated(bench, SCP02)
    if int.from_bytes(second.sequence, "big") != int.from_bytes(first.sequence, "big") + 1:
        raise Failed("the sequence counter did not go up by one", "序列计数器未加一")


def _exhaust(bench: Bench) -> None:
    """Wrong cryptograms until the keys are blocked; other keys still work."""
    for _ in range(TRIES_MAX):
        answer = bench.send(Command(0x80, 0x50, SCP02, 0x00, HOST, 256).encode())
        if answer.sw == 0x6983:
            break
        sw = opened(bench, SCP02, 1, "cryptogram").sw
        if sw != 0x6300:
            raise Failed(f"a wrong cryptogram answers {sw:04X}", f"错误密文应答 {sw:04X}")
    else:
        raise Failed("the keys are never blocked", "密钥始终未锁定")
    told(opened(bench, SCP03, 1), 0x9000, "the other key set", bench)


def _with_put_keys(bench: Bench) -> None:
    """The keys that were put open a channel."""
    own = bench.keys
    bench.keys = LabKeys(sets={PUT_VERSION: LAB_SET})
    try:
        told(opened(bench, PUT_VERSION, 3), 0x9000, "EXTERNAL AUTHENTICATE", bench)
    finally:
        bench.keys = own


def _levels(group: str, version: int, clause: str, levels: tuple[int, ...]) -> tuple[Case, ...]:
    return tuple(
        case(
            f"{group}-{number:03d}",
            (f"{group}: level {level:02X}", f"{group}：级别 {level:02X}"),
            (clause, COMPUTED),
            opens_channel(version, level),
            sends("GET STATUS", status(Subset.ISSUER), keep="rows"),
            do(_issuer, "the domain lists itself", "列出安全域自身"),
            needs=WRITES,
        )
        for number, level in enumerate(levels, 1)
    )


def _refusals(group: str, version: int, clause: str, first: int) -> tuple[Case, ...]:
    """What a channel of either protocol must refuse."""

    def one(number: int, title: tuple[str, str], *steps: Step) -> Case:
        told_ = (f"{group}: {title[0]}", f"{group}：{title[1]}")
        return case(f"{group}-{first + number:03d}", told_, (clause, SOURCES), *steps, needs=WRITES)

    over = sends("GET STATUS", status(Subset.ISSUER), OVER, "mac")
    return (
        one(
            0,
            ("a wrong host cryptogram", "主机密文错误"),
            opens_channel(version, 1, 0x6300, "cryptogram"),
            opens_channel(version, 1),
        ),
        one(
            1,
            ("a wrong MAC at EXTERNAL AUTHENTICATE", "外部认证 MAC 错误"),
            opens_channel(version, 1, (0x6982, 0x6988), "mac"),
            opens_channel(version, 1),
        ),
        one(
            2,
            ("a level there is not", "级别不存在"),
            opens_channel(version, 0x40, (0x6A86, 0x6A80)),
            opens_channel(version, 1),
        ),
        one(
            3,
            ("a command without a MAC", "会话中指令无 MAC"),
            opens_channel(version, 1),
            sends("GET STATUS", status(Subset.ISSUER), OVER, "none"),
        ),
        one(4, ("a command with a wrong MAC", "会话中指令 MAC 错误"), opens_channel(version, 1), over),
        one(
            5,
            ("a command sent twice", "会话中指令重放"),
            opens_channel(version, 1),
            sends("GET STATUS", status(Subset.ISSUER), OVER, "replay"),
        ),
        one(
            6,
            ("a wrong MAC ends the session", "MAC 错误后会话终止"),
            opens_channel(version, 1),
            over,
            sends("GET STATUS again", status(Subset.ISSUER), OVER),
        ),
        one(
            7,
            ("SELECT ends the session", "重新选择后会话终止"),
            opens_channel(version, 1),
            select(),
            sends("GET STATUS", status(Subset.ISSUER), OVER),
        ),
    )


TELLING: Final = (
    case(
        "STR-001",
        ("The domain is selected by its AID", "按 AID 选择安全域"),
        (GPC, SOURCES),
        select(keep="fci"),
        tag("fci", 0x6F, 0x84, keep="name"),
        check(lambda b: bytes(b.values["name"]).startswith(b.kind.aid), "84 is its AID", "标签 84 为其 AID"),
        selects=False,
    ),
    case(
        "STR-002",
        ("SELECT without a name means the issuer's domain", "空名称选择发卡方安全域"),
        (GPC, SOURCES),
        send("00A4040000", keep="fci"),
        tag("fci", 0x6F, 0x84, keep="name"),
        select(keep="fci"),
        tag("fci", 0x6F, 0x84, keep="again"),
        same("name", "again", "the same domain by name", "与按名称选择一致"),
        selects=False,
    ),
    case(
        "STR-003",
        ("The FCI holds card recognition data", "FCI 含卡识别数据"),
        (GPC, SOURCES),
        select(keep="fci"),
        tag("fci", 0x6F, 0xA5, 0x73, 0x06, keep="oid"),
        check(
            lambda b: bytes(b.values["oid"]).startswith(OID),
            "its OID is GlobalPlatform's",
            "OID 属于 GlobalPlatform",
        ),
    ),
    case(
        "STR-004",
        ("Nobody has this name", "名称不存在"),
        (ISO, SOURCES),
        send("00A4040007 F0000000000001 00", 0x6A82),
    ),
    case(
        "DAT-001",
        ("GET DATA: card data", "取数据：卡数据"),
        (GPC, SOURCES),
        send("80CA006600", keep="data"),
        tag("data", 0x66, 0x73, 0x06, keep="oid"),
    ),
    case(
        "DAT-002",
        ("GET DATA: key information", "取数据：密钥信息"),
        (GPC, SOURCES),
        send("80CA00E000", keep="data"),
        tag("data", 0xE0, keep="keys"),
        do(_key_rows, "whole rows, for every version we have", "条目完整，含已有版本"),
        needs=WRITES,
    ),
    case(
        "DAT-003",
        ("GET DATA: production life cycle", "取数据：生产生命周期数据"),
        (GPC, SOURCES),
        send("80CA9F7F00", keep="data"),
        tag("data", 0x9F7F, keep="cplc", size=42),
    ),
    case(
        "DAT-004",
        ("GET DATA: an object there is not", "取数据：对象不存在"),
        (GPC, SOURCES),
        send("80CA5F7E00", 0x6A88),
    ),
    case(
        "DAT-005",
        ("GET DATA: capabilities", "取数据：卡能力"),
        (GPC, ONE),
        send("80CA006700", keep="data"),
        tag("data", 0x67, 0xA0, 0x80, keep="protocol", size=1),
    ),
    case(
        "CMD-001",
        ("An unknown instruction", "未知指令"),
        (ISO, SOURCES),
        send("8002000000", 0x6D00),
        needs=UNKNOWN,
    ),
    case(
        "CMD-002",
        ("GET STATUS without a session", "无会话查询状态"),
        (GPC, SOURCES),
        send("80F28002024F0000", OVER),
        needs=WRITES,
    ),
    case(
        "CMD-003",
        ("PUT KEY without a session", "无会话写密钥"),
        (GPC, SOURCES),
        send("80D8008103 310000", OVER),
        needs=WRITES,
    ),
    case(
        "CMD-004",
        ("DELETE without a session", "无会话删除"),
        (GPC, SOURCES),
        send("80E4000009 4F07F0000000000001", OVER),
        needs=WRITES,
    ),
)
OPENINGS: Final = (
    case(
        "INI-001",
        ("INITIALIZE UPDATE for keys that are not there", "密钥版本不存在"),
        (GPC, SOURCES),
        send("80507E0008 C17ECA4DC0FFEE01 00", 0x6A88),
        needs=WRITES,
    ),
    case(
        "INI-002",
        ("A host challenge of seven bytes", "主机随机数长度错误"),
        (GPC, SOURCES),
        send("8050000007 C17ECA4DC0FFEE 00", 0x6700),
        needs=WRITES,
    ),
    case(
        "INI-003",
        ("INITIALIZE UPDATE with P2", "初始化更新参数错误"),
        (GPC, ASSUMED),
        send("8050007708 C17ECA4DC0FFEE01 00", 0x6A86),
        needs=WRITES,
    ),
    case(
        "INI-004",
        ("EXTERNAL AUTHENTICATE alone", "未初始化更新的外部认证"),
        (GPC, SOURCES),
        send("8482010010" + "00" * 16, 0x6985),
        needs=WRITES,
    ),
    case(
        "INI-005",
        ("EXTERNAL AUTHENTICATE opens one session only", "外部认证不可重放"),
        (GPC, SOURCES),
        do(_replayed, "sent again it is refused", "重发被拒绝"),
        needs=WRITES,
    ),
    case(
        "INI-006",
        ("A command in between ends the opening", "其他指令使建立过程终止"),
        (GPC, ONE),
        do(lambda b: _interrupted(b), "EXTERNAL AUTHENTICATE answers 6985", "外部认证应答 6985"),
        needs=WRITES,
    ),
    *_levels("SC2", SCP02, GPC, (0x00, 0x01, 0x03)),
    *_refusals("SC2", SCP02, GPC, 4),
    case(
        "SC2-012",
        ("SC2: the sequence counter goes up", "SC2：序列计数器递增"),
        (GPC, SOURCES),
        do(_counts, "by one with each session", "每次会话加一"),
        needs=WRITES,
    ),
    *_levels("SC3", SCP03, SCP3, (0x00, 0x01, 0x03, 0x11, 0x13, 0x33)),
    *_refusals("SC3", SCP03, SCP3, 7),
    case(
        "SC3-015",
        ("SC3: two sessions have two challenges", "SC3：两次会话随机数不同"),
        (SCP3, SOURCES),
        do(_fresh(SCP03), "another challenge", "随机数不同"),
        needs=WRITES,
    ),
)


def _interrupted(bench: Bench) -> None:
    _, channel = updated(bench, SCP03)
    bench.send("80CA006600")
    told(bench.send(authentication(channel, 1).encode()), 0x6985, "EXTERNAL AUTHENTICATE", bench)


REGISTRY: Final = (
    case(
        "STA-001",
        ("Applications and their fields", "应用列表字段"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        do(
            _rows(Subset.APPLICATIONS, frozenset({0x4F, 0x9F70, 0xC5})),
            "AID, life, privileges",
            "AID、状态、权限",
        ),
        needs=WRITES,
    ),
    case(
        "STA-002",
        ("Load files and their fields", "装载文件列表字段"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        do(_rows(Subset.LOAD_FILES, frozenset({0x4F, 0x9F70})), "AID and life", "AID 与状态"),
        needs=WRITES,
    ),
    case(
        "STA-003",
        ("Load files with their modules", "装载文件及模块"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        do(
            _rows(Subset.LOAD_FILES_AND_MODULES, frozenset({0x4F, 0x9F70, 0x84})),
            "AID, life, modules",
            "AID、状态、模块",
        ),
        needs=WRITES,
    ),
    case(
        "STA-004",
        ("Entries by the beginning of an AID", "按 AID 前缀查询"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        sends("GET STATUS", status(Subset.ISSUER, bytes.fromhex("A000000151")), keep="rows"),
        do(_begins, "all begin so", "均以此开头"),
        do(_issuer, "the issuer's domain is among them", "包含发卡方安全域"),
        needs=WRITES,
    ),
    case(
        "STA-005",
        ("No such entry", "无匹配条目"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        sends("GET STATUS", status(Subset.APPLICATIONS, NOBODY), 0x6A88),
        needs=WRITES,
    ),
    case(
        "STA-006",
        ("More, when nothing was begun", "未开始即请求后续"),
        (GPC, ONE),
        opens_channel(SCP03, 1),
        sends("GET STATUS", status(Subset.APPLICATIONS, p2=0x03), (0x6985, 0x6A86, 0x6A88)),
        needs=WRITES,
    ),
    case(
        "STA-007",
        ("Search data that are no AID", "查询条件格式错误"),
        (GPC, ONE),
        opens_channel(SCP03, 1),
        sends("GET STATUS", Command(0x80, 0xF2, 0x40, 0x02, b"\x5c\x01\x4f", 256), (0x6A80, 0x6A88)),
        needs=WRITES,
    ),
)
KEYS: Final = (
    case(
        "KEY-001",
        ("PUT KEY adds a version, DELETE takes it away", "写入并删除密钥版本"),
        (GPC, SOURCES),
        opens_channel(SCP03, 3),
        put(LAB_SET, PUT_VERSION),
        do(_with_put_keys, "the new keys open a channel", "新密钥可建立会话"),
        opens_channel(SCP03, 1),
        sends("DELETE", DELETE_PUT),
        send("80503100 08 C17ECA4DC0FFEE01 00", 0x6A88),
        needs=WRITES,
    ),
    case(
        "KEY-002",
        ("PUT KEY through SCP02", "经 SCP02 写密钥"),
        (GPC, SOURCES),
        opens_channel(SCP02, 1),
        put(LAB_DES_SET, PUT_VERSION),
        sends("DELETE", DELETE_PUT),
        needs=WRITES,
    ),
    case(
        "KEY-003",
        ("PUT KEY with a wrong check value", "校验值错误的写密钥"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        put(LAB_SET, PUT_VERSION, lies=True),
        send("80503100 08 C17ECA4DC0FFEE01 00", 0x6A88),
        needs=WRITES,
    ),
    case(
        "KEY-004",
        ("PUT KEY for a version that is not there", "替换不存在的密钥版本"),
        (GPC, ONE),
        opens_channel(SCP03, 1),
        put(LAB_SET, PUT_VERSION, replaces=0x7D),
        needs=WRITES,
    ),
    case(
        "KEY-005",
        ("DELETE of a version that is not there", "删除不存在的密钥版本"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        sends("DELETE", Command(0x80, 0xE4, 0, 0, bytes((0xD2, 1, 0x7D)), 256), 0x6A88),
        needs=WRITES,
    ),
    case(
        "KEY-006",
        ("DELETE of nobody", "删除不存在的应用"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        sends("DELETE", Command(0x80, 0xE4, 0, 0, bytes((0x4F, len(NOBODY))) + NOBODY, 256), 0x6A88),
        needs=WRITES,
    ),
    case(
        "KEY-007",
        ("The issuer's domain does not delete itself", "发卡方安全域不可删除"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        do(lambda b: _keeps_itself(b), "DELETE is refused, and it is still there", "删除被拒绝，仍然存在"),
        needs=LOCKS,
    ),
)


def _keeps_itself(bench: Bench) -> None:
    name = bench.kind.aid
    answer = through(bench, Command(0x80, 0xE4, 0, 0, bytes((0x4F, len(name))) + name, 256))
    if answer.ok:
        raise Failed("DELETE of the issuer's domain answers 9000", "删除发卡方安全域应答 9000")
    bench.select()


LOCKING: Final = (
    case(
        "LCK-001",
        ("A locked card tells so, and is unlocked again", "锁卡并恢复"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        sends("SET STATUS: locked", Command(0x80, 0xF0, CARD, CARD_LOCKED)),
        send("00A4040000", 0x6283),
        opens_channel(SCP03, 1),
        sends("SET STATUS: secured", Command(0x80, 0xF0, CARD, SECURED)),
        send("00A4040000"),
        needs=LOCKS,
    ),
    case(
        "LCK-002",
        ("A locked card takes no keys", "锁卡后不可写密钥"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        sends("SET STATUS: locked", Command(0x80, 0xF0, CARD, CARD_LOCKED)),
        sends("PUT KEY", Command(0x80, 0xD8, 0x00, 0x81, bytes((PUT_VERSION, 0, 0)), 256), 0x6985),
        send("00A4040000", 0x6283),
        opens_channel(SCP03, 1),
        sends("SET STATUS: secured", Command(0x80, 0xF0, CARD, SECURED)),
        needs=LOCKS,
    ),
    case(
        "LCK-003",
        ("Wrong cryptograms block a key set", "错误密文超限锁定密钥组"),
        (GPC, ASSUMED),
        do(_exhaust, "6300, then 6983; the other set still works", "6300，之后 6983；其他密钥组可用"),
        needs=LOCKS,
        ruins=True,
    ),
    case(
        "LCK-004",
        ("A terminated card is terminated for ever", "终止的卡不可恢复"),
        (GPC, SOURCES),
        opens_channel(SCP03, 1),
        sends("SET STATUS: terminated", Command(0x80, 0xF0, CARD, 0xFF)),
        do(lambda b: _ignore(b.power()), "after a reset", "复位后"),
        send("00A4040000", ANY_REFUSAL),
        send("8050000008 C17ECA4DC0FFEE01 00", ANY_REFUSAL),
        needs=LOCKS,
        ruins=True,
    ),
)


def _ignore(_: object) -> None:
    return None


CASES: Final = (*TELLING, *OPENINGS, *REGISTRY, *KEYS, *LOCKING)
