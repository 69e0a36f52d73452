# SPDX-License-Identifier: Apache-2.0
"""The scenarios a terminal is put through, declared: which cards, how they are presented, what is right.

A place is `enter`, `exit`, `pay` or `load`. Amounts are those of the laboratory's tariff: an entry costs
nothing, an exit `EXIT_FEN`; what is paid and loaded is keyed in. Every scenario has cards of its own
numbers, so that a batch of records can be judged after all of them were played.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from citycard.conform.model import Text
from citycard.conform.terminal import played
from citycard.conform.terminal.played import (
    ANY,
    CACHE,
    CREDIT,
    DEBIT,
    INIT_COMPOSITE,
    INIT_LOAD,
    INIT_PURCHASE,
    READ_BINARY,
    READ_RECORD,
    SELECT,
    Fault,
    lost,
    makes_wait,
    says,
    says_after,
    takes,
    unheard,
)

EXIT_FEN: Final = 300
ENTRY_MINIMUM_FEN: Final = 200
PAY_FEN: Final = 500
LOAD_FEN: Final = 1_000
PASSBACK_S: Final = 5
LATER_S: Final = 60.0  # between two presentations, unless the scenario is about time
GATES, DEBITS = "JT/T 978, gate dialogue", "JR/T 0025 ED/EP"
KIT: Final = "citycard terminal rules"


@dataclass(frozen=True, slots=True)
class CardSpec:
    """A card of a scenario: its money, what its public file says otherwise, whether it is listed."""

    balance_fen: int = 5_000
    public: dict[str, Any] = field(default_factory=dict)
    hotlisted: bool = False
    alien: bool = False  # no T-Union card at all
    offline: int = 0
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """One presentation: at which place, which card, with which faults, how long after the one before."""

    place: str
    card: int = 0
    faults: tuple[Fault, ...] = ()
    after_s: float = LATER_S


@dataclass(frozen=True, slots=True)
class Scenario:
    """One numbered scenario; `amounts` are what each card must have been debited or, at `load`, credited.

    Records must tell of exactly these.
    """

    id: str
    title: Text
    clause: str
    presents: tuple[Present, ...]
    amounts: tuple[tuple[int, ...], ...]
    cards: tuple[CardSpec, ...] = (CardSpec(),)

    @property
    def group(self) -> str:
        """The middle of the id."""
        return self.id.split("-")[1]

    @property
    def places(self) -> frozenset[str]:
        """The places it needs."""
        return frozenset(present.place for present in self.presents)


def _one(
    id_: str,
    title: tuple[str, str],
    clause: str,
    *presents: Present,
    amounts: tuple[int, ...],
    card: CardSpec = CardSpec(),
) -> Scenario:
    """A scenario of one card."""
    return Scenario(f"TT-{id_}", Text(*title), clause, presents, (amounts,), (card,))


def _torn_pay(id_: str, fault: Fault, en: str, zh: str) -> Scenario:
    title = (f"Pay, torn {en}, presented again", f"消费{zh}断开后重刷")
    return _one(
        id_, title, DEBITS, Present("pay", faults=(fault,)), Present("pay", after_s=3), amounts=(PAY_FEN,)
    )


def _torn_entry(id_: str, fault: Fault, en: str, zh: str) -> Scenario:
    title = (f"Enter, torn {en}, presented again", f"进站{zh}断开后重刷")
    again = (Present("enter", faults=(fault,)), Present("enter", after_s=3), Present("exit"))
    return _one(id_, title, GATES, *again, amounts=(0, EXIT_FEN))


def _torn_exit(id_: str, fault: Fault, en: str, zh: str) -> Scenario:
    title = (f"Exit, torn {en}, presented again", f"出站{zh}断开后重刷")
    again = (Present("enter"), Present("exit", faults=(fault,)), Present("exit", after_s=3))
    return _one(id_, title, GATES, *again, amounts=(0, EXIT_FEN))


def _refused(
    id_: str, title: tuple[str, str], card: CardSpec, clause: str = KIT, place: str = "pay"
) -> Scenario:
    return _one(id_, title, clause, Present(place), amounts=(), card=card)


def _strange(id_: str, title: tuple[str, str], *faults: Fault, amounts: tuple[int, ...] = ()) -> Scenario:
    """A payment in which the card answers strangely; presented once more when that must recover it."""
    presents = (Present("pay", faults=faults),) + ((Present("pay", after_s=3),) if amounts else ())
    return _one(id_, title, DEBITS, *presents, amounts=amounts)


GARBAGE: Final = "DEADBEEF" * 5 + "9000"
GOOD: Final = (
    _one(
        "GOO-001",
        ("Enter and exit", "正常进出站"),
        GATES,
        Present("enter"),
        Present("exit"),
        amounts=(0, EXIT_FEN),
    ),
    _one("GOO-002", ("Pay", "正常消费"), DEBITS, Present("pay"), amounts=(PAY_FEN,)),
    _one(
        "GOO-003", ("Pay three times", "连续三次消费"), DEBITS, *(Present("pay"),) * 3, amounts=(PAY_FEN,) * 3
    ),
    _one(
        "GOO-004",
        ("Pay with all there is", "余额恰好用完"),
        DEBITS,
        Present("pay"),
        amounts=(PAY_FEN,),
        card=CardSpec(balance_fen=PAY_FEN),
    ),
    Scenario(
        "TT-GOO-005",
        Text("Two cards in turn", "两张卡交替"),
        GATES,
        (Present("enter", 0), Present("enter", 1), Present("exit", 1), Present("exit", 0)),
        ((0, EXIT_FEN), (0, EXIT_FEN)),
        (CardSpec(), CardSpec()),
    ),
    _one(
        "GOO-006",
        ("The purse counts, not what the transit file tells", "以钱包余额为准，不以过程文件为准"),
        GATES,
        Present("enter"),
        Present("pay"),
        Present("exit"),
        amounts=(0, PAY_FEN, EXIT_FEN),
    ),
)
TORN: Final = (
    _torn_pay("TOR-001", Fault(SELECT, unheard), "at SELECT", "于选择时"),
    _torn_pay("TOR-002", Fault(INIT_PURCHASE, lost), "after INITIALIZE", "于初始化后"),
    _torn_pay("TOR-003", Fault(DEBIT, unheard), "before DEBIT", "于扣款前"),
    _torn_pay("TOR-004", Fault(DEBIT, lost), "after DEBIT", "于扣款后"),
    _torn_entry("TOR-005", Fault(CACHE, lost), "while staging", "于更新缓存时"),
    _torn_entry("TOR-006", Fault(DEBIT, unheard), "before DEBIT", "于扣款前"),
    _torn_entry("TOR-007", Fault(DEBIT, lost), "after DEBIT", "于扣款后"),
    _torn_exit("TOR-008", Fault(INIT_COMPOSITE, lost), "after INITIALIZE", "于初始化后"),
    _torn_exit("TOR-009", Fault(CACHE, unheard, nth=2), "before the second record", "于第二条缓存前"),
    _torn_exit("TOR-010", Fault(DEBIT, unheard), "before DEBIT", "于扣款前"),
    _torn_exit("TOR-011", Fault(DEBIT, lost), "after DEBIT", "于扣款后"),
    _one(
        "TOR-012",
        ("Torn twice, then recovered", "连续两次断开后恢复"),
        DEBITS,
        Present("pay", faults=(Fault(DEBIT, lost),)),
        Present("pay", faults=(Fault(played.PROVE, unheard),), after_s=3),
        Present("pay", after_s=3),
        amounts=(PAY_FEN,),
    ),
    Scenario(
        "TT-TOR-013",
        Text("Another card comes between the tear and the return", "断开后先刷另一张卡"),
        DEBITS,
        (
            Present("pay", 0, (Fault(DEBIT, lost),)),
            Present("pay", 1, after_s=3),
            Present("pay", 0, after_s=3),
        ),
        ((PAY_FEN,), (PAY_FEN,)),
        (CardSpec(), CardSpec()),
    ),
    _torn_pay("TOR-014", Fault(READ_BINARY, lost), "while it is read", "于读卡时"),
    _torn_entry("TOR-015", Fault(INIT_COMPOSITE, lost), "after INITIALIZE", "于初始化后"),
    _torn_exit("TOR-016", Fault(SELECT, unheard), "at SELECT", "于选择时"),
    _torn_exit("TOR-017", Fault(READ_RECORD, lost), "while it is read", "于读卡时"),
)
REFUSED: Final = (
    _refused("REF-001", ("A card on the hotlist", "黑名单卡"), CardSpec(hotlisted=True)),
    _refused("REF-002", ("An expired card", "过期卡"), CardSpec(public={"valid_until": date(2024, 12, 31)})),
    _refused(
        "REF-003",
        ("A card that is not valid yet", "未到启用日期的卡"),
        CardSpec(public={"valid_from": date(2090, 1, 1)}),
    ),
    _refused("REF-004", ("A card that is not enabled", "未启用的卡"), CardSpec(public={"enabled": 0})),
    _refused(
        "REF-005",
        ("A card of an unknown issuer", "未知发卡机构的卡"),
        CardSpec(public={"issuer": bytes.fromhex("05550005FFFFFFFF")}),
    ),
    _refused("REF-006", ("Not enough money", "余额不足"), CardSpec(balance_fen=PAY_FEN - 1), DEBITS),
    _refused(
        "REF-007",
        ("Too little to enter", "低于最低进站余额"),
        CardSpec(balance_fen=ENTRY_MINIMUM_FEN - 1),
        GATES,
        "enter",
    ),
    _refused("REF-008", ("A blocked card", "已锁定的卡"), CardSpec(blocked=True), DEBITS),
    _refused("REF-009", ("A counter at its end", "计数器到上限的卡"), CardSpec(offline=0xFFFF), DEBITS),
    _refused("REF-010", ("A card of another kind", "其他类型的卡"), CardSpec(alien=True), GATES),
    _one(
        "REF-011",
        ("Presented twice at once", "短时间内重复刷卡"),
        KIT,
        Present("pay"),
        Present("pay", after_s=2),
        amounts=(PAY_FEN,),
    ),
    _one(
        "REF-012",
        ("Enter twice", "重复进站"),
        GATES,
        Present("enter"),
        Present("enter", after_s=2),
        amounts=(0,),
    ),
    _one("REF-013", ("Exit without an entry", "无进站记录出站"), GATES, Present("exit"), amounts=()),
)
STRANGE: Final = (
    _strange(
        "STR-001",
        ("A card that debits nothing and makes MAC2 up", "伪造 MAC2 的卡"),
        Fault(DEBIT, says("11223344556677889000")),
    ),
    _strange("STR-002", ("Garbage to SELECT", "选择应答乱码"), Fault(SELECT, says(GARBAGE))),
    _strange("STR-003", ("Garbage to INITIALIZE", "初始化应答乱码"), Fault(INIT_PURCHASE, says(GARBAGE))),
    _strange(
        "STR-004",
        ("Garbage to DEBIT, nothing debited", "扣款应答乱码且未扣款"),
        Fault(DEBIT, says("DEADBE9000")),
    ),
    _strange(
        "STR-005",
        ("Garbage to DEBIT, and debited", "扣款应答乱码但已扣款"),
        Fault(DEBIT, says_after(lambda a: b"\xde\xad")),
        amounts=(PAY_FEN,),
    ),
    _strange(
        "STR-006",
        ("TAC of three bytes, and debited", "TAC 长度错误但已扣款"),
        Fault(DEBIT, says_after(lambda a: a[1:])),
        amounts=(PAY_FEN,),
    ),
    _strange(
        "STR-007",
        ("61xx to DEBIT, and debited", "扣款应答 61xx"),
        Fault(DEBIT, makes_wait),
        Fault("00C0", played.gives),
        amounts=(PAY_FEN,),
    ),
    _strange(
        "STR-008",
        ("6F00 to DEBIT, and debited", "扣款应答 6F00 但已扣款"),
        Fault(DEBIT, says_after(lambda a: b"\x6f\x00")),
        amounts=(PAY_FEN,),
    ),
    _strange(
        "STR-009",
        ("No status word to DEBIT, and debited", "扣款应答无状态字但已扣款"),
        Fault(DEBIT, says_after(lambda a: b"")),
        amounts=(PAY_FEN,),
    ),
    _one(
        "STR-010",
        ("A slow card: two seconds for each answer", "慢卡：每条应答两秒"),
        KIT,
        Present("pay", faults=(Fault(ANY, takes(2), always=True),)),
        amounts=(PAY_FEN,),
    ),
    _strange("STR-011", ("9302 to DEBIT", "扣款应答 9302"), Fault(DEBIT, says("9302"))),
    _strange(
        "STR-012",
        ("A card that tells a balance it does not have", "谎报余额的卡"),
        Fault(INIT_PURCHASE, says_after(lambda a: b"\x00\x01\x86\xa0" + a[4:])),
        Fault(DEBIT, says("9401")),
    ),
)


def _torn_load(id_: str, fault: Fault, en: str, zh: str) -> Scenario:
    title = (f"Load, torn {en}, presented again", f"圈存{zh}断开后重刷")
    again = (Present("load", faults=(fault,)), Present("load", after_s=3))
    return _one(id_, title, DEBITS, *again, amounts=(LOAD_FEN,))


def _false_mac1(answer: bytes) -> bytes:
    """The answer to INITIALIZE FOR LOAD with one bit of MAC1 turned over."""
    return answer[:15] + bytes((answer[15] ^ 1,)) + answer[16:]


LOADED: Final = (
    _one("LOA-001", ("Load", "正常圈存"), DEBITS, Present("load"), amounts=(LOAD_FEN,)),
    _one(
        "LOA-002",
        ("Load, then pay", "圈存后消费"),
        DEBITS,
        Present("load"),
        Present("pay"),
        amounts=(LOAD_FEN, PAY_FEN),
    ),
    _torn_load("LOA-003", Fault(INIT_LOAD, lost), "after INITIALIZE", "于初始化后"),
    _torn_load("LOA-004", Fault(CREDIT, unheard), "before CREDIT", "于入账前"),
    _torn_load("LOA-005", Fault(CREDIT, lost), "after CREDIT", "于入账后"),
    _one(
        "LOA-006",
        ("A card that makes MAC1 up", "伪造 MAC1 的卡"),
        DEBITS,
        Present("load", faults=(Fault(INIT_LOAD, says_after(_false_mac1)),)),
        amounts=(),
    ),
    _refused(
        "LOA-007", ("A load beyond the cap", "圈存超过余额上限"), CardSpec(balance_fen=99_500), DEBITS, "load"
    ),
    _refused(
        "LOA-008", ("A load of a card on the hotlist", "黑名单卡圈存"), CardSpec(hotlisted=True), KIT, "load"
    ),
)
SCENARIOS: Final[tuple[Scenario, ...]] = (*GOOD, *TORN, *REFUSED, *STRANGE, *LOADED)
GROUPS: Final[dict[str, Text]] = {
    "GOO": Text("Good cards", "正常卡"),
    "TOR": Text("Torn cards", "断开的卡"),
    "REF": Text("Cards to be refused", "应拒绝的卡"),
    "STR": Text("Cards that answer strangely", "应答异常的卡"),
    "LOA": Text("Loads", "圈存"),
}
