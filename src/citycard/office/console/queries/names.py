# SPDX-License-Identifier: Apache-2.0
"""Names of participants, lines and stations in the reader's language, read once for a whole page."""

from __future__ import annotations

from dataclasses import dataclass

from citycard.office.console.labels import chinese
from citycard.office.ledger.chart import BANK
from citycard.office.participants.models import Line, Participant, Station


@dataclass(frozen=True, slots=True)
class Names:
    """Ids and numbers to names; what has no name keeps its id."""

    participants: dict[str, str]
    lines: dict[int, str]
    stations: dict[tuple[int, int], str]

    def participant(self, id: str) -> str:
        """A participant's name, or the settlement bank's."""
        return self.participants.get(id, id)

    def place(self, line: int, station: int) -> str:
        """`Metro Line 1, Drum Tower`; empty when the tap had no place."""
        if not line and not station:
            return ""
        name = self.lines.get(line, str(line))
        if not station:
            return name
        return f"{name} {self.stop(line, station)}" if chinese() else f"{name}, {self.stop(line, station)}"

    def stop(self, line: int, station: int) -> str:
        """`Drum Tower`; the station's number when it has no name."""
        return self.stations.get((line, station), str(station))


def participants() -> dict[str, str]:
    """Names of all participants by id."""
    return dict(Participant.objects.values_list("id", _column()))


def names() -> Names:
    """All of them, in three queries."""
    column = _column()
    return Names(
        participants(),
        dict(Line.objects.values_list("number", column)),
        {
            (line, number): name
            for line, number, name in Station.objects.values_list("line", "number", column)
        },
    )


def party(known: dict[str, str], bank: str, id: str) -> str:
    """A participant's name, or the bank's for either side of a payment."""
    return bank if id == BANK else known.get(id, id)


def _column() -> str:
    return "name_zh" if chinese() else "name_en"
