# SPDX-License-Identifier: Apache-2.0
"""Why a tap was refused at the terminal, or a record suspended or rejected in clearing.

Refusals are values, ordered by precedence: the first that applies is the one told. The code is stable;
the titles are for people. The numbers never change once released: what is added later stands at the end of
its enum, and a note says which place it takes among the checks.
"""

from __future__ import annotations

from enum import Enum


class _Titled(Enum):
    def __init__(self, number: int, en: str, zh: str) -> None:
        self.number = number
        self.en = en
        self.zh = zh

    @property
    def code(self) -> str:
        """The stable code devices, APIs and tests use."""
        return self.name

    def title(self, language: str = "en") -> str:
        """For people, in English or Chinese."""
        return self.zh if language.startswith("zh") else self.en


class Refusal(_Titled):
    """A terminal says no to a card; nothing was debited."""

    UNREADABLE = (1, "Card not read: present it again", "读卡失败，请重新刷卡")
    UNKNOWN_CARD = (2, "Unknown card", "未知卡片")
    CARD_BLOCKED = (3, "Card is blocked", "卡片已锁定")
    ISSUER_NOT_ACCEPTED = (4, "Cards of this issuer are not accepted here", "本终端不受理该发卡机构的卡")
    NOT_ENABLED = (5, "Card is not enabled", "卡片未启用")
    NOT_YET_VALID = (6, "Card is not valid yet", "卡片尚未生效")
    EXPIRED = (7, "Card has expired", "卡片已过有效期")
    HOTLISTED = (8, "Card is on the hotlist", "卡片在黑名单中")
    SERVICE_UNKNOWN = (9, "Terminal has no tariff for this service", "终端缺少该业务的票价参数")
    CLASS_NOT_ACCEPTED = (10, "This card class is not accepted here", "本终端不受理该卡种")
    TAPPED_TWICE = (11, "Just tapped here", "请勿重复刷卡")
    ALREADY_ENTERED = (12, "Already entered", "已进站，不能重复进站")
    NOT_ENTERED = (13, "No entry on the card: see the service desk", "无进站记录，请到客服中心处理")
    NO_FARE = (14, "No fare between these stations", "两站之间没有票价")
    AMOUNT_INVALID = (15, "Amount is outside the limits", "金额超出限制")
    BALANCE_TOO_LOW = (16, "Balance is below the minimum to enter", "余额低于最低进站额")
    INSUFFICIENT_BALANCE = (17, "Not enough money on the card", "余额不足")
    PURSE_CAP = (18, "The load would exceed the purse's limit", "充值后超过余额上限")
    CARD_FAULT = (19, "Card refused the command", "卡片拒绝指令")
    SAM_FAULT = (20, "Terminal's security module refused", "终端安全模块拒绝")
    OFFICE_UNREACHABLE = (21, "The office cannot be reached", "无法连接后台")
    OFFICE_REFUSED = (22, "The office refused", "后台拒绝")
    NOT_PROVEN = (23, "Card's answer does not prove the debit", "卡片应答无法证明扣款")
    SAM_HOTLISTED = (24, "Terminal's security module was reported stolen", "终端安全模块已挂失")  # before all


class Reason(_Titled):
    """Clearing's word on a record, in the order the checks are made."""

    OK = (0, "Accepted", "清分成功")
    MALFORMED = (1, "Record cannot be decoded", "记录无法解码")
    TEST_RECORD = (2, "Test card or test terminal", "测试卡或测试终端")
    CONTENT_CONFLICT = (3, "Same record number, other content", "同一流水号内容不一致")
    DUPLICATE = (4, "Delivered before", "重复记录")
    UNKNOWN_TERMINAL = (5, "Terminal is not known", "终端未登记")
    ACQUIRER_MISMATCH = (6, "Terminal belongs to another acquirer", "终端与受理机构不符")
    UNKNOWN_ISSUER = (7, "Issuer is not a participant", "发卡机构未入网")
    UNKNOWN_CARD = (8, "Card was never issued", "卡片未发行")
    TAC_MISMATCH = (9, "TAC does not verify", "TAC 验证失败")
    AMOUNT_INCONSISTENT = (10, "Price, discounts and amount do not agree", "票价、优惠与金额不一致")
    OVER_LIMIT = (11, "Amount is above the service's limit", "金额超过业务限额")
    FROM_THE_FUTURE = (12, "Tap lies after the date being settled", "交易时间晚于清算日")
    TOO_LATE = (13, "Tap is older than the accepted window", "交易超过受理期限")
    HOTLISTED = (14, "Card was on the list the terminal held", "终端名单已含该黑名单卡")
    COUNTER_REUSED = (15, "Card's counter was used by another record", "卡交易计数器重复")
    BALANCE_MISMATCH = (16, "Balance does not follow from the record before", "余额不连续")
    COUNTER_GAP = (17, "A record of this card before this one is missing", "卡交易计数器不连续")
    NO_CONTRACT = (18, "No contract covers this tap", "没有适用的清分合同")
    SAM_HOTLISTED = (
        19,
        "Terminal's module was stolen before",
        "终端安全模块此前已挂失",
    )  # after ACQUIRER_MISMATCH
