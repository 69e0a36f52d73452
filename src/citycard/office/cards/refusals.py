# SPDX-License-Identifier: Apache-2.0
"""Why the office says no to a verb: stable codes in order of precedence, told in two languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Why(Enum):
    """A reason to refuse a verb; when several apply, the first of this list is told."""

    UNKNOWN_CARD = ("No card has this number", "卡号不存在")
    NOT_PERMITTED = ("Your role may not do this", "您的角色无权执行此操作")
    OTHER_ISSUER = ("The card belongs to another issuer", "该卡属于其他发卡机构")
    ISSUER_INACTIVE = ("The issuer no longer takes part", "发卡机构已停用")
    WRONG_STATUS = ("Not possible in the card's present state", "卡片当前状态不允许此操作")
    CARD_EXPIRED = ("The card's validity has ended", "卡片已过有效期")
    NOT_EXPIRED = ("The card is still valid", "卡片仍在有效期内")
    UNKNOWN_HOLDER = ("No such holder", "持卡人不存在")
    HOLDER_NEEDED = ("A card of this class must have a holder", "该卡种必须绑定持卡人")
    ALREADY_BOUND = ("The card has a holder already", "卡片已绑定持卡人")
    NOT_BOUND = ("The card has no holder, so nobody can ask for this", "卡片未绑定持卡人，无法办理")
    NOT_THE_HOLDER = ("The card belongs to somebody else", "卡片属于他人")
    NOT_VERIFIED = ("The holder's identity is not verified far enough", "持卡人实名等级不足")
    GUARDIAN_NEEDED = ("A minor needs a guardian", "未成年人须有监护人")
    GUARDIAN_UNFIT = ("The guardian must be of age and verified", "监护人须成年并通过实名核验")
    TOO_MANY_CARDS = ("The holder has as many cards as allowed", "持卡人持卡数量已达上限")
    NEW_CARD_UNKNOWN = ("No card has the new card's number", "新卡卡号不存在")
    NEW_CARD_UNFIT = (
        "The new card must be a valid one from stock, of the same issuer and class",
        "新卡须为同一发卡机构、同一卡种、有效的库存卡",
    )
    BALANCE_NEEDED = ("The balance on the card in hand must be read first", "须先读取卡内余额")
    BALANCE_DIFFERS = (
        "The card's balance and its account differ: taps are still under way",
        "卡内余额与账户余额不一致：仍有在途交易",
    )
    WAITING = ("The waiting period for late taps is not over", "迟到交易等待期未满")
    MONEY_HELD = ("The card still holds money: refund it first", "卡内仍有资金，请先退资")
    SECOND_PERSON_NEEDED = ("A second person must agree", "须第二人复核")
    SECOND_PERSON_UNFIT = (
        "The second person must be somebody else with the right to agree",
        "复核人须为有复核权限的另一人",
    )
    LEDGER = ("The ledger refused the posting", "账本拒绝入账")

    def __init__(self, en: str, zh: str) -> None:
        self.en = en
        self.zh = zh

    def title(self, language: str = "en") -> str:
        """For people, in English or Chinese."""
        return self.zh if language.startswith("zh") else self.en


PRECEDENCE = {why: number for number, why in enumerate(Why)}


@dataclass(frozen=True, slots=True)
class VerbRefusal:
    """The office said no; nothing changed but the record of the attempt."""

    why: Why
    verb: str
    pan: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The stable code."""
        return self.why.name

    def title(self, language: str = "en") -> str:
        """For people, in English or Chinese."""
        return self.why.title(language)
