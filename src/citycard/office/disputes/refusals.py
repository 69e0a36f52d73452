# SPDX-License-Identifier: Apache-2.0
"""Why a dispute cannot be raised or moved on, in the order in which the reasons are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Why(Enum):
    """A refusal: its name is the stable code."""

    def __init__(self, number: int, en: str, zh: str) -> None:
        self.number = number
        self.en = en
        self.zh = zh

    NOT_PERMITTED = (1, "Your role may not do this", "您的角色无权执行此操作")
    TAP_UNKNOWN = (2, "There is no such exchanged tap here", "没有这笔跨城交易")
    NOT_CLEARED = (3, "The tap was not cleared, so no money has moved", "该交易尚未清分，资金未划转")
    ALREADY_OPEN = (4, "A dispute about this tap is open already", "该交易已有未结争议")
    ALREADY_ADJUSTED = (
        13,
        "The tap was adjusted already: there is nothing left to dispute",
        "该交易已调整，不能再提争议",
    )
    TOO_LATE = (5, "The tap was settled too long ago to be disputed", "已超过提出争议的期限")
    CAUSE_UNKNOWN = (6, "There is no such cause code", "没有该原因代码")
    AMOUNT_WRONG = (7, "The right amount must be below the amount cleared", "应收金额须小于已清分金额")
    WORDS_MISSING = (8, "Say in words why", "请填写说明")
    WORDS_TOO_LONG = (
        9,
        "The words have more than 60 bytes in GBK, or GBK lacks one",
        "说明超过 60 字节或含 GBK 以外字符",
    )
    DISPUTE_UNKNOWN = (10, "There is no such dispute here", "没有该争议")
    NOT_YOUR_MOVE = (11, "This cannot be done now, or not by this side", "当前阶段或本方不能执行此操作")
    LAPSED = (12, "The last day to answer has passed", "已过答复期限")

    @property
    def code(self) -> str:
        """The stable code."""
        return self.name

    def title(self, language: str = "en") -> str:
        """For people, in English or Chinese."""
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class DisputeRefusal:
    """What was refused, about what, and why."""

    why: Why
    act: str
    subject: str
