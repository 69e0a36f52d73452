# SPDX-License-Identifier: Apache-2.0
"""Offices of the lab whose people do what a life says: raise an amount, complain, answer, correct."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Final

from citycard.core.card import Card
from citycard.lab.faults import Faults
from citycard.lab.interop.towns import HUB
from citycard.lab.interop.worker import NIGHT, CityOffice, HubOffice, Office
from citycard.lab.plan import Act
from citycard.services.contract import Event

OFFICER: Final = "officer"
WORDS: Final = "仿真"
ASKED: Final = {"raised": "answerer", "contested": "raiser", "represented": "answerer", "arbitration": "hub"}


def _officer() -> Any:
    from citycard.office.staff.roles import Actor, Role

    return Actor(OFFICER, frozenset({Role.CLEARING_OFFICER}))


class Living(Office):
    """What is the same in a city and at the hub."""

    def open_points(self) -> dict[str, Any]:
        """What is under way here: taps, whether clearing is needed for them, disputes by cause and stage."""
        from citycard.core.interop.disputes import OPEN
        from citycard.core.interop.states import AT_REST, State
        from citycard.office.disputes.models import Dispute
        from citycard.office.partners.models import ExchangedTap

        still = [state.value for state in (*AT_REST, State.DISPUTED)]  # a dispute is counted below
        moving = ExchangedTap.objects.exclude(state__in=still)
        taken = moving.filter(side="acquirer", state="taken").exists()
        untold = ExchangedTap.objects.filter(side="issuer", told=False).exists()
        forwarded = self.town is HUB and moving.filter(state="forwarded").exists()
        disputes = Dispute.objects.filter(stage__in=[stage.value for stage in OPEN])
        granted = self.town is HUB and disputes.filter(stage="granted").exists()
        return {
            "taps": moving.count(),
            "clearing": untold or forwarded or granted or taken,
            "disputes": list(disputes.values_list("cause", "stage")),
        }

    def numbers(self) -> dict[str, dict[str, int]]:
        """How many numbered files were made for each member, and up to which each one's were taken."""
        from citycard.office.partners.models import ExchangeFile, Member

        made = ExchangeFile.objects.filter(sender=self.town.org, control=False)
        return {
            "sent": dict(Counter(made.values_list("receiver", flat=True))),
            "taken": dict(Member.objects.exclude(pk=self.town.org).values_list("org", "taken")),
        }

    def answer_all(self, answers: dict[str, dict[str, str]], day: str) -> int:
        """Take the steps in open disputes that are ours, as the life answers each stage; how many."""
        from citycard.core.interop.disputes import Act as Move
        from citycard.office.disputes import verbs
        from citycard.office.disputes.models import Dispute

        taken = 0
        for one in Dispute.objects.filter(stage__in=ASKED).order_by("id"):
            what = answers[one.cause].get(one.stage, "") if ASKED[one.stage] == one.party else ""
            if what:
                done = verbs.act(one.pk, Move(what), _officer(), words=WORDS, on=date.fromisoformat(day))
                assert isinstance(done, Dispute), f"{self.town.en} could not {what}: {done}"
                taken += 1
        return taken


class LivingHub(Living, HubOffice):
    """The hub."""


class LivingCity(Living, CityOffice):
    """A city."""

    def roll(self, seed: int) -> None:
        """What people do from now on is drawn from this seed."""
        self.city.random.seed(seed)
        self.random.seed(seed ^ 0xC17)

    def clear_with(self, runs: Callable[..., Any]) -> None:
        """Dates are cleared by this from now on."""
        self.city.run = runs

    def misfortune(self, faults: Faults) -> None:
        """From now on clearing dies when this says so."""
        self.city.faults = faults

    def visits(self, day: str) -> list[dict[str, Any]]:
        """Visitors' taps that our clearing of a date left to the exchange, in order."""
        from citycard.office.settlement.models import Tap

        strange = Tap.objects.filter(run=date.fromisoformat(day), reason="UNKNOWN_ISSUER").order_by("tap")
        return [{"tap": one.tap, "pan": one.pan, "amount_fen": one.amount_fen} for one in strange]

    def close_books(self, day: str) -> None:
        """Clear, post and settle a date on which nobody went about."""
        on = date.fromisoformat(day)
        self.clock.at(datetime.combine(on, NIGHT))
        self.clock.at(self.city.scheme.calendar.closes(on))
        self.city.clear(on)

    def raise_amount(self, tap: str, add_fen: int) -> None:
        """Somebody in our office adds to a visitor's amount before it is forwarded."""
        from django.db.models import F

        from citycard.office.partners.models import ExchangedTap

        taken = ExchangedTap.objects.filter(tap=tap, side="acquirer", state="taken")
        assert taken.update(amount_fen=F("amount_fen") + add_fen) == 1

    def complain_of(self, tap: str, right_fen: int, day: str) -> bool:
        """A holder disputes a tap elsewhere as soon as we have verified it; whether that is so."""
        from citycard.office.disputes import verbs
        from citycard.office.disputes.models import Dispute
        from citycard.office.partners.models import ExchangedTap

        found = ExchangedTap.objects.filter(tap=tap, side="issuer", state="verified").first()
        if found is None:
            return False
        made = verbs.raise_dispute(
            found.ref, _officer(), cause="4005", right_fen=right_fen, words=WORDS, on=date.fromisoformat(day)
        )
        assert isinstance(made, Dispute), made
        return True

    def correct(self, tap: str, day: str) -> bool:
        """Present the tap whose amount was raised once more, as soon as it is adjusted; whether it is."""
        from citycard.office.partners import acquirer
        from citycard.office.partners.models import ExchangedTap

        found = ExchangedTap.objects.filter(tap=tap, side="acquirer", state="adjusted", corrects="").first()
        if found is not None:
            acquirer.present_again(found.ref, date.fromisoformat(day))
        return found is not None

    def refuses(self, pocket: dict[str, str]) -> bool:
        """Whether a bus that has fetched what is new refuses this card as lost."""
        bus = self.city.places.buses[0]
        self.clock.pass_time(3600)
        (report,) = self.city.sync([bus])
        assert report.ok, report
        chip = Card.from_image(bytes.fromhex(pocket["chip"]), self.random.randbytes)
        result = self.city.present(bus, chip, Act(self.clock() + timedelta(seconds=9), 0, bus, Event.BOARD))
        return result.refusal is not None and result.refusal.code == "HOTLISTED"
