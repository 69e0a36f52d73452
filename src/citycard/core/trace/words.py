# SPDX-License-Identifier: Apache-2.0
"""Fields in words: the title and tone of every field name, and what a value of it means.

Field names are those of the declared layouts (`core.tunion`, `trace.layouts`), so a new file needs a
declaration and, for each new name, one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.core.calendar import from_bcd_datetime
from citycard.core.money import yuan
from citycard.core.trace.values import NOTHING, Words, plain

TITLES: Final[dict[str, tuple[str, str, str]]] = {
    # money, counters, proofs
    "amount_fen": ("amount", "交易金额", "money"),
    "balance_fen": ("balance before", "交易前余额", "money"),
    "balance_now_fen": ("balance", "余额", "money"),
    "balance_after_fen": ("balance after", "交易后余额", "money"),
    "overdraft_fen": ("overdraft limit", "透支限额", "money"),
    "limit_fen": ("new overdraft limit", "新透支限额", "money"),
    "fare_max_fen": ("largest fare", "最高票价", "money"),
    "entry_amount_fen": ("amount at entry", "进站金额", "money"),
    "entry_balance_fen": ("balance at entry", "进站余额", "money"),
    "actual_fen": ("fare charged", "实收金额", "money"),
    "counter": ("transaction counter", "交易序号", "counter"),
    "serial2": ("counter plus one", "交易序号加一", "counter"),
    "terminal_txn": ("terminal transaction number", "终端交易序号", "counter"),
    "terminal_txn_low": ("terminal transaction number, low half", "终端交易序号后两字节", "counter"),
    "serial": ("serial number", "流水号", "counter"),
    "load_tail": ("8000", "8000", "size"),
    "rand": ("random number", "随机数", "random"),
    "host_challenge": ("host's challenge", "主机随机数", "random"),
    "card_challenge": ("card's challenge", "卡片随机数", "random"),
    "sequence": ("sequence counter", "序列计数器", "counter"),
    "diversification": ("diversification data", "密钥分散数据", "who"),
    "protocol": ("secure channel protocol", "安全通道协议", "what"),
    "protocol_i": ("its option i", "协议选项 i", "what"),
    "challenge": ("challenge", "随机数", "random"),
    "proof": ("cryptogram", "认证密文", "mac"),
    "mac1": ("MAC1", "MAC1", "mac"),
    "mac2": ("MAC2", "MAC2", "mac"),
    "mac3": ("MAC3", "MAC3", "mac"),
    "mac": ("MAC", "MAC", "mac"),
    "tac": ("TAC", "交易验证码 TAC", "mac"),
    "cipher": ("ciphertext", "密文", "key"),
    # who
    "issuer": ("issuer code", "发卡机构代码", "who"),
    "pan": ("card number", "应用序列号", "who"),
    "card_factor": ("card's factor", "卡片分散因子", "who"),
    "issuer_factor": ("issuer's factor", "发卡机构分散因子", "who"),
    "factor": ("factor", "分散因子", "who"),
    "terminal": ("terminal", "终端机编号", "who"),
    "acquirer": ("acquirer", "受理方机构标识", "who"),
    "device": ("issuing device", "发卡设备编号", "who"),
    "name": ("holder's name", "持卡人姓名", "who"),
    "id_number": ("document number", "证件号码", "who"),
    "id_type": ("document type", "证件类型", "who"),
    "aid": ("application name", "应用标识 AID", "who"),
    "fid": ("file identifier", "文件标识符", "what"),
    "sam_serial": ("module serial", "模块序列号", "who"),
    # when
    "moment": ("date and time", "日期时间", "when"),
    "at": ("date and time", "日期时间", "when"),
    "valid_from": ("valid from", "启用日期", "when"),
    "valid_until": ("valid until", "有效日期", "when"),
    "issued_on": ("issued on", "发卡日期", "when"),
    "entry_at": ("time of entry", "进站时间", "when"),
    "exit_at": ("time of exit", "出站时间", "when"),
    # where
    "line": ("line", "线路", "where"),
    "station": ("station", "站点", "where"),
    "operator": ("operator", "运营商", "where"),
    "country": ("country", "国家代码", "where"),
    "province": ("province", "省级代码", "where"),
    "city": ("city", "城市代码", "where"),
    "entry_city": ("city of entry", "进站城市", "where"),
    "exit_city": ("city of exit", "出站城市", "where"),
    "entry_organisation": ("operator of entry", "进站机构", "where"),
    "exit_organisation": ("operator of exit", "出站机构", "where"),
    "entry_station": ("station of entry", "进站站点", "where"),
    "exit_station": ("station of exit", "出站站点", "where"),
    "entry_terminal": ("gate of entry", "进站闸机", "where"),
    "exit_terminal": ("gate of exit", "出站闸机", "where"),
    "entry_line": ("line of entry", "进站线路", "where"),
    "exit_line": ("line of exit", "出站线路", "where"),
    # keys
    "key_index": ("key index", "密钥索引", "key"),
    "key_version": ("key version", "密钥版本", "key"),
    "algorithm": ("algorithm", "算法标识", "key"),
    "key_type": ("key type", "密钥类型", "key"),
    "key_use": ("right to use", "使用权", "key"),
    "key_change": ("right to change", "更改权", "key"),
    "key_third": ("version, or following state", "版本或后续状态", "key"),
    "key_fourth": ("algorithm, or tries", "算法或错误计数", "key"),
    "key_value": ("key in clear", "密钥明文", "key"),
    "key_a": ("key A", "密钥 A", "key"),
    "key_b": ("key B", "密钥 B", "key"),
    "access_bits": ("access bits", "访问控制位", "what"),
    "value": ("value block", "值块", "money"),
    "pin": ("PIN in clear", "口令明文", "key"),
    # what
    "txn": ("transaction type", "交易类型标识", "what"),
    "event": ("event", "记录类型", "what"),
    "mode": ("mode of transport", "交通方式", "what"),
    "status": ("journey", "行程状态", "what"),
    "app_type": ("application type", "应用类型标识", "what"),
    "enabled": ("enabled", "启用标志", "what"),
    "card_type": ("card type", "卡类型", "what"),
    "card_class": ("card class", "卡种", "what"),
    "interoperable": ("interoperable", "互通标志", "what"),
    "staff": ("staff", "本行职工", "what"),
    "tag": ("record id", "记录标识", "what"),
    "length": ("record length", "记录长度", "size"),
    "in_use": ("in use", "有效标志", "what"),
    "locked": ("locked", "锁定标志", "what"),
    "sub_type": ("card sub-type", "卡子类型", "what"),
    "industry": ("industry", "行业代码", "what"),
    "bitmap": ("bitmap", "位图", "what"),
    "version": ("version", "版本", "what"),
    "sfi": ("short file identifier", "短文件标识符", "what"),
    "label": ("label", "应用标签", "what"),
    "file_type": ("file type", "文件类型", "what"),
    "file_size": ("size", "文件空间", "size"),
    "rights": ("access rights", "访问权限", "what"),
    # the rest
    "reserved": ("reserved", "保留", "data"),
    "place_reserved": ("reserved", "保留", "data"),
    "operator_specific": ("operator's own", "运营商自定义", "data"),
    "padding": ("padding", "填充", "data"),
    "text": ("text", "数据", "data"),
    "data": ("data", "数据", "data"),
    "malformed": ("no APDU", "不是合法的 APDU", "data"),
    "cla": ("class", "命令类别 CLA", "head"),
    "ins": ("instruction", "命令码 INS", "head"),
    "p1": ("P1", "参数 P1", "head"),
    "p2": ("P2", "参数 P2", "head"),
    "lc": ("Lc", "数据长度 Lc", "size"),
    "le": ("Le", "期望长度 Le", "size"),
    "tlv_tag": ("tag", "标签", "size"),
    "tlv_length": ("length", "长度", "size"),
    "sw": ("status word", "状态字", "status"),
}  # fmt: skip

TRANSACTIONS: Final = {
    0x01: Words("load of the deposit", "存折圈存"),
    0x02: Words("load", "钱包圈存"),
    0x03: Words("unload", "圈提"),
    0x04: Words("cash withdrawal", "取现"),
    0x05: Words("purchase from the deposit", "存折消费"),
    0x06: Words("purchase", "钱包消费"),
    0x07: Words("change of overdraft limit", "修改透支限额"),
    0x09: Words("composite purchase", "复合应用消费"),
}
YES_NO: Final = {0: Words("no", "否"), 1: Words("yes", "是")}
KEY_TYPES: Final = {
    0x30: Words("encryption key", "加密密钥"),
    0x31: Words("decryption key", "解密密钥"),
    0x32: Words("MAC key", "MAC 密钥"),
    0x34: Words("TAC key", "TAC 密钥"),
    0x36: Words("maintenance key", "应用维护密钥"),
    0x37: Words("PIN unblock key", "口令解锁密钥"),
    0x38: Words("PIN reload key", "口令重装密钥"),
    0x39: Words("control key", "外部认证（主控）密钥"),
    0x3A: Words("PIN", "口令"),
    0x3C: Words("overdraft key", "修改透支限额密钥"),
    0x3D: Words("unload key", "圈提密钥"),
    0x3E: Words("purchase key", "消费密钥"),
    0x3F: Words("load key", "圈存密钥"),
}
FILE_TYPES: Final = {
    0x28: Words("transparent", "二进制文件"),
    0x2A: Words("fixed records", "定长记录文件"),
    0x2C: Words("variable records", "变长记录文件"),
    0x2E: Words("cyclic", "循环记录文件"),
    0x2F: Words("purse", "钱包文件"),
    0x38: Words("directory", "目录文件"),
    0x3F: Words("keys", "密钥文件"),
}
CODES: Final[dict[str, dict[int, Words]]] = {
    "txn": TRANSACTIONS,
    "enabled": YES_NO,
    "interoperable": YES_NO,
    "in_use": YES_NO,
    "locked": YES_NO,
    "staff": YES_NO,
    "event": {
        0x02: Words("single ride", "单次乘车"),
        0x03: Words("entry", "进站"),
        0x04: Words("exit", "出站"),
        0x06: Words("single ride", "单次乘车"),
    },
    "mode": {0: Words("other", "其他"), 1: Words("metro", "轨道交通"), 2: Words("bus", "公交")},
    "status": {0: Words("none", "无"), 1: Words("entered", "已进站"), 2: Words("exited", "已出站")},
    "card_class": {
        1: Words("ordinary", "普通卡"),
        2: Words("student", "学生卡"),
        3: Words("senior", "老年卡"),
        4: Words("test", "测试卡"),
        5: Words("military", "军人卡"),
    },
    "algorithm": {0: Words("3DES", "3DES"), 1: Words("SM4", "SM4")},
}
SHOWN_AS_HEX: Final = 16  # longer raw values are told by their length: the bytes themselves are beside them


def title_of(name: str) -> tuple[Words, str]:
    """Title and tone of a field name; an unknown name stands for itself."""
    en, zh, tone = TITLES.get(name) or (name.replace("_", " "), name.replace("_", " "), "data")
    return Words(en, zh), tone


def meaning_of(name: str, kind: str, raw: bytes) -> Words:
    """What a field's value means; any bytes mean something."""
    special = MEANINGS.get(name)
    if special is not None:
        return special(raw)
    number = int.from_bytes(raw, "big")
    if name in CODES:
        return CODES[name].get(number) or plain(f"{number:0{2 * len(raw)}X}")
    if name.endswith("_fen"):
        return money(number)
    if kind == "moment":
        return _moment(raw)
    if kind == "date":
        return _date(raw)
    if kind == "uint":
        return plain(str(number))
    return hexed(raw)


