# SPDX-License-Identifier: Apache-2.0
"""Reads clearing's answer for a date, and checks that its tables agree before anyone believes it.

Positions add up to zero and equal each participant's revenue; movements equal the accepted records, card by
card. The digest does not depend on the order of rows, which is not part of what clearing says.

Of a city whose taps are too many for a database clearing tells exceptions only, and totals of the rest
(`core.tables.TOTALS`): then positions are held against these, and cards' movements stay in the lake.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from citycard.core import tables
from citycard.core.record import Kind
from citycard.core.tables import Row, Table, TableError
from citycard.office.participants.models import Participant
from citycard.office.settlement import problems

ACCEPTED, SUSPENDED, REJECTED = "accepted", "suspended", "rejected"
WORD: Final = 2**256
LOADS: Final = 0  # what contracts call top-ups, whichever service's terminal made them
MAIN_CAUSES: Final = {"fare": (Kind.PURCHASE, -1), "load": (Kind.LOAD, 1)}  # and the sign for the issuer


@dataclass(slots=True)
class Answer:
    """Clearing's answer: the small tables whole, the verdicts summed up and read again when stored."""

    settle_on: date
    folder: Path
    digest: str = ""
    positions: list[Row] = field(default_factory=list)
    movements: list[Row] = field(default_factory=list)
    revenue: list[Row] = field(default_factory=list)
    volumes: list[Row] | None = None  # None: clearing did not tell them, as before contracts knew them
    loads: list[Row] = field(default_factory=list)  # accepted verdicts of kind LOAD
    brief: bool = False  # exceptions and totals; `loads` are then read when asked for
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    flows: Counter[tuple[str, str, int, int]] = field(
        default_factory=Counter
    )  # issuer, acquirer, service, kind
    sums: dict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def taps(self) -> Iterator[Row]:
        """The verdicts, one by one."""
        yield from _rows(self, tables.VERDICTS)

    def cleared_loads(self) -> Iterator[Row]:
        """Accepted loads, one by one."""
        yield from _rows(self, tables.LOADS) if self.brief else self.loads

    def amount_fen(self, kind: Kind) -> int:
        """What accepted records of a kind add up to."""
        return sum(fen for (_, _, _, one), fen in self.flows.items() if one == kind)


def read(settle_on: date, folder: Path) -> Answer:
    """Clearing's answer; CLEARING_MISSING, CLEARING_UNREADABLE or CLEARING_INCONSISTENT."""
    brief = (folder / f"{tables.TOTALS.name}.csv").exists()
    told = tables.FROM_CLEARING_IN_BRIEF if brief else tables.FROM_CLEARING
    volumes = (folder / f"{tables.VOLUMES.name}.csv").exists()
    digest = _digest(settle_on, folder, (*told, tables.VOLUMES) if volumes else told)
    answer = Answer(settle_on, folder, digest=digest, brief=brief)
    try:
        answer.positions = list(_rows(answer, tables.POSITIONS))
        answer.revenue = list(_rows(answer, tables.REVENUE))
        answer.volumes = list(_rows(answer, tables.VOLUMES)) if volumes else None
        if brief:
            for row in _rows(answer, tables.TOTALS):
                _count(answer, row, row["taps"])
        else:
            answer.movements = list(_rows(answer, tables.MOVEMENTS))
            for row in answer.taps():
                _count(answer, row)
                _count_card(answer, row)
    except (TableError, UnicodeDecodeError) as error:
        raise problems.CLEARING_UNREADABLE(date=settle_on, why=error) from None
    for why in _contradictions(answer):
        raise problems.CLEARING_INCONSISTENT(date=settle_on, why=why)
    return answer


def _count(answer: Answer, row: Row, taps: int = 1) -> None:
    answer.verdicts[row["verdict"]] += taps
    answer.reasons[row["reason"]] += taps
    if row["verdict"] == ACCEPTED:
        answer.flows[row["issuer"], row["acquirer"], row["service"], row["kind"]] += row["amount_fen"]


def _count_card(answer: Answer, row: Row) -> None:
    if row["verdict"] == ACCEPTED:
        sums = answer.sums[row["pan"], row["kind"]]
        sums[0] += 1
        sums[1] += row["amount_fen"]
        if row["kind"] == Kind.LOAD:
            answer.loads.append(row)


