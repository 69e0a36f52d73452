# SPDX-License-Identifier: Apache-2.0
"""The layouts of lists that members exchange: positions, processed files, hotlists, issuers, members, codes.

No layout of these was found published; their ids and meanings are (card facts 8.2), the columns are ours.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from citycard.core.interop.columns import Column as C
from citycard.core.interop.columns import Format
from citycard.core.interop.formats import AD, CD, CL, CM, CR, ED, FB, HUB, A, B

BP: Final = Format(
    "BP", "Receipts and payments", "收付款头寸", "own",
    (
        C("settled_on", 8, "day", "date of settlement"),
        C("member_org", 11, "code", "whose position it is: the member's, or an issuer's it answers for"),
        C("counterparty_org", 11, "code", "with whom; the hub for the net of the date"),
        C("taps", 10, "signed", "cleared, adjusted ones taken off"),
        C("amount_fen", 18, "signed", "what was bought, adjustments taken off"),
        C("fee_fen", 18, "signed", "the whole fee"),
        C("issuer_share_fen", 18, "signed", "of the fee, back to the issuer"),
        C("acquirer_share_fen", 18, "signed", "of the fee, back to the acquirer"),
        C("net_fen", 18, "signed", "+ is paid to the member, - by it"),
    ),
    examples=(
        (
            "20260302" + B + A + "+000000001" + f"+{180:017d}" + f"+{2:017d}" + f"+{1:017d}" + f"+{0:017d}"
            + f"-{179:017d}",
            {"settled_on": date(2026, 3, 2), "member_org": B, "counterparty_org": A, "taps": 1,
             "amount_fen": 180, "fee_fen": 2, "issuer_share_fen": 1, "acquirer_share_fen": 0,
             "net_fen": -179},
        ),
    ),
    once=("settled_on", "member_org", "counterparty_org"),
)  # fmt: skip
LD: Final = Format(
    "LD", "Processed files", "已处理文件清单", "own",
    (
        C("file", 2, "code", "id of the file; empty: whichever has this number"),
        C("sender_org", 11, "code", "who sent the file"),
        C("receiver_org", 11, "code", "whom it is for"),
        C("sequence", 6, "number", "its number"),
        C("state", 8, "text", "taken, wanted (send it again) or refused (send it corrected)"),
        C("records", 6, "number", "how many it holds"),
        C("digest", 64, "text", "SHA-256 of the file taken, in hex"),
    ),
    examples=(
        (
            "CD" + A + HUB + "000003" + "taken   " + "000012" + "ab" * 32,
            {"file": "CD", "sender_org": A, "receiver_org": HUB, "sequence": 3, "state": "taken",
             "records": 12, "digest": "ab" * 32},
        ),
    ),
    once=("sender_org", "receiver_org", "sequence"),
)  # fmt: skip
_LISTED: Final = (
    C("pan", 20, "text", "card number"),
    C("issuer_org", 11, "code", "company code of the issuer"),
    C("action", 1, "number", "1 put on, 2 take off"),
    C("reason", 10, "text", "why, in a word"),
    C("listed_at", 14, "moment", "when it was put on or taken off"),
    C("version", 10, "number", "version of the issuer's list"),
)
_LISTED_EXAMPLE: Final = (
    "03109900010000000011" + B + "1" + "lost      " + "20260302091500" + "0000000004",
    {"pan": "03109900010000000011", "issuer_org": B, "action": 1, "reason": "lost",
     "listed_at": datetime(2026, 3, 2, 9, 15), "version": 4},
)  # fmt: skip
_LISTED_ONCE: Final = ("pan", "action", "version")
UC: Final = Format(
    "UC", "Hotlist upload", "黑名单上送", "own", _LISTED, examples=(_LISTED_EXAMPLE,), once=_LISTED_ONCE
)
DC: Final = Format(
    "DC", "Hotlist download", "黑名单下发", "own", _LISTED, examples=(_LISTED_EXAMPLE,), once=_LISTED_ONCE
)
BN: Final = Format(
    "BN", "White list of issuers", "发卡机构白名单", "own",
    (
        C("issuer", 16, "text", "8 bytes in hex, as cards carry them"),
        C("issuer_org", 11, "code", "company code of the issuer"),
        C("member_org", 11, "code", "the member that answers for it"),
        C("pan_prefix", 13, "text", "what its card numbers begin with"),
        C("accepted", 1, "number", "1 accepted, 0 not any more"),
        C("valid_from", 8, "day", "first day"),
        C("valid_until", 8, "date", "last day; zeros: open"),
        C("name_en", 40, "text", "name in English"),
        C("name_zh", 40, "text", "name in Chinese"),
    ),
    examples=(
        (
            "02009900ffffffff" + B + B + "0310990001   " + "1" + "20260101" + "00000000"
            + "Wangjiang".ljust(40) + "望江市民卡公司" + " " * 26,
            {"issuer": "02009900ffffffff", "issuer_org": B, "member_org": B, "pan_prefix": "0310990001",
             "accepted": 1, "valid_from": date(2026, 1, 1), "valid_until": None, "name_en": "Wangjiang",
             "name_zh": "望江市民卡公司"},
        ),
    ),
    once=("issuer",),
)  # fmt: skip
IN: Final = Format(
    "IN", "Members", "成员机构信息", "own",
    (
        C("member_org", 11, "code", "organisation code"),
        C("participant", 16, "text", "8 bytes in hex, as records carry them"),
        C("roles", 20, "text", "issuer, acquirer, hub; blanks between"),
        C("active", 1, "number", "1 takes part, 0 not any more"),
        C("name_en", 40, "text", "name in English"),
        C("name_zh", 40, "text", "name in Chinese"),
    ),
    examples=(
        (
            A + "1900990000000001" + "issuer acquirer     " + "1" + "Langang".ljust(40) + "岚港一卡通公司"
            + " " * 26,
            {"member_org": A, "participant": "1900990000000001", "roles": "issuer acquirer", "active": 1,
             "name_en": "Langang", "name_zh": "岚港一卡通公司"},
        ),
    ),
    once=("member_org",),
)  # fmt: skip
ER: Final = Format(
    "ER", "Error codes", "错误代码", "own",
    (C("error", 6, "code", "the code"), C("en", 60, "text", "in English"), C("zh", 60, "text", "in Chinese")),
    examples=(
        (
            "002009" + "TAC does not verify".ljust(60) + "TAC 验证失败" + " " * 48,
            {"error": "002009", "en": "TAC does not verify", "zh": "TAC 验证失败"},
        ),
    ),
    once=("error",),
)  # fmt: skip

FORMATS: Final[dict[str, Format]] = {
    one.id: one for one in (CD, CL, FB, CR, BP, LD, ED, CM, AD, UC, DC, BN, ER, IN)
}
