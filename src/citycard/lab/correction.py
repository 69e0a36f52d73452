# SPDX-License-Identifier: Apache-2.0
"""Contracts that are wrong for an evening: a gap in time, a participant they forgot, two that both apply.

Taps nobody has a rate for wait; two rates for one tap stop the run before anything is decided. Both are put
right in the office, and the taps are settled after all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from citycard.lab.faults import Faults

SECOND: Final = "second"


@dataclass(slots=True)
class Contracts:
    """What is wrong with the contracts tonight."""

    overlap: str = ""
    changed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def correct(self) -> None:
        """Somebody has read what clearing said and put it right."""
        from citycard.office.participants.models import Contract

        Contract.objects.filter(pk=self.overlap).delete()
        self.overlap = ""


@contextmanager
def evening(faults: Faults, day: date) -> Iterator[Contracts]:
    """Within, contracts may be wrong, as the seed says; afterwards they are right."""
    from citycard.office.participants.models import Contract

    tonight = Contracts()
    names = list(Contract.objects.filter(valid_until=None).order_by("pk").values_list("pk", flat=True))
    if faults.strikes("rate_gap"):
        _change(tonight, faults.random.choice(names), valid_until=day - timedelta(days=1))
    if faults.strikes("participant_unknown"):
        _change(tonight, faults.random.choice(names), acquirer_id=_acquires_nothing())
    if faults.strikes("rates_overlap"):
        twice = Contract.objects.get(pk=faults.random.choice(names))
        twice.pk = tonight.overlap = f"{twice.pk}-{SECOND}"
        twice.save(force_insert=True)
    try:
        yield tonight
    finally:
        tonight.correct()
        for name, before in reversed(tonight.changed):
            Contract.objects.filter(pk=name).update(**before)


def _change(tonight: Contracts, name: str, **values: Any) -> None:
    from citycard.office.participants.models import Contract

    row = Contract.objects.filter(pk=name)
    tonight.changed.append((name, {column: row.values_list(column, flat=True).get() for column in values}))
    row.update(**values)


def _acquires_nothing() -> str:
    """A participant that acquires nothing: a contract with it alone covers no tap."""
    from citycard.office.participants.models import Participant

    return str(next(one.pk for one in Participant.objects.order_by("pk") if "acquirer" not in one.roles))