def money(amount_fen: int) -> Words:
    """An amount of fen in yuan."""
    return Words(f"{yuan(amount_fen)} yuan", f"{yuan(amount_fen)} 元")


def hexed(raw: bytes) -> Words:
    """The hex digits of a short value, the length of a long one."""
    if len(raw) <= SHOWN_AS_HEX:
        return plain(raw.hex().upper())
    if not any(raw):
        return Words(f"{len(raw)} bytes of 00", f"{len(raw)} 字节全 00")
    return Words(f"{len(raw)} bytes", f"{len(raw)} 字节")


def text(raw: bytes) -> Words:
    """A value that is text, as a card pads it; hex when it is none."""
    bare = raw.rstrip(b"\x00\xff ")
    if not bare:
        return Words("empty", "空")
    try:
        shown = bare.decode("gb18030")
    except UnicodeDecodeError:
        return hexed(raw)
    return plain(shown) if shown.isprintable() else hexed(raw)


def key_type(raw: bytes) -> Words:
    """A key's type; the top bits, which ask for protection, taken off."""
    known = KEY_TYPES.get(raw[0]) or KEY_TYPES.get(raw[0] & 0x3F) if raw else None
    return known or hexed(raw)


def _file_type(raw: bytes) -> Words:
    known = FILE_TYPES.get(raw[0] & 0x3F) if raw else None
    return known or hexed(raw)


def _moment(raw: bytes) -> Words:
    try:
        at = from_bcd_datetime(raw)
    except ValueError:
        return Words("no date", "不是日期")
    return plain(f"{at:%Y-%m-%d %H:%M:%S}") if at else Words("none", "无")


def _date(raw: bytes) -> Words:
    digits = raw.hex()
    if not any(raw):
        return Words("none", "无")
    shown = digits.isdigit() and len(digits) == 8
    return plain(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}") if shown else Words("no date", "不是日期")


def _tag(raw: bytes) -> Words:
    return Words("2701, metro", "2701 轨道交通") if raw.hex() == "2701" else hexed(raw)


MEANINGS: Final[dict[str, Callable[[bytes], Words]]] = {
    "key_type": key_type,
    "file_type": _file_type,
    "name": text,
    "id_number": text,
    "label": text,
    "tag": _tag,
    "load_tail": lambda raw: NOTHING,
}
