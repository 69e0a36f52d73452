# SPDX-License-Identifier: Apache-2.0
"""A small city to look at: a handful of cards and people, a day of taps, a run, an alarm, a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from citycard.core import tables
from citycard.core.record import Kind, record_id
from citycard.office.staff.roles import Actor, Role
from tests.office_ledger.bank import OURS, Bank, Move

ISSUER, BUS, METRO, SCHEME = "02009900ffffffff", "1200990000000001", "1200990000000002", "1900990000000001"
DAY = date(2026, 3, 2)
MORNING = datetime(2026, 3, 2, 8, 0)
CLERK = Actor("lin", frozenset({Role.CLERK}))
CUSTODIAN = Actor("zhao", frozenset({Role.KEY_CUSTODIAN}))
BALANCE_FEN = 5000
FEE_FEN = 4  # of each tap: three to the issuer, one to the scheme
ADULT, CHILD = "陈嘉木", "陈小满"


@dataclass
class Small:
    """What was made."""

    pans: list[str]
    adult: Any
    child: Any
    bus_terminal: str
    exchanged: str
    dispute: int
    tap: str
    entry: int  # a movement of the bank that waits for a match
    file: str
    order: str


def build(home: Path) -> Small:
    """Makes it all with the office's own verbs."""
    scheme()
    adult, child = people()
    pans = cards(adult)
    terminal = terminals()
    clear(home, pans, terminal)
    trouble(pans, terminal)
    ref, dispute = exchange(pans)
    tap = record_id(bytes.fromhex(terminal), 0)
    return Small(pans, adult, child, terminal, ref, dispute, tap, *bank(home))


def scheme() -> None:
    from citycard.blueprints import load_scheme
    from citycard.office.participants.scheme import install_scheme

    install_scheme(load_scheme("city"))


def people() -> tuple[Any, Any]:
    from citycard.office.holders import register

    adult = register.register(
        ADULT, date(1985, 4, 1), by=CLERK, level=3, document=("identity_card", "990100198504010017"),
        phone="13800001234",
    )  # fmt: skip
    child = register.register(CHILD, date(2016, 9, 1), by=CLERK, guardian=adult)
    return adult, child


def cards(holder: Any) -> list[str]:
    """Six cards: the first two with a holder, the next two anonymous, two in stock."""
    from citycard.office.cards import personalise, verbs

    pans = [card.pan for card in personalise.order(ISSUER, 6, CUSTODIAN)]
    made = [personalise.Personalised(pan, uid=pan[-8:], balance_fen=BALANCE_FEN) for pan in pans]
    answers = personalise.register(made, CUSTODIAN) + verbs.stock_in_many(pans, CLERK)
    answers += verbs.issue_many([(pan, holder if at < 2 else None) for at, pan in enumerate(pans[:4])], CLERK)
    assert all(isinstance(answer, verbs.Done) for answer in answers)
    return pans


def terminals() -> str:
    """One bus terminal is heard of and lost its second batch; all others are silent."""
    from citycard.office.intake.models import RawBatch
    from citycard.office.participants.models import Terminal

    found = Terminal.objects.filter(service=1).order_by("id").first()
    assert found is not None
    found.last_seen_at, found.clock_skew_s, found.last_batch = MORNING, 300, 3
    found.save()
    for number in (1, 3):
        RawBatch.objects.create(
            digest=f"{number:064d}", terminal=found, number=number, acquirer=BUS, count=4, total_fen=800,
            closed_at=MORNING, received_at=MORNING + timedelta(minutes=number), path=f"raw/{number}.ccb",
        )  # fmt: skip
    return str(found.id)


