# SPDX-License-Identifier: Apache-2.0
"""A CPU card with GlobalPlatform: the emulated card's files and purses, and security domains beside them.

`gp_card` makes one of any profile; its registry lists the profile's applications as the chip's own. The
issuer's domain is selected when the card gets power, SELECT finds directories and domains by one rule, and
what SET STATUS locks is not selected any more. A card that was made is opened again with `GpCard`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.card.applet import Applet
from citycard.core.card.apps.filing import COMMANDS as FILING
from citycard.core.card.atomic import CELL, Memory
from citycard.core.card.factory import blank_card
from citycard.core.card.image import check_head, parse
from citycard.core.card.os import Card, command_table
from citycard.core.card.spec import AreaSpec, Profile
from citycard.core.card.state import Answer, Chip, Entry, Table
from citycard.core.gp.domain import AREA_SIZE, SecurityDomain
from citycard.core.gp.keys import KeySet
from citycard.core.gp.perso import ChipApplications
from citycard.core.gp.state import ISD_AID, Kind, Life, Row, State, new_state
from citycard.core.gp.store import Store
from citycard.core.problem import Problem

CITY_LOAD_FILE: Final = bytes.fromhex("F0434954594341524400")  # proprietary: "CITYCARD"
SELECT: Final = 0x00A4
BY_FID: Final = 0x0000


class Domains:
    """The security domains as an applet of the chip (see `core.card.applet`)."""

    aid = ISD_AID

    def open(self, chip: Chip) -> SecurityDomain:
        """The domains of this card, read from its cells unless they are selected already."""
        if isinstance(chip.session.applet_state, SecurityDomain):
            return chip.session.applet_state
        area = chip.areas[self.aid]
        domain = SecurityDomain(
            Store(chip.memory, area.body, area.length), chip.random, ChipApplications(chip)
        )
        domain.power_on()
        return domain

    def select(self, chip: Chip, command: Command) -> Answer:
        """SELECT of a domain; P2 02 goes on from the one that is selected."""
        domain = self.open(chip)
        chip.session.applet_state = domain
        return domain.process(command)

    def process(self, chip: Chip, command: Command) -> Answer:
        """Any other command while a domain is selected."""
        domain = chip.session.applet_state = self.open(chip)
        return domain.process(command)


DOMAINS: Final = Domains()


class GpCard(Card):
    """An emulated card whose image has an area for security domains."""

    def __init__(
        self,
        memory: Memory,
        random: Callable[[int], bytes],
        commands: Table | None = None,
        applets: Iterable[Applet] = (),
    ) -> None:
        check_head(memory)
        super().__init__(memory, random, None, (DOMAINS, *applets))
        self._commands = _table(command_table(self.traits) if commands is None else commands)

    def power_on(self) -> bytes:
        """As `Card`; then the issuer's domain is selected. CARD_STORE_DAMAGED when it is not whole."""
        answer = super().power_on()
        assert self._chip is not None, "power_on wakes the chip"
        if ISD_AID in self._chip.areas:
            try:
                domain = DOMAINS.open(self._chip)
            except Problem:
                self.power_off()
                raise
            self._chip.session.applet, self._chip.session.applet_state = DOMAINS, domain
        return answer


def gp_card(
    profile: Profile,
    transport_key: bytes,
    sets: dict[int, KeySet],
    random: Callable[[int], bytes],
    algorithm: int | None = None,
) -> GpCard:
    """A blank card of a profile with security domains, whose issuer's keys are these sets by version."""
    wider = replace(profile, areas=(*profile.areas, AreaSpec(ISD_AID, AREA_SIZE)))
    blank = blank_card(wider, transport_key, random, algorithm)
    card = GpCard(Memory(blank.image()), random)
    area = parse(card.memory).areas[ISD_AID]
    assert area.body % CELL == 0, "the store writes whole cells"
    told = bytes(2) + card.uid[-7:] + b"\x01"
    Store(card.memory, area.body, area.length).save(_state(profile, sets, told).encode())
    return card


def _state(profile: Profile, sets: dict[int, KeySet], told: bytes) -> State:
    names = tuple(directory.name for directory in profile.directories[1:] if len(directory.name) >= 5)
    rows = [Row(Kind.LOAD_FILE, CITY_LOAD_FILE, Life.LOADED, modules=names, fixed=True)]
    rows += [
        Row(Kind.APPLICATION, name, Life.SELECTABLE, load_file=CITY_LOAD_FILE, fixed=True) for name in names
    ]
    cplc = bytes.fromhex("00004343000000000000") + bytes(2) + told[3:7] + bytes(26)
    return new_state(sets, told=told, rows=tuple(rows), cplc=cplc)


# SELECT, for directories and domains alike


def _table(table: Table) -> Table:
    known = table[SELECT]
    assert isinstance(known, dict)
    wrapped = {p: replace(entry, run=_guarded(entry)) for p, entry in known.items()}
    return table | {SELECT: wrapped}


def _guarded(entry: Entry) -> Callable[[Chip, Command], Answer]:
    """SELECT as the chip has it, but that domains are found by name and what is locked is not."""

    def run(chip: Chip, command: Command) -> Answer:
        if ISD_AID not in chip.areas:
            return entry.run(chip, command)
        domain = DOMAINS.open(chip)
        by_name = command.p1 == 0x04
        directory = _directory(chip, command) if by_name and command.data else None
        if by_name and directory is None and (command.p2 == 0 or chip.session.applet is DOMAINS):
            return _select_domain(chip, domain, command)
        if directory is not None and domain.locks(directory):
            return SW.FILE_NOT_FOUND
        if not by_name and any(domain.locks(name) for name in _reached(chip, command)):
            return SW.FILE_NOT_FOUND
        domain.deselect()
        return entry.run(chip, command)

    return run


def _directory(chip: Chip, command: Command) -> bytes | None:
    """The name of the directory that the chip would select, None when there is none."""
    after = chip.session.directory.slot if command.p2 == 0x02 else -1
    fitting = (d for d in chip.directories if d.slot > after and d.name.startswith(command.data))
    return next((directory.name for directory in fitting), None)


def _reached(chip: Chip, command: Command) -> list[bytes]:
    """The names of what a file identifier may reach, none of which may be locked."""
    fid = int.from_bytes(command.data, "big")
    return [b"", *(directory.name for directory in chip.directories if directory.fid == fid)]


def _select_domain(chip: Chip, domain: SecurityDomain, command: Command) -> Answer:
    """Let the domains answer; when one does, it is what is selected now."""
    answer = domain.process(command)
    if answer.sw in (SW.OK, SW.FILE_INVALID):
        select = FILING[SELECT]
        assert isinstance(select, dict)
        select[0x0400].run(chip, replace(command, p2=0, data=ISD_AID))  # the chip forgets its directory
        chip.session.applet_state = domain
    return answer
