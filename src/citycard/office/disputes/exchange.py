# SPDX-License-Identifier: Apache-2.0
"""Disputes in files: ED and CM to and from the hub, which passes them on, keeps deadlines, and adjusts (AD).

The hub judges each ED and CM by the same table as the office that sent it, so neither side can take a step
that is not its own. Adjustments are booked as new transfers which name the original; where a card's account
had been debited, its issuer owes the holder what came back (`due:{pan}`).
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from citycard.core.interop import codes, money
from citycard.core.interop.disputes import WAITING, Act, Party, Stage, answer_by, given_back
from citycard.core.interop.files import FileName
from citycard.core.interop.money import Parts
from citycard.core.ledger import Transfer
from citycard.core.problem import declare
from citycard.office import ledger
from citycard.office.cards import counters
from citycard.office.cards import money as card_money
from citycard.office.disputes import acts
from citycard.office.disputes.models import Dispute
from citycard.office.ledger import chart
from citycard.office.partners import books, desk, outbox, taps
from citycard.office.partners.models import ExchangedTap, Member

ADJUSTMENT: Final = "exchange adjustment"
REFUND: Final = "exchange_refund"
REPLY_OF: Final = {Act.ACCEPT: codes.ACCEPTED, Act.CONTEST: codes.CONTESTED, Act.DISMISS: codes.DISMISSED}
ACT_OF: Final = {reply: act for act, reply in REPLY_OF.items()}
TYPE_OF: Final = {Act.REPRESENT: acts.SECOND, Act.WITHDRAW: acts.WITHDRAWN}

DISPUTE_UNFIT = declare(
    "DISPUTE_UNFIT",
    "Case {case} of {org} does not fit: {why}. The file was set aside.",
    "{org} 的争议 {case} 不符：{why}。文件已隔离。",
)


# What we send


def send_dispute(dispute: Dispute, adjust_type: int, words: str, on: date) -> None:
    """ED to the hub."""
    outbox.send("ED", desk.member(desk.own().hub), [_dispute_row(dispute, adjust_type, words)], on)


def tell(dispute: Dispute, what: Act, words: str, on: date) -> None:
    """Tell of a move: a member tells the hub, the hub tells both members. A grant is told by its AD."""
    us = desk.own()
    if what in TYPE_OF:
        send_dispute(dispute, TYPE_OF[what], words, on)
    elif what in REPLY_OF:
        row = _answer_row(dispute, REPLY_OF[what], us.org, words, on)
        orgs = {dispute.originator_org, dispute.answering_org} if us.is_hub else {us.hub}
        for org in sorted(orgs):
            outbox.send("CM", desk.member(org), [row], on)


def _dispute_row(dispute: Dispute, adjust_type: int, words: str) -> dict[str, Any]:
    tap = dispute.tap
    return _about(tap) | {
        "adjust_type": adjust_type,
        "new_amount_fen": dispute.right_fen,
        "cause": dispute.cause,
        "originator_org": dispute.originator_org,
        "case": dispute.case,
        "answer_by": dispute.answer_by,
        "words": words,
    }


def _about(tap: ExchangedTap) -> dict[str, Any]:
    """The columns by which ED and AD name a tap."""
    names = ("serial", "acquirer_serial", "acquirer_date", "reference", "pan", "counter",
             "balance_before_fen", "mcc", "channel", "test", "issuer_org", "acquirer_org")  # fmt: skip
    values = {name: getattr(tap, name) for name in names}
    at = tap.tapped_at
    return values | {"error_type": tap.kind, "new_type": tap.kind, "tapped_on": at.date(),
                     "tapped_time": at.time()}  # fmt: skip


def _answer_row(dispute: Dispute, reply: str, org: str, words: str, on: date) -> dict[str, Any]:
    return {
        "serial": dispute.tap.serial,
        "case": dispute.case,
        "originator_org": dispute.originator_org,
        "answering_org": org,
        "reply": reply,
        "cause": dispute.cause,
        "new_amount_fen": dispute.right_fen,
        "answered_on": on,
        "words": words,
    }


# What comes


def take_dispute(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """ED: raised, presented again or withdrawn; the hub passes it on."""
    us = desk.own()
    for row in records:
        if us.is_hub and row["originator_org"] != sender.org:
            raise _unfit(row, "it was raised by another member")
        if row["adjust_type"] == acts.FIRST:
            dispute = _begin(sender, row, us.is_hub, name.business_date)
        else:
            dispute = _known(row)
            act = Act.REPRESENT if row["adjust_type"] == acts.SECOND else Act.WITHDRAW
            acts.move(dispute, act, row["originator_org"], row["words"])
            dispute.answer_by = answer_by(name.business_date)
            dispute.save(update_fields=["answer_by"])
        if us.is_hub:
            passed = _dispute_row(dispute, row["adjust_type"], row["words"])
            outbox.send("ED", desk.member(dispute.answering_org), [passed], name.business_date)


def _begin(sender: Member, row: dict[str, Any], at_hub: bool, on: date) -> Dispute:
    tap = ExchangedTap.objects.select_for_update().filter(serial=row["serial"]).first()
    if tap is None or tap.pan != row["pan"]:
        raise _unfit(row, f"there is no tap with clearing serial {row['serial']}")
    if not 0 <= row["new_amount_fen"] < tap.amount_fen:
        raise _unfit(row, "the right amount is not below the amount cleared")
    if acts.open_about(tap):
        raise _unfit(row, "a dispute about the tap is open")
    answering = acts.other_side(tap, row["originator_org"])
    if at_hub and sender.org not in (tap.acquirer_org, acts.other_side(tap, tap.acquirer_org)):
        raise _unfit(row, "the tap is of other members")
    return acts.begin(
        tap, Party.HUB if at_hub else Party.ANSWERER, row["originator_org"], row["words"], case=row["case"],
        originator_org=row["originator_org"], answering_org=answering, cause=row["cause"],
        right_fen=row["new_amount_fen"], raised_on=on, answer_by=answer_by(on),
    )  # fmt: skip


def take_answer(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """CM: accepted or contested by the other side, or decided by the hub; the hub passes answers on."""
    us = desk.own()
    for row in records:
        dispute = _known(row)
        act = _act(row, dispute, sender.org if us.is_hub else "")
        acts.move(dispute, act, row["answering_org"], row["words"])
        dispute.answer_by = answer_by(name.business_date)
        dispute.save(update_fields=["answer_by"])
        if us.is_hub:
            outbox.send("CM", desk.member(dispute.originator_org), [row], name.business_date)


def _act(row: dict[str, Any], dispute: Dispute, sender: str) -> Act:
    """What a CM row does; DISPUTE_UNFIT when it is not that member's to give. `sender` at the hub alone."""
    act = ACT_OF.get(row["reply"])
    if act is Act.DISMISS and not sender and row["answering_org"] == desk.own().hub:
        lapsed = dispute.stage == Stage.CONTESTED  # the raiser did not go on in time
        return Act.LAPSE if lapsed else Act.DISMISS
    answers = row["answering_org"] == dispute.answering_org and sender in ("", dispute.answering_org)
    if act in (Act.ACCEPT, Act.CONTEST) and answers:
        return act
    raise _unfit(row, f"reply {row['reply']} is not {row['answering_org']}'s to give")