def _contradictions(answer: Answer) -> Iterator[str]:
    """What is wrong, in words; nothing when the tables agree."""
    if unknown := set(answer.verdicts) - {ACCEPTED, SUSPENDED, REJECTED}:
        yield f"there is no verdict {sorted(unknown)[0]!r}"
    nets: dict[str, int] = {}
    for row in answer.positions:
        nets[row["participant"]] = row["net_fen"]
        if row["net_fen"] != row["receivable_fen"] - row["payable_fen"]:
            yield f"the net position of {row['participant']} is not receivable less payable"
    if sum(nets.values()) != 0:
        yield f"positions add up to {sum(nets.values())} fen instead of 0"
    known = set(Participant.objects.values_list("id", flat=True))
    if strangers := ({row["participant"] for row in answer.revenue} | set(nets)) - known:
        yield f"{sorted(strangers)[0]} is no participant"
    earned: Counter[str] = Counter()
    for row in answer.revenue:
        earned[row["participant"]] += row["amount_fen"]
    for name in sorted(set(earned) | set(nets)):
        if earned[name] != nets.get(name, 0):
            yield f"revenue of {name} is {earned[name]} fen, its position {nets.get(name, 0)} fen"
    yield from _revenue_contradicts(answer)
    yield from _volumes_contradict(answer, known)
    if not answer.brief:
        yield from _movements_contradict(answer)


def _revenue_contradicts(answer: Answer) -> Iterator[str]:
    """What issuers owe for purchases and get for loads is what the verdicts say, acquirer by acquirer.

    Two participants that issue and acquire for each other have both flows in one row: left out.
    """
    told: Counter[tuple[str, str, int, int]] = Counter()
    for row in answer.revenue:
        if row["cause"] in MAIN_CAUSES:
            moved, sign = MAIN_CAUSES[row["cause"]]
            told[row["participant"], row["counterparty"], row["service"], moved] += sign * row["amount_fen"]
    for (issuer, acquirer, service, kind), fen in sorted(answer.flows.items()):
        mutual = issuer == acquirer or (acquirer, issuer, service, kind) in answer.flows
        if not mutual and told[issuer, acquirer, service, kind] != fen:
            yield (
                f"{issuer} moved {fen} fen with {acquirer} for service {service}, kind {kind},"
                f" revenue says {told[issuer, acquirer, service, kind]} fen"
            )


def _volumes_contradict(answer: Answer, known: set[str]) -> Iterator[str]:
    """Volumes are what was accepted, and their fees what revenue says; top-ups need not have a contract."""
    if answer.volumes is None:
        return
    turnover: Counter[tuple[str, str, int]] = Counter()
    parts: Counter[str] = Counter()
    for row in answer.volumes:
        if strangers := {row["acquirer"], row["issuer"], row["scheme"]} - known:
            yield f"{sorted(strangers)[0]} is no participant"
        parts["acquirer_fee"] += row["acquirer_fen"]
        parts["scheme_fee"] += row["scheme_fen"]
        if row["service"] != LOADS:
            turnover[row["issuer"], row["acquirer"], row["service"]] += row["amount_fen"]
    for (issuer, acquirer, service, kind), fen in sorted(answer.flows.items()):
        if kind == Kind.PURCHASE and turnover[issuer, acquirer, service] != fen:
            yield (
                f"{issuer} and {acquirer} moved {fen} fen for service {service},"
                f" volumes say {turnover[issuer, acquirer, service]} fen"
            )
    for cause, fen in sorted(parts.items()):
        earned = sum(row["amount_fen"] for row in answer.revenue if row["cause"] == cause)
        if earned != fen:
            yield f"volumes hold {fen} fen of {cause}, revenue {earned} fen"


def _movements_contradict(answer: Answer) -> Iterator[str]:
    moved = {(row["pan"], row["kind"]): [row["taps"], row["amount_fen"]] for row in answer.movements}
    for key in sorted(set(moved) | set(answer.sums)):
        tapped = answer.sums.get(key, [0, 0])
        if moved.get(key, [0, 0]) != tapped:
            taps, fen = moved.get(key, [0, 0])
            yield (
                f"card {key[0]} moved {fen} fen in {taps} records of kind {key[1]},"
                f" the verdicts say {tapped[1]} fen in {tapped[0]}"
            )


def _rows(answer: Answer, table: Table) -> Iterator[Row]:
    with (answer.folder / f"{table.name}.csv").open(encoding="utf-8", newline="") as file:
        yield from table.read(file)


def _digest(settle_on: date, folder: Path, told: tuple[Table, ...]) -> str:
    """A digest over the set of lines of all tables."""
    whole = hashlib.sha256()
    for table in told:
        path = folder / f"{table.name}.csv"
        total = 0
        try:
            with path.open("rb") as file:
                for line in file:
                    total += int.from_bytes(hashlib.sha256(line.rstrip()).digest(), "big")
        except FileNotFoundError:
            raise problems.CLEARING_MISSING(date=settle_on, file=path) from None
        whole.update(table.name.encode() + (total % WORD).to_bytes(32, "big"))
    return whole.hexdigest()
