# SPDX-License-Identifier: Apache-2.0
"""One office of the lab in a process of its own: commands come in as lines of JSON, answers go out as such.

    python -m citycard.lab.interop.worker TOWN HOME BOX

The hub has no cards and no card keys; a city is a whole city of the lab. Cards travel between the cities as
the images of their chips, as they would in somebody's pocket.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from citycard.core.card import Card
from citycard.core.record import TapRecord
from citycard.keys import MemoryVault
from citycard.keys.partner import PartnerKey
from citycard.keys.vault import KeyName, TacRow
from citycard.lab import desk as lab_desk
from citycard.lab.city import FOUNDED, City
from citycard.lab.clock import SimClock
from citycard.lab.demo import chip_balance
from citycard.lab.interop.towns import (
    CITIES,
    EAST,
    HUB,
    HUB_PARTICIPANT,
    RATES,
    SINCE,
    Town,
    few_terminals,
    scheme_of,
)
from citycard.lab.issuing import Pocket
from citycard.lab.people import Person
from citycard.lab.plan import Act, plan_day
from citycard.terminal import Outcome

STRANGER: Final = Person("visitor", False, date(1990, 1, 1), 1, 1)
FIRST_LOAD_FEN: Final = 5000
HUB_KEY: Final = 1 << 32  # beyond the seeds of the cities' keys
NIGHT: Final = time(23, 40)


class Office:
    """What hub and city have in common: the exchange."""

    def __init__(self, town: Town, home: Path, box: Path) -> None:
        self.town = town
        self.home = home
        self.box = box
        self.random = Random()
        self.clock = SimClock(FOUNDED)
        self.vault: MemoryVault | None = None

    def at(self, day: str, hour: int) -> None:
        """It is this hour of a day."""
        self.clock.at(datetime.combine(date.fromisoformat(day), time(hour)))

    def join(self, members: list[dict[str, Any]]) -> None:
        """Take part: everyone's name, keys and box; issuers and rates are the hub's to know."""
        from citycard.office.partners import desk
        from citycard.office.partners.models import ExchangeRate

        desk.join(self.town.org, HUB.org)
        for one in members:
            names = {"name_en": one["en"], "name_zh": one["zh"]}
            desk.add_member(
                one["org"], participant=one["participant"], roles=one["roles"], form=one["form"],
                public_key=one["public_key"], box=str(self.box), **names,
            )  # fmt: skip
            if one["issuer"] and self.town is HUB:
                desk.add_issuer(one["issuer"], one["org"], pan_prefix=one["pan_prefix"], **names)
        if self.town is HUB:
            for rate in RATES:
                ExchangeRate.objects.create(**{"valid_from": SINCE, **rate})

    def sign_with(self, seed: int) -> str:
        """Make this office's signing key; its public half in hex."""
        from citycard.office.partners import desk

        algorithm = "SM2" if self.town is EAST else "Ed25519"  # one of each kind of member
        random = Random(seed)
        key = PartnerKey.from_seed(random.randbytes(32), algorithm, random.randbytes)
        desk.use_key(key)
        return key.public.hex()

    def deliver(self) -> list[str]:
        """Put what waits into the others' boxes; the names."""
        from citycard.office.partners import carriers, desk

        return [name for member in desk.others() for name in carriers.deliver(member)]

    def collect(self) -> dict[str, Any]:
        """Take what lies in our box."""
        from citycard.office.partners import carriers

        visit = carriers.collect(self.box)
        return {name: getattr(visit, name) for name in ("taken", "known", "waiting", "refused")}

    def tell(self, day: str) -> None:
        """Say what we have and what we miss."""
        from citycard.office.partners import desk, outbox

        for member in desk.others():
            outbox.tell(member, date.fromisoformat(day))

    def close_exchange(self, day: str) -> dict[str, Any]:
        """The exchange's part of the evening."""
        from citycard.office.partners import evening

        return evening.close(date.fromisoformat(day))

    def act(self, case: int, originator: str, what: str, words: str, day: str) -> str:
        """Move a dispute on; the stage it came to, or why not."""
        from citycard.core.interop.disputes import Act as Move
        from citycard.office.disputes import verbs
        from citycard.office.disputes.models import Dispute
        from citycard.office.staff.roles import Actor, Role

        officer = Actor("officer", frozenset({Role.CLEARING_OFFICER}))
        found = Dispute.objects.get(case=case, originator_org=originator)
        answer = verbs.act(found.pk, Move(what), officer, words=words, on=date.fromisoformat(day))
        return answer.stage if isinstance(answer, Dispute) else answer.why.code

    def cases(self) -> list[dict[str, Any]]:
        """All disputes as this office knows them."""
        from citycard.office.disputes.models import Dispute

        return [
            {"case": d.case, "originator": d.originator_org, "stage": d.stage, "ref": d.tap_id,
             "cause": d.cause, "back_fen": d.back_fen, "refunded_fen": d.refunded_fen}
            for d in Dispute.objects.order_by("originator_org", "case")
        ]  # fmt: skip

    def alarms(self) -> dict[str, int]:
        """Open alarms by code."""
        from citycard.office.intake.models import Alarm

        return dict(Counter(Alarm.objects.values_list("code", flat=True)))

    def agreement(self) -> dict[str, Any]:
        """Whether this office's part agrees."""
        from citycard.office.partners.reconcile import reconcile

        return reconcile().as_json()


