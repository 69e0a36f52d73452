# SPDX-License-Identifier: Apache-2.0
"""CMD: status words and which of two wrongs is told first (card facts 1.5); nothing is written.

The order of checks is: class, instruction, P1 P2, Lc, Le, then file or key, rights, transaction.
"""

from __future__ import annotations

from typing import Final

from citycard.conform.catalogue.declare import ASSUMED, ISO, JTT, ONE, PBOC, SOURCES, WRITES, case
from citycard.conform.model import Need
from citycard.conform.steps import ANY_REFUSAL, check, right_length, send

WRITE: Final = frozenset({Need.WRITE})
INIT: Final = "{index} 00000000 {terminal}"

CASES: Final = (
    case("CMD-001", ("Unknown instruction", "未知指令"), (ISO, SOURCES), send("00 6A 00 00 00", 0x6D00)),
    case("CMD-002", ("Unknown class", "未知类别"), (ISO, SOURCES), send("FF A4 00 00 00", 0x6E00)),
    case(
        "CMD-003",
        ("The class is judged before the instruction", "先判类别，后判指令"),
        (ISO, ONE),
        send("FF 6A 00 00 00", 0x6E00),
    ),
    case(
        "CMD-004",
        ("Unknown application", "未知应用"),
        (ISO, SOURCES),
        send("00A4040007 F0000000000001 00", 0x6A82),
    ),
    case("CMD-005", ("Unknown file", "未知文件"), (ISO, SOURCES), send("00A4000002 7FFE", 0x6A82)),
    case(
        "CMD-006",
        ("SELECT with unknown P1 P2", "SELECT 参数错误"),
        (ISO, SOURCES),
        send("00A4 7F55 02 0015", 0x6A86),
    ),
    case(
        "CMD-007",
        ("SELECT with a file identifier of three bytes", "SELECT 文件标识长度错误"),
        (ISO, SOURCES),
        send("00A4000003 001500", 0x6700),
    ),
    case(
        "CMD-008",
        ("Lc promises more than follows", "Lc 大于实际数据长度"),
        (ISO, SOURCES),
        send("00A4040008 A0000006320101", 0x6700),
    ),
    case(
        "CMD-009",
        ("READ BINARY of a file that is not there", "读取不存在的文件"),
        (ISO, SOURCES),
        send("00B09C0000", 0x6A82),
    ),
    case(
        "CMD-010",
        ("READ BINARY of a record file", "以二进制方式读记录文件"),
        (ISO, SOURCES),
        send("00B0980000", 0x6981),
    ),
    case(
        "CMD-011", ("READ BINARY beyond the end", "偏移超出文件"), (ISO, SOURCES), send("00B0951E01", 0x6B00)
    ),
    case(
        "CMD-012",
        ("READ BINARY of more than there is", "读取长度超出文件"),
        (ISO, SOURCES),
        right_length("00B0950064"),
    ),
    case(
        "CMD-013",
        ("READ BINARY without a current file", "无当前文件时读取"),
        (ISO, SOURCES),
        send("00B0000001", 0x6986),
    ),
    case(
        "CMD-014",
        ("READ BINARY with reserved bits in P1", "READ BINARY P1 保留位"),
        (ISO, ONE),
        send("00B0F50000", 0x6A86),
    ),
    case(
        "CMD-015",
        ("READ RECORD of a transparent file", "以记录方式读二进制文件"),
        (ISO, SOURCES),
        send("00B201AC00", 0x6981),
    ),
    case(
        "CMD-016",
        ("READ RECORD of a record that is not there", "读取不存在的记录"),
        (ISO, SOURCES),
        send("00B213D400", 0x6A83),
    ),
    case(
        "CMD-017",
        ("READ RECORD of a file that is not there", "读取不存在的记录文件"),
        (ISO, SOURCES),
        send("00B201E400", 0x6A82),
    ),
    case(
        "CMD-018",
        ("READ RECORD with an unknown way of asking", "READ RECORD 方式错误"),
        (ISO, ONE),
        send("00B201D700", 0x6A86),
    ),
    case(
        "CMD-019",
        ("READ RECORD of an unknown identifier", "读取未知标识的记录"),
        (PBOC, SOURCES),
        send("00B27FD000", 0x6A83),
    ),
    case(
        "CMD-020",
        ("READ RECORD with a wrong Le", "READ RECORD 长度错误"),
        (ISO, SOURCES),
        right_length("00B201D410"),
    ),
    case(
        "CMD-021",
        ("GET CHALLENGE gives 4 bytes", "取 4 字节随机数"),
        (ISO, SOURCES),
        send("0084000004", size=4),
    ),
    case(
        "CMD-022",
        ("GET CHALLENGE gives 8 bytes", "取 8 字节随机数"),
        (ISO, SOURCES),
        send("0084000008", size=8),
    ),
    case(
        "CMD-023",
        ("GET CHALLENGE with unknown P1", "GET CHALLENGE 参数错误"),
        (ISO, SOURCES),
        send("0084010004", 0x6A86),
    ),
    case(
        "CMD-024",
        ("GET BALANCE gives 4 bytes", "查询余额返回 4 字节"),
        (PBOC, SOURCES),
        send("805C000204", size=4),
    ),
    case(
        "CMD-025",
        ("GET BALANCE of an unknown purse", "查询未知钱包余额"),
        (PBOC, ONE),
        send("805C000F04", 0x6A86),
    ),
    case(
        "CMD-026",
        ("GET BALANCE with a wrong Le", "查询余额长度错误"),
        (PBOC, ONE),
        right_length("805C000205"),
    ),
    case(
        "CMD-027",
        ("GET TRANSACTION PROVE of a transaction that was not", "取不存在交易的认证"),
        (PBOC, SOURCES),
        send("805A00FE02 FFFF 08", 0x9406),
    ),
    case(
        "CMD-028",
        ("GET TRANSACTION PROVE with one byte", "取交易认证数据长度错误"),
        (PBOC, ONE),
        send("805A000601 00 08", 0x6700),
    ),
    case(
        "CMD-029",
        ("GET TRANSACTION PROVE with unknown P1", "取交易认证参数错误"),
        (PBOC, ONE),
        send("805A7F0602 0001 08", 0x6A86),
    ),
    case(
        "CMD-030",
        ("INITIALIZE with a short field", "初始化数据长度错误"),
        (PBOC, SOURCES),
        send("805001020A {index} 00000000 9900000001 0F", 0x6700),
    ),
    case(
        "CMD-031",
        ("INITIALIZE with an unknown key index", "初始化密钥索引不存在"),
        (PBOC, SOURCES),
        send("805001020B 7F 00000000 {terminal} 0F", 0x9403),
    ),
    case(
        "CMD-032",
        ("INITIALIZE FOR LOAD with an unknown key index", "圈存初始化密钥索引不存在"),
        (PBOC, SOURCES),
        send("805000020B 7F 00000001 {terminal} 10", 0x9403),
    ),
    case(
        "CMD-033",
        ("INITIALIZE of more than there is", "初始化金额超过余额"),
        (PBOC, SOURCES),
        send("805001020B {index} FFFFFFFF {terminal} 0F", 0x9401),
    ),
    case(
        "CMD-034",
        ("Composite INITIALIZE of more than there is", "复合消费初始化金额超过余额"),
        (PBOC, SOURCES),
        send("805003020B {index} FFFFFFFF {terminal} 0F", 0x9401),
    ),
    case(
        "CMD-035",
        ("INITIALIZE of an unknown kind", "初始化交易种类未知"),
        (PBOC, ONE),
        send("80507F020B" + INIT + "0F", 0x6A86),
    ),
    case(
        "CMD-036",
        ("P1 P2 are judged before Lc", "先判 P1P2，后判 Lc"),
        (ISO, ASSUMED),
        send("80507F020A {index} 00000000 9900000001 0F", 0x6A86),
    ),
    case(
        "CMD-037",
        ("Lc is judged before the key", "先判 Lc，后判密钥"),
        (ISO, ASSUMED),
        send("805001020A 7F 00000000 9900000001 0F", 0x6700),
    ),
    case(
        "CMD-038",
        ("The key is judged before the balance", "先判密钥，后判余额"),
        (PBOC, ASSUMED),
        send("805001020B 7F FFFFFFFF {terminal} 0F", 0x9403),
    ),
    case(
        "CMD-039",
        ("The file is judged before the offset", "先判文件，后判偏移"),
        (ISO, ASSUMED),
        send("00B09CFF00", 0x6A82),
    ),
    case(
        "CMD-040",
        ("INITIALIZE needs a purse", "无钱包的应用不能初始化"),
        (PBOC, ONE),
        send("00A40000023F00"),
        send("805001020B" + INIT + "0F", ANY_REFUSAL),
    ),
    case(
        "CMD-041",
        ("UPDATE CAPP DATA CACHE without INITIALIZE", "未初始化时更新复合缓存"),
        (PBOC, SOURCES),
        send("80DC00F030" + "00" * 48, 0x6985),
        needs=WRITE,
    ),
    case(
        "CMD-042",
        ("DEBIT without INITIALIZE", "未初始化时扣款"),
        (PBOC, SOURCES),
        send("805401000F 00000001 20260101120000 00000000 08", 0x6985),
        needs=WRITE,
    ),
    case(
        "CMD-043",
        ("CREDIT without INITIALIZE", "未初始化时入账"),
        (PBOC, SOURCES),
        send("805200000B 20260101120000 00000000 04", 0x6985),
        needs=WRITE,
    ),
    case(
        "CMD-044",
        ("DEBIT with a short field", "扣款数据长度错误"),
        (PBOC, SOURCES),
        send("805401000E 00000001 20260101120000 000000 08", 0x6700),
        needs=WRITE,
    ),
    case(
        "CMD-045",
        ("CREDIT with a short field", "入账数据长度错误"),
        (PBOC, SOURCES),
        send("805200000A 20260101120000 000000 04", 0x6700),
        needs=WRITE,
    ),
    case(
        "CMD-046",
        ("A plain write to file 0015 is refused", "明文写 0015 文件被拒绝"),
        (PBOC, SOURCES),
        send("00B095001E", keep="file"),
        send("00D695001E {file}", 0x6982),
        needs=WRITE,
    ),
    case(
        "CMD-047",
        ("The log cannot be written", "交易明细不可写"),
        (PBOC, SOURCES),
        send("00DC01C417" + "00" * 23, ANY_REFUSAL),
        send("00E200C017" + "00" * 23, ANY_REFUSAL),
        needs=WRITE,
    ),
    case(
        "CMD-048",
        ("EXTERNAL AUTHENTICATE without a challenge", "未取随机数时外部认证"),
        (PBOC, SOURCES),
        send("00820000 {proof}", 0x6984),
        needs=WRITE,
    ),
    case(
        "CMD-049",
        ("EXTERNAL AUTHENTICATE with an unknown key", "外部认证密钥不存在"),
        (PBOC, SOURCES),
        send("0084000008"),
        send("0082007F {proof}", (0x6A88, 0x9403)),
        needs=WRITE,
    ),
    case(
        "CMD-050",
        ("A protected write without a challenge", "未取随机数时安全报文写"),
        (PBOC, SOURCES),
        send("04D6950005 00 00000000", 0x6984),
        needs=WRITE,
    ),
    case(
        "CMD-051",
        ("A protected write without a MAC", "缺少 MAC 的安全报文"),
        (PBOC, ONE),
        send("0084000004"),
        send("04D6950002 0000", (0x6987, 0x6700)),
        needs=WRITE,
    ),
    case(
        "CMD-052",
        ("A protected write to a file that is not there", "安全报文写不存在的文件"),
        (PBOC, ASSUMED),
        send("0084000004"),
        send("04D69C0005 00 00000000", 0x6A82),
        needs=WRITE,
    ),
    case(
        "CMD-053",
        ("A key cannot be written in plain", "密钥不可明文写入"),
        (PBOC, SOURCES),
        send("80D43E0115 3EF0F00100" + "11" * 16, ANY_REFUSAL),
        needs=WRITES,
    ),
    case(
        "CMD-054",
        ("The answer to reset is an ATR", "复位应答为 ATR"),
        ("ISO/IEC 7816-3", SOURCES),
        check(lambda b: b.power()[:1] in (b"\x3b", b"\x3f"), "it begins with 3B or 3F", "以 3B 或 3F 开头"),
        selects=False,
    ),
    case(
        "CMD-055",
        ("INTEROPERABLE: GET BALANCE needs no authentication", "查询余额无需认证"),
        (JTT, SOURCES),
        send("805C030204", size=4),
    ),
)
