# SPDX-License-Identifier: Apache-2.0
"""Disputes from all three sides: who may do what when, deadlines, and adjustments that edit no history."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from citycard.core.interop import disputes as rules
from citycard.core.interop.disputes import NEXT, OPEN, WHO, Act, Party, Stage
from citycard.core.interop.money import Parts, Rate, parts_of
from citycard.office import ledger
from citycard.office.staff.roles import Actor, Role
from tests.interop.conftest import (
    DAY,
    EAST,
    HUB,
    ISSUERS,
    NOON,
    PARTICIPANTS,
    WEST,
    Place,
    cleared,
    detail,
    record,
)
from tests.interop.test_partners_office import OWN_PAN, PAN, came

OFFICER = Actor("wang", frozenset({Role.CLEARING_OFFICER}))
CLERK = Actor("lin", frozenset({Role.CLERK}))
LATE = DAY + timedelta(days=rules.ANSWER_DAYS + 1)
REF = f"{EAST}-000000000005"


def test_every_open_stage_can_end_and_no_act_is_nobodys() -> None:
    """The table by itself: from each stage the end can be reached, and each act has its party."""
    assert set(WHO) == set(Act)
    reached = {Stage.ADJUSTED, Stage.DISMISSED, Stage.CLOSED}
    for _ in Stage:
        reached |= {stage for (stage, _), after in NEXT.items() if after in reached}
    assert reached == set(Stage)
    assert {Stage.ADJUSTED, Stage.DISMISSED, Stage.CLOSED}.isdisjoint(OPEN)
    assert rules.allowed("raised", Party.RAISER) == [Act.WITHDRAW]
    assert rules.allowed("raised", Party.ANSWERER) == [Act.ACCEPT, Act.CONTEST]
    assert rules.allowed("arbitration", Party.HUB) == [Act.GRANT, Act.DISMISS]


@pytest.mark.parametrize("right_fen", [0, 1, 179])
def test_what_is_given_back_and_what_stays_are_the_whole(right_fen: int) -> None:
    rate = Rate("any", 333, 111, 100, DAY)
    booked = parts_of(180, rate)
    back = rules.given_back(booked, right_fen, rate)
    assert Parts(*map(sum, zip(back, parts_of(right_fen, rate), strict=True))) == booked
    assert back.issuer_net_fen + back.acquirer_net_fen + back.hub_net_fen == 0


@pytest.fixture
def booked(west: Place) -> Place:
    """West as issuer: a tap of its card in East is cleared, and verified by West's own clearing."""
    from citycard.office.partners.models import ExchangedTap

    away = detail(record(OWN_PAN, 180, issuer=ISSUERS[WEST]), 5, EAST, WEST)
    away["verification"] = away["verification"].replace(
        b"\x99\x00\x01\x01\x00\x01", b"\x99\x01\x01\x01\x00\x01"
    )
    assert came(west[HUB].file("CL", [cleared(away, 71)])) == "taken"
    ExchangedTap.objects.update(state="verified", error="000000", told=True)
    return west


def raised(**changes: Any) -> Any:
    from citycard.office.disputes import verbs

    given: dict[str, Any] = {
        "cause": "4005",
        "right_fen": 0,
        "words": "重复扣款",
        "on": DAY,
        "by": OFFICER,
        "ref": REF,
    }
    given |= changes
    return verbs.raise_dispute(given.pop("ref"), given.pop("by"), **given)


# what is wrong with it                         why
REFUSED = [
    ({"by": CLERK},                             "NOT_PERMITTED"),
    ({"ref": "x"},                              "TAP_UNKNOWN"),
    ({"cause": "9999"},                         "CAUSE_UNKNOWN"),
    ({"right_fen": 180},                        "AMOUNT_WRONG"),
    ({"words": " "},                            "WORDS_MISSING"),
    ({"words": "长" * 31},                      "WORDS_TOO_LONG"),
    ({"words": "🚇"},                           "WORDS_TOO_LONG"),
    ({"on": DAY + timedelta(days=31)},          "TOO_LATE"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "why"), REFUSED, ids=[f"{why} {i}" for i, (_, why) in enumerate(REFUSED)]
)
def test_what_cannot_be_disputed_is_refused_in_words(booked: Place, changes: Any, why: str) -> None:
    from citycard.office.disputes.models import Dispute
    from citycard.office.partners.models import ExchangedTap, ExchangeFile

    answer = raised(**changes)
    assert answer.why.code == why
    assert answer.why.title("zh") != answer.why.title("en")
    assert not Dispute.objects.exists()
    assert not ExchangeFile.objects.filter(file="ED").exists()
    assert ExchangedTap.objects.get().state == "verified"


