# SPDX-License-Identifier: Apache-2.0
"""A whole city on the real code: vault, office, cards, terminals, network and clearing in one process.

`City.found` builds it, `tap` and `load` let people use it, `sync` carries records to the office, `clear`
ends a business date. Nothing here knows how a tap works; it only brings the parts together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx

from citycard.blueprints import Scheme, TerminalPlan
from citycard.core.problem import Problem
from citycard.keys import CHEAP, FILE_NAME, STRONG, Cost, Psam, SoftVault, scheme_ceremony
from citycard.keys.vault import KeyName
from citycard.lab import desk
from citycard.lab.clock import SimClock
from citycard.lab.faults import CALM, DeathTimer, Faults, Killed, Rates, RoughNetwork
from citycard.lab.issuing import Pocket, issue_cards
from citycard.lab.people import people
from citycard.lab.plan import Act, Places
from citycard.services import service_named
from citycard.terminal import (
    Journal,
    OfficeLoads,
    Outcome,
    Sync,
    SyncReport,
    TapResult,
    Terminal,
    TerminalConfig,
)
from citycard.terminal.link import Chip, EmulatedLink
from citycard.terminal.parameters import Shelf
from citycard.terminal.store import FolderStore, MemoryStore

Progress = Callable[[str, int, int], None]
FOUNDED: Final = datetime(2026, 3, 2, 5, 0)  # a Monday, before the first train
METRO: Final = service_named("metro").code
BUS: Final = service_named("bus").code
PATIENCE: Final = 3  # presentations before a person walks on
DEATHS_MAX: Final = 3  # of one clearing
CHECKPOINTS: Final = 90  # steps of clearing and statements of posting, about
TEAR_STEPS: Final = 14  # exchanges of the longest conversation


def silent(what: str, done: int, total: int) -> None:
    """Progress nobody watches."""


@dataclass(slots=True)
class Post:
    """A terminal at its place, with its memory: what is left when its process dies."""

    plan: TerminalPlan
    store: FolderStore | MemoryStore
    token: str
    death: DeathTimer
    terminal: Terminal
    sync: Sync
    loads: OfficeLoads
    skew: timedelta = timedelta()  # how far its clock is off


@dataclass(slots=True)
class Tally:
    """What happened at the readers so far."""

    presentations: int = 0
    accepted: int = 0
    torn: int = 0
    recovered: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    fares: dict[int, dict[str, int]] = field(default_factory=dict)

    def count(self, service: int, result: TapResult) -> None:
        """Add one presentation."""
        self.presentations += 1
        if result.outcome is Outcome.TORN:
            self.torn += 1
        elif result.outcome is Outcome.REFUSED:
            self.refusals[result.refusal.code if result.refusal else "UNKNOWN"] += 1
        else:
            self.accepted += 1
            self.recovered += result.recovered


class City:
    """One simulated city; build it with `found`."""

    def __init__(
        self,
        home: Path,
        scheme: Scheme,
        seed: int,
        *,
        rates: Rates = CALM,
        durable: bool = True,
        cost: Cost | None = None,
        plans: Sequence[TerminalPlan] | None = None,
        shared_keys: Mapping[KeyName, bytes] | None = None,
    ) -> None:
        self.home = home
        self.scheme = scheme
        self.random = Random(seed)
        self.faults = Faults(rates, Random(seed ^ 0x5EED))
        self.clock = SimClock(FOUNDED)
        self.durable = durable
        self.plans = tuple(plans if plans is not None else scheme.terminal_plans)
        self.shared_keys = dict(shared_keys or {})  # roots this city has in common with others
        self.cost = cost or (STRONG if durable else CHEAP)
        self.tally = Tally()
        self.night = DeathTimer()  # when clearing and posting die
        self.pockets: list[Pocket] = []
        self.posts: dict[str, Post] = {}
        self.vault: SoftVault
        self.client: httpx.Client
        self._randbytes = self.random.randbytes
        self.run: Callable[..., Any] | None = None  # clears in the place of `clearing.run`

    # Founding

    def found(self, cards: int, passphrase: str, progress: Progress = silent) -> None:
        """Key ceremony, office, scheme, cards in pockets, terminals at their places."""
        progress("key ceremony 密钥仪式", 0, 1)
        random = None if self.durable else self._randbytes
        self.vault = SoftVault.create(
            self.home / FILE_NAME,
            passphrase,
            cost=self.cost,
            clock=self.clock,
            **({"random": random} if random else {}),
        )
        transport = self._randbytes(16)
        self.vault.import_key(KeyName.TRANSPORT, 0, 1, transport)
        for name, key in self.shared_keys.items():
            self.vault.import_key(name, 0, 1, key)
        scheme_ceremony(self.vault)
        progress("key ceremony 密钥仪式", 1, 1)
        self._open_office(progress)
        crowd = people(self.random, cards, self.clock().date())
        self.pockets = issue_cards(
            self.scheme, self.vault, transport, crowd, self.random,
            lambda done: progress("cards 制卡发卡", done, cards),
        )  # fmt: skip
        self._place_terminals(progress)

    def _open_office(self, progress: Progress) -> None:
        from citycard.office import setup

        desk.open_office(self.home, self.vault, self.clock, durable=self.durable)
        setup.migrate(lambda done, total, step: progress("office 后台", done, total))
        from citycard.office.participants.scheme import install_scheme

        install_scheme(self.scheme)
        self.client = desk.client(lambda inner: RoughNetwork(inner, self.faults, desk.mortal))

    def _place_terminals(self, progress: Progress) -> None:
        from citycard.office.intake import tokens

        for number, plan in enumerate(self.plans, 1):
            death = DeathTimer()
            folder = self.home / "terminals" / plan.id
            store = FolderStore(folder, death.step) if self.durable else MemoryStore(death.step)
            self.posts[plan.id] = self.start(plan, store, tokens.mint(plan.id), death)
            self.posts[plan.id].sync.run(self.posts[plan.id].terminal)
            progress("terminals 终端", number, len(self.plans))

    def start(
        self,
        plan: TerminalPlan,
        store: FolderStore | MemoryStore,
        token: str,
        death: DeathTimer,
        skew: timedelta = timedelta(),
    ) -> Post:
        """A terminal's process begins: everything it knows it reads from its store."""
        number = bytes.fromhex(plan.id)
        journal = Journal.open(store, number, durable=frozenset())
        shelf = Shelf(store)
        config = TerminalConfig(
            number, bytes.fromhex(plan.acquirer), plan.service, plan.line, plan.station, self.scheme.city
        )
        sam = Psam(self.vault, number, journal.numbers)
        clock = (lambda: self.clock() + skew) if skew else self.clock
        terminal = Terminal(config, sam, journal, clock, shelf.load((plan.service,)))
        terminal.start()
        sync = Sync(self.client, token, shelf, sleep=lambda seconds: None, random=self.faults.random)
        return Post(plan, store, token, death, terminal, sync, OfficeLoads(self.client, token), skew)

    # Life

    @property
    def places(self) -> Places:
        """Where one can tap."""
        posts = self.plans
        gates = {(p.line, p.station): p.id for p in posts if p.service == METRO}
        tills = [p.id for p in posts if p.service not in (METRO, BUS)]
        loaders = [p.id for p in posts if p.loads] or tills
        return Places(gates, [p.id for p in posts if p.service == BUS], tills, loaders)

    def do(self, act: Act, seen: Callable[[], None] = lambda: None) -> TapResult:
        """A person does what was planned, presenting the card again when it was torn away.

        `seen` is called after each presentation.
        """
        self.clock.at(act.at)
        chip = self.pockets[act.card].chip
        for _ in range(PATIENCE):
            result = self.present(act.terminal, chip, act)
            seen()
            if result.outcome is not Outcome.TORN:
                return result
            self.clock.pass_time(2)
        return result

    def present(self, terminal_id: str, chip: Chip, act: Act) -> TapResult:
        """One presentation; a terminal killed in it starts again, and the card counts as torn."""
        post = self.posts[terminal_id]
        link = EmulatedLink(chip, self.faults.tear_step(TEAR_STEPS), self.faults.random.random() < 0.5)
        if self.faults.strikes("kill_terminal"):
            post.death.arm(self.faults.random.randrange(5))
        try:
            if act.event is None:
                result = post.terminal.load(link, act.amount_fen, post.loads)
            else:
                result = post.terminal.tap(link, act.event, act.amount_fen)
        except Killed:
            result = TapResult(Outcome.TORN, detail="the terminal died")
            self._revive(post)
        post.death.disarm()
        self.tally.count(post.plan.service, result)
        return result

    def sync(self, posts: Sequence[str] | None = None, progress: Progress = silent) -> list[SyncReport]:
        """Terminals talk to the office, all of them or those named; one killed meanwhile starts again."""
        reports = []
        names = list(self.posts) if posts is None else list(posts)
        for number, name in enumerate(names, 1):
            post = self.posts[name]
            if self.faults.strikes("kill_terminal"):
                post.death.arm(self.faults.random.randrange(6))
            try:
                reports.append(post.sync.run(post.terminal))
            except Killed:
                self._revive(post)
            post.death.disarm()
            progress("upload 上传", number, len(names))
        return reports

    def _revive(self, post: Post) -> None:
        post.death.disarm()
        post.store.close()
        self.posts[post.plan.id] = self.start(post.plan, post.store, post.token, post.death, post.skew)

    def set_clock(self, name: str, skew: timedelta) -> None:
        """A terminal starts again with its clock off by so much, or right again."""
        post = self.posts[name]
        post.store.close()
        self.posts[name] = self.start(post.plan, post.store, post.token, post.death, skew)

    # The office's evening

    def clear(self, day: date, progress: Progress = silent) -> Any:
        """Export, clear, post and settle one business date; killed on the way, it is done again."""
        for _ in range(DEATHS_MAX):
            if self.faults.strikes("kill_clearing"):
                self.night.arm(self.faults.random.randrange(CHECKPOINTS))
            try:
                return self._clear(day, progress)
            except Killed:
                continue
        return self._clear(day, progress)  # nobody dies for ever

    def _clear(self, day: date, progress: Progress) -> Any:
        from citycard.clearing import Rules, run
        from citycard.clearing.problems import TABLES_REFUSED
        from citycard.office import settlement

        with desk.mortal(self.night):
            settlement.export(day)
            try:
                report = (self.run or run)(
                    self.home,
                    day,
                    self.vault.tac_checker(),
                    self.scheme.calendar,
                    lambda step, part: progress("clearing 清分", round(part * 100), 100),
                    checkpoint=self.night.step,
                    rules=Rules(sheets=self.durable),
                )
            except Problem as problem:
                if problem.code in TABLES_REFUSED:
                    settlement.withdraw(day)
                raise
            settlement.post_run(day)
            settlement.settle(day)
        self.night.disarm()
        return report

    def close(self) -> None:
        """Let go of everything the process holds."""
        for post in self.posts.values():
            post.store.close()
        if hasattr(self, "client"):
            self.client.close()
        desk.close_office()
