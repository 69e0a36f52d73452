# SPDX-License-Identifier: Apache-2.0
"""Codes that members tell each other: error codes of records, causes of disputes, replies.

An error code is `00`, who found it (1 the hub, 2 the issuer), and a number of three digits; the issuer's are
the numbers of `core.refusal.Reason`. The cause and reply codes are those seen in implementations (facts 8.2);
what each cause exactly means is not published, the titles are ours.
"""

from __future__ import annotations

from typing import Final

from citycard.core.refusal import Reason

GOOD: Final = "000000"
ISSUER_UNKNOWN, REPEATED, CONFLICT, NO_RATE, AMOUNT_TOO_LARGE = (
    "001001",
    "001002",
    "001003",
    "001004",
    "001005",
)
HUB_ERRORS: Final[dict[str, tuple[str, str]]] = {
    ISSUER_UNKNOWN: ("No member answers for this issuer", "发卡机构未入网"),
    REPEATED: ("Presented before", "重复提交"),
    CONFLICT: ("Presented before with other content", "同一流水号内容不一致"),
    NO_RATE: ("No rate covers this tap", "没有适用的费率"),
    AMOUNT_TOO_LARGE: ("Amount is above the hub's limit", "金额超过清分限额"),
}
ISSUER_ERRORS: Final[dict[str, tuple[str, str]]] = {
    f"002{reason.number:03d}": (reason.en, reason.zh) for reason in Reason if reason is not Reason.OK
}
ERRORS: Final = {GOOD: ("Good", "成功")} | HUB_ERRORS | ISSUER_ERRORS

CAUSES: Final[dict[str, tuple[str, str]]] = {
    "1001": ("Query: is this tap yours?", "查询确认：交易是否存在"),
    "1002": ("Query: the amount", "查询确认：交易金额"),
    "1005": ("Query: the holder does not know this tap", "查询确认：持卡人不认可"),
    "1006": ("Query: the record's details", "查询确认：交易明细"),
    "2001": ("Credit adjustment offered by the acquirer", "贷记调整"),
    "4002": ("Exception by agreement: amount", "例外协商：金额有误"),
    "4005": ("Exception by agreement: charged twice", "例外协商：重复扣款"),
    "4006": ("Exception by agreement: service not given", "例外协商：未提供服务"),
    "4007": ("Exception by agreement: other", "例外协商：其他"),
    "5002": ("Exception: charged too much", "例外长款"),
    "5005": ("Exception: charged twice", "例外长款：重复扣款"),
    "5006": ("Exception: charged too little", "例外短款"),
    "5007": ("Exception: service not given", "例外：未提供服务"),
    "5008": ("Exception: other", "例外：其他"),
    "6001": ("Check of an abnormal tap", "异常交易核查"),
}
FAILED_CHECK: Final = "6001"
ACCEPTED, CONTESTED, DISMISSED = "01", "02", "03"
REPLIES: Final[dict[str, tuple[str, str]]] = {
    ACCEPTED: ("Accepted", "同意"),
    CONTESTED: ("Contested", "不同意"),
    DISMISSED: ("Decided for the acquirer", "裁定维持原交易"),
}


def error_of(reason: str) -> str:
    """The error code an issuer answers for a reason of clearing; GOOD for OK."""
    found = Reason[reason]
    return GOOD if found is Reason.OK else f"002{found.number:03d}"


def text_of(error: str, language: str = "en") -> str:
    """An error code in words; the code itself when it is unknown."""
    en, zh = ERRORS.get(error, (error, error))
    return zh if language.startswith("zh") else en
