# SPDX-License-Identifier: Apache-2.0
"""One office of the exchange and its neighbours, who exist as signing keys and files only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from citycard.core.interop import evidence, files
from citycard.core.interop.files import FileName
from citycard.core.record import TapRecord
from citycard.keys import MemoryVault, scheme_ceremony
from citycard.keys.partner import PartnerKey
from citycard.office import clock

WEST, EAST, HUB = "99000000001", "99010000001", "99990000001"
PARTICIPANTS = {WEST: "1900990000000001", EAST: "1900990100000001", HUB: "1999990000000001"}
ISSUERS = {WEST: "02009900ffffffff", EAST: "02009901ffffffff"}
BUS = "1200990000000001"
DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, 0)


@dataclass
class Neighbour:
    """Another member, as the maker of files for us."""

    org: str
    to: str
    key: PartnerKey
    sent: int = 0
    controls: int = 0

    def file(
        self, kind: str, rows: list[Mapping[str, Any]], *, number: int | None = None, on: date = DAY,
        form: str = "txt",
    ) -> tuple[str, bytes, bytes]:  # fmt: skip
        """Name, bytes and signature of the next file, or of the one with a number."""
        if number is None:
            self.sent += kind != "LD"
            self.controls += kind == "LD"
            number = self.controls if kind == "LD" else self.sent
        name = FileName(kind, self.org, self.to, on, number, form)
        raw = files.write(name, rows)
        return str(name), raw, self.key.seal(str(name), raw)


@dataclass
class Place:
    """The office under test and its neighbours."""

    org: str
    home: Path
    neighbours: dict[str, Neighbour] = field(default_factory=dict)

    def __getitem__(self, org: str) -> Neighbour:
        return self.neighbours[org]


@pytest.fixture
def still() -> Iterator[None]:
    """The office's clock, standing at noon."""
    clock.use(lambda: NOON)
    yield
    clock.use(None)


@pytest.fixture
def vault() -> Iterator[MemoryVault]:
    """The office's vault; its keys are made for this test."""
    from citycard.office import custody

    made = MemoryVault(clock=lambda: NOON, random=Random(7).randbytes)
    scheme_ceremony(made)
    custody.use(made)
    yield made
    custody.use(None)


@pytest.fixture
def home(tmp_path: Path, settings: Any) -> Path:
    """The home folder of this test."""
    settings.CITYCARD_HOME = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path


@pytest.fixture
def west(db: None, still: None, vault: MemoryVault, home: Path) -> Place:
    """West's office: the demo city, in the exchange."""
    from citycard.lab.interop.towns import WEST as TOWN
    from citycard.lab.interop.towns import scheme_of
    from citycard.office.participants.scheme import install_scheme

    install_scheme(scheme_of(TOWN))
    return settle_in(WEST, home)


@pytest.fixture
def hub(db: None, still: None, vault: MemoryVault, home: Path) -> Place:
    """The hub's office."""
    from citycard.office.partners.models import ExchangeRate

    place = settle_in(HUB, home)
    rates = {"charge_bp": 100, "acquirer_bp": 20, "issuer_bp": 50, "valid_from": DAY}
    ExchangeRate.objects.create(name="buses", mcc="4131", **rates)
    return place


def settle_in(org: str, home: Path) -> Place:
    """Join as a member, and know the others."""
    from citycard.office.partners import desk

    place = Place(org, home)
    for number, other in enumerate((WEST, EAST, HUB), start=1):
        key = PartnerKey.from_seed(bytes((number,)) * 32)  # for tests only
        if other == org:
            desk.use_key(key)
        else:
            place.neighbours[other] = Neighbour(other, org, key)
        desk.add_member(
            other, participant=PARTICIPANTS[other], name_en=other, name_zh=other, public_key=key.public.hex(),
            roles=["hub"] if other == HUB else ["issuer", "acquirer"], box=str(home / "box"),
        )  # fmt: skip
    desk.join(org, HUB)
    for other, issuer in ISSUERS.items():
        desk.add_issuer(issuer, other, name_en=other, name_zh=other)
    return place


def record(pan: str, amount_fen: int = 180, *, issuer: str = ISSUERS[EAST], sequence: int = 1) -> TapRecord:
    """A tap of a card at a bus of West, with a TAC nobody here can verify."""
    return TapRecord(
        kind=1, service=1, txn=9, counter=sequence, issuer=bytes.fromhex(issuer), pan=pan,
        acquirer=bytes.fromhex(BUS), terminal=bytes.fromhex("990001010001"), sequence=sequence,
        tapped_at=NOON, balance_before_fen=5000, amount_fen=amount_fen, list_fen=amount_fen,
        tac=b"\x01\x02\x03\x04",
    )  # fmt: skip


def detail(tap: TapRecord, serial: int, acquirer: str, issuer: str, **more: Any) -> dict[str, Any]:
    """A CD row."""
    orgs = {"acquirer_org": acquirer, "issuer_org": issuer, "receiver_org": HUB, "sender_org": acquirer}
    return evidence.to_row(tap, serial, DAY, orgs) | more


def cleared(row: dict[str, Any], serial: int, shares: tuple[int, int, int] = (2, 1, 0)) -> dict[str, Any]:
    """The CL row the hub makes of a CD row."""
    names = ("fee_fen", "issuer_share_fen", "acquirer_share_fen")
    told = {"serial": serial, "error": "000000", "error_text": "", "receiver_org": row["issuer_org"]}
    return row | told | dict(zip(names, shares, strict=True))