class HubOffice(Office):
    """The hub: an office without cards, terminals or card keys."""

    def found(self, seed: int, **_: Any) -> dict[str, Any]:
        """Open the office."""
        from citycard.office import setup

        self.vault = MemoryVault(clock=self.clock, random=Random(seed).randbytes)
        lab_desk.open_office(self.home, self.vault, self.clock, durable=False)
        setup.migrate()
        return self.member(self.sign_with(seed * 2 + HUB_KEY))

    def member(self, public_key: str) -> dict[str, Any]:
        """What the others are told of us."""
        return {
            "org": HUB.org, "en": HUB.en, "zh": HUB.zh, "participant": HUB_PARTICIPANT, "roles": ["hub"],
            "form": "txt", "public_key": public_key, "issuer": "", "pan_prefix": "",
        }  # fmt: skip

    def summary(self) -> dict[str, int]:
        """Taps and fen cleared on all dates."""
        from citycard.office.partners.models import ExchangeDay

        rows = ExchangeDay.objects.values_list("taps", "amount_fen")
        return {"taps": sum(taps for taps, _ in rows), "amount_fen": sum(fen for _, fen in rows)}

    def publish(self, day: str) -> None:
        """Members, white list and codes to everyone."""
        from citycard.office.partners import lists

        lists.publish(date.fromisoformat(day))