def test_a_holders_complaint_ends_in_a_refund_and_history_stays(booked: Place) -> None:
    """Raised, contested, presented again, contested again, granted by the hub, adjusted, owed to the holder."""
    from citycard.office.audit.models import AuditEntry
    from citycard.office.disputes import verbs
    from citycard.office.disputes.models import Dispute, DisputeEvent
    from citycard.office.ledger.models import LedgerTransfer
    from citycard.office.partners.models import ExchangeFile

    before = {one.id: one for one in LedgerTransfer.objects.all()}
    dispute = raised()
    assert raised().why.code == "ALREADY_OPEN"
    assert verbs.act(dispute.pk, Act.ACCEPT, OFFICER, on=DAY).why.code == "NOT_YOUR_MOVE"
    assert verbs.act(dispute.pk, Act.REPRESENT, OFFICER, words="x", on=DAY).why.code == "NOT_YOUR_MOVE"
    answer = {"serial": 71, "case": dispute.case, "originator_org": WEST, "answering_org": EAST, "reply": "02",
              "cause": "4005", "answered_on": DAY, "words": "有记录"}  # fmt: skip
    assert came(booked[HUB].file("CM", [answer])) == "taken"
    assert verbs.act(dispute.pk, Act.REPRESENT, OFFICER, on=DAY).why.code == "WORDS_MISSING"
    assert verbs.act(dispute.pk, Act.REPRESENT, CLERK, words="附说明", on=DAY).why.code == "NOT_PERMITTED"
    assert verbs.act(dispute.pk, Act.REPRESENT, OFFICER, words="附说明", on=LATE).why.code == "LAPSED"
    assert verbs.act(dispute.pk, Act.REPRESENT, OFFICER, words="附说明", on=DAY).stage == "represented"
    assert came(booked[HUB].file("CM", [answer])) == "taken"
    adjustment = {"adjust_serial": 4, "settled_on": DAY, "original_on": DAY, "serial": 71, "case": dispute.case,
                  "originator_org": WEST, "issuer_org": WEST, "acquirer_org": EAST, "cause": "4005",
                  "fee_fen": 2, "issuer_share_fen": 1, "acquirer_share_fen": 0}  # fmt: skip
    assert came(booked[HUB].file("AD", [adjustment | {"error_fee_fen": 1}])) == "FILE_REFUSED"
    booked[HUB].sent -= 1  # it is wanted again under its number
    assert came(booked[HUB].file("AD", [adjustment])) == "taken"
    dispute.refresh_from_db()
    assert (dispute.stage, dispute.tap.state, dispute.back_fen, dispute.refunded_fen) == (
        "adjusted",
        "adjusted",
        180,
        180,
    )
    assert ledger.balance(f"position:{PARTICIPANTS[HUB]}") == 0
    assert ledger.balance(f"due:{OWN_PAN}") == 180
    assert all(
        LedgerTransfer.objects.filter(pk=name, amount_fen=one.amount_fen).exists()
        for name, one in before.items()
    )
    back = LedgerTransfer.objects.filter(code="exchange_adjust")
    assert set(back.values_list("ref", flat=True)) == {"exchange:000000000071"}  # each names the original
    stages = list(DisputeEvent.objects.order_by("id").values_list("act", "by"))
    assert stages == [("raise", "wang"), ("contest", EAST), ("represent", "wang"), ("contest", EAST),
                      ("grant", HUB), ("adjust", HUB)]  # fmt: skip
    assert AuditEntry.objects.filter(verb__startswith="dispute_").count() == len(stages)
    assert ExchangeFile.objects.filter(file="ED").count() == 2
    assert ledger.trial_balance().balanced
    assert came(booked[HUB].file("AD", [adjustment | {"adjust_serial": 5}])) == "FILE_REFUSED"  # not twice
    assert ledger.balance(f"due:{OWN_PAN}") == 180
    assert Dispute.objects.count() == 1
    assert raised().why.code == "ALREADY_ADJUSTED"


def test_a_tap_whose_tac_failed_is_disputed_by_itself_and_refunds_nobody(booked: Place) -> None:
    from citycard.office.disputes import verbs
    from citycard.office.partners.models import ExchangedTap

    ExchangedTap.objects.update(state="refused", error="002009")
    (dispute,) = verbs.raise_refused(DAY)
    assert (dispute.cause, dispute.events.get().words) == ("6001", "TAC 验证失败")
    assert verbs.raise_refused(DAY) == []
    adjustment = {"adjust_serial": 4, "settled_on": DAY, "serial": 71, "case": dispute.case, "originator_org": WEST,
                  "fee_fen": 2, "issuer_share_fen": 1, "acquirer_share_fen": 0}  # fmt: skip
    assert came(booked[HUB].file("AD", [adjustment])) == "taken"
    assert ledger.balance(f"due:{OWN_PAN}") == 0  # the card's account was never debited


def dispute_row(case: int = 1, **more: Any) -> dict[str, Any]:
    row = {"serial": 1, "acquirer_serial": 1, "adjust_type": 1, "pan": PAN, "new_amount_fen": 0, "cause": "4005",
           "originator_org": EAST, "issuer_org": EAST, "acquirer_org": WEST, "case": case, "words": "重复"}  # fmt: skip
    return row | more


