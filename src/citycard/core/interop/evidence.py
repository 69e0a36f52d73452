# SPDX-License-Identifier: Apache-2.0
"""What of a tap travels between cities: the columns of a CD row, and the TLV by which its issuer verifies it.

The acquirer turns its terminal's record into a CD row; the hub passes the TLV on unread (it has no key for
it); the issuer turns the CL row into a tap record of its own again, so that its clearing verifies the TAC,
the counter and the balance exactly as those of a tap at home. At the issuer such a record is of the service
`AWAY`, belongs to the issuer itself as acquirer (the money between members has already moved), and carries
neither line nor station, for another city's lines are not its own. The tags are citycard's (facts 8.2: the
TLV's content is not published).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, Final

from citycard.core.calendar import Calendar
from citycard.core.interop.columns import TAIL
from citycard.core.problem import declare
from citycard.core.record import Flag, Kind, TapRecord
from citycard.core.refusal import Reason
from citycard.core.tlv import parse, tlv

AWAY: Final = 0xF0  # the service code, at its issuer, of a tap in another city
LIMIT_FEN: Final = 100_000  # of one forwarded tap: no purse holds more
MCC: Final = {1: "4131", 2: "4111", 3: "5499"}  # bus, metro, retail
MCC_OTHER: Final = "5999"
CHANNEL: Final = "01"  # an offline terminal
TAGS: Final[dict[int, tuple[str, int]]] = {
    0xDF01: ("issuer", 8),
    0xDF02: ("terminal", 6),
    0xDF03: ("terminal_txn", 4),
    0xDF04: ("txn", 1),
    0xDF05: ("key_version", 1),
    0xDF06: ("tac", 4),
    0xDF07: ("sequence", 4),
    0xDF08: ("mac2", 4),
    0xDF09: ("card_class", 1),
}
NUMBERS: Final = frozenset({"terminal_txn", "txn", "key_version", "sequence", "card_class"})

EVIDENCE_MISSING = declare(
    "EVIDENCE_MISSING",
    "The verification data of acquirer serial {serial} lacks tag {tag} ({name}) or it has the wrong length.",
    "受理方流水号 {serial} 的验证数据缺少标签 {tag}（{name}）或长度不符。",
)


def to_row(record: TapRecord, serial: int, sent_on: date, orgs: dict[str, str]) -> dict[str, Any]:
    """The CD row of a record; `orgs` gives acquirer_org, issuer_org, receiver_org and sender_org."""
    values = {name: getattr(record, name) for name, _ in TAGS.values()}
    tail = b"".join(
        tlv(tag, values[name].to_bytes(size, "big") if name in NUMBERS else values[name])
        for tag, (name, size) in TAGS.items()
    )
    return {
        "serial": 0,
        "acquirer_serial": serial,
        "acquirer_date": sent_on,
        "reference": f"{record.sequence:010d}",
        "kind": f"{record.txn:04d}",
        **orgs,
        "acquirer_code": record.acquirer.hex()[-11:],
        "mcc": MCC.get(record.service, MCC_OTHER),
        "channel": CHANNEL,
        "pan": record.pan,
        "counter": record.counter,
        "balance_before_fen": record.balance_before_fen,
        "amount_fen": record.amount_fen,
        "tapped_at": record.tapped_at,
        "balance_type": 0,
        "algorithm": record.algorithm,
        "test": int(bool(record.flags & Flag.TEST)),
        TAIL: tail,
    }


def evidence(row: dict[str, Any]) -> dict[str, Any]:
    """The verification data of a CD or CL row by name; EVIDENCE_MISSING."""
    found = dict(parse(row[TAIL]))
    values: dict[str, Any] = {}
    for tag, (name, size) in TAGS.items():
        raw = found.get(tag)
        if raw is None or len(raw) != size:
            raise EVIDENCE_MISSING(serial=row["acquirer_serial"], tag=f"{tag:X}", name=name)
        values[name] = int.from_bytes(raw, "big") if name in NUMBERS else raw
    return values


def to_record(row: dict[str, Any]) -> TapRecord:
    """The tap record its issuer puts into its own clearing; EVIDENCE_MISSING, LayoutError."""
    told = evidence(row)
    return TapRecord(
        kind=Kind.PURCHASE,
        service=AWAY,
        counter=row["counter"],
        pan=row["pan"],
        acquirer=told["issuer"],
        tapped_at=row["tapped_at"],
        balance_before_fen=row["balance_before_fen"],
        amount_fen=row["amount_fen"],
        list_fen=row["amount_fen"],
        algorithm=row["algorithm"],
        flags=int(Flag.TEST) if row["test"] else 0,
        tariff_version=1,
        **told,
    )


def own_checks(record: TapRecord, settle_on: date, calendar: Calendar) -> Reason:
    """The acquirer's own checks of a foreign tap, all that can be checked without its issuer's key.

    Repeats, terminals and their owners were looked at by the acquirer's clearing before.
    """
    due = record.list_fen - record.concession_fen - record.transfer_fen + record.surcharge_fen
    if record.flags & Flag.TEST:
        return Reason.TEST_RECORD
    if record.kind != Kind.PURCHASE or record.amount_fen != due:
        return Reason.AMOUNT_INCONSISTENT
    if record.amount_fen > min(LIMIT_FEN, record.balance_before_fen):
        return Reason.OVER_LIMIT
    business = calendar.business_date(record.tapped_at)
    if business > settle_on:
        return Reason.FROM_THE_FUTURE
    return Reason.OK if calendar.accepts(record.tapped_at, settle_on) else Reason.TOO_LATE


def altered(record: TapRecord, amount_fen: int) -> TapRecord:
    """The same record with another amount, as a fault or a fraud would make it: for tests and the lab."""
    return replace(record, amount_fen=amount_fen, list_fen=amount_fen, concession_fen=0, transfer_fen=0,
                   surcharge_fen=0)  # fmt: skip