class CityOffice(Office):
    """A city with people, cards, terminals, clearing, and its part of the exchange."""

    city: City

    def found(self, seed: int, cards: int, shared_key: str, form: str) -> dict[str, Any]:
        """Found the city; the purchase root is common to all cities, every other key is this city's own."""
        scheme = scheme_of(self.town)
        shared = {KeyName.PURCHASE: bytes.fromhex(shared_key)}
        own = seed * 2 + CITIES.index(self.town)
        self.city = City(
            self.home, scheme, own, durable=False, plans=few_terminals(scheme), shared_keys=shared
        )
        self.clock = self.city.clock
        self.city.found(cards, "simulated")
        self.vault = self.city.vault
        self.random = Random(own ^ 0xC17)
        self.residents = len(self.city.pockets)
        issuer = scheme.issuers[0]
        return {
            "org": self.town.org, "en": self.town.en, "zh": self.town.zh,
            "participant": scheme.with_role("scheme")[0].id, "roles": ["issuer", "acquirer"], "form": form,
            "public_key": self.sign_with(own), "issuer": issuer.id, "pan_prefix": issuer.pan_prefix,
        }  # fmt: skip

    def morning(self, day: str) -> None:
        """Terminals fetch what is new."""
        self.at(day, 5)
        self._sync()

    def _sync(self) -> None:
        reports = self.city.sync()
        assert all(report.ok for report in reports), reports

    def first_loads(self) -> None:
        """Everyone tops up."""
        loaders = list(self.city.places.loaders)
        for card in range(self.residents):
            act = Act(self.city.clock() + timedelta(seconds=20), card, loaders[card % len(loaders)], None)
            result = self.city.do(Act(act.at, card, act.terminal, None, FIRST_LOAD_FEN))
            assert result.outcome is Outcome.ACCEPTED, result

    def depart(self, cards: list[int]) -> list[dict[str, str]]:
        """Cards leave town, in their holders' pockets."""
        found = [self.city.pockets[card] for card in cards]
        return [{"pan": p.pan, "issuer": p.issuer, "chip": p.chip.image().hex()} for p in found]

    def come_home(self, cards: list[int], pockets: list[dict[str, str]]) -> None:
        """They are back."""
        for card, told in zip(cards, pockets, strict=True):
            assert self.city.pockets[card].pan == told["pan"]
            self.city.pockets[card].chip = self._chip(told)

    def _chip(self, told: dict[str, str]) -> Card:
        return Card.from_image(bytes.fromhex(told["chip"]), self.random.randbytes)

    def live(
        self, day: str, away: list[int], visitors: list[dict[str, str]], taps: list[int]
    ) -> dict[str, Any]:
        """A day: residents in town and visitors go about; the visitors' chips, and what all saw, by code."""
        on, city = date.fromisoformat(day), self.city
        here = [card for card in range(self.residents) if card not in away]
        guests = [Pocket(told["pan"], told["issuer"], self._chip(told), STRANGER) for told in visitors]
        city.pockets += guests
        strange = range(self.residents, len(city.pockets))
        acts = self._plan(on, here, taps[0])
        acts += [
            act for card in strange for act in self._plan(on, [card], taps[1])
        ]  # everyone does something
        seen: dict[str, Counter[str]] = {"here": Counter(), "away": Counter()}
        for act in sorted(acts):
            if act.event is None and act.card in strange:
                continue  # a card is topped up at home
            result = city.do(act)
            code = result.refusal.code if result.refusal else result.outcome.name
            seen["away" if act.card in strange else "here"][code] += 1
        del city.pockets[self.residents :]
        left = [{"pan": p.pan, "issuer": p.issuer, "chip": p.chip.image().hex()} for p in guests]
        return {"pockets": left, **seen}

    def _plan(self, on: date, cards: list[int], taps: int) -> list[Act]:
        if not cards:
            return []
        planned = plan_day(self.random, on, len(cards), taps, self.city.places)
        return [replace(act, card=cards[act.card]) for act in planned]

    def close_city(self, day: str) -> dict[str, Any]:
        """The city's own evening: upload, clear, post, settle."""
        on = date.fromisoformat(day)
        self.city.clock.at(datetime.combine(on, NIGHT))
        self._sync()
        self.city.clock.at(self.city.scheme.calendar.closes(on))
        report = self.city.clear(on)
        return {"verdicts": report.verdicts, "reasons": report.reasons, "charged_fen": report.charged_fen}

    def spoil_amount(self, add_fen: int) -> dict[str, Any]:
        """Somebody in the acquirer's office adds to the amount of a visitor's tap before it is forwarded."""
        from citycard.office.partners.models import ExchangedTap

        found = (
            ExchangedTap.objects.filter(state="taken", amount_fen__gt=0).order_by("pan", "-counter").first()
        )
        if found is None:
            return {}
        ExchangedTap.objects.filter(pk=found.pk).update(amount_fen=found.amount_fen + add_fen)
        return {"ref": found.ref, "tap": found.tap, "true_fen": found.amount_fen}

    def take_visitors(self, day: str) -> dict[str, Any]:
        """Take visitors' taps by our own checks, before the rest of the evening."""
        from citycard.office.partners import acquirer

        done = acquirer.collect(date.fromisoformat(day))
        return {"taken": done.taken, "left": dict(done.left)}

    def present_again(self, ref: str, day: str) -> str:
        """Present an adjusted tap as our terminal recorded it."""
        from citycard.office.partners import acquirer

        return acquirer.present_again(ref, date.fromisoformat(day)).ref

    def complain(self, day: str, cause: str, words: str) -> dict[str, Any]:
        """A holder disputes a verified tap of theirs in the other city."""
        from citycard.office.disputes import verbs
        from citycard.office.disputes.models import Dispute
        from citycard.office.partners.models import ExchangedTap
        from citycard.office.staff.roles import Actor, Role

        found = ExchangedTap.objects.filter(side="issuer", state="verified", amount_fen__gt=0)
        tap = found.order_by("serial").first()
        if tap is None:
            return {}
        officer = Actor("officer", frozenset({Role.CLEARING_OFFICER}))
        made = verbs.raise_dispute(
            tap.ref, officer, cause=cause, right_fen=0, words=words, on=date.fromisoformat(day)
        )
        assert isinstance(made, Dispute), made
        return {"case": made.case, "ref": tap.ref, "pan": tap.pan, "amount_fen": tap.amount_fen}

    def under_way(self) -> list[dict[str, Any]]:
        """Exchanged taps that are not at rest, with the newest verdict of our clearing."""
        from citycard.core.interop.states import AT_REST
        from citycard.office.partners.models import ExchangedTap
        from citycard.office.settlement.models import Tap

        found = ExchangedTap.objects.exclude(state__in=[state.value for state in AT_REST])
        return [
            {"ref": one.ref, "state": one.state, "tap": one.tap,
             "runs": list(Tap.objects.filter(tap=one.tap).order_by("run_id").values_list("run_id", "reason"))}
            for one in found.order_by("ref")
        ]  # fmt: skip

    def lose(self, card: int) -> str:
        """A resident reports a card lost; its number."""
        from citycard.office.cards import verbs
        from citycard.office.staff.roles import SYSTEM

        verbs.report_loss(self.city.pockets[card].pan, SYSTEM)
        return self.city.pockets[card].pan

    def truth(self) -> list[str]:
        """Where a chip and its account differ, in words; and whether the city's own books are sound."""
        from citycard.office import ledger
        from citycard.office.settlement import reconcile

        found = []
        for pocket in self.city.pockets[: self.residents]:
            held, account = chip_balance(pocket), ledger.balance(f"card:{pocket.pan}")
            if held != account:
                found.append(f"card {pocket.pan} holds {held} fen, its account {account}")
        books = reconcile()
        if not books.sound:
            found.append(f"the books of {self.town.en} are not sound: {books}")
        return found

    def verifies(self) -> list[bool]:
        """Whether this city's TAC key verifies the taps it forwarded for others: it must verify none."""
        from citycard.core.interop import evidence
        from citycard.office.partners import taps
        from citycard.office.partners.models import ExchangedTap

        found = ExchangedTap.objects.filter(side="acquirer").order_by("ref")
        records = [evidence.to_record(taps.to_row(tap, "", "")) for tap in found]
        return self.city.vault.tac_checker()([_tac_row(record) for record in records])


def _tac_row(record: TapRecord) -> TacRow:
    return TacRow(
        record.issuer, record.pan, record.key_version, record.algorithm, record.kind, record.txn,
        record.amount_fen, record.terminal, record.terminal_txn, record.moment, record.counter,
        record.balance_before_fen - record.amount_fen, record.tac,
    )  # fmt: skip


def serve(office: Office) -> None:
    """Answer commands until the input ends; an exception is told and ends the process."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever else is printed is no answer
    for line in sys.stdin:
        command, arguments = json.loads(line)
        answer = getattr(office, command)(**arguments)
        answers.write(json.dumps(answer, ensure_ascii=False, default=str) + "\n")


def main() -> None:
    """Entry point of the process."""
    key, home, box = sys.argv[1:]
    town = next(one for one in (*CITIES, HUB) if one.key == key)
    kind = HubOffice if town is HUB else CityOffice
    serve(kind(town, Path(home), Path(box)))


if __name__ == "__main__":
    main()
