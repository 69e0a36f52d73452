# SPDX-License-Identifier: Apache-2.0
"""Files in words: which file a command means, and the fields of its content by its declared layout."""

from __future__ import annotations

from typing import Final

from citycard.core import mohurd, tunion
from citycard.core.apdu import SHORT_MAX, Command
from citycard.core.layout import Layout
from citycard.core.trace import layouts
from citycard.core.trace.context import DOMAIN, MF, MOHURD, SAM_APP, T_UNION, Context
from citycard.core.trace.cut import Cut
from citycard.core.trace.values import Words, plain
from citycard.core.trace.words import TRANSACTIONS

TITLES: Final[dict[str, dict[int, Words]]] = {
    T_UNION: {
        tunion.SFI_PUBLIC: Words("public application info", "公共应用基本数据"),
        tunion.SFI_HOLDER: Words("holder", "持卡人基本数据"),
        tunion.SFI_KIND: Words("management info", "管理信息"),
        tunion.SFI_LOG: Words("transaction log", "交易明细"),
        tunion.SFI_INDUSTRY: Words("industry records", "行业复合记录"),
        tunion.SFI_TRANSIT: Words("public-transport process", "公共交通过程信息"),
    },
    MOHURD: {
        mohurd.SFI_AWAY: Words("use in other cities", "异地消费明细"),
        mohurd.SFI_PUBLIC: Words("public application info", "公共应用基本数据"),
        mohurd.SFI_COMPOSITE: Words("composite records", "复合消费记录"),
        mohurd.SFI_LOG: Words("purchase log", "消费明细"),
        mohurd.SFI_LOAD_LOG: Words("load log", "充值明细"),
    },
    MF: {mohurd.SFI_CARD: Words("card information", "卡片公共信息")},
    SAM_APP: {
        0x15: Words("public file of the module", "模块公共信息"),
        0x16: Words("terminal number", "终端机编号"),
        0x17: Words("key index", "密钥索引"),
    },
}


def transaction(txn: int) -> Words:
    """A transaction type byte in words."""
    return TRANSACTIONS.get(txn) or Words(f"transaction {txn:02X}", f"类型 {txn:02X}")


def _of(context: Context) -> str:
    """The application whose files are meant; before a SELECT was seen, the purse."""
    return context.application or T_UNION


def title(sfi: int, context: Context) -> Words:
    """A file by its number and, where it is known, its name."""
    if not sfi:
        return Words("the current file", "当前文件")
    known = TITLES.get(_of(context), {}).get(sfi)
    return Words(f"EF{sfi:02X} {known.en}", f"EF{sfi:02X} {known.zh}") if known else plain(f"EF{sfi:02X}")


def layout_of(sfi: int, context: Context) -> Layout | None:
    """The declared layout of a file of the selected application."""
    return layouts.FILES.get(_of(context), {}).get(sfi)


# Binary files


def place(command: Command, context: Context) -> tuple[int, int]:
    """SFI and offset that a binary command means; SFI 0 is an unnamed current file."""
    if command.p1 & 0x80:
        return command.p1 & 0x1F, command.p2
    return context.file, (command.p1 & 0x7F) << 8 | command.p2


def binary(command: Command, context: Context) -> Words:
    """Which file, from which byte."""
    sfi, offset = place(command, context)
    where = title(sfi, context)
    return (
        where if not offset else Words(f"{where.en}, from byte {offset}", f"{where.zh}，自第 {offset} 字节")
    )


def binary_data(cut: Cut, command: Command, context: Context) -> None:
    """The content of a binary file, or a stretch of it."""
    sfi, offset = place(command, context)
    layout = layout_of(sfi, context)
    if layout is mohurd.PUBLIC and (command.le, cut.left) == (SHORT_MAX, tunion.PUBLIC.size):
        layout = tunion.PUBLIC  # the whole file has 30 bytes: PBOC's, under the same AID
    if layout is not None:
        cut.layout(layout, offset)


# Records


def record(command: Command, context: Context) -> Words:
    """Which record of which file; how it is meant follows from the low bits of P2."""
    sfi, how = command.p2 >> 3 or context.file, command.p2 & 0x07
    where = title(sfi, context)
    if command.p1 == 0 and how == 0:
        return Words(f"{where.en}, a new record", f"{where.zh}，新记录")
    if how == 0x04:
        return Words(f"{where.en}, record {command.p1}", f"{where.zh}，第 {command.p1} 条记录")
    return Words(f"{where.en}, record id {command.p1:02X}", f"{where.zh}，记录标识 {command.p1:02X}")


def appended(command: Command, context: Context) -> Words:
    """The file that gets a record."""
    return title(command.p2 >> 3 or context.file, context)


def record_data(cut: Cut, command: Command, context: Context) -> None:
    """One record by its file's layout; an industry record that is not the metro's by its head alone."""
    sfi = command.p2 >> 3 or context.file
    layout = layout_of(sfi, context)
    if layout is tunion.METRO and not cut.raw.startswith(tunion.TAG_METRO.to_bytes(2, "big"), cut.at):
        layout = layouts.INDUSTRY_HEAD
    if layout is not None:
        cut.layout(layout)
    elif context.application == MF:
        cut.tlv()


# SELECT's answer


def fci(cut: Cut, command: Command, context: Context) -> None:
    """File control information; 9F0C is the public file EF15, or its first 30 bytes."""
    public = layout_of(tunion.SFI_PUBLIC, context)

    def value(inner: Cut, tag: int, size: int) -> bool:
        if tag != 0x9F0C or public is None or size != tunion.PUBLIC.size:
            return False
        inner.layout(public)
        return True

    if context.application != DOMAIN or cut.raw[cut.at : cut.at + 1] == b"\x6f":
        cut.tlv(value)
