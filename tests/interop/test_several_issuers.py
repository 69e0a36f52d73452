# SPDX-License-Identifier: Apache-2.0
"""An office that answers for several issuers: routed by issuer, positions by issuer, files by office."""

from __future__ import annotations

from typing import Any

import pytest

from citycard.core.interop import files
from citycard.core.problem import Problem
from citycard.core.record import open_batch
from citycard.office import ledger
from tests.interop.conftest import DAY, EAST, HUB, ISSUERS, PARTICIPANTS, WEST, Place, cleared, detail, record
from tests.interop.test_partners_office import OWN_PAN, PAN, alarms, came

COLLEGE, COLLEGE_CODE = "02009901cccccccc", "99010000002"  # East answers for its cards too
PORT, PORT_CODE = "02009900cccccccc", "99000000002"  # West's second issuer
AWAY_AT = b"\x99\x01\x01\x01\x00\x01"


def sent_to(org: str, kind: str) -> list[dict[str, Any]]:
    """The records of our newest file of a kind for a member."""
    from citycard.office.partners import outbox, shelf
    from citycard.office.partners.models import ExchangeFile

    made = ExchangeFile.objects.filter(file=kind, receiver=org).latest("id")
    return files.read(outbox.name_of(made), shelf.read(made.path)[0])


