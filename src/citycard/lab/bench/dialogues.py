# SPDX-License-Identifier: Apache-2.0
"""What each dialogue costs in the air: APDUs, bytes, and the time they take at 106 kbit/s.

Counted on real dialogues with the emulated card. 106 kbit/s is 0.085 ms per byte one way, start, parity and
stop bits included (card facts 9); protocol blocks, frame waiting and the card's own time come on top.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from citycard.blueprints import load_scheme
from citycard.core.card import T_UNION, blank_card
from citycard.core.dialogue import identify, read_card, read_log
from citycard.core.dialogue.exchange import CARD, converse
from citycard.core.refusal import Refusal
from citycard.keys import LoadAsked, LoadSam, MemoryVault, Psam, scheme_ceremony
from citycard.keys.vault import KeyName
from citycard.services import REGISTRY, service_named
from citycard.services.contract import Event
from citycard.terminal import (
    EmulatedLink,
    Journal,
    LoadOffer,
    LoadRequest,
    MemoryStore,
    Outcome,
    Parameters,
    Terminal,
    TerminalConfig,
)
from citycard.terminal.station import PersoData, personalise_card

MS_PER_BYTE: Final = 0.085
AT: Final = datetime(2026, 3, 2, 8, 0)
TRANSPORT: Final = bytes(range(16))  # of the bench's own blank cards


class _Counted(EmulatedLink):
    """A link that counts what passes."""

    def __init__(self, card: Any, tear_at: int | None = None) -> None:
        super().__init__(card, tear_at)
        self.count = self.octets = 0

    def __call__(self, command: bytes) -> bytes:
        self.count += 1
        self.octets += len(command)
        answer = super().__call__(command)
        self.octets += len(answer)
        return answer

    @property
    def told(self) -> str:
        """APDUs, bytes, and their time in the air."""
        return f"{self.count} APDUs, {self.octets} bytes, {self.octets * MS_PER_BYTE:.1f} ms in the air"


class _Host:
    """The host of the bench's loads."""

    def __init__(self, vault: MemoryVault) -> None:
        self._sam = LoadSam(vault)

    def begin(self, request: LoadRequest) -> LoadOffer | Refusal:
        """MAC2."""
        from citycard.core.calendar import bcd_datetime

        asked = LoadAsked(
            request.issuer, request.pan, request.terminal, request.amount_fen, request.card_answer
        )
        mac2 = self._sam.approve(asked, bcd_datetime(AT))
        return Refusal.OFFICE_REFUSED if mac2 is None else LoadOffer("bench", AT, mac2)

    def confirm(self, load_id: str, tac: bytes, balance_after_fen: int) -> Refusal | None:
        """Noted."""
        return None

    def reverse(self, load_id: str, status_word: int, online_counter: int) -> Refusal | None:
        """Noted."""
        return None


def dialogues() -> dict[str, str]:
    """Each dialogue's name and its cost."""
    scheme = load_scheme("city")
    issuer = bytes.fromhex(scheme.issuers[0].id)
    vault, clock = MemoryVault(), [AT]
    vault.import_key(KeyName.TRANSPORT, 0, 1, TRANSPORT)
    scheme_ceremony(vault)
    card = blank_card(T_UNION, TRANSPORT, lambda size: bytes(size))
    found: dict[str, str] = {}

    def measure(name: str, action: Callable[[_Counted], object], tear_at: int | None = None) -> None:
        link = _Counted(card, tear_at)
        link.connect()
        action(link)
        found[name] = link.told

    def tapped(terminal: Terminal, event: Event, fen: int = 0) -> Callable[[_Counted], object]:
        def tap(link: _Counted) -> None:
            clock[0] += timedelta(minutes=10)
            result = terminal.tap(link, event, fen)
            assert result.outcome is not Outcome.REFUSED, result

        return tap

    data = PersoData(issuer, "03109900010000000014", AT.date(), AT.date() + timedelta(days=3650))
    measure("personalise", lambda link: personalise_card(vault, link, data))
    tills = {name: _terminals(scheme, vault, clock, issuer, name) for name in ("metro", "bus", "retail")}
    shop, gates = tills["retail"][0], tills["metro"]
    measure("load", lambda link: shop.load(link, 5000, _Host(vault)))
    measure("metro entry", tapped(gates[0], Event.ENTER))
    measure("metro exit", tapped(gates[-1], Event.EXIT))
    measure("bus", tapped(tills["bus"][0], Event.BOARD))
    measure("retail", tapped(shop, Event.PAY, 1200))
    tapped(shop, Event.PAY, 700)(_Counted(card, tear_at=3))  # its DEBIT is heard, its answer lost
    measure("recovery", tapped(shop, Event.PAY, 700))
    measure("info", lambda link: converse(read_card(), {CARD: link}))
    measure("log", lambda link: (converse(identify(), {CARD: link}), converse(read_log(), {CARD: link})))
    return found


def _terminals(
    scheme: Any, vault: MemoryVault, clock: list[datetime], issuer: bytes, name: str
) -> list[Terminal]:
    """The first and last terminal of a service of the scheme."""
    service = service_named(name).code
    tariffs = {
        code: scheme.tariff(code, AT.date()).config for code in REGISTRY if scheme.tariff(code, AT.date())
    }
    parameters = Parameters(1, tariffs, issuers=frozenset({issuer}), confirmed_at=AT)
    plans = [plan for plan in scheme.terminal_plans if plan.service == service]
    made = []
    for plan in (plans[0], plans[-1]):
        number = bytes.fromhex(plan.id)
        journal = Journal.open(MemoryStore(), number, durable=frozenset())
        config = TerminalConfig(
            number, bytes.fromhex(plan.acquirer), service, plan.line, plan.station, "9900"
        )
        made.append(
            Terminal(config, Psam(vault, number, journal.numbers), journal, lambda: clock[0], parameters)
        )
    return made
