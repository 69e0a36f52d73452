# SPDX-License-Identifier: Apache-2.0
"""The personalisation line (制卡线): data, chip, read-back, stock; card by card, and on again after any stop.

Each card is begun in the journal with the chip it is made on, made, verified, and entered into stock; what
fails is rejected and its number destroyed. A run that was stopped anywhere goes on where it stopped: the
same chip (known by its serial) is finished with the same data; another chip gets another number, and the
number that was open is spoiled, for its first chip may exist. So no two chips ever have one number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

from citycard.core.dialogue.exchange import CARD, CardGone, DialogueError, Refused, converse
from citycard.core.dialogue.personalise import KeySlot, personalise
from citycard.core.dialogue.read import identify
from citycard.core.dialogue.readback import opens, verify
from citycard.core.problem import declare
from citycard.keys.hierarchy import card_factors
from citycard.keys.load_sam import LoadAsked, LoadSam
from citycard.keys.perso_file import PersoEntry, PersoFile
from citycard.keys.vault import KeyName, KeyRef, Vault
from citycard.office.issuing import stock
from citycard.office.issuing.data import control_slot
from citycard.office.issuing.journal import BEGUN, FINAL, MADE, REJECTED, STOCKED, VERIFIED, Journal
from citycard.office.issuing.report import Report, report_of
from citycard.office.staff.roles import Actor

PRESENTATIONS: Final = 3  # of one chip, when it is torn away
REFUSED_MAX: Final = 10  # chips put aside in a row: then the whole box is wrong
JOURNAL_NAME: Final = "journal.log"

PERSO_CHIPS = declare(
    "PERSO_CHIPS",
    "{count} chips in a row were not blank or not under this transport key (the last: {why}). Check the box "
    "and the transport key, then run again.",
    "连续 {count} 张芯片不是白卡或传输密钥不符（最后一张：{why}）；请检查卡料和传输密钥后重新运行。",
)


class PersoChip(Protocol):
    """A chip in the machine: its serial in hex, and a link to it (`terminal.link.Link` is one)."""

    @property
    def uid(self) -> str: ...
    def connect(self) -> bytes: ...
    def __call__(self, command: bytes) -> bytes: ...


class Tray(Protocol):
    """Where chips come from and go to."""

    def left(self) -> PersoChip | None:
        """The chip that a stop left in the machine, if the machine knows."""
        ...

    def take(self) -> PersoChip | None:
        """The next chip, None when there is none."""
        ...

    def put(self, chip: PersoChip, good: bool) -> None:
        """A chip is done with."""
        ...


def nothing(step: str) -> None:
    """A checkpoint nobody watches."""


class Line:
    """One order being made. `checkpoint` is called between all steps; a test makes it raise."""

    def __init__(
        self,
        vault: Vault,
        tray: Tray,
        by: Actor,
        *,
        transport_version: int = 1,
        checkpoint: Callable[[str], None] = nothing,
    ) -> None:
        self._vault = vault
        self._sam = LoadSam(vault)
        self._tray = tray
        self._by = by
        self._transport_version = transport_version
        self._checkpoint = checkpoint
        self._kept: PersoChip | None = None  # stays in the machine for the next number

    def run(
        self, data: PersoFile, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Report:
        """Make what is left of the order; stops early when the tray is empty. Problems: PERSO_*."""
        with closing(Journal(folder / JOURNAL_NAME, data.digest)) as journal:
            self._settle(journal)
            chips = self._chips(journal, data.head.algorithm)
            for entry in data.entries:
                state = journal.told.cards.get(entry.pan)
                if state is not None and state.step in FINAL:
                    continue
                chip = next(chips, None)
                if chip is None:
                    break
                self._one(entry, chip, journal)
                progress(sum(one.step in FINAL for one in journal.told.cards.values()), data.head.count)
            return report_of(data.head, data.digest, journal.told)

    def _settle(self, journal: Journal) -> None:
        """A run that was stopped after stock had the card, or before the chip was taken out."""
        open_ = journal.told.open
        if open_ and stock.entered(open_[0], open_[1].uid):
            journal.step(open_[0], STOCKED, open_[1].uid)
        self._kept = self._tray.left()
        if self._kept and self._ended(self._kept, journal):
            self._kept = None

    def _ended(self, chip: PersoChip, journal: Journal) -> bool:
        """Whether this chip was made to an end before; then it is taken out of the machine."""
        done = journal.told.cards.get(journal.told.used.get(chip.uid, ""))
        if done is None or done.step not in FINAL:
            return False
        self._tray.put(chip, good=done.step == STOCKED)
        return True

    def _one(self, entry: PersoEntry, chip: PersoChip, journal: Journal) -> None:
        """Take one number to its end. An open number whose chip is not this one is spoiled, and the chip
        stays in the machine for the next."""
        state = journal.told.cards.get(entry.pan)
        if state is not None and state.uid != chip.uid:
            self._reject(entry.pan, state.uid, "its chip did not come back after a stop", journal)
            self._kept = chip
            return
        if state is None:
            journal.step(entry.pan, BEGUN, chip.uid)
            self._checkpoint("begun")
        wrong = self._make(entry, chip, journal, again=state is not None)
        if wrong:
            self._reject(entry.pan, chip.uid, wrong, journal)
        else:
            self._checkpoint("verified")
            stock.enter(entry, chip.uid, self._by)
            self._checkpoint("stocked")
            journal.step(entry.pan, STOCKED, chip.uid)
        self._checkpoint("ended")
        self._tray.put(chip, good=not wrong)

    def _chips(self, journal: Journal, algorithm: int) -> Iterator[PersoChip]:
        """Chips that may be written: blank, or the one that was being written when the run stopped."""
        refused = 0
        while True:
            chip, self._kept = self._kept or self._tray.take(), None
            if chip is None:
                return
            if self._ended(chip, journal):
                continue
            why = "" if chip.uid in journal.told.used else self._unfit(chip, algorithm)
            if not why:
                refused = 0
                yield chip
                continue
            journal.refuse(chip.uid, why)
            self._tray.put(chip, good=False)
            refused += 1
            if refused == REFUSED_MAX:
                raise PERSO_CHIPS(count=refused, why=why)

    def _unfit(self, chip: PersoChip, algorithm: int) -> str:
        """Why a chip may not be written, in a few words; empty for a blank one under the transport key."""
        try:
            chip.connect()
            view = converse(identify(), {CARD: chip})
            if isinstance(view, Refused):
                return f"no card of this profile ({view})"
            if set(view.pan) != {"0"}:
                return f"it is card {view.pan}"
        except DialogueError:
            pass  # no readable public file: a blank
        except CardGone:
            return "it does not answer"
        transport = self._transport(algorithm)
        try:
            return converse(opens(lambda challenge: self._proof(transport, challenge)), {CARD: chip})
        except CardGone:
            return "it does not answer"
        except DialogueError as error:
            return str(error)

    def _proof(self, key: KeyRef, challenge: bytes) -> bytes:
        return self._vault.external_authentication(*key[:3], challenge, suite=key.suite)

    def _make(self, entry: PersoEntry, chip: PersoChip, journal: Journal, *, again: bool) -> str:
        """Write and verify a card, presenting it again when it was torn away; what is wrong with it."""
        wrong = "it was torn away"
        for _ in range(PRESENTATIONS):
            try:
                wrong = self._written(entry, chip, journal, again=again)
                break
            except CardGone:
                again = True
        return wrong

    def _written(self, entry: PersoEntry, chip: PersoChip, journal: Journal, *, again: bool) -> str:
        """One presentation. A chip presented again may have been finished the time before."""
        chip.connect()
        if not again or self._verified(entry, chip):
            refused = self._personalised(entry, chip)
            if refused:
                return f"not written: {refused}"
            journal.step(entry.pan, MADE, chip.uid)
            self._checkpoint("made")
            chip.connect()
        wrong = self._verified(entry, chip)
        if not wrong:
            journal.step(entry.pan, VERIFIED, chip.uid)
        return wrong

    def _personalised(self, entry: PersoEntry, chip: PersoChip) -> str:
        path = self._path(entry)
        control = control_slot(entry.slots)
        transport = self._transport(control.algorithm)
        own = KeyRef(control.name, control.version, path, control.algorithm)

        def wrap(slot: KeySlot, header: bytes, challenge: bytes) -> tuple[bytes, bytes]:
            return self._vault.wrap_card_key(
                slot.name, slot.version, path, transport, slot.head, header, challenge, suite=slot.algorithm
            )

        def authenticate(name: str, challenge: bytes) -> bytes:
            return self._proof(transport if name == KeyName.TRANSPORT else own, challenge)

        chip.connect()
        try:
            refused = converse(personalise(entry.files, wrap, authenticate, entry.slots), {CARD: chip})
        except DialogueError as error:
            return str(error)
        return str(refused) if refused else ""

    def _verified(self, entry: PersoEntry, chip: PersoChip) -> str:
        issuer = self._path(entry)[0]

        def prove(amount_fen: int, terminal: bytes, answer: bytes) -> bool:
            return self._sam.verify(LoadAsked(issuer, entry.pan, terminal, amount_fen, answer))

        try:
            return converse(verify(entry.files, prove), {CARD: chip})
        except DialogueError as error:
            return str(error)

    def _transport(self, algorithm: int) -> KeyRef:
        return KeyRef(KeyName.TRANSPORT, self._transport_version, (), algorithm)

    @staticmethod
    def _path(entry: PersoEntry) -> tuple[bytes, bytes]:
        return card_factors(entry.files[0x15][:8], entry.pan)

    def _reject(self, pan: str, uid: str, why: str, journal: Journal) -> None:
        self._checkpoint("wrong")
        stock.spoil(pan, why, self._by)
        self._checkpoint("spoiled")
        journal.step(pan, REJECTED, uid, why)
