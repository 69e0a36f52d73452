# SPDX-License-Identifier: Apache-2.0
"""Status words in words, English and Chinese (card facts 1.5)."""

from __future__ import annotations

from typing import Final

from citycard.core.trace.values import Words

MEANINGS: Final[dict[int, Words]] = {
    0x9000: Words("done", "成功"),
    0x6281: Words("done, but the data may be corrupt", "成功，但数据可能有误"),
    0x6282: Words("the end of the file came first", "文件长度不足"),
    0x6283: Words("the selected file is blocked", "所选文件已锁定或无效"),
    0x6284: Words("the FCI is not as expected", "FCI 格式不符"),
    0x6300: Words("verification failed", "验证失败"),
    0x6400: Words("nothing was changed", "状态未改变"),
    0x6581: Words("memory failure", "存储器故障"),
    0x6700: Words("wrong length", "长度错误"),
    0x6882: Words("secure messaging is not supported", "不支持安全报文"),
    0x6900: Words("cannot be processed", "不能处理"),
    0x6901: Words("wrong state or class for this command", "状态或命令类别不符"),
    0x6981: Words("the file is of another type", "文件类型不符"),
    0x6982: Words("security status is not satisfied", "安全状态不满足"),
    0x6983: Words("the key or authentication is blocked", "密钥或认证已锁定"),
    0x6984: Words("no challenge was taken, or reference data is missing", "未取随机数或引用数据无效"),
    0x6985: Words("conditions of use are not satisfied", "使用条件不满足"),
    0x6986: Words("no file is selected", "未选择文件"),
    0x6987: Words("the secure-messaging MAC is missing", "缺少安全报文 MAC"),
    0x6988: Words("the secure-messaging MAC is wrong", "安全报文 MAC 错误"),
    0x6A80: Words("the data field is wrong", "数据域参数错误"),
    0x6A81: Words("not supported, or the card is blocked", "功能不支持或卡已锁定"),
    0x6A82: Words("there is no such file", "文件不存在"),
    0x6A83: Words("there is no such record", "记录不存在"),
    0x6A84: Words("there is no room left", "空间不足"),
    0x6A86: Words("P1 or P2 is wrong, or it exists already", "P1、P2 错误或已存在"),
    0x6A88: Words("there is no such key", "密钥不存在"),
    0x6B00: Words("the offset lies beyond the end", "偏移超出范围"),
    0x6D00: Words("the instruction is unknown", "命令不支持"),
    0x6E00: Words("the class is unknown", "命令类别不支持"),
    0x6F00: Words("failed without a reason", "未知错误"),
    0x9302: Words("the MAC is wrong", "MAC 错误"),
    0x9303: Words("the application is blocked for ever", "应用已永久锁定"),
    0x9401: Words("the balance is too low", "余额不足"),
    0x9402: Words("the transaction counter is at its end", "交易计数器已达上限"),
    0x9403: Words("there is no key of this index", "密钥索引不存在"),
    0x9406: Words("there is no such transaction to prove", "所需 MAC 不可用"),
    0x9407: Words("the composite application is locked", "复合应用已锁定"),
    0x9408: Words("the purse is grey-locked", "钱包处于灰锁状态"),
}


def status_words(sw: int) -> Words:
    """What a status word says; any two bytes have words."""
    known = MEANINGS.get(sw)
    if known is not None:
        return known
    if sw >> 8 == 0x61:
        return Words(f"{sw & 0xFF or 256} more bytes wait", f"还有 {sw & 0xFF or 256} 字节可取")
    if sw >> 8 == 0x6C:
        return Words(f"wrong Le: {sw & 0xFF or 256} is right", f"Le 错误，应为 {sw & 0xFF or 256}")
    if sw & 0xFFF0 == 0x63C0:
        return Words(f"verification failed, {sw & 0xF} tries left", f"验证失败，剩余 {sw & 0xF} 次")
    return Words("a status word of its own", "未定义的状态字")
