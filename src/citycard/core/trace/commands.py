# SPDX-License-Identifier: Apache-2.0
"""The command table: name of each command, its parameters in words, how its data and answer are cut.

Found by class (secure messaging and logical channels taken off) and instruction; where one instruction has
several meanings, by P1. Sources: card facts sections 1, 3.2, 6.2, 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from citycard.core.apdu import Command
from citycard.core.layout import Layout
from citycard.core.storage import access
from citycard.core.storage.classic import BLOCK, read_value, sector_of, trailer_of
from citycard.core.trace import files, layouts
from citycard.core.trace.context import DOMAIN, FIDS, Context, application_named
from citycard.core.trace.cut import Cut
from citycard.core.trace.values import NOTHING, Words, plain
from citycard.core.trace.words import KEY_TYPES, text

Cutter = Callable[[Cut, Command, Context], None]
Teller = Callable[[Command, Context], Words]


@dataclass(frozen=True, slots=True)
class Known:
    """A command: its name, what its parameters mean, how its data and its answer are cut.

    `txn` is the type of purse transaction that it opens; `keeps` says that its fields explain later MACs.
    """

    title: Words
    tell: Teller = lambda command, context: NOTHING
    request: Layout | Cutter | None = None
    answer: Layout | Cutter | None = None
    txn: int = 0
    keeps: bool = False

    @property
    def kept(self) -> bool:
        """Whether the fields of this command belong to the open transaction: all that have a layout do."""
        return self.keeps or isinstance(self.request, Layout) or isinstance(self.answer, Layout)


def cut_by(how: Layout | Cutter | None, cut: Cut, command: Command, context: Context) -> None:
    """Cut by a layout or a function; what neither takes is data."""
    if isinstance(how, Layout):
        cut.layout(how)
    elif how is not None:
        how(cut, command, context)
    cut.rest()


# Tellers and cutters


def _purse(command: Command, context: Context) -> Words:
    return {1: Words("deposit", "电子存折"), 2: Words("purse", "电子钱包")}.get(command.p2, NOTHING)


def _balance(command: Command, context: Context) -> Words:
    which = {
        0: Words("available", "可用余额"),
        1: Words("overdraft limit", "透支限额"),
        2: Words("overdrawn", "已透支额"),
        3: Words("without overdraft", "实际余额"),
        4: Words("cap", "余额上限"),
    }.get(command.p1, NOTHING)
    purse = _purse(command, context)
    return Words(f"{purse.en}, {which.en}".strip(", "), f"{purse.zh}{which.zh}")


def _select(command: Command, context: Context) -> Words:
    if command.p1 & 0x04:
        known = application_named(command.data)
        return known[1] if known else text(command.data)
    fid = int.from_bytes(command.data, "big")
    return FIDS[fid][1] if fid in FIDS else plain(f"{fid:04X}") if command.data else Words("MF", "主文件 MF")


def _select_request(cut: Cut, command: Command, context: Context) -> None:
    cut.take("aid" if command.p1 & 0x04 else "fid", cut.left, meaning=_select(command, context))


def _key_id(command: Command, context: Context) -> Words:
    return Words(f"key id {command.p2:02X}", f"密钥标识 {command.p2:02X}")


def _prove(command: Command, context: Context) -> Words:
    found = files.transaction(command.p2)
    return Words(f"of a {found.en}", f"类型：{found.zh}")


def _block(command: Command, context: Context) -> Words:
    return Words("for ever", "永久锁定") if command.p2 else Words("until unblocked", "临时锁定")


def _authentication(cut: Cut, command: Command, context: Context) -> None:
    cut.rest("proof")


def _pin(cut: Cut, command: Command, context: Context) -> None:
    cut.rest("pin", secret=True)


def _clear_key(cut: Cut, command: Command, context: Context) -> None:
    cut.rest("key_value", secret=True)


def _reload(cut: Cut, command: Command, context: Context) -> None:
    cut.take("pin", cut.left - 4, secret=True)
    cut.rest("mac")


def _challenge(cut: Cut, command: Command, context: Context) -> None:
    cut.rest("challenge")


def _write_key_tell(command: Command, context: Context) -> Words:
    kind = KEY_TYPES.get(command.p1 & 0x3F, plain(f"{command.p1:02X}"))
    added = command.p1 == 0x01
    how = Words("add a key", "增加密钥") if added else Words(f"replace the {kind.en}", f"修改{kind.zh}")
    return Words(f"{how.en}, id {command.p2:02X}", f"{how.zh}，标识 {command.p2:02X}")


def _write_key(cut: Cut, command: Command, context: Context) -> None:
    if command.cla & 0x04:
        cut.rest("cipher")
        return
    cut.layout(layouts.KEY_HEAD)
    cut.rest("key_value", secret=True)


def _create(command: Command, context: Context) -> Words:
    return Words(f"file {command.p1:02X}{command.p2:02X}", f"文件 {command.p1:02X}{command.p2:02X}")


def _sam_init(cut: Cut, command: Command, context: Context) -> None:
    cut.layout(layouts.SAM_INIT)
    while cut.left >= 8:
        cut.take("issuer_factor", 8)


def _factors(cut: Cut, command: Command, context: Context) -> None:
    while cut.left >= 8:
        cut.take("factor", 8)


def _delivery(command: Command, context: Context) -> Words:
    levels, kind = command.p1 >> 5, command.p1 & 0x1F
    use = {
        2: Words("purchase", "消费"),
        4: Words("MAC", "MAC"),
        5: Words("maintenance", "应用维护"),
        7: Words("encryption", "加密"),
    }.get(kind, plain(f"{kind:02X}"))
    return Words(
        f"{use.en} key, {levels} levels, version {command.p2}",
        f"{use.zh}密钥，{levels} 级分散，版本 {command.p2}",
    )


def _cipher_tell(command: Command, context: Context) -> Words:
    if not command.p1 & 0x01:
        return Words("encrypt", "加密")
    return Words("MAC with an IV", "带初始值计算 MAC") if command.p1 & 0x04 else Words("MAC", "计算 MAC")


def _cipher(cut: Cut, command: Command, context: Context) -> None:
    if command.p1 & 0x04:
        cut.take("challenge", 8)
    cut.rest("text")


def _cipher_answer(cut: Cut, command: Command, context: Context) -> None:
    cut.rest("mac" if command.p1 & 0x01 else "cipher")


def _channel(cut: Cut, command: Command, context: Context) -> None:
    """The answer to INITIALIZE UPDATE; its twelfth byte tells the protocol."""
    third = cut.left > 11 and cut.raw[cut.at + 11] == 3
    cut.layout(layouts.SCP03_ANSWER if third else layouts.SCP02_ANSWER)


def _level(command: Command, context: Context) -> Words:
    """Security level: C-MAC, C-ENC, R-MAC, R-ENC as bits of P1."""
    bits = {0x01: "C-MAC", 0x02: "C-ENC", 0x10: "R-MAC", 0x20: "R-ENC"}
    found = ", ".join(name for bit, name in bits.items() if command.p1 & bit)
    return plain(found) if found else Words("no protection after it", "之后无报文保护")


def _algorithm(command: Command, context: Context) -> Words:
    return {
        0: Words("which is in use", "查询当前算法"),
        1: Words("change", "切换算法"),
        2: Words("change", "切换算法"),
        3: Words("switch one off", "停用算法"),
    }.get(command.p1, NOTHING)


OBJECTS: Final = {
    0x0042: Words("issuer number", "发卡方标识号"),
    0x0045: Words("card image number", "卡映像号"),
    0x0066: Words("card data", "卡片识别数据"),
    0x0067: Words("card capabilities", "卡片能力信息"),
    0x00C1: Words("sequence counter", "序列计数器"),
    0x00E0: Words("key information", "密钥信息模板"),
    0x9F7F: Words("production life cycle (CPLC)", "卡生产周期数据（CPLC）"),
}


def _object(command: Command, context: Context) -> Words:
    tag = command.p1 << 8 | command.p2
    known = OBJECTS.get(tag, NOTHING)
    return Words(f"{tag:04X} {known.en}".strip(), f"{tag:04X} {known.zh}".strip())


def _block_number(command: Command, context: Context) -> Words:
    block = command.p1 << 8 | command.p2
    return Words(f"block {block}", f"第 {block} 块")


def _block_data(cut: Cut, command: Command, context: Context) -> None:
    """A block or pages of a storage card: a sector's trailer holds keys, a value block a number."""
    if cut.left != BLOCK:
        return
    block, raw = command.p1 << 8 | command.p2, cut.raw[cut.at : cut.at + BLOCK]
    written, value = command.ins == 0xD6, read_value(raw)
    if block == trailer_of(sector_of(block)) and (written or access.decode(raw[6:9]) is not None):
        cut.take("key_a", 6, secret=True)
        cut.take("access_bits", 4)
        cut.take("key_b", 6, secret=True)
    elif value is not None:
        cut.take("value", BLOCK, meaning=plain(str(value[0])))


