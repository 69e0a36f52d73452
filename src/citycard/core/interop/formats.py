# SPDX-License-Identifier: Apache-2.0
"""The layouts of the exchange files (card facts 8.2): every column with its place, length and kind.

FB and CL follow the published implementations of JT/T 978.4 column by column. CD, ED, CM and AD are
inferred: their fields and lengths are published, their order or their exact set is not. All others are
citycard's own. CL's reserved column ends at 335, where the arithmetic puts it; one implementation starts the
TLV at 325 instead (facts 10.9), and `CL_RESERVED` is the one number to change for such a partner.

The channel code tells how the card was used, the balance type is 0 for the purse, the algorithm id 00 for
3DES and 01 for SM4. `docs/interoperability.md` is checked against these declarations.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Final

from citycard.core.interop.columns import Column as C
from citycard.core.interop.columns import Format

TAIL_MAX: Final = 1024
CL_RESERVED: Final = 28  # 18 for partners whose TLV starts at 325

_HEAD: Final = (
    C("serial", 12, "number", "clearing serial of the hub; 0 before it is given"),
    C("acquirer_serial", 12, "number", "the acquirer's own number of this presentment"),
    C("acquirer_date", 8, "day", "business date on which the acquirer sent it"),
    C("reference", 12, "text", "retrieval reference: the sequence of the terminal's record"),
    C("kind", 4, "code", "transaction type: 0009 composite purchase, 0006 purchase"),
)
_MONEY: Final = (
    C("pan", 20, "text", "card number"),
    C("counter", 6, "number", "the card's purchase counter"),
    C("balance_before_fen", 12, "number", "what the purse held before, in fen"),
    C("amount_fen", 12, "number", "what was taken, in fen"),
    C("tapped_at", 14, "moment", "date and time of the tap"),
)
_TEST: Final = C("test", 1, "number", "0 live, 1 test")
_RESERVED: Final = C("reserved", CL_RESERVED, "text", "left blank")
_RESULT: Final = (
    C("error", 6, "code", "000000: good; see `codes`"),
    C("error_text", 40, "text", "the error in words"),
    _TEST,
)
_SHARES: Final = (
    C("fee_fen", 28, "number", "the whole fee"),
    C("issuer_share_fen", 28, "number", "of the fee, back to the issuer"),
    C("acquirer_share_fen", 28, "number", "of the fee, back to the acquirer"),
)

_EXAMPLE: Final = {
    "serial": 2603020001, "acquirer_serial": 17, "acquirer_date": date(2026, 3, 2), "reference": "0000000042",
    "kind": "0009", "pan": "03109900010000000011", "counter": 7, "balance_before_fen": 5000,
    "amount_fen": 180,
    "tapped_at": datetime(2026, 3, 2, 8, 1, 30), "error": "000000", "error_text": "", "test": 0,
    "fee_fen": 2, "issuer_share_fen": 1, "acquirer_share_fen": 0,
}  # fmt: skip
_HEAD_TEXT: Final = "002603020001000000000017202603020000000042  0009"
_MONEY_TEXT: Final = "0310990001000000001100000700000000500000000000018020260302080130"
_SHARES_TEXT: Final = f"{2:028d}{1:028d}{0:028d}"
A, B, HUB = "99010000001", "99000000001", "99990000001"  # made-up organisations: two cities and a hub

_CODES: Final = (
    C("mcc", 4, "code", "merchant category: 4131 bus, 4111 metro, 5499 retail, 5999 other"),
    C("channel", 2, "code", "how the card was used: 01 at an offline terminal"),
)
_PRESENTED: Final = ("acquirer_org", "acquirer_serial")
FB_COLUMNS: Final = (
    *_HEAD,
    C("clearing_org", 11, "code", "receiving clearing organisation"),
    C("issuer_org", 11, "code", "company code of the issuer"),
    C("acquirer_org", 11, "code", "the member that forwarded"),
    C("sender_org", 11, "code", "the member this is from"),
    *_CODES,
    *_MONEY,
    *_RESULT,
    *_SHARES,
    C("reserved", 28, "text", "left blank"),
    C("tail", 40, "text", "reserved"),
)
_FB_EXAMPLE: Final = (
    _HEAD_TEXT + HUB + B + A + HUB + "4111" + "01" + _MONEY_TEXT + "000000" + " " * 40 + "0" + _SHARES_TEXT
    + " " * 68,
    _EXAMPLE | {"clearing_org": HUB, "issuer_org": B, "acquirer_org": A, "sender_org": HUB, "mcc": "4111",
                "channel": "01", "reserved": "", "tail": ""},
)  # fmt: skip
FB: Final = Format("FB", "Feedback", "反馈文件", "facts", FB_COLUMNS, examples=(
    _FB_EXAMPLE,
    (
        _FB_EXAMPLE[0].replace("000000" + " " * 40, "002009TAC 验证失败" + " " * 28, 1),
        _FB_EXAMPLE[1] | {"error": "002009", "error_text": "TAC 验证失败"},
    ),
), once=("serial",))  # fmt: skip
CR: Final = Format(
    "CR", "Result detail", "清分结果明细", "own", FB_COLUMNS, examples=(_FB_EXAMPLE,), once=_PRESENTED
)

_ORGS: Final = (
    C("acquirer_org", 11, "code", "the member that forwards"),
    C("acquirer_code", 11, "code", "the institution within the acquirer's city, its last 11 digits"),
    C("issuer_org", 11, "code", "company code of the issuer"),
    C("receiver_org", 11, "code", "the member this file is for"),
    C("sender_org", 11, "code", "the member this file is from"),
)
_PURSE: Final = (
    C("balance_type", 1, "number", "0 purse, 1 electronic cash"),
    C("algorithm", 2, "number", "00 international, 01 SM"),
)
_TLV_EXAMPLE: Final = bytes.fromhex("9F0104DEADBEEF")
_DETAIL: Final = _EXAMPLE | {
    "acquirer_org": A, "acquirer_code": "00000000001", "issuer_org": B, "receiver_org": B, "sender_org": HUB,
    "mcc": "4111", "channel": "01", "balance_type": 0, "algorithm": 0, "reserved": "",
    "verification": _TLV_EXAMPLE,
}  # fmt: skip
_DETAIL_TEXT: Final = _HEAD_TEXT + A + "00000000001" + B + B + HUB + "4111" + "01" + _MONEY_TEXT + "0" + "00"

CL: Final = Format(
    "CL", "Cleared detail", "清分明细", "facts",
    (*_HEAD, *_ORGS, *_CODES, *_MONEY, *_PURSE, *_RESULT, *_SHARES, _RESERVED),
    TAIL_MAX,
    (
        (
            _DETAIL_TEXT + "000000" + " " * 40 + "0" + _SHARES_TEXT + " " * CL_RESERVED + "9F0104DEADBEEF",
            _DETAIL,
        ),
    ),
    once=("serial",),
)  # fmt: skip
CD: Final = Format(
    "CD", "Purchase detail upload", "消费明细上送", "inferred",
    (*_HEAD, *_ORGS, *_CODES, *_MONEY, *_PURSE, _TEST, _RESERVED),
    TAIL_MAX,
    (
        (
            _DETAIL_TEXT + "0" + " " * CL_RESERVED + "9F0104DEADBEEF",
            {k: v for k, v in _DETAIL.items() if k not in ("error", "error_text") and "share" not in k
             and k != "fee_fen"},
        ),
    ),
    once=_PRESENTED,
)  # fmt: skip

_DISPUTED: Final = (
    C("serial", 12, "number", "clearing serial of the hub"),
    C("acquirer_serial", 12, "number", "the acquirer's number of the presentment"),
    C("acquirer_date", 8, "day", "date on which the acquirer sent it"),
    C("reference", 12, "text", "sequence of the terminal's record"),
    C("adjust_type", 1, "number", "1 first presentment, 2 second presentment, 9 withdrawn"),
    C("error_type", 4, "code", "transaction type in dispute"),
    C("pan", 20, "text", "card number"),
    C("counter", 6, "number", "the card's purchase counter"),
    C("balance_before_fen", 12, "number", "what the purse held before, in fen"),
    C("new_type", 4, "code", "transaction type the raiser says is right"),
    C("new_amount_fen", 12, "number", "amount the raiser says is right"),
    C("mcc", 4, "code", "merchant category"),
    C("channel", 2, "code", "how the card was used"),
    C("tapped_on", 8, "day", "date of the tap"),
    C("tapped_time", 6, "time", "time of the tap"),
    _TEST,
    C("cause", 4, "code", "see `codes`"),
    C("originator_org", 11, "code", "the member that raised it"),
    C("issuer_org", 11, "code", "company code of the issuer"),
    C("acquirer_org", 11, "code", "the member that forwarded"),
)
_ED: Final = {
    "serial": 2603020001, "acquirer_serial": 17, "acquirer_date": date(2026, 3, 2), "reference": "0000000042",
    "adjust_type": 1, "error_type": "0009", "pan": "03109900010000000011", "counter": 7,
    "balance_before_fen": 5000, "new_type": "0009", "new_amount_fen": 0, "mcc": "4111", "channel": "01",
    "tapped_on": date(2026, 3, 2),
    "tapped_time": time(8, 1, 30), "test": 0, "cause": "6001", "originator_org": B, "issuer_org": B,
    "acquirer_org": A,
}  # fmt: skip
_ED_TEXT: Final = (
    "002603020001" "000000000017" "20260302" "0000000042  " "1" "0009" "03109900010000000011" "000007"
    "000000005000" "0009" "000000000000" "4111" "01" "20260302" "080130" "0" "6001" + B + B + A
)  # fmt: skip
_CASE: Final = C("case", 12, "number", "the originator's number of the dispute")
_WORDS: Final = C("words", 60, "text", "what a person said about it")
_DUE: Final = C("answer_by", 8, "day", "last day to answer")
ED: Final = Format(
    "ED", "Dispute", "差错争议", "inferred", (*_DISPUTED, _CASE, _DUE, _WORDS),
    examples=(
        (
            _ED_TEXT + "000000000003" + "20260312" + "重复扣款" + " " * 52,
            _ED | {"case": 3, "answer_by": date(2026, 3, 12), "words": "重复扣款"},
        ),
    ),
    once=("originator_org", "case", "adjust_type"),
)  # fmt: skip
CM: Final = Format(
    "CM", "Dispute answer", "差错回复", "inferred",
    (
        C("serial", 12, "number", "clearing serial of the hub"),
        _CASE,
        C("originator_org", 11, "code", "the member that raised it"),
        C("answering_org", 11, "code", "who answers"),
        C("reply", 2, "code", "01 accepted, 02 contested, 03 decided by the hub for the acquirer"),
        C("cause", 4, "code", "see `codes`"),
        C("new_amount_fen", 12, "number", "the right amount, in fen"),
        C("answered_on", 8, "day", "date of the answer"),
        _WORDS,
    ),
    examples=(
        (
            "002603020001" + "000000000003" + B + A + "02" + "6001" + "000000000000" + "20260305" + "有录像"
            + " " * 54,
            {"serial": 2603020001, "case": 3, "originator_org": B, "answering_org": A, "reply": "02",
             "cause": "6001", "new_amount_fen": 0, "answered_on": date(2026, 3, 5), "words": "有录像"},
        ),
    ),
    once=("originator_org", "case"),
)  # fmt: skip
AD: Final = Format(
    "AD", "Adjustment detail", "差错调整明细", "inferred",
    (
        C("adjust_serial", 12, "number", "the hub's number of the adjustment"),
        C("settled_on", 8, "day", "date on which the adjustment is settled"),
        C("original_on", 8, "day", "date on which the original was settled"),
        *_DISPUTED,
        _CASE,
        C("error_fee_fen", 18, "number", "fee for the error, by contract; 0: our rates have none"),
        C("fee_fen", 28, "number", "fee given back"),
        C("issuer_share_fen", 28, "number", "issuer share given back"),
        C("acquirer_share_fen", 28, "number", "acquirer share given back"),
    ),
    examples=(
        (
            "000000000001" + "20260306" + "20260302" + _ED_TEXT + "000000000003" + "0" * 18 + _SHARES_TEXT,
            _ED | {"adjust_serial": 1, "settled_on": date(2026, 3, 6), "original_on": date(2026, 3, 2),
                   "case": 3, "error_fee_fen": 0, "fee_fen": 2, "issuer_share_fen": 1,
                   "acquirer_share_fen": 0},
        ),
    ),
    once=("adjust_serial",),
)  # fmt: skip