def clear(home: Path, pans: list[str], terminal: str) -> None:
    """Two rides of each issued card are accepted and one record has a wrong TAC; the date is closed."""
    from citycard.office.settlement import post_run

    verdicts = [
        _verdict(terminal, sequence, pan, ride)
        for sequence, (pan, ride) in enumerate((pan, ride) for pan in pans[:4] for ride in (0, 1))
    ]
    verdicts.append({**_verdict(terminal, 90, pans[0], 2), "verdict": "rejected", "reason": "TAC_MISMATCH"})
    accepted = [row for row in verdicts if row["verdict"] == "accepted"]
    out = home / "exchange" / DAY.isoformat() / "out"
    out.mkdir(parents=True, exist_ok=True)
    revenue = list(_revenue(accepted))
    found = {
        tables.VERDICTS: verdicts,
        tables.REVENUE: revenue,
        tables.POSITIONS: list(_positions(revenue)),
        tables.MOVEMENTS: list(_movements(accepted)),
    }
    for table, rows in found.items():
        with (out / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file:
            table.write(rows, file)
    post_run(DAY)
    statements = home / "statements" / DAY.isoformat()
    statements.mkdir(parents=True, exist_ok=True)
    (statements / f"{BUS}.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (home / "statements" / "secret.csv").write_text("not for anyone", encoding="utf-8")


def bank(home: Path) -> tuple[int, str, str]:
    """The date is settled and ordered; the bank paid the bus company and took in money nobody knows."""
    from citycard.office.bank import orders, statements
    from citycard.office.bank.models import BankAccount, BankEntry, PaymentOrder
    from citycard.office.participants.models import Participant, SettlementTerms
    from citycard.office.settlement import settle

    for number, one in enumerate(Participant.objects.order_by("id")):
        account = OURS if one.pk == SCHEME else f"6222000000000000{number:03d}"
        BankAccount.objects.update_or_create(
            participant=one, defaults={"number": account, "mandate": one.pk == ISSUER}
        )
    SettlementTerms.objects.create(participant_id=METRO, period="weekly", limit_fen=1, hold_over_limit=True)
    settle(DAY)
    made = orders.order(DAY, "kim")
    paid = PaymentOrder.objects.select_related("payment").get(payment__payee=BUS)
    yuan = f"{paid.payment.amount_fen / 100:.2f}"
    moves = (
        Move(f"-{yuan}", paid.end_to_end),
        Move("12.34", text="来源不明", account="6225880000001234"),
    )
    statements.take(Bank().says(DAY, *moves), "bank.xml", "kim")
    reports = home / "reports" / f"{DAY:%Y-%m}"
    reports.mkdir(parents=True)
    (reports / f"{BUS}.pdf").write_bytes(b"%PDF-")
    return BankEntry.objects.get(purpose="open").pk, made.files[0].id, paid.end_to_end


def trouble(pans: list[str], terminal: str) -> None:
    """An alarm, a pending load, a card lost and found again, a request that waits."""
    from citycard.office.cards import verbs
    from citycard.office.cards.models import Card
    from citycard.office.console import approvals
    from citycard.office.intake import alarms
    from citycard.office.intake.models import Load

    alarms.raise_alarm(alarms.BATCH_CONFLICT, terminal, "2", batch=2)
    Load.objects.create(
        id="a" * 32, terminal_id=terminal, request_id="1", card=Card.objects.get(pan=pans[0]), issuer=ISSUER,
        counter=1, key_version=1, algorithm=0, card_answer="", balance_before_fen=0, amount_fen=3000,
        at=MORNING, mac2="00" * 4,
    )  # fmt: skip
    verbs.report_loss(pans[1], CLERK)
    verbs.cancel_loss(pans[1], CLERK)
    verbs.report_loss(pans[1], CLERK)
    verbs.bind(pans[1], Card.objects.get(pan=pans[1]).holder, CLERK)  # refused: it has one, and it is lost
    approvals.ask("destroy", pans[5], CLERK)


def exchange(pans: list[str]) -> tuple[str, int]:
    """Another city and a hub; one tap of ours there was verified and is disputed, and a file was refused."""
    from citycard.core.interop import evidence
    from citycard.core.record import TapRecord
    from citycard.keys.partner import PartnerKey
    from citycard.office.disputes import verbs
    from citycard.office.disputes.models import Dispute
    from citycard.office.partners import desk, held, taps
    from citycard.office.partners.models import ExchangedTap, ExchangeFile, ExchangePosition

    us, them, hub = "99000000001", "99010000001", "99990000001"
    desk.use_key(PartnerKey.from_seed(b"\x01" * 32))  # for tests only
    for org, participant, name in (
        (us, SCHEME, "望江"),
        (them, "1900990100000001", "岚港"),
        (hub, "1999990000000001", "中心"),
    ):
        roles = ["hub"] if org == hub else ["issuer", "acquirer"]
        desk.add_member(
            org, participant=participant, roles=roles, name_en=name, name_zh=name, public_key="ab" * 32
        )
    desk.join(us, hub)
    desk.add_issuer("02009902ffffffff", them, name_en="岚港", name_zh="岚港")
    record = TapRecord(
        kind=1, service=1, txn=9, counter=9, issuer=bytes.fromhex(ISSUER), pan=pans[0], acquirer=bytes(8),
        terminal=bytes.fromhex("990101010001"), sequence=1, tapped_at=MORNING, balance_before_fen=5000,
        amount_fen=180, tac=bytes(4),
    )  # fmt: skip
    orgs = {"acquirer_org": them, "issuer_org": us, "receiver_org": us, "sender_org": hub}
    tap = taps.from_row(evidence.to_row(record, 5, DAY, orgs), "issuer", "verified", record.id)
    tap.serial, tap.settled_on, tap.issuer, tap.error = 71, DAY, ISSUER, "000000"
    tap.save(force_insert=True)
    ExchangePosition.objects.create(
        settled_on=DAY, member_org=us, counterparty_org=hub, taps=1, amount_fen=180, fee_fen=0,
        issuer_share_fen=0, acquirer_share_fen=0, net_fen=-180,
    )  # fmt: skip
    held.hold(DAY, told_fen=-180, ours_fen=0)
    ExchangeFile.objects.create(
        file="CR", sender=hub, receiver=us, business_date=DAY, sequence=1, form="txt", digest="0" * 64,
        status="refused", why="TAP_NOT_OURS", at=MORNING, path="",
    )  # fmt: skip
    officer = Actor("wang", frozenset({Role.CLEARING_OFFICER}))
    made = verbs.raise_dispute(tap.ref, officer, cause="4005", right_fen=0, words="重复扣款", on=DAY)
    assert isinstance(made, Dispute), made
    assert ExchangedTap.objects.get().state == "disputed"
    return tap.ref, made.pk


def _verdict(terminal: str, sequence: int, pan: str, ride: int) -> dict[str, Any]:
    return {
        "tap": record_id(bytes.fromhex(terminal), sequence), "batch": "0" * 64, "position": sequence,
        "verdict": "accepted", "reason": "OK", "pan": pan, "issuer": ISSUER, "acquirer": BUS,
        "terminal": terminal, "service": 1, "kind": int(Kind.PURCHASE),
        "tapped_at": MORNING + timedelta(minutes=10 * sequence), "business_date": DAY, "counter": ride,
        "balance_before_fen": BALANCE_FEN - 180 * ride, "amount_fen": 180, "list_fen": 200,
        "concession_fen": 20, "transfer_fen": 0, "surcharge_fen": 0, "card_class": 1, "flags": ride,
        "line": 101, "station": 0, "entry_line": 0, "entry_station": 0, "entry_at": None,
        "hotlist_version": 0, "settled_on": DAY,
    }  # fmt: skip


def _revenue(accepted: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    fen = sum(row["amount_fen"] for row in accepted)
    fee = FEE_FEN * len(accepted)
    shares = [
        (BUS, ISSUER, "fare", fen - fee),
        (ISSUER, BUS, "fare", -fen),
        (ISSUER, BUS, "issuer_fee", fee * 3 // 4),
        (SCHEME, BUS, "scheme_fee", fee - fee * 3 // 4),
    ]
    for participant, counterparty, cause, amount_fen in shares:
        yield {
            "participant": participant, "service": 1, "counterparty": counterparty, "cause": cause,
            "taps": len(accepted), "amount_fen": amount_fen,
        }  # fmt: skip


def _positions(revenue: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for participant in sorted({row["participant"] for row in revenue}):
        amounts = [row["amount_fen"] for row in revenue if row["participant"] == participant]
        receivable, payable = sum(a for a in amounts if a > 0), -sum(a for a in amounts if a < 0)
        yield {
            "participant": participant, "receivable_fen": receivable, "payable_fen": payable,
            "net_fen": receivable - payable,
        }  # fmt: skip


def _movements(accepted: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    sums: Counter[str] = Counter()
    last: dict[str, dict[str, Any]] = {}
    for row in accepted:
        sums[row["pan"]] += row["amount_fen"]
        last[row["pan"]] = row
    for pan, row in last.items():
        yield {
            "pan": pan, "issuer": ISSUER, "kind": int(Kind.PURCHASE),
            "taps": sum(1 for one in accepted if one["pan"] == pan), "amount_fen": sums[pan],
            "last_counter": row["counter"],
            "last_balance_fen": row["balance_before_fen"] - row["amount_fen"], "last_at": row["tapped_at"],
        }  # fmt: skip
