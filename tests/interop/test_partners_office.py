# SPDX-License-Identifier: Apache-2.0
"""An office in the exchange: what it takes, in which order, what it refuses, and what all that posts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from citycard.core.interop import files
from citycard.core.problem import Problem
from citycard.office import ledger
from tests.interop.conftest import (
    BUS,
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

PAN = "03109901010000000011"
OWN_PAN = "03109900010000000014"


def listed(pan: str = PAN, action: int = 1) -> dict[str, Any]:
    return {
        "pan": pan,
        "issuer_org": EAST,
        "action": action,
        "reason": "lost",
        "listed_at": NOON,
        "version": 1,
    }


def came(item: tuple[str, bytes, bytes | None]) -> str:
    """What became of a file: its status, or the code of the problem."""
    from citycard.office.partners import inbox

    try:
        return inbox.receive(*item).status
    except Problem as problem:
        assert problem.text("zh") != problem.text("en")
        return problem.code


def alarms() -> list[str]:
    from citycard.office.intake.models import Alarm

    return sorted(Alarm.objects.values_list("code", flat=True))


def told() -> list[tuple[str, int]]:
    """The rows of the newest LD: state and sequence."""
    from citycard.office.partners import desk, outbox, shelf

    made = outbox.tell(desk.member(HUB), DAY)
    return [
        (row["state"], row["sequence"]) for row in files.read(outbox.name_of(made), shelf.read(made.path)[0])
    ]


def test_files_are_taken_in_order_and_once(west: Place) -> None:
    hub = west[HUB]
    first, second, third = (hub.file("DC", [listed(f"0310990101000000{n:04d}")]) for n in range(3))
    assert came(second) == "waiting"
    assert told() == [("wanted", 1)]
    assert came(second) == "known"
    assert came(first) == "taken"
    assert told() == [("taken", 2)]
    assert [came(one) for one in (first, second, third, third)] == ["known", "known", "taken", "known"]
    altered = hub.file("DC", [listed(action=2)], number=2)
    assert came(altered) == "FILE_ALTERED"
    other_kind = hub.file("FB", [], number=3)
    assert came(other_kind) == "FILE_ALTERED"
    assert came(hub.file("DC", [], number=2000)) == "FILE_AHEAD"
    assert alarms() == ["EXCHANGE_ALTERED", "EXCHANGE_ALTERED"]
    assert told() == [("taken", 3)]


def test_a_file_that_is_not_its_senders_is_set_aside(west: Place) -> None:
    name, raw, signature = west[HUB].file("DC", [listed()])
    assert came((name, raw[:-2] + b"2\n", signature)) == "FILE_SIGNATURE"
    assert came((name, raw, None)) == "FILE_SIGNATURE"
    forged = west[EAST].key.sign(name, files.digest_of(raw))
    assert came((name, raw, forged)) == "FILE_SIGNATURE"
    kept = list((west.home / "partners" / "quarantine").rglob("DC_*"))
    assert len([path for path in kept if path.suffix != ".sig"]) == 2  # two contents came under that name
    assert alarms() == ["EXCHANGE_SIGNATURE", "EXCHANGE_SIGNATURE"]  # an event again only counts
    assert came((name, raw, signature)) == "taken"
    assert came((name.replace(WEST, EAST), raw, signature)) == "FILE_NOT_OURS"
    assert came((name.replace(HUB, "98980000001"), raw, signature)) == "MEMBER_UNKNOWN"
    assert came(("hello.txt", raw, signature)) == "FILE_NAME"


def test_a_file_with_wrong_content_is_refused_and_taken_when_corrected(west: Place) -> None:
    hub = west[HUB]
    wrong = detail(record(PAN), 1, WEST, EAST)
    result = {
        name: wrong[name] for name in ("acquirer_serial", "acquirer_org", "issuer_org", "pan", "amount_fen")
    }
    assert (
        came(hub.file("CR", [result | {"serial": 1, "error": "000000", "tapped_at": NOON}])) == "FILE_REFUSED"
    )
    assert told() == [("wanted", 1)]
    assert came(hub.file("DC", [listed()], number=2)) == "waiting"
    assert came(hub.file("CR", [], number=1)) == "taken"
    assert told() == [("taken", 2)]
    assert alarms() == ["EXCHANGE_REFUSED"]


def test_what_was_not_heard_is_sent_again(west: Place) -> None:
    from citycard.office.partners import carriers, desk, outbox

    hub = desk.member(HUB)
    for _ in range(3):
        outbox.send("CD", hub, [], DAY)
    assert len(carriers.deliver(hub)) == 3
    assert carriers.deliver(hub) == []
    first = outbox.name_of(outbox.waiting(hub).model.objects.get(sequence=1))
    raw = (west.home / "box" / HUB / "inbox" / str(first)).read_bytes()
    head = {"file": "CD", "sender_org": WEST, "receiver_org": HUB}
    took = head | {"sequence": 1, "state": "taken", "records": 0, "digest": files.digest_of(raw)}
    assert came(west[HUB].file("LD", [took, head | {"sequence": 3, "state": "wanted"}])) == "taken"
    assert [name.split("_")[4] for name in carriers.deliver(hub)] == ["000002.txt", "000003.txt"]
    assert desk.member(HUB).acknowledged == 1
    assert came(west[HUB].file("LD", [took | {"digest": "ab" * 32}])) == "taken"
    assert alarms() == ["EXCHANGE_MISHEARD"]


def test_the_drop_box_keeps_what_it_takes_and_says_why_it_did_not(west: Place) -> None:
    from citycard.office.partners import carriers

    box = west.home / "box"
    inbox = box / WEST / "inbox"
    inbox.mkdir(parents=True)
    items = [west[HUB].file("DC", [listed()]), west[HUB].file("DC", [])]
    for (name, raw, signature), spoil in zip(items, (b"", b" "), strict=True):
        (inbox / f"{name}.sig").write_bytes(signature)
        (inbox / name).write_bytes(raw + spoil)
    (inbox / f".{items[1][0]}.1.part").write_bytes(b"half a file")
    (inbox / "readme").write_text("no exchange file", encoding="utf-8")
    visit = carriers.collect(box)
    assert (visit.taken, visit.refused) == ([items[0][0]], {items[1][0]: "FILE_SIGNATURE"})
    assert sorted(path.name for path in inbox.iterdir()) == [f".{items[1][0]}.1.part", "readme"]
    assert (box / WEST / "archive" / items[0][0]).exists()
    assert "other content" in (box / WEST / "quarantine" / f"{items[1][0]}.why").read_text(encoding="utf-8")


def test_terminals_hear_of_issuers_and_lost_cards_elsewhere(west: Place) -> None:
    from citycard.office.cards import hotlist
    from citycard.office.intake import parameters

    assert parameters.current()["issuers"] == [ISSUERS[WEST], ISSUERS[EAST]]
    issuer = {
        "issuer": ISSUERS[WEST],
        "issuer_org": WEST,
        "member_org": WEST,
        "accepted": 1,
        "valid_from": DAY,
    }
    came(west[HUB].file("BN", [issuer]))
    assert parameters.current()["issuers"] == [ISSUERS[WEST]]  # not on the list any more
    ended = {
        "issuer": ISSUERS[EAST],
        "issuer_org": EAST,
        "member_org": EAST,
        "accepted": 1,
        "valid_from": DAY,
    }
    for until, accepted in ((DAY - timedelta(days=1), False), (DAY, True)):
        came(west[HUB].file("BN", [issuer, ended | {"valid_until": until}]))
        assert (ISSUERS[EAST] in parameters.current()["issuers"]) is accepted
    assert came(west[HUB].file("DC", [listed(), listed(OWN_PAN)])) == "taken"
    assert (hotlist.version(), hotlist.delta(0).add) == (1, [OWN_PAN, PAN])
    assert came(west[HUB].file("DC", [listed(action=2), listed("03109901010000000099", 2)])) == "taken"
    assert hotlist.delta(1) == hotlist.Delta(2, 1, [], [PAN])
    assert came(west[HUB].file("DC", [listed(action=2)])) == "taken"
    assert hotlist.version() == 2  # nothing changed, no new version


def test_cleared_taps_are_booked_before_they_are_verified(west: Place) -> None:
    """Settle first: a row that cannot be a tap of ours is booked too, and refused at once."""
    from citycard.office.partners import issuer
    from citycard.office.partners.models import ExchangedTap, ForeignTerminal

    away = record(OWN_PAN, 180, issuer=ISSUERS[WEST])
    odd = record(PAN, 99, issuer=ISSUERS[EAST], sequence=2)
    rows = [cleared(detail(away, 5, EAST, WEST), 71), cleared(detail(odd, 6, EAST, WEST), 72)]
    for row in rows:
        row["verification"] = row["verification"].replace(
            b"\x99\x00\x01\x01\x00\x01", b"\x99\x01\x01\x01\x00\x01"
        )
    assert came(west[HUB].file("CL", rows)) == "taken"
    hub, own = PARTICIPANTS[HUB], ISSUERS[WEST]
    assert ledger.balance(f"position:{hub}") == 179 + 98
    assert ledger.balance(f"position:{own}") == -179 - 98
    assert ForeignTerminal.objects.get().id == "990101010001"
    batches = list((west.home / "lake" / "raw").rglob("*.ccb"))
    assert len(batches) == 1  # the odd one is no record of ours
    assert issuer.answer(DAY) == {"verified": 0, "refused": 1}
    states = dict(ExchangedTap.objects.values_list("serial", "state"))
    assert states == {71: "cleared", 72: "refused"}
    position = {"settled_on": DAY, "member_org": WEST, "counterparty_org": HUB, "net_fen": -1}
    assert came(west[HUB].file("BP", [position])) == "taken"
    assert alarms() == ["EXCHANGE_POSITION"]
    assert ledger.balance(f"position:{hub}") == 277  # nothing was paid on figures that differ


def test_positions_that_agree_are_paid_once(west: Place) -> None:
    away = cleared(detail(record(OWN_PAN, 180, issuer=ISSUERS[WEST]), 5, EAST, WEST), 71)
    came(west[HUB].file("CL", [away]))
    position = {"settled_on": DAY, "member_org": WEST, "counterparty_org": HUB, "net_fen": -179}
    assert came(west[HUB].file("BP", [position])) == "taken"
    assert came(west[HUB].file("BP", [position])) == "taken"
    for name in (f"position:{PARTICIPANTS[HUB]}", f"position:{ISSUERS[WEST]}", "bank:settlement"):
        assert ledger.balance(name) == 0, name
    assert came(west[HUB].file("BP", [position | {"net_fen": -180}])) == "FILE_REFUSED"
    assert ledger.trial_balance().balanced


# amount   mcc    issuer           error
PRESENTED = [
    (180,     "4131", EAST,          "000000"),
    (0,       "4131", EAST,          "000000"),
    (365,     "4111", EAST,          "001004"),
    (180,     "4131", "98000000001", "001001"),
    (100_001, "4131", EAST,          "001005"),
]  # fmt: skip


def test_the_hub_clears_a_date_once(hub: Place) -> None:
    from citycard.office.partners import desk, evening, outbox, shelf
    from citycard.office.partners import hub as clearing
    from citycard.office.partners.models import ExchangedTap, ExchangeFile

    rows = [
        detail(record(PAN, fen, sequence=n), n, WEST, issuer, mcc=mcc)
        for n, (fen, mcc, issuer, _) in enumerate(PRESENTED, start=1)
    ]
    assert came(hub[WEST].file("CD", rows)) == "taken"
    again = [rows[0], rows[1] | {"amount_fen": 5}]  # presented again; presented with another amount
    assert came(hub[WEST].file("CD", again, form="jsonl")) == "taken"
    assert came(hub[EAST].file("CD", rows[:1])) == "FILE_REFUSED"  # West's taps in East's file
    done = evening.close(DAY)
    assert (done["taps"], done["returned"]) == (2, 3)
    assert done["nets"] == {EAST: -179, WEST: 178}
    errors = dict(ExchangedTap.objects.values_list("acquirer_serial", "error"))
    assert errors == {n: error for n, (*_, error) in enumerate(PRESENTED, start=1)}
    assert sorted(ExchangedTap.objects.exclude(serial=None).values_list("serial", flat=True)) == [1, 2]
    made = ExchangeFile.objects.filter(sender=HUB)
    sent = {(f.file, f.receiver): f.records for f in made}
    assert sent == {
        ("CL", WEST): 0, ("CR", WEST): 5, ("BP", WEST): 2, ("LD", WEST): 1,
        ("CL", EAST): 2, ("CR", EAST): 0, ("BP", EAST): 2, ("LD", EAST): 1,
    }  # fmt: skip
    detail_file = made.get(file="CL", receiver=EAST)
    (first, _) = files.read(outbox.name_of(detail_file), shelf.read(detail_file.path)[0])
    assert first["verification"] == rows[0]["verification"]  # passed on as it came
    assert ledger.trial_balance().balanced
    again_done = clearing.clear(DAY)
    assert (again_done.repeated, again_done.taps, again_done.nets) == (True, 2, done["nets"])
    assert made.count() == len(sent)
    assert "EXCHANGE_CONFLICT" in alarms()
    assert desk.own().is_hub


def test_only_the_hub_clears(west: Place) -> None:
    from citycard.office.partners import hub as clearing

    with pytest.raises(Problem) as caught:
        clearing.clear(DAY)
    assert caught.value.code == "NOT_THE_HUB"


def test_feedback_is_the_issuers_alone(hub: Place) -> None:
    from citycard.office.partners import evening
    from citycard.office.partners.models import ExchangedTap, ExchangeFile

    came(hub[WEST].file("CD", [detail(record(PAN), 1, WEST, EAST)]))
    evening.close(DAY)
    word = {"serial": 1, "acquirer_serial": 1, "acquirer_org": WEST, "issuer_org": EAST, "pan": PAN,
            "error": "002009", "tapped_at": NOON}  # fmt: skip
    assert came(hub[WEST].file("FB", [word])) == "FILE_REFUSED"
    assert came(hub[EAST].file("FB", [word])) == "taken"
    assert ExchangedTap.objects.get().state == "refused"
    assert ExchangeFile.objects.filter(file="FB", receiver=WEST).get().records == 1
    assert came(hub[EAST].file("FB", [word])) == "FILE_REFUSED"  # it was told already: an impossible move


def test_an_office_outside_the_exchange_says_so(db: None, home: Path) -> None:
    from citycard.office.partners import desk

    assert desk.accepted_issuers(DAY) == []
    with pytest.raises(Problem) as caught:
        desk.own()
    assert (caught.value.code, BUS[:2]) == ("EXCHANGE_UNSET", "12")


def test_a_run_that_did_not_know_the_terminal_yet_looks_again(west: Place) -> None:
    """The file came between the run's frozen tables and its batches: that refuses nobody."""
    from citycard.office.partners import issuer
    from citycard.office.partners.models import ExchangedTap
    from citycard.office.settlement.models import SettlementRun, Tap

    away = cleared(detail(record(OWN_PAN, 180, issuer=ISSUERS[WEST]), 5, EAST, WEST), 71)
    away["verification"] = away["verification"].replace(
        b"\x99\x00\x01\x01\x00\x01", b"\x99\x01\x01\x01\x00\x01"
    )
    came(west[HUB].file("CL", [away]))
    tap = ExchangedTap.objects.get()
    run = SettlementRun.objects.create(
        settle_on=DAY, digest="0", posted_at=NOON, taps=1, accepted=0, suspended=0, rejected=1, charged_fen=0,
        loaded_fen=0, suspense_fen=0,
    )  # fmt: skip
    verdict = {"verdict": "rejected", "reason": "UNKNOWN_TERMINAL", "tap": tap.tap, "pan": OWN_PAN}
    numbers = ("service", "kind", "counter", "balance_before_fen", "amount_fen", "list_fen", "concession_fen",
               "transfer_fen", "surcharge_fen", "card_class", "flags", "line", "station", "entry_line",
               "entry_station", "hotlist_version")  # fmt: skip
    Tap.objects.create(
        run=run, batch=tap.batch, position=tap.position, issuer="", acquirer="", terminal="", tapped_at=NOON,
        business_date=DAY, **dict.fromkeys(numbers, 0), **verdict,
    )  # fmt: skip
    assert issuer.answer(DAY) == {"verified": 0, "refused": 0}
    again = ExchangedTap.objects.get()
    assert (again.state, again.told, again.batch == tap.batch) == ("cleared", False, False)
    assert len(list((west.home / "lake" / "raw").rglob("*.ccb"))) == 2


