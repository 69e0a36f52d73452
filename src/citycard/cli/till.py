# SPDX-License-Identifier: Apache-2.0
"""The till behind `citycard card load` and `purchase`: a terminal with its PSAM over the vault of the home.

A test card, which no office knows, is loaded and charged with the vault's keys alone and the records are
marked as tests. A card the office knows is the office's: its loads are reserved and posted there and its
purchases are delivered to clearing, as from a terminal in the field, so a terminal of the office is named.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from citycard.core.calendar import bcd_datetime
from citycard.core.dialogue import CardView
from citycard.core.problem import Problem, declare
from citycard.core.purse import BALANCE_MAX
from citycard.core.refusal import Refusal
from citycard.keys import LoadAsked, LoadSam, Psam, Vault
from citycard.services import load_config, service_named
from citycard.terminal import (
    FolderStore,
    Hotlist,
    Journal,
    LoadHost,
    LoadOffer,
    LoadRequest,
    Parameters,
    Terminal,
    TerminalConfig,
    read_parameters,
)
from citycard.terminal.sync import sealed

if TYPE_CHECKING:
    from citycard.office.participants import models

TEST_TERMINAL: Final = "990000000001"
FOLDER: Final = "tills"
RETAIL: Final = "retail"
SHOWN_MAX: Final = 3

TILL_UNNAMED = declare(
    "TILL_UNNAMED",
    "The office knows card {pan}, so its money goes through the office: name one of its terminals with "
    "--terminal, such as {examples}.",
    "后台已登记卡片 {pan}，其资金须经后台处理：请用 --terminal 指定后台终端，例如 {examples}。",
)
TILL_UNKNOWN = declare(
    "TILL_UNKNOWN",
    "The office has no active terminal {terminal} that sells. There are: {examples}.",
    "后台没有可用的商户终端 {terminal}。现有：{examples}。",
)


@dataclass(slots=True)
class Till:
    """A terminal for one card, the host of its loads, and how its records reach the office (if they do)."""

    terminal: Terminal
    host: LoadHost
    deliver: Callable[[], int]  # records delivered
    office: bool


def office_of(home: Path) -> bool:
    """Start the office of a home, if there is one."""
    from citycard.office.home import SQLITE_FILE

    if not (os.environ.get("CITYCARD_DATABASE_URL") or (home / SQLITE_FILE).exists()):
        return False
    from citycard.office.setup import check_database, setup

    setup(home)
    check_database()
    return True


def open_till(home: Path, vault: Vault, view: CardView, number: str) -> Till:
    """The till that may serve this card. TILL_UNNAMED, TILL_UNKNOWN."""
    if office_of(home):
        from citycard.office import custody
        from citycard.office.cards.models import Card

        custody.use(vault)
        if Card.objects.filter(pk=view.pan).exists():
            return _office_till(home, vault, view.pan, number)
    return _test_till(home, vault, view, number or TEST_TERMINAL)


def _terminal(home: Path, vault: Vault, config: TerminalConfig, parameters: Parameters) -> Terminal:
    store = FolderStore(home / FOLDER / config.terminal.hex())
    journal = Journal.open(store, config.terminal)
    sam = Psam(vault, config.terminal, journal.numbers)
    return Terminal(config, sam, journal, datetime.now, parameters)


def _test_till(home: Path, vault: Vault, view: CardView, number: str) -> Till:
    """A terminal that accepts this one issuer, without price rules, whose records say that they are tests."""
    retail = service_named(RETAIL).code
    tariff = load_config(RETAIL, {"limits": {"minimum_fen": 1, "maximum_fen": BALANCE_MAX}})
    parameters = Parameters(
        0, {retail: tariff}, issuers=frozenset({view.issuer}), confirmed_at=datetime.now()
    )
    acquirer = b"\x11" + view.issuer[1:]
    config = TerminalConfig(bytes.fromhex(number), acquirer, retail, test=True)
    return Till(_terminal(home, vault, config, parameters), SamLoads(LoadSam(vault)), lambda: 0, False)


def _office_till(home: Path, vault: Vault, pan: str, number: str) -> Till:
    """A terminal of the office, with the office's parameters and hotlist of this moment."""
    from citycard.office.cards import hotlist
    from citycard.office.intake import parameters as told
    from citycard.office.participants.models import Terminal as Row

    retail = service_named(RETAIL).code
    sellers = Row.objects.filter(active=True, service=retail).order_by("id")
    examples = ", ".join(sellers.values_list("id", flat=True)[:SHOWN_MAX]) or "–"
    if not number:
        raise TILL_UNNAMED(pan=pan, examples=examples)
    row = sellers.filter(pk=number.lower()).first()
    if row is None:
        raise TILL_UNKNOWN(terminal=number, examples=examples)
    version = hotlist.version()
    listed = Hotlist(version, frozenset(hotlist.at_version(version)))
    parameters = read_parameters(told.current(), listed, datetime.now())
    config = TerminalConfig(
        bytes.fromhex(row.id), bytes.fromhex(row.acquirer_id), retail, line=row.line, station=row.station
    )
    terminal = _terminal(home, vault, config, parameters)
    return Till(terminal, OfficeHere(row), lambda: _deliver(terminal, row), True)


