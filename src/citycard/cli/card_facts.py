# SPDX-License-Identifier: Apache-2.0
"""What `citycard card info` tells of each kind of card, and how: one row a fact, in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from citycard.core.money import yuan
from citycard.core.trace import Words
from citycard.core.trace.values import plain

if TYPE_CHECKING:
    from citycard.core.dialogue import CardView, MohurdView
    from citycard.core.dialogue.survey import DomainView, Survey

KINDS: Final = {
    "t-union": Words("T-Union card", "交通联合卡"),
    "pboc": Words("PBOC purse card", "PBOC 电子钱包卡"),
    "mohurd": Words("MOHURD city card", "住建部城市一卡通"),
    "gp": Words("GlobalPlatform card without a purse", "无电子钱包的 GlobalPlatform 卡"),
    "cpu": Words("CPU card, blank or with applications of others", "CPU 卡：白卡或其他应用"),
    "m1-1k": Words("M1 card of 1 KB (MIFARE Classic)", "M1 卡，1 KB"),
    "m1-4k": Words("M1 card of 4 KB (MIFARE Classic)", "M1 卡，4 KB"),
    "ultralight": Words("ticket chip (Ultralight)", "单程票芯片（Ultralight）"),
    "tag": Words("tag that has a UID only", "仅含 UID 的标签"),
}
KEY_KINDS: Final = {0x80: "DES", 0x88: "AES"}
UNPROVEN: Final = Words("a UID can be copied: it proves nothing", "UID 可被复制，不构成任何证明")


class Fact(NamedTuple):
    """A name and a value for programs, a title and a sentence for people."""

    name: str
    value: Any
    title: Words
    shown: Words


def facts_of(found: Survey, atr: bytes) -> list[Fact]:
    """All there is to tell of a card."""
    rows = [Fact("kind", found.kind, Words("kind", "卡片种类"), KINDS[found.kind])]
    rows.append(_digits("atr", atr, "answer to reset", "复位应答"))
    if found.uid:
        rows.append(_digits("uid", found.uid, "UID", "UID"))
    if found.purse is not None:
        rows += _purse(found.purse)
    if found.city is not None:
        rows += _city(found.city)
    if found.domain is not None:
        rows += _domain(found.domain)
    if found.blocks:
        rows += _sectors(found)
    if found.pages:
        rows += _ticket(found)
    if found.kind == "tag":
        rows.append(Fact("proof", None, Words("proof", "证明力"), UNPROVEN))
    return rows


def _purse(view: CardView) -> Iterator[Fact]:
    from citycard.core.trace.words import CODES
    from citycard.services.card_state import read_state

    public = view.public
    journey = read_state(view.metro, view.newest, view.balance_fen or 0).journey
    told = journey and {"line": journey.line, "station": journey.station, "at": journey.at}
    yield Fact("pan", view.pan, Words("card number", "卡号"), plain(view.pan))
    yield _digits("issuer", view.issuer, "issuer", "发卡机构")
    if view.kind:
        class_words = CODES["card_class"].get(view.card_class) or plain(f"{view.card_class:02X}")
        yield Fact("card_class", view.card_class, Words("class", "卡种"), class_words)
        yield Fact("city", view.kind["city"], Words("city", "城市代码"), plain(view.kind["city"]))
    yield from _validity(public)
    yield _money(view.balance_fen or 0)
    if not view.kind:
        return
    where = plain(f"{journey.line} / {journey.station}, {journey.at}") if journey else Words("none", "无")
    yield Fact("journey", told, Words("open journey", "未完成行程"), where)


def _city(view: MohurdView) -> Iterator[Fact]:
    public = view.public
    yield _digits("serial", view.serial, "card number", "卡号")
    for name, en, zh in (
        ("issuer", "issuer", "发卡机构"),
        ("city", "city", "城市代码"),
        ("industry", "industry", "行业代码"),
    ):
        yield Fact(name, public[name], Words(en, zh), plain(public[name]))
    yield from _validity(public)
    yield _money(view.balance_fen or 0)


def _domain(domain: DomainView) -> Iterator[Fact]:
    yield _digits("domain", domain.aid, "security domain", "发卡方安全域")
    spoken = [f"SCP{protocol:02d} i={option:02X}" for protocol, option in domain.protocols]
    yield Fact("protocols", spoken, Words("secure channels", "安全通道协议"), plain(", ".join(spoken) or "–"))
    keys = [
        {"version": version, "id": id_, "type": KEY_KINDS.get(kind, f"{kind:02X}"), "bytes": size}
        for version, id_, kind, size in domain.keys
    ]
    sets: dict[tuple[Any, ...], list[str]] = {}
    for key in keys:
        sets.setdefault((key["version"], key["type"], key["bytes"]), []).append(str(key["id"]))
    shown = "; ".join(
        f"{version:02X}: {kind} {8 * size} ({', '.join(ids)})" for (version, kind, size), ids in sets.items()
    )
    yield Fact("keys", keys, Words("key sets", "密钥组"), plain(shown or "–"))
    if domain.cplc:
        yield _digits("cplc", domain.cplc, "production data (CPLC)", "生产数据（CPLC）")


def _sectors(found: Survey) -> Iterator[Fact]:
    from citycard.core.dialogue.survey import DEFAULT_KEYS
    from citycard.core.storage.classic import sector_of

    total = sector_of(found.blocks - 1) + 1
    known = [sector for sector, _, key in found.sectors if key in DEFAULT_KEYS]
    given = [sector for sector, _, key in found.sectors if key not in DEFAULT_KEYS]
    rows = [
        {"sector": sector, "key": which, "default": sector in known} for sector, which, _ in found.sectors
    ]
    shown = Words(
        f"{len(rows)} of {total} open: with default keys {ranges(known)}, with given keys {ranges(given)}",
        f"共 {total} 个扇区，可打开 {len(rows)} 个：默认密钥 {ranges(known)}，给定密钥 {ranges(given)}",
    )
    yield Fact("sectors", rows, Words("sectors", "扇区"), shown)


def _ticket(found: Survey) -> Iterator[Fact]:
    ticket = found.ticket
    if ticket is None:
        yield Fact("ticket", None, Words("ticket", "车票"), Words("none: a blank chip", "无：空白芯片"))
        return
    told = {name: value for name, value in ticket.items() if not isinstance(value, bytes)}
    shown = Words(
        f"product {ticket['product']}, {ticket['rides']} rides, serial {ticket['serial']} (MAC not checked)",
        f"产品 {ticket['product']}，{ticket['rides']} 次，编号 {ticket['serial']}（未校验 MAC）",
    )
    yield Fact("ticket", told, Words("ticket", "车票"), shown)


def _validity(public: dict[str, Any]) -> Iterator[Fact]:
    from citycard.core.trace.words import YES_NO

    enabled = bool(public["enabled"])
    yield Fact("enabled", enabled, Words("enabled", "已启用"), YES_NO[int(enabled)])
    for name, en, zh in (
        ("valid_from", "valid from", "启用日期"),
        ("valid_until", "valid until", "有效期至"),
    ):
        day = public[name]
        yield Fact(name, day, Words(en, zh), plain(str(day)) if day else Words("none", "无"))


def _money(balance_fen: int) -> Fact:
    shown = Words(f"{yuan(balance_fen)} yuan", f"{yuan(balance_fen)} 元")
    return Fact("balance_fen", balance_fen, Words("balance", "余额"), shown)


def _digits(name: str, raw: bytes, en: str, zh: str) -> Fact:
    return Fact(name, raw.hex(), Words(en, zh), plain(raw.hex().upper()))


def ranges(numbers: list[int]) -> str:
    """Numbers in order as people write them: `0-4, 7`; a dash for none."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs) or "–"