def nets(rows: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    return {(row["member_org"], row["counterparty_org"]): row["net_fen"] for row in rows}


def test_the_hub_routes_by_issuer_and_sends_by_office(hub: Place) -> None:
    from citycard.office.partners import desk, evening
    from citycard.office.partners.models import ExchangedTap, ExchangePosition
    from citycard.office.partners.reconcile import reconcile

    desk.add_issuer(COLLEGE, EAST, issuer_org=COLLEGE_CODE, name_en="College", name_zh="大学")
    rows = [
        detail(record(PAN, 180), 1, WEST, EAST),
        detail(record(PAN[:-1] + "2", 400, issuer=COLLEGE, sequence=2), 2, WEST, COLLEGE_CODE),
    ]
    assert came(hub[WEST].file("CD", rows)) == "taken"
    assert evening.close(DAY)["nets"] == {EAST: -(179 + 398), WEST: 178 + 397}
    told = sent_to(EAST, "CL")
    assert [(row["issuer_org"], row["receiver_org"]) for row in told] == [(EAST, EAST), (COLLEGE_CODE, EAST)]
    assert nets(sent_to(EAST, "BP")) == {
        (EAST, WEST): -179, (COLLEGE_CODE, WEST): -398, (EAST, HUB): -577,
    }  # fmt: skip
    assert nets(sent_to(WEST, "BP")) == {
        (WEST, EAST): 178, (WEST, COLLEGE_CODE): 397, (WEST, HUB): 575,
    }  # fmt: skip
    assert sum(ExchangePosition.objects.exclude(counterparty_org=HUB).values_list("net_fen", flat=True)) == -2
    assert reconcile().agrees
    word = {name: told[1][name] for name in ("serial", "acquirer_serial", "acquirer_org", "issuer_org", "pan",
                                             "tapped_at")}  # fmt: skip
    assert came(hub[EAST].file("FB", [word | {"error": "000000"}])) == "taken"
    assert ExchangedTap.objects.get(issuer_org=COLLEGE_CODE).state == "verified"


def test_a_company_code_belongs_to_one_member(hub: Place) -> None:
    from citycard.office.partners import desk

    for code in (EAST, WEST):  # an issuer's code, and a member's
        with pytest.raises(Problem) as caught:
            desk.add_issuer(COLLEGE, EAST if code == WEST else WEST, issuer_org=code)
        assert (caught.value.code, caught.value.fields["member"]) == ("COMPANY_TAKEN", code)


@pytest.fixture
def both(west: Place) -> Place:
    """West answers for two issuers."""
    from citycard.office.participants.models import Contract, Participant
    from citycard.office.partners import desk

    Participant.objects.create(id=PORT, name_en="Port", name_zh="港口", roles=["issuer"])
    desk.add_issuer(PORT, WEST, issuer_org=PORT_CODE, name_en="Port", name_zh="港口")
    assert Contract.objects.filter(contract=f"away-{PORT}").exists()
    return west


def away(issuer: str, company: str, number: int, fen: int) -> dict[str, Any]:
    """A cleared tap of West's card at one terminal in East; the fee is 2 fen, 1 of them back to the issuer."""
    tap = record(OWN_PAN[:-1] + str(number), fen, issuer=issuer, sequence=number)
    row = cleared(detail(tap, number, EAST, company), 70 + number)
    return row | {"verification": row["verification"].replace(b"\x99\x00\x01\x01\x00\x01", AWAY_AT)}


def bp(member: str, counterparty: str, net_fen: int) -> dict[str, Any]:
    return {"settled_on": DAY, "member_org": member, "counterparty_org": counterparty, "net_fen": net_fen}


def test_a_city_books_each_issuer_and_brings_its_taps_to_its_own_clearing(both: Place) -> None:
    from citycard.office.intake import lake
    from citycard.office.partners.models import ExchangedTap, ForeignTerminal

    rows = [away(ISSUERS[WEST], WEST, 1, 180), away(PORT, PORT_CODE, 2, 400)]
    rows.append(away(PORT, WEST, 3, 50))  # cleared against one company, the record says the other
    assert came(both[HUB].file("CL", rows)) == "taken"
    assert ledger.balance(f"position:{ISSUERS[WEST]}") == -179 - 49
    assert ledger.balance(f"position:{PORT}") == -399
    assert ledger.balance(f"position:{PARTICIPANTS[HUB]}") == 179 + 49 + 399
    odd = ExchangedTap.objects.get(serial=73)
    assert (odd.issuer, odd.error, odd.batch) == (ISSUERS[WEST], "002007", "")
    taps = ExchangedTap.objects.exclude(batch="").order_by("serial")
    assert len({tap.batch for tap in taps}) == 2  # one terminal, two issuers
    for tap in taps:
        path = lake.find(both.home, tap.batch)
        assert path is not None
        batch = open_batch((both.home / path).read_bytes())
        assert (batch.header["acquirer"].hex(), batch.header["terminal"]) == (tap.issuer, AWAY_AT)
    assert ForeignTerminal.objects.get().issuer in (PORT, ISSUERS[WEST])  # whichever was first


def test_positions_must_agree_for_each_issuer(both: Place) -> None:
    """A total that agrees while two issuers' parts are mixed up is not paid."""
    from citycard.office.intake.models import Alarm
    from citycard.office.partners.models import ExchangeHold, ExchangePosition
    from citycard.office.partners.reconcile import reconcile

    rows = [away(ISSUERS[WEST], WEST, 1, 180), away(PORT, PORT_CODE, 2, 400)]
    came(both[HUB].file("CL", rows))
    total = bp(WEST, HUB, -179 - 399)
    assert came(both[HUB].file("BP", [bp(WEST, EAST, -399), bp(PORT_CODE, EAST, -179), total])) == "taken"
    (alarm,) = Alarm.objects.filter(code="EXCHANGE_POSITION")
    assert alarm.subject == PORT_CODE
    assert ledger.balance(f"position:{PORT}") == -399  # nothing was paid
    assert not reconcile().agrees
    hold = ExchangeHold.objects.get()
    assert hold.told_fen == hold.ours_fen == -179 - 399  # two people decide about the date
    ExchangePosition.objects.all().delete()
    hold.delete()  # as if the positions had been right at once
    assert came(both[HUB].file("BP", [bp(WEST, EAST, -179), bp(PORT_CODE, EAST, -399), total])) == "taken"
    for account in (ISSUERS[WEST], PORT, PARTICIPANTS[HUB]):
        assert ledger.balance(f"position:{account}") == 0
    assert reconcile().agrees
    assert came(both[HUB].file("BP", [bp(COLLEGE_CODE, EAST, -1)])) == "FILE_REFUSED"
    assert "EXCHANGE_REFUSED" in alarms()
