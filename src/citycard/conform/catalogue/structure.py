# SPDX-License-Identifier: Apache-2.0
"""STR: the application, its FCI and its files; nothing is written (card facts 1.1, 1.6, 4.2)."""

from __future__ import annotations

from typing import Any, Final

from citycard.conform.bench import Bench
from citycard.conform.catalogue.declare import ASSUMED, ISO, JTT, ONE, PBOC, SOURCES, case
from citycard.conform.steps import (
    ANY_REFUSAL,
    check,
    differ,
    each,
    fields,
    quiet,
    read_records,
    right_length,
    same,
    select,
    send,
    tag,
    unless_blank,
)
from citycard.core import tunion
from citycard.core.layout import Layout, LayoutError
from citycard.core.purse import Txn

MF_NAME: Final = b"2PAY.SYS.DDF01".hex()
READ_15: Final = "00B095001E"
RECORD_1A: Final = "00B2{n}D480"
KINDS_KNOWN: Final = frozenset(range(1, 6)) | {0x10, 0x11, 0x12}
LOGGED: Final = frozenset(Txn)
ORDERED: Final = {Txn.EP_LOAD: "online", Txn.ED_LOAD: "online"}


def _decodes(layout: Layout) -> Any:
    def good(_: int, record: bytes) -> bool:
        try:
            layout.decode(record)
        except LayoutError:
            return False
        return True

    return good


def _counters_fall(bench: Bench) -> bool:
    """Newest first: the counters of loads, and those of purchases, never rise on the way down."""
    last: dict[str, int] = {}
    for record in bench.values["log"]:
        row = tunion.LOG.decode(record)
        kind = ORDERED.get(row["txn"], "offline")
        if row["counter"] >= last.get(kind, 0x10000):
            return False
        last[kind] = row["counter"]
    return True


def _industry(number: int, record: bytes) -> bool:
    wanted = tunion.INDUSTRY_TAGS[number - 1].to_bytes(2, "big")
    return len(record) == tunion.INDUSTRY_SIZE and record[:2] == wanted


