# SPDX-License-Identifier: Apache-2.0
"""A scheme as data: its participants, lines, stations, terminals, tariffs, contracts and limits.

Everything refers to participants by their short `key`; ids (16 hex digits) are what cards, records and
contracts carry. Distances are metres from the start of the line. Metro stations of different lines with one
Chinese name are one interchange, and the metro's network need not be written a second time into its tariff.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from citycard.core import fees, volume
from citycard.core.calendar import Calendar
from citycard.core.cycles import LAG_MAX
from citycard.core.problem import Problem
from citycard.services import load_config, service_named
from citycard.services.concession import ClassName
from citycard.services.model import BasisPoints, Config, Fen, LineNumber, StationNumber

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
BankCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{8,14}$")]  # a BIC or a national code
Name = Annotated[str, StringConstraints(min_length=1, max_length=80)]
ServiceName = Literal["bus", "metro", "retail"]
Role = Literal["issuer", "acquirer", "retailer", "scheme", "subsidy"]

EITHER: Final = ("acquirer", "issuer")  # payers a contract may name without naming a participant
LOAD_CODE: Final = 0  # the service code of top-ups in contracts
LINE_MAX, STATION_MAX, UNIT_MAX = 9999, 99, 99  # digits a terminal id has for each


class BankAccount(Config):
    """Where a participant is paid and pays from; the scheme's own is the settlement account."""

    holder: Annotated[str, StringConstraints(min_length=1, max_length=140)]
    number: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{5,34}$")]
    bank: BankCode
    mandate: bool = False  # the scheme may order payments from this account


class SettlementTerms(Config):
    """When a participant is settled, from which amount, and how far it is trusted."""

    period: Literal["daily", "weekly", "monthly"] = "daily"
    lag_days: Annotated[int, Field(ge=0, le=LAG_MAX)] = 0  # working days later: T+n
    weekday: Annotated[int, Field(ge=1, le=7)] = 1  # weekly: 1 Monday to 7 Sunday
    month_day: Annotated[int, Field(ge=1, le=31)] = 31  # monthly; the last day where a month is shorter
    minimum_fen: Fen = 0  # below it a position is carried to the next cycle
    deposit_fen: Fen = 0  # guarantee deposit required
    limit_fen: Fen | None = None  # of the open position, either way
    hold_over_limit: bool = False  # payments over the limit wait for an officer


class Workdays(Config):
    """When banks work: rest days of the week, holidays, and rest days worked instead."""

    rest_days: tuple[Annotated[int, Field(ge=1, le=7)], ...] = ()
    holidays: tuple[date, ...] = ()
    worked: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _leaves_work(self) -> Workdays:
        if len(set(self.rest_days)) == 7:
            raise ValueError("rest_days leaves no day on which banks work")
        return self


class Participant(Config):
    """An institution of the scheme and what it does in it."""

    key: Key
    id: Id
    name_en: Name
    name_zh: Name
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    pan_prefix: Annotated[str, StringConstraints(pattern=r"^0[0-9]{5,12}$")] | None = None  # issuers
    bank_account: BankAccount | None = None
    settlement: SettlementTerms | None = None


class Product(Config):
    """A kind of card an issuer sells; `share` says how many of a made-up population hold it."""

    issuer: Key
    card_class: ClassName
    name_en: Name
    name_zh: Name
    deposit_fen: Fen = 0
    valid_years: Annotated[int, Field(ge=1, le=30)] = 10
    share: Annotated[int, Field(ge=0, le=10_000)] = 0


class Station(Config):
    """A station, stop or shop of a line, and its metres from the start of the line."""

    number: StationNumber
    name_en: Name
    name_zh: Name
    at_m: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class Line(Config):
    """A line (or a merchant of a retailer): its number is unique in the whole scheme."""

    number: LineNumber
    service: ServiceName
    operator: Key
    name_en: Name
    name_zh: Name
    loop_m: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    stations: tuple[Station, ...] = ()


class TerminalGroup(Config):
    """Terminals of one kind: `count` at each station, or on each line, of some lines."""

    acquirer: Key
    lines: Annotated[tuple[LineNumber, ...], Field(min_length=1)]
    each: Literal["station", "line"]
    count: Annotated[int, Field(ge=1, le=UNIT_MAX)]
    name_en: Name
    name_zh: Name
    loads: bool = False  # may also top cards up