def _sector(command: Command, context: Context) -> Words:
    """PC/SC part 3: version, block in two bytes, key A (60) or B (61), key number."""
    if len(command.data) != 5:
        return NOTHING
    block, key = command.data[1] << 8 | command.data[2], {0x60: "A", 0x61: "B"}.get(command.data[3], "?")
    return Words(f"block {block}, key {key}", f"第 {block} 块，密钥 {key}")


def _named(en: str, zh: str, **more: object) -> Known:
    return replace(Known(Words(en, zh)), **more)  # type: ignore[arg-type]


# The table

LOAD: Final = _named(
    "INITIALIZE FOR LOAD", "圈存初始化",
    tell=_purse, request=layouts.INIT, answer=layouts.INIT_LOAD_ANSWER, txn=0x02,
)  # fmt: skip
PURCHASE: Final = _named(
    "INITIALIZE FOR PURCHASE", "消费初始化",
    tell=_purse, request=layouts.INIT, answer=layouts.INIT_DEBIT_ANSWER, txn=0x06,
)  # fmt: skip
CASH: Final = replace(PURCHASE, title=Words("INITIALIZE FOR CASH WITHDRAWAL", "取现初始化"), txn=0x04)
COMPOSITE: Final = replace(
    PURCHASE, title=Words("INITIALIZE FOR CAPP PURCHASE", "复合应用消费初始化"), txn=0x09
)
UNLOAD: Final = replace(LOAD, title=Words("INITIALIZE FOR UNLOAD", "圈提初始化"), txn=0x03)
OVERDRAFT: Final = _named(
    "INITIALIZE FOR UPDATE", "修改透支限额初始化",
    tell=_purse, request=layouts.INIT_OVERDRAFT, answer=layouts.INIT_OVERDRAFT_ANSWER, txn=0x07,
)  # fmt: skip
DEBIT: Final = _named(
    "DEBIT FOR PURCHASE", "消费扣款", request=layouts.DEBIT, answer=layouts.DEBIT_ANSWER
)  # fmt: skip
DEBIT_UNLOAD: Final = _named(
    "DEBIT FOR UNLOAD", "圈提扣款", request=layouts.CREDIT, answer=layouts.UNLOAD_ANSWER
)  # fmt: skip
SELECT: Final = _named("SELECT", "选择文件", tell=_select, request=_select_request, answer=files.fci)
PROVE: Final = _named(
    "GET TRANSACTION PROVE", "取交易认证", tell=_prove, request=layouts.PROVE, answer=layouts.PROVE_ANSWER
)
SAM_INIT: Final = _named(
    "INIT SAM FOR PURCHASE", "安全模块消费初始化", request=_sam_init, answer=layouts.SAM_INIT_ANSWER
)