def take_adjustment(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """AD: booked, and where our card's account had paid, owed to the holder."""
    for row in records:
        dispute = _known(row)
        tap = dispute.tap
        if row["settled_on"] != name.business_date or not 0 <= row["new_amount_fen"] < tap.amount_fen:
            raise _unfit(row, "its date or its amount cannot be")
        if row["error_fee_fen"]:  # not booked, it would make our positions differ from the hub's
            raise _unfit(row, "it charges an error fee, for which there is no rate in our contract")
        back = Parts(tap.amount_fen - row["new_amount_fen"], *(row[column] for column in taps.MONEY))
        books.post_adjustment(row["adjust_serial"], tap, back, row["settled_on"])
        if tap.side == desk.ISSUER and tap.error == codes.GOOD:
            dispute.refunded_fen = refund(row["adjust_serial"], tap, back.amount_fen, row["settled_on"])
        acts.adjusted(dispute, row["adjust_serial"], row["settled_on"], back.amount_fen, sender.org)


def refund(number: int, tap: ExchangedTap, fen: int, on: date) -> int:
    """What came back is owed to the holder until a load puts it onto the card: float -> due."""
    card_money.open_due(tap.pan)
    ledger.post_or_fail(
        [
            Transfer(
                f"adjust:{number:012d}:refund", chart.float_of(tap.issuer), card_money.due(tap.pan), fen,
                REFUND, business_date=on, ref=f"exchange:{tap.serial:012d}",
            )
        ]
    )  # fmt: skip
    return fen


def _known(row: dict[str, Any]) -> Dispute:
    found = (
        Dispute.objects.select_for_update()
        .filter(originator_org=row["originator_org"], case=row["case"], tap__serial=row["serial"])
        .first()
    )
    if found is None:
        raise _unfit(row, "no such case is known here")
    return found


def _unfit(row: dict[str, Any], why: str) -> Exception:
    return DISPUTE_UNFIT(case=row["case"], org=row["originator_org"], why=why)


# What the hub does when it clears a date


def lapse(on: date) -> None:
    """The last day has passed: silence of the answering side grants, silence of the raiser closes."""
    late = Dispute.objects.select_for_update().filter(
        party=Party.HUB, stage__in=[stage.value for stage in WAITING], answer_by__lt=on
    )
    for dispute in late.order_by("id"):
        acts.move(dispute, Act.LAPSE, "deadline")
        if dispute.stage == Stage.CLOSED:
            tell(dispute, Act.DISMISS, "逾期未再提", on)


def adjust(on: date) -> list[dict[str, Any]]:
    """Book what was granted; the AD rows, each with `back`, what was given back.

    The error fee is always zero. The column is known from implementations (facts 8.2), but not what is
    charged, to whom, or for which causes: that is the members' contract, of which our rates (facts 8.4)
    have the three that are known and none for errors. What an adjustment moves is therefore exactly what
    the tap had moved.
    """
    rows = []
    granted = Dispute.objects.select_for_update().filter(party=Party.HUB, stage=Stage.GRANTED)
    for dispute in granted.order_by("id"):
        tap = dispute.tap
        assert tap.settled_on is not None
        rate = money.rate_for(desk.rates(), tap.mcc, tap.acquirer_org, tap.issuer_org, tap.settled_on)
        back = given_back(taps.parts(tap), dispute.right_fen, rate)
        (number,) = counters.take(ADJUSTMENT)
        books.post_adjustment(number, tap, back, on)
        acts.adjusted(dispute, number, on, back.amount_fen, "hub")
        rows.append(
            _dispute_row(dispute, acts.FIRST, "")
            | {"adjust_serial": number, "settled_on": on, "original_on": tap.settled_on, "error_fee_fen": 0,
               "back": back, **{name: getattr(back, name) for name in taps.MONEY}}
        )  # fmt: skip
    for row in rows:
        del row["answer_by"], row["words"]
    return rows