class Tariff(Config):
    """One version of a service's tariff, valid from a day on; `config` is the service's own model."""

    service: ServiceName
    version: Annotated[int, Field(ge=1, le=255)]
    valid_from: date
    config: dict[str, Any]


class FeeStep(Config):
    """What a tap up to an amount pays, instead of the contract's rate and fixed fee."""

    up_to_fen: Annotated[int, Field(ge=0, le=10**12)]
    charge_bp: BasisPoints = 0
    fixed_fen: Fen = 0


class VolumeTier(Config):
    """From which volume of a month to below which (nothing: no end) a rate and a fee per tap hold."""

    start: Annotated[int, Field(ge=0, le=10**14)]
    below: Annotated[int, Field(ge=1, le=10**14)] | None = None
    charge_bp: BasisPoints = 0
    fixed_fen: Fen = 0


class Contract(Config):
    """How a fee on taps is shared and who bears discounts; nothing said about whom or what: any.

    Rates in basis points of the amount: `charge_bp` is the whole fee, paid out of the acquirer's side;
    `acquirer_bp` and `issuer_bp` go back to the acquirer and to the issuer, the scheme keeps the rest.
    A fixed fee comes on top; `min_fen` and `max_fen` bound the fee of one tap; `steps` replace rate and fixed
    fee by amount. `fee_acquirer_bp` and `fee_issuer_bp` divide the fee itself, where rates do not.
    `volume_tiers` set the fee of a whole month by its turnover in fen or its taps (`volume_by`).
    """

    contract: Key
    service: ServiceName | Literal["load"] | None = None  # load: the retailer's commission on top-ups
    acquirer: Key | None = None
    issuer: Key | None = None
    valid_from: date
    valid_until: date | None = None
    charge_bp: BasisPoints
    acquirer_bp: BasisPoints
    issuer_bp: BasisPoints
    fixed_fen: Fen = 0
    min_fen: Fen = 0
    max_fen: Fen | None = None
    steps: tuple[FeeStep, ...] = ()
    fee_acquirer_bp: BasisPoints | None = None
    fee_issuer_bp: BasisPoints | None = None
    volume_by: Literal["amount", "taps"] = "amount"
    volume_tiers: tuple[VolumeTier, ...] = ()
    concession_payer: Key
    transfer_payer: Key

    @property
    def steps_text(self) -> str:
        """The steps as the table of contracts carries them."""
        return " ".join(f"{step.up_to_fen}:{step.charge_bp}:{step.fixed_fen}" for step in self.steps)

    @property
    def tiers_text(self) -> str:
        """The volume tiers as the office keeps them."""
        return " ".join(str(volume.Tier(**dict(tier))) for tier in self.volume_tiers)

    @model_validator(mode="after")
    def _adds_up(self) -> Contract:
        if self.acquirer_bp + self.issuer_bp > self.charge_bp:
            raise ValueError("acquirer_bp and issuer_bp together are above charge_bp")
        for fault in fees.faults(dict(self) | {"steps": self.steps_text, "volume_tiers": self.tiers_text}):
            raise ValueError(fault)
        if self.valid_until and self.valid_until < self.valid_from:
            raise ValueError("valid_until is before valid_from")
        return self


class Accounting(Config):
    """When a business date ends and how long late records are taken."""

    cut_off: time = time(2, 0)
    late_days: Annotated[int, Field(ge=0, le=366)] = 7


class Limits(Config):
    """Limits of the purse and of top-ups."""

    balance_max_fen: Fen = 100_000
    load_min_fen: Fen = 1_000
    load_max_fen: Fen = 50_000


@dataclass(frozen=True, slots=True)
class TerminalPlan:
    """A terminal the scheme wants: id (12 digits), acquirer id, service code, where it stands."""

    id: str
    acquirer: str
    service: int
    line: int
    station: int
    name_en: str
    name_zh: str
    loads: bool


@dataclass(frozen=True, slots=True)
class PricedTariff:
    """A tariff ready for use: `config` is the service's model."""

    service: int
    version: int
    valid_from: date
    config: Any