def _deliver(terminal: Terminal, row: models.Terminal) -> int:
    """Close a batch of what waits and hand it to the office's intake, in this process."""
    from citycard.office.intake import batches

    journal, delivered = terminal.journal, 0
    if records := journal.unbatched():
        journal.close_batch(sealed(terminal, records))
    for batch in journal.pending_batches():
        if batches.receive(batch.raw, row).status != batches.CONFLICT:
            journal.acknowledge(batch.batch)
            delivered += batch.count
    return delivered


@dataclass(slots=True)
class SamLoads:
    """The host of a test card's loads: the load SAM over the vault, and nobody's account."""

    sam: LoadSam
    _asked: dict[str, tuple[LoadAsked, datetime]] = field(default_factory=dict)

    def begin(self, request: LoadRequest) -> LoadOffer | Refusal:
        """MAC2 when MAC1 is the card's."""
        asked = LoadAsked(
            request.issuer, request.pan, request.terminal, request.amount_fen, request.card_answer
        )
        at = datetime.now().replace(microsecond=0)
        mac2 = self.sam.approve(asked, bcd_datetime(at))
        if mac2 is None:
            return Refusal.OFFICE_REFUSED
        self._asked[request.request_id] = asked, at
        return LoadOffer(request.request_id, at, mac2)

    def confirm(self, load_id: str, tac: bytes, balance_after_fen: int) -> Refusal | None:
        """Whether the TAC is the card's; of a load begun by an earlier run nothing is known here."""
        known = self._asked.get(load_id)
        if known is None or self.sam.receipt(known[0], bcd_datetime(known[1]), tac):
            return None
        return Refusal.OFFICE_REFUSED

    def reverse(self, load_id: str, status_word: int, online_counter: int) -> Refusal | None:
        """Nothing was booked, so nothing is to be taken back."""
        return None


@dataclass(slots=True)
class OfficeHere:
    """The office as the host of loads, in this process; `why` is the last problem it told."""

    row: models.Terminal
    why: Problem | None = None

    def begin(self, request: LoadRequest) -> LoadOffer | Refusal:
        """Reserve the money and give MAC2."""
        from citycard.office.intake import loads

        ask = loads.Ask(
            request.pan, request.issuer.hex(), request.request_id, request.card_answer, request.amount_fen
        )
        load = self._try(lambda: loads.authorise(self.row, ask))
        return (
            Refusal.OFFICE_REFUSED if load is None else LoadOffer(load.id, load.at, bytes.fromhex(load.mac2))
        )

    def confirm(self, load_id: str, tac: bytes, balance_after_fen: int) -> Refusal | None:
        """Post the load."""
        from citycard.office.intake import loads

        done = self._try(lambda: loads.confirm(self.row, load_id, tac, balance_after_fen))
        return None if done is not None else Refusal.OFFICE_REFUSED

    def reverse(self, load_id: str, status_word: int, online_counter: int) -> Refusal | None:
        """Give the load up."""
        from citycard.office.intake import loads

        done = self._try(lambda: loads.reverse(self.row, load_id, f"{status_word:04X}", online_counter))
        return None if done is not None else Refusal.OFFICE_REFUSED

    def _try(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Problem as problem:
            self.why = problem
            return None