INIT_UPDATE: Final = _named(
    "INITIALIZE UPDATE", "安全通道初始化", request=layouts.INIT_UPDATE, answer=_channel
)

ByP1 = Mapping[int, Known]
COMMANDS: Final[dict[tuple[int, int], Known | ByP1]] = {
    (0x00, 0xA4): SELECT,
    (0x00, 0xB0): _named("READ BINARY", "读二进制文件", tell=files.binary, answer=files.binary_data),
    (0x00, 0xD6): _named("UPDATE BINARY", "写二进制文件", tell=files.binary, request=files.binary_data),
    (0x00, 0xD0): _named("WRITE BINARY", "写二进制文件", tell=files.binary, request=files.binary_data),
    (0x00, 0xB2): _named("READ RECORD", "读记录", tell=files.record, answer=files.record_data),
    (0x00, 0xDC): _named("UPDATE RECORD", "修改记录", tell=files.record, request=files.record_data),
    (0x00, 0xD2): _named("WRITE RECORD", "写记录", tell=files.record, request=files.record_data),
    (0x00, 0xE2): _named("APPEND RECORD", "追加记录", tell=files.appended, request=files.record_data),
    (0x00, 0x20): _named("VERIFY PIN", "核对口令", tell=_key_id, request=_pin),
    (0x00, 0x84): _named("GET CHALLENGE", "取随机数", answer=_challenge),
    (0x00, 0x82): _named("EXTERNAL AUTHENTICATE", "外部认证", tell=_key_id, request=_authentication),
    (0x00, 0x88): _named("INTERNAL AUTHENTICATE", "内部认证", tell=_key_id, answer=_authentication),
    (0x00, 0xC0): _named("GET RESPONSE", "取响应数据"),
    (0x00, 0x70): _named("MANAGE CHANNEL", "管理逻辑通道"),
    (0x80, 0x50): {
        0x00: LOAD, 0x01: PURCHASE, 0x02: CASH, 0x03: COMPOSITE, 0x04: OVERDRAFT, 0x05: UNLOAD,
        0x10: LOAD, 0x11: PURCHASE, 0x13: COMPOSITE, 0x14: OVERDRAFT, 0x15: UNLOAD,
    },
    (0x80, 0x52): _named("CREDIT FOR LOAD", "圈存", request=layouts.CREDIT, answer=layouts.CREDIT_ANSWER),
    (0x80, 0x54): {0x01: DEBIT, 0x03: DEBIT_UNLOAD, 0x11: DEBIT, 0x12: DEBIT, 0x13: DEBIT_UNLOAD},
    (0x80, 0x58): _named(
        "UPDATE OVERDRAW LIMIT", "修改透支限额", request=layouts.SET_OVERDRAFT, answer=layouts.CREDIT_ANSWER
    ),
    (0x80, 0xDC): _named(
        "UPDATE CAPP DATA CACHE", "更新复合应用数据缓存", tell=files.record, request=files.record_data
    ),
    (0x80, 0x5C): _named("GET BALANCE", "查询余额", tell=_balance, answer=layouts.BALANCE_ANSWER),
    (0x80, 0x5A): PROVE,
    (0x80, 0x1E): _named("APPLICATION BLOCK", "应用锁定", tell=_block),
    (0x80, 0x18): _named("APPLICATION UNBLOCK", "应用解锁"),
    (0x80, 0x16): _named("CARD BLOCK", "卡片锁定"),
    (0x80, 0x24): _named("PIN UNBLOCK", "口令解锁", request=lambda cut, *_: cut.rest("cipher")),
    (0x80, 0x5E): {
        0x00: _named("RELOAD PIN", "重装口令", tell=_key_id, request=_reload),
        0x01: _named("CHANGE PIN", "修改口令", tell=_key_id, request=_pin),
    },
    (0x80, 0xCD): _named("GET OR CHANGE ALGORITHM", "查询或切换算法", tell=_algorithm),
    (0x80, 0xCA): _named("GET DATA", "取数据", tell=_object),
    (0x80, 0xE0): _named("CREATE FILE", "建立文件", tell=_create, request=layouts.CREATE_FILE),
    (0x80, 0x0E): _named("ERASE DF", "擦除目录"),
    (0x80, 0xD4): _named("WRITE KEY", "增加或修改密钥", tell=_write_key_tell, request=_write_key),
    (0x80, 0x70): SAM_INIT,
    (0x80, 0x72): _named("CREDIT SAM FOR PURCHASE", "安全模块校验 MAC2", request=layouts.SAM_CREDIT),
    (0x80, 0x1A): _named("DELIVERY KEY", "分散密钥", tell=_delivery, request=_factors),
    (0x80, 0xFA): _named(
        "CIPHER", "密码运算", tell=_cipher_tell, request=_cipher, answer=_cipher_answer
    ),
    (0xFF, 0xCA): _named("GET UID", "取卡片 UID"),
    (0xFF, 0x82): _named("LOAD KEY INTO READER", "装载读写器密钥", request=_clear_key),
    (0xFF, 0x86): _named("AUTHENTICATE SECTOR", "扇区认证", tell=_sector),
    (0xFF, 0xB0): _named("READ BLOCK", "读块", tell=_block_number, answer=_block_data),
    (0xFF, 0xD6): _named("WRITE BLOCK", "写块", tell=_block_number, request=_block_data),
    (0xFF, 0xD7): _named("VALUE BLOCK", "值块操作", tell=_block_number),
}  # fmt: skip
CLEAR_INS: Final = frozenset(
    {0x20, 0x5E, 0x82, 0xD4}
)  # may carry keys or PINs in clear: hidden even when cut
DOMAIN_COMMANDS: Final[dict[tuple[int, int], Known]] = {
    (0x80, 0x50): INIT_UPDATE,
    (0x80, 0x82): _named("EXTERNAL AUTHENTICATE", "安全通道外部认证", tell=_level, request=_authentication),
    (0x80, 0xF2): _named("GET STATUS", "查询状态", answer=lambda cut, *_: cut.tlv()),
    (0x80, 0xF0): _named("SET STATUS", "设置状态"),
    (0x80, 0xE6): _named("INSTALL", "安装"),
    (0x80, 0xE8): _named("LOAD", "装载"),
    (0x80, 0xE4): _named("DELETE", "删除"),
    (0x80, 0xE2): _named("STORE DATA", "存储数据"),
    (0x80, 0xD8): _named("PUT KEY", "更新密钥", request=lambda cut, *_: cut.rest("cipher")),
    (0x80, 0xCA): _named("GET DATA", "取数据", tell=_object, answer=lambda cut, *_: cut.tlv()),
}
UNKNOWN: Final = _named("unknown command", "未知命令")


def find(command: Command, context: Context) -> Known:
    """The table's line of a command; UNKNOWN when there is none."""
    cla = base_class(command.cla)
    key = (0x80 if cla == 0x00 and command.ins == 0xCA else cla, command.ins)
    purse = key == (0x80, 0x50) and len(command.data) != layouts.INIT_UPDATE.size
    if context.application == DOMAIN and key in DOMAIN_COMMANDS and not purse:
        return DOMAIN_COMMANDS[key]
    found = COMMANDS.get(key)
    if isinstance(found, Known):
        return found
    return UNKNOWN if found is None else found.get(command.p1, UNKNOWN)


def base_class(cla: int) -> int:
    """The class without secure messaging and channel: 04 is 00, 84 is 80."""
    return 0xFF if cla == 0xFF else cla & 0x80


def secured(cla: int) -> bool:
    """Whether the command carries a secure-messaging MAC."""
    return cla != 0xFF and bool(cla & 0x04)