class Scheme(Config):
    """A whole scheme; valid or never built."""

    name: Key
    title_en: Name
    title_zh: Name
    city: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}$")]
    accounting: Accounting = Accounting()
    limits: Limits = Limits()
    workdays: Workdays = Workdays()
    participants: Annotated[tuple[Participant, ...], Field(min_length=1)]
    products: tuple[Product, ...] = ()
    lines: tuple[Line, ...] = ()
    terminals: tuple[TerminalGroup, ...] = ()
    tariffs: tuple[Tariff, ...] = ()
    contracts: tuple[Contract, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Scheme:
        for fault in _faults(self):
            raise ValueError(fault)
        try:
            assert len(self.priced) == len(self.tariffs)
        except Problem as problem:
            raise ValueError(problem.text()) from None
        return self

    def participant(self, key: str) -> Participant:
        """The participant of a key; `KeyError` if there is none."""
        return self._by_key[key]

    @cached_property
    def _by_key(self) -> dict[str, Participant]:
        return {participant.key: participant for participant in self.participants}

    def with_role(self, role: Role) -> tuple[Participant, ...]:
        """The participants in a role, in the order of the file."""
        return tuple(p for p in self.participants if role in p.roles)

    @property
    def issuers(self) -> tuple[Participant, ...]:
        """Issuers whose cards are accepted; the first is the scheme's own."""
        return self.with_role("issuer")

    @property
    def calendar(self) -> Calendar:
        """The accounting calendar."""
        return Calendar(self.accounting.cut_off, self.accounting.late_days)

    @cached_property
    def operators(self) -> dict[int, str]:
        """The participant id that runs each line, as `Service.shares` wants it."""
        return {line.number: self._by_key[line.operator].id for line in self.lines}

    @cached_property
    def priced(self) -> tuple[PricedTariff, ...]:
        """All tariffs as models, in order of service, then day, then version."""
        done = [
            PricedTariff(
                service_named(t.service).code,
                t.version,
                t.valid_from,
                load_config(t.service, self._with_network(t), f"tariff {t.service} version {t.version}"),
            )
            for t in self.tariffs
        ]
        return tuple(sorted(done, key=lambda t: (t.service, t.valid_from, t.version)))

    def tariff(self, service: str | int, on: date) -> PricedTariff | None:
        """The tariff of a service in force on a day; none before the first."""
        code = service_named(service).code
        valid = [t for t in self.priced if t.service == code and t.valid_from <= on]
        return valid[-1] if valid else None

    @cached_property
    def terminal_plans(self) -> tuple[TerminalPlan, ...]:
        """All terminals, ids made of city, line, station and number within it."""
        return tuple(_terminals(self))

    def participant_rows(self) -> list[dict[str, Any]]:
        """Rows of `core.tables.PARTICIPANTS`."""
        return [
            {"participant": p.id, "name_en": p.name_en, "name_zh": p.name_zh, "roles": " ".join(p.roles),
             "active": True}
            for p in self.participants
        ]  # fmt: skip

    def line_rows(self) -> list[dict[str, Any]]:
        """Rows of `core.tables.LINES`."""
        return [
            {"line": n.number, "operator": self._by_key[n.operator].id, "name_en": n.name_en,
             "name_zh": n.name_zh}
            for n in self.lines
        ]  # fmt: skip

    def terminal_rows(self) -> list[dict[str, Any]]:
        """Rows of `core.tables.TERMINALS`."""
        return [
            {"terminal": t.id, "acquirer": t.acquirer, "service": t.service, "line": t.line,
             "station": t.station, "active": True}
            for t in self.terminal_plans
        ]  # fmt: skip

    def contract_rows(self) -> list[dict[str, Any]]:
        """Rows of `core.tables.CONTRACTS`: services as codes, participants as ids."""

        def of(key: str | None) -> str | None:
            return key if key is None or key in EITHER else self._by_key[key].id

        rows = []
        for contract in self.contracts:
            row = dict(contract)
            row["service"] = _service_code(contract.service)
            row["steps"] = contract.steps_text or None
            del row["volume_by"], row["volume_tiers"]  # the office's affair: see `tiers_text`
            for name in ("acquirer", "issuer", "concession_payer", "transfer_payer"):
                row[name] = of(row[name])
            rows.append(row)
        return rows

    def tariff_rows(self) -> list[dict[str, Any]]:
        """Rows of `core.tables.TARIFFS`."""
        return [
            {"service": t.service, "version": t.version, "valid_from": t.valid_from,
             "config": json.dumps(t.config.to_plain(), ensure_ascii=False, separators=(",", ":"))}
            for t in self.priced
        ]  # fmt: skip

    def _with_network(self, tariff: Tariff) -> dict[str, Any]:
        """A metro tariff without a network gets that of the scheme's metro lines."""
        if tariff.service != "metro" or "network" in tariff.config:
            return tariff.config
        tracks, places = [], dict[str, list[dict[str, int]]]()
        for line in self.lines:
            if line.service != "metro" or not line.stations:
                continue
            stops = [{"station": s.number, "at_m": s.at_m} for s in line.stations]
            tracks.append({"line": line.number, "stops": stops, "loop_m": line.loop_m})
            for s in line.stations:
                places.setdefault(s.name_zh, []).append({"line": line.number, "station": s.number})
        interchanges = [refs for refs in places.values() if len({ref["line"] for ref in refs}) > 1]
        return tariff.config | {"network": {"tracks": tracks, "interchanges": interchanges}}


def _service_code(name: str | None) -> int | None:
    """The code a contract row carries: none for any service, 0 for top-ups."""
    if name is None:
        return None
    return LOAD_CODE if name == "load" else service_named(name).code


def _faults(scheme: Scheme) -> Iterator[str]:
    """What contradicts itself in a scheme, in the order of the file."""
    keys = [p.key for p in scheme.participants]
    yield from _twice("participants: key", keys)
    yield from _twice("participants: id", [p.id for p in scheme.participants])
    yield from _twice("lines: number", [line.number for line in scheme.lines])
    yield from _twice("contracts: contract", [c.contract for c in scheme.contracts])
    yield from _twice("tariffs: service and version", [(t.service, t.version) for t in scheme.tariffs])
    known = set(keys)
    for where, key in _named(scheme):
        if key not in known:
            yield f"{where} {key!r} is no participant; known are {', '.join(keys)}"
    lines = {line.number: line for line in scheme.lines}
    for line in scheme.lines:
        yield from _twice(f"line {line.number}: station", [s.number for s in line.stations])
    for group in scheme.terminals:
        for number in group.lines:
            if number not in lines:
                yield f"terminals of {group.acquirer}: there is no line {number}"
            elif number > LINE_MAX or any(s.number > STATION_MAX for s in lines[number].stations):
                yield f"line {number}: terminals need lines up to {LINE_MAX} and stations up to {STATION_MAX}"
            elif group.each == "station" and not lines[number].stations:
                yield f"terminals of {group.acquirer}: line {number} has no stations"


def _named(scheme: Scheme) -> Iterator[tuple[str, str]]:
    """Every place that names a participant, and the key it names."""
    for product in scheme.products:
        yield "products: issuer", product.issuer
    for line in scheme.lines:
        yield f"line {line.number}: operator", line.operator
    for group in scheme.terminals:
        yield "terminals: acquirer", group.acquirer
    for contract in scheme.contracts:
        for name in ("acquirer", "issuer", "concession_payer", "transfer_payer"):
            key = getattr(contract, name)
            if key is not None and not (name.endswith("payer") and key in EITHER):
                yield f"contract {contract.contract}: {name}", key


def _twice(what: str, values: list[Any]) -> Iterator[str]:
    for value in sorted({value for value in values if values.count(value) > 1}, key=str):
        yield f"{what} {value!r} stands twice"


def _terminals(scheme: Scheme) -> Iterator[TerminalPlan]:
    lines = {line.number: line for line in scheme.lines}
    used: dict[tuple[int, int], int] = {}
    for group in scheme.terminals:
        acquirer = scheme.participant(group.acquirer).id
        for line in (lines[number] for number in group.lines):
            service = service_named(line.service).code
            for station in line.stations if group.each == "station" else (None,):
                where = (line.number, station.number if station else 0)
                place = station or line
                for _ in range(group.count):
                    used[where] = used.get(where, 0) + 1
                    unit = used[where]
                    assert unit <= UNIT_MAX, f"more than {UNIT_MAX} terminals at {where}"
                    yield TerminalPlan(
                        f"{scheme.city}{where[0]:04d}{where[1]:02d}{unit:02d}", acquirer, service, *where,
                        f"{place.name_en} {group.name_en} {unit}", f"{place.name_zh}{group.name_zh}{unit}",
                        group.loads,
                    )  # fmt: skip