DEATHS_MAX = 200  # statements of the longest of these, with room


def dying(work: Callable[[], Any]) -> int:
    """Do it over and over, dying one statement later each time, until nobody dies; how often that was."""
    from citycard.lab.desk import mortal
    from citycard.lab.faults import DeathTimer, Killed

    for step in range(DEATHS_MAX):
        death = DeathTimer()
        death.arm(step)
        try:
            with mortal(death):
                work()
        except Killed:
            continue
        return step
    raise AssertionError("it never ended")


def test_a_city_that_dies_anywhere_takes_a_file_once(west: Place) -> None:
    from citycard.office.intake.models import Alarm
    from citycard.office.partners.models import ExchangedTap

    away = cleared(detail(record(OWN_PAN, 180, issuer=ISSUERS[WEST]), 5, EAST, WEST), 71)
    away["verification"] = away["verification"].replace(
        b"\x99\x00\x01\x01\x00\x01", b"\x99\x01\x01\x01\x00\x01"
    )
    details, again = west[HUB].file("CL", [away]), west[HUB].file("DC", [listed()])
    assert dying(lambda: came(details)) > 20
    assert dying(lambda: came(again)) > 10
    assert ExchangedTap.objects.get().state == "cleared"
    assert ledger.balance(f"position:{PARTICIPANTS[HUB]}") == 179
    assert len(list((west.home / "lake" / "raw").rglob("*.ccb"))) == 1
    assert [came(one) for one in (details, again)] == ["known", "known"]
    assert not Alarm.objects.exists()