CASES: Final = (
    case(
        "STR-001",
        ("The purse is selected by its AID", "按 AID 选择电子钱包应用"),
        (JTT, SOURCES),
        send("00A4040008 {aid} 00"),
        selects=False,
    ),
    case(
        "STR-002",
        ("The FCI names the application", "FCI 给出应用名称"),
        (ISO, SOURCES),
        select("fci"),
        tag("fci", 0x6F, 0x84, keep="name"),
        same("name", "aid", "the DF name is the AID", "DF 名称等于 AID"),
        selects=False,
    ),
    case(
        "STR-003",
        ("The FCI holds 30 bytes of issuer data", "FCI 含 30 字节发卡方数据"),
        (JTT, SOURCES),
        select("fci"),
        tag("fci", 0x6F, 0xA5, 0x9F0C, keep="public", size=30),
        selects=False,
    ),
    case(
        "STR-004",
        ("Issuer data in the FCI are file 0015", "FCI 发卡方数据与 0015 文件一致"),
        (JTT, SOURCES),
        select("fci"),
        tag("fci", 0x6F, 0xA5, 0x9F0C, keep="public"),
        send(READ_15, keep="file"),
        same("public", "file", "both are the same bytes", "两者一致"),
        selects=False,
    ),
    case(
        "STR-005",
        ("The FCI tells the application version", "FCI 给出应用版本"),
        (JTT, ONE),
        select("fci"),
        tag("fci", 0x6F, 0xA5, 0x9F08, keep="version", size=1),
        selects=False,
    ),
    case(
        "STR-006",
        ("The environment 2PAY.SYS.DDF01 is selected by name", "按名称选择 2PAY.SYS.DDF01"),
        (JTT, SOURCES),
        select("fci", MF_NAME),
        tag("fci", 0x6F, 0x84, keep="name"),
        check(
            lambda b: bool(b.values["name"].hex() == MF_NAME),
            "the DF name is the environment's",
            "DF 名称为环境名",
        ),
        selects=False,
    ),
    case(
        "STR-007",
        ("The master file is selected by 3F00", "按 3F00 选择主文件"),
        (ISO, SOURCES),
        send("00A40000023F00"),
    ),
    case(
        "STR-008", ("File 0015 has 30 bytes", "0015 文件为 30 字节"), (JTT, SOURCES), send(READ_15, size=30)
    ),
    case(
        "STR-009",
        ("File 0015: issuer, dates and flags are valid", "0015 文件：发卡机构、日期、标志有效"),
        (JTT, SOURCES),
        send(READ_15, keep="file"),
        fields(
            "file",
            tunion.PUBLIC,
            {"enabled": (0, 1), "issuer": lambda v: v[0] >> 4 == 0 and v[4:] == b"\xff" * 4},
        ),
        check(
            lambda b: (
                b.values["file."]["valid_from"] is not None
                and b.values["file."]["valid_until"] is not None
                and b.values["file."]["valid_from"] < b.values["file."]["valid_until"]
            ),
            "the card begins to be valid before it expires",
            "启用日期早于失效日期",
        ),
    ),
    case(
        "STR-010",
        ("File 0015: the card number has 19 digits after a 0", "0015 文件：卡号为 0 加 19 位数字"),
        (JTT, SOURCES),
        send(READ_15, keep="file"),
        fields("file", tunion.PUBLIC, {"pan": lambda v: v.isdigit() and v[0] == "0"}),
    ),
    case(
        "STR-011",
        ("File 0016 (holder) has 55 bytes", "0016 持卡人文件为 55 字节"),
        (JTT, SOURCES),
        send("00B0960037", size=55),
    ),
    case(
        "STR-012",
        ("File 0017 tells country, interoperability and class", "0017 文件给出国家、互通标识和卡种"),
        (JTT, SOURCES),
        send("00B097000B", size=11, keep="kind"),
        fields(
            "kind",
            tunion.CARD_KIND,
            {
                "country": ("00000156",),
                "interoperable": ("0000", "0001"),
                "card_class": lambda v: v in KINDS_KNOWN,
            },
        ),
    ),
    case(
        "STR-013",
        ("Log records have 23 bytes and decode", "交易明细为 23 字节且格式正确"),
        (PBOC, SOURCES),
        read_records(tunion.SFI_LOG, "log", 11),
        each("log", _decodes(tunion.LOG), "each record is a log record", "每条记录均符合明细格式"),
    ),
    case(
        "STR-014",
        ("The log tells known transaction types", "交易明细的交易类型有效"),
        (PBOC, SOURCES),
        read_records(tunion.SFI_LOG, "log", 10),
        each("log", lambda _, r: r[9] in LOGGED, "each type is one of the purse's", "交易类型均有效"),
    ),
    case(
        "STR-015",
        ("The log is newest first", "交易明细按由新到旧排列"),
        (PBOC, SOURCES),
        read_records(tunion.SFI_LOG, "log", 10),
        check(_counters_fall, "counters fall from record to record", "计数器逐条递减"),
    ),
    case(
        "STR-016",
        ("The log ends at ten records", "交易明细最多 10 条"),
        (JTT, SOURCES),
        send("00B20BC400", 0x6A83),
    ),
    case(
        "STR-017",
        ("File 001A holds records 2701 to 2712 of 128 bytes", "001A 文件含 2701 至 2712 共 18 条记录"),
        (JTT, SOURCES),
        read_records(tunion.SFI_INDUSTRY, "industry", 19),
        each("industry", _industry, "each record has its tag and its length", "标签与长度正确", (18,)),
    ),
    case(
        "STR-018",
        ("A record of 001A is found by its identifier", "001A 记录可按标识读取"),
        (PBOC, SOURCES),
        send("00B205D400", keep="number"),
        send("00B205D000", keep="identifier"),
        same("number", "identifier", "by number and by identifier it is one record", "按号与按标识读取一致"),
    ),
    case(
        "STR-019",
        ("Transit records have 48 bytes and decode", "公交过程记录为 48 字节"),
        (JTT, SOURCES),
        read_records(tunion.SFI_TRANSIT, "transit", 31),
        each(
            "transit",
            lambda _, r: len(r) == tunion.TRANSIT.size,
            "each record has 48 bytes",
            "每条记录 48 字节",
            range(31),
        ),
    ),
    case(
        "STR-020",
        ("The transit file ends at thirty records", "公交过程文件最多 30 条"),
        (JTT, SOURCES),
        send("00B21FF400", 0x6A83),
    ),
    case(
        "STR-021",
        ("Le 00 reads a file to its end", "Le=00 读至文件末尾"),
        (ISO, SOURCES),
        send("00B0950000", size=30),
    ),
    case(
        "STR-022",
        ("Reading from an offset gives the rest", "按偏移读取得到其余部分"),
        (ISO, SOURCES),
        send(READ_15, keep="file"),
        send("00B0950A14", keep="rest"),
        check(
            lambda b: bool(b.values["rest"] == b.values["file"][10:]),
            "it is the file's last 20 bytes",
            "等于文件末 20 字节",
        ),
    ),
    case(
        "STR-023",
        ("A selected file is read by offset alone", "选定文件后可直接按偏移读取"),
        (ISO, SOURCES),
        send("00A40000020017"),
        send("00B000000B", keep="current"),
        send("00B097000B", keep="by_sfi"),
        same("current", "by_sfi", "current file and SFI give the same", "当前文件与 SFI 读取一致"),
    ),
    case(
        "STR-024",
        ("The purse is found by the beginning of its AID", "可按 AID 前缀选择"),
        (ISO, SOURCES),
        select("fci", "A000000632"),
        tag("fci", 0x6F, 0x84, keep="name"),
        check(
            lambda b: bool(b.values["name"][:5].hex().upper() == "A000000632"),
            "an application of the T-Union RID answers",
            "应答应用属于交通联合 RID",
        ),
        selects=False,
    ),
    case(
        "STR-025",
        ("The key file cannot be read", "密钥文件不可读"),
        (PBOC, SOURCES),
        quiet("00A40000020000"),
        send("00B0000000", ANY_REFUSAL),
    ),
    case(
        "STR-026",
        ("The purse file cannot be read as a file", "钱包文件不可按文件读取"),
        (PBOC, SOURCES),
        send("00B0820000", ANY_REFUSAL),
    ),
    case(
        "STR-027",
        ("Under the master file the purse's files are out of reach", "主文件下不能访问钱包应用文件"),
        (ISO, SOURCES),
        send("00A40000023F00"),
        send("00B0950000", 0x6A82),
    ),
    case(
        "STR-028",
        ("A reset selects the master file", "复位后当前为主文件"),
        (ISO, ONE),
        send("00B0950000", 0x6A82),
        selects=False,
    ),
    case(
        "STR-029",
        ("Each industry record is a place of its own", "行业记录各自独立"),
        (JTT, ONE),
        send("00B201D400", keep="one"),
        send("00B202D400", keep="two"),
        differ("one", "two", "2701 and 2702 are two records", "2701 与 2702 为不同记录"),
    ),
    case(
        "STR-030",
        ("A wrong Le on a log record is told", "明细读取长度错误时给出正确长度"),
        (PBOC, ASSUMED),
        send("00B201C400", (0x9000, 0x6A83), keep="log"),
        unless_blank("log", "the log is empty", "明细为空"),
        right_length("00B201C410"),
    ),
)