def answer_row(reply: str, case: int = 1, by: str = WEST) -> dict[str, Any]:
    return {"serial": 1, "case": case, "originator_org": EAST, "answering_org": by, "reply": reply,
            "cause": "4005", "answered_on": DAY}  # fmt: skip


@pytest.fixture
def judge(hub: Place) -> Place:
    """The hub, with one cleared tap of an East card in West."""
    from citycard.office.partners import evening

    came(hub[WEST].file("CD", [detail(record(PAN), 1, WEST, EAST)]))
    assert evening.close(DAY)["taps"] == 1
    return hub


def at_hub() -> Any:
    from citycard.office.disputes.models import Dispute

    return Dispute.objects.get()


def test_the_hub_lets_each_side_do_only_its_own(judge: Place) -> None:
    east, west = judge[EAST], judge[WEST]
    assert came(west.file("ED", [dispute_row()])) == "FILE_REFUSED"  # raised in another's name
    assert came(east.file("ED", [dispute_row(new_amount_fen=180)])) == "FILE_REFUSED"
    assert came(east.file("ED", [dispute_row()], number=1)) == "taken"
    assert came(east.file("ED", [dispute_row(2)])) == "FILE_REFUSED"  # one is open
    assert came(east.file("CM", [answer_row("01")], number=2)) == "FILE_REFUSED"  # answers itself
    assert came(west.file("CM", [answer_row("03", by=HUB)], number=2)) == "FILE_REFUSED"  # decides for itself
    assert came(west.file("CM", [answer_row("02")], number=2)) == "taken"
    assert came(west.file("CM", [answer_row("02")])) == "FILE_REFUSED"  # said already
    assert at_hub().stage == "contested"


def test_silence_grants_and_the_hub_adjusts(judge: Place) -> None:
    from citycard.office.partners import evening
    from citycard.office.partners.models import ExchangedTap, ExchangeFile

    came(judge[EAST].file("ED", [dispute_row()]))
    last = DAY + timedelta(days=rules.ANSWER_DAYS)
    assert evening.close(last)["nets"] == {}  # the last day is still a day to answer
    assert evening.close(LATE)["nets"] == {EAST: 179, WEST: -178}
    assert (at_hub().stage, at_hub().back_fen, ExchangedTap.objects.get().state) == (
        "adjusted",
        180,
        "adjusted",
    )
    sent = ExchangeFile.objects.filter(file="AD", business_date=LATE)
    assert sorted(sent.values_list("receiver", flat=True)) == [WEST, EAST]
    for org in (WEST, EAST):
        assert ledger.balance(f"position:{PARTICIPANTS[org]}") == 0  # paid on both dates


def test_silence_of_the_raiser_closes(judge: Place) -> None:
    from citycard.office.partners import evening
    from citycard.office.partners.models import ExchangedTap

    came(judge[EAST].file("ED", [dispute_row()]))
    came(judge[WEST].file("CM", [answer_row("02")]))
    assert evening.close(LATE)["nets"] == {}
    assert (at_hub().stage, ExchangedTap.objects.get().state) == ("closed", "upheld")


@pytest.mark.parametrize(
    ("act", "stage", "net"), [("dismiss", "dismissed", None), ("grant", "adjusted", 179)]
)
def test_the_hub_decides_what_was_contested_twice(
    judge: Place, act: str, stage: str, net: int | None
) -> None:
    from citycard.office.disputes import verbs
    from citycard.office.partners import evening

    east, west = judge[EAST], judge[WEST]
    items = [east.file("ED", [dispute_row()]), west.file("CM", [answer_row("02")]),
             east.file("ED", [dispute_row(adjust_type=2)]), west.file("CM", [answer_row("02")])]  # fmt: skip
    assert [came(item) for item in items] == ["taken"] * 4
    found = at_hub()
    assert found.stage == "arbitration"
    assert verbs.act(found.pk, Act.DISMISS, OFFICER, on=DAY).why.code == "WORDS_MISSING"
    assert not isinstance(
        verbs.act(found.pk, Act(act), OFFICER, words="依据记录", on=DAY), verbs.DisputeRefusal
    )
    nets = evening.close(date(2026, 3, 3))["nets"]
    assert (at_hub().stage, nets.get(EAST)) == (stage, net)


def test_part_of_an_amount_goes_back_with_its_part_of_the_fee(judge: Place) -> None:
    from citycard.office.partners import evening
    from citycard.office.partners.models import ExchangePosition

    came(judge[EAST].file("ED", [dispute_row(new_amount_fen=100)]))
    came(judge[WEST].file("CM", [answer_row("01")]))
    evening.close(date(2026, 3, 3))
    row = ExchangePosition.objects.get(settled_on=date(2026, 3, 3), member_org=EAST, counterparty_org=WEST)
    rate = Rate("buses", 100, 20, 50, DAY)
    back = parts_of(180, rate).less(parts_of(100, rate))
    assert (row.taps, row.amount_fen, row.net_fen) == (-1, -80, -back.issuer_net_fen)
    assert NOON.date() == DAY