def test_a_hub_that_dies_anywhere_clears_once(hub: Place) -> None:
    from citycard.office.partners import evening, outbox, shelf
    from citycard.office.partners.models import ExchangedTap, ExchangeFile

    item = hub[WEST].file("CD", [detail(record(PAN, 180, sequence=n), n, WEST, EAST) for n in (1, 2)])
    assert dying(lambda: came(item)) > 10
    assert dying(lambda: evening.close(DAY)) > 40
    assert sorted(ExchangedTap.objects.values_list("serial", flat=True)) == [1, 2]
    assert ledger.balance(f"position:{PARTICIPANTS[WEST]}") == 0
    for made in ExchangeFile.objects.filter(sender=HUB):  # what is on the disk is what the rows say
        raw, _ = shelf.read(made.path)
        assert (files.digest_of(raw), len(files.read(outbox.name_of(made), raw))) == (
            made.digest,
            made.records,
        )
    numbers = ExchangeFile.objects.filter(sender=HUB, receiver=WEST, control=False).values_list(
        "sequence", flat=True
    )
    assert sorted(numbers) == list(range(1, len(numbers) + 1))  # no gap where a death was


def test_a_file_that_contradicts_itself_is_refused_whole(west: Place) -> None:
    """Two taps under one serial: neither is taken, nothing is booked, and the office stands."""
    from citycard.office.partners.models import ExchangedTap

    rows = [cleared(detail(record(OWN_PAN, 180, sequence=n), n, EAST, WEST), 71) for n in (1, 2)]
    assert came(west[HUB].file("CL", rows)) == "FILE_REFUSED"
    assert not ExchangedTap.objects.exists()
    assert ledger.balance(f"position:{PARTICIPANTS[HUB]}") == 0
    twice = [cleared(detail(record(OWN_PAN, 180), 1, EAST, WEST), serial) for serial in (71, 72)]
    assert came(west[HUB].file("CL", twice, number=1)) == "taken"
    assert ExchangedTap.objects.get().serial == 71
    assert "EXCHANGE_CONFLICT" in alarms()
