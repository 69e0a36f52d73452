# SPDX-License-Identifier: Apache-2.0
"""One day of a whole city, to be watched: from the key ceremony to the closing report.

Everything is done by the same code that runs a real city; the demo only decides what people do and breaks a
few things on purpose: cards torn away, cards reported lost and used on, cards tapped twice, an upload
repeated, one out of order, an altered one.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from secrets import token_urlsafe
from typing import Any, Final

from citycard.blueprints import load_scheme
from citycard.core.card import T_UNION, blank_card
from citycard.core.dialogue import CARD, Refused, converse
from citycard.core.dialogue.read import identify, read_balance
from citycard.core.problem import declare
from citycard.core.record import open_batch
from citycard.lab.city import City, Progress, silent
from citycard.lab.faults import Rates
from citycard.lab.issuing import Pocket
from citycard.lab.plan import Act, plan_day
from citycard.services import REGISTRY
from citycard.services.contract import Event
from citycard.terminal import Outcome, TapResult
from citycard.terminal.office import API
from citycard.terminal.sync import sealed

MARKER: Final = "demo.json"
RATES: Final = Rates(tear=25)
FIRST_TOP_UP_FEN: Final = (3000, 5000, 5000, 10000)
POOR_TOP_UP_FEN: Final = 1000  # the least one may load: soon spent
POOR_SHARE: Final = 0.06
TWICE_SHARE: Final = 0.02
LOST_SHARE: Final = 0.012
NOON: Final = timedelta(hours=13)
FARE_PARTS: Final = ("list_fen", "concession_fen", "transfer_fen", "surcharge_fen", "charged_fen")

DEMO_FOLDER = declare(
    "DEMO_FOLDER",
    "{folder} holds something else than a demo; it is left as it is. Choose another folder with --home.",
    "{folder} 中存放的不是演示数据，未作改动；请用 --home 选择其他目录。",
)


@dataclass(slots=True)
class Shown:
    """What the demo leaves: the report, the console's logins, and the vault's passphrase for serving."""

    report: dict[str, Any]
    logins: dict[str, str]
    passphrase: str
    names: dict[str, str] = field(default_factory=dict)


def run(folder: Path, *, seed: int, cards: int, taps: int, progress: Progress = silent) -> Shown:
    """Live through the day in a fresh folder. Raises DEMO_FOLDER rather than touch what is not a demo."""
    started = time.perf_counter()
    _fresh(folder)
    passphrase = token_urlsafe(24)
    city = City(folder, load_scheme("city"), seed, rates=RATES)
    try:
        city.found(cards, passphrase, progress)
        day = _Day(city, progress)
        day.live(cards, taps)
        from citycard.office import setup

        logins = setup.create_staff(demo=True)
        report = day.report(seed, cards) | {"seconds": round(time.perf_counter() - started, 1)}
        names = {p.id: f"{p.name_zh} {p.name_en}" for p in city.scheme.participants}
    finally:
        city.close()
    (folder / MARKER).write_text(json.dumps(report, ensure_ascii=False, indent=1), encoding="utf-8")
    return Shown(report, logins, passphrase, names)


def invitation(shown: Shown, host: str, port: int) -> str:
    """Where to look at it all, and as whom."""
    password = next(iter(shown.logins.values()))
    who = ", ".join(shown.logins)
    return (
        f"\nConsole 控制台   http://{host}:{port}/\n"
        f"Login 登录       {who}   password 密码: {password}\n"
        "Ctrl-C ends it. 按 Ctrl-C 结束。\n"
    )


def _fresh(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise DEMO_FOLDER(folder=folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text("{}", encoding="utf-8")  # from the first moment on it may be cleared away


class _Day:
    """The one day: what was tallied while it passed."""

    def __init__(self, city: City, progress: Progress) -> None:
        self.city = city
        self.progress = progress
        self.random = Random(city.random.random())
        self.day = city.clock().date()
        self.services: dict[str, Counter[str]] = {}
        self.top_ups: Counter[str] = Counter()
        self.uploads: Counter[str] = Counter()
        self.lost: list[int] = []
        self.cleared: Any = None

    def live(self, cards: int, taps: int) -> None:
        """Morning, noon, evening, and the office's night."""
        city = self.city
        self._first_top_ups(cards)
        acts = self._with_seconds(plan_day(self.random, self.day, cards, taps, city.places))
        noon = datetime.combine(self.day, datetime.min.time()) + NOON
        done = self._act([a for a in acts if a.at < noon], 0, len(acts))
        city.clock.at(noon)
        self._report_losses(cards)
        self._upload("noon")
        self._act([a for a in acts if a.at >= noon], done, len(acts))
        self._strangers()
        self._out_of_order()
        city.clock.at(datetime.combine(self.day, datetime.min.time()) + timedelta(hours=23, minutes=30))
        self._upload("evening")
        self._repeat_and_alter()
        self._forge()
        city.clock.at(city.scheme.calendar.closes(self.day))
        self.cleared = city.clear(self.day, self.progress)

    def _first_top_ups(self, cards: int) -> None:
        city, loaders = self.city, self.city.places.loaders
        for card in range(cards):
            poor = self.random.random() < POOR_SHARE
            amount = POOR_TOP_UP_FEN if poor else self.random.choice(FIRST_TOP_UP_FEN)
            at = city.clock() + timedelta(seconds=2)
            self._count(Act(at, card, self.random.choice(loaders), None, amount))
            self.progress("first top-ups 首次充值", card + 1, cards)

    def _with_seconds(self, acts: list[Act]) -> list[Act]:
        """Some tap once more, a few seconds later: a bounce nobody shall pay for."""
        again = [
            Act(a.at + timedelta(seconds=3), a.card, a.terminal, a.event, a.amount_fen, again=True)
            for a in acts
            if a.event in (Event.BOARD, Event.ENTER) and self.random.random() < TWICE_SHARE
        ]
        return sorted(acts + again)

    def _act(self, acts: list[Act], done: int, total: int) -> int:
        for number, act in enumerate(acts, done + 1):
            self._count(act)
            if number % 20 == 0 or number == total:
                self.progress("taps 刷卡", number, total)
        return done + len(acts)

    def _count(self, act: Act) -> None:
        result = self.city.do(act)
        if act.event is None:
            self.top_ups[result.outcome.value] += 1
            self.top_ups["fen"] += result.record.amount_fen if result.record else 0
        elif result.outcome is Outcome.ACCEPTED and result.fare is not None:
            name = REGISTRY[self.city.posts[act.terminal].plan.service].name
            row = self.services.setdefault(name, Counter())
            row.update({part: getattr(result.fare, part) for part in FARE_PARTS}, taps=1)

    def _report_losses(self, cards: int) -> None:
        from citycard.office.cards import verbs
        from citycard.office.staff.roles import Actor, Role

        clerk = Actor("clerk", frozenset({Role.CLERK}))
        self.lost = sorted(self.random.sample(range(cards), round(cards * LOST_SHARE)))
        for card in self.lost:
            verbs.report_loss(self.city.pockets[card].pan, clerk)

    def _upload(self, when: str) -> None:
        for report in self.city.sync(progress=self.progress):
            self.uploads["batches"] += report.batches
            self.uploads["records"] += report.records
            self.uploads["known"] += report.known
            self.uploads["problems"] += len(report.problems) + len(report.remarks)

    def _strangers(self) -> None:
        """A blank chip and cards of other trades, held to a reader."""
        blank = blank_card(T_UNION, bytes(16), self.random.randbytes)
        for chip in (blank, _Alien(), _Alien()):
            terminal = self.random.choice(list(self.city.places.buses))
            self.city.present(terminal, chip, Act(self.city.clock(), 0, terminal, Event.BOARD))

    def _out_of_order(self) -> None:
        """One terminal closes two batches and the second arrives before the first."""
        post = max(self.city.posts.values(), key=lambda p: p.terminal.journal.pending_records)
        journal = post.terminal.journal
        records = journal.unbatched()
        if len(records) < 2:
            return
        half = len(records) // 2
        journal.close_batch(sealed(post.terminal, records[:half]))
        second = journal.close_batch(sealed(post.terminal, journal.unbatched()))
        self.uploads["out_of_order"] += self._send(post.token, second.raw) == 201

    def _repeat_and_alter(self) -> None:
        """A batch the office has is sent again; then once more with one bit changed."""
        raw = min((self.city.home / "lake" / "raw").rglob("*.ccb")).read_bytes()
        post = next(p for p in self.city.posts.values() if bytes.fromhex(p.plan.id) == raw[8:14])
        self.uploads["repeated"] += self._send(post.token, raw) == 200
        altered = raw[:-1] + bytes((raw[-1] ^ 1,))
        self.uploads["altered_refused"] += self._send(post.token, altered) == 422

    def _forge(self) -> None:
        """A dishonest operator signs an old record, the same at another price, and an invented one."""
        raw = max((self.city.home / "lake" / "raw").rglob("*.ccb")).read_bytes()
        record = open_batch(raw).records()[0]
        post = self.city.posts[record.terminal.hex()]
        dearer = replace(record, amount_fen=record.amount_fen + 100, list_fen=record.list_fen + 100)
        invented = replace(dearer, sequence=record.sequence + 1_000_000)
        records = [one.encode() for one in (record, dearer, invented)]
        status = self._send(post.token, sealed(post.terminal, records) + b"".join(records))
        self.uploads["forged_records"] += len(records) if status == 201 else 0

    def _send(self, token: str, raw: bytes) -> int:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        return self.city.client.post(API + "/batches", content=raw, headers=headers).status_code

    def report(self, seed: int, cards: int) -> dict[str, Any]:
        """The closing report as plain values."""
        from citycard.office import settlement
        from citycard.office.settlement.models import PositionRow

        tally, cleared, books = self.city.tally, self.cleared, settlement.reconcile()
        purchases = sum(row["taps"] for row in self.services.values())
        positions = PositionRow.objects.filter(run_id=self.day).order_by("participant")
        reasons = {code: count for code, count in sorted(cleared.reasons.items()) if code != "OK"}
        return {
            "seed": seed,
            "business_date": self.day.isoformat(),
            "cards": cards,
            "presentations": tally.presentations,
            "taps": purchases,
            "top_ups": dict(self.top_ups),
            "torn": tally.torn,
            "recovered": tally.recovered,
            "refusals": dict(sorted(tally.refusals.items())),
            "services": {name: dict(row) for name, row in sorted(self.services.items())},
            "uploads": dict(self.uploads),
            "records_accepted": cleared.verdicts.get("accepted", 0),
            "records_suspended": cleared.verdicts.get("suspended", 0),
            "records_rejected": reasons,
            "charged_fen": cleared.charged_fen,
            "loaded_fen": cleared.loaded_fen,
            "positions": {row.participant_id: row.net_fen for row in positions},
            "positions_sum_fen": sum(row.net_fen for row in positions),
            "ledger_balanced": books.ledger_balanced,
            "cards_match_shadow_accounts": not mismatches(self.city.pockets) and books.cards_match,
        }


class _Alien:
    """A door key, a library card: it knows none of our files."""

    def power_on(self) -> bytes:
        return bytes.fromhex("3B80800101")

    def process(self, command: bytes) -> bytes:
        return bytes.fromhex("6A82")


def mismatches(pockets: list[Pocket]) -> list[tuple[str, int, int]]:
    """Cards whose chip holds something else than their shadow account: (pan, chip fen, account fen)."""
    from citycard.office import ledger

    found = []
    for pocket in pockets:
        held, owed = chip_balance(pocket), ledger.balance(f"card:{pocket.pan}")
        if held != owed:
            found.append((pocket.pan, held, owed))
    return found


def chip_balance(pocket: Pocket) -> int:
    """What the chip itself says it holds."""
    pocket.chip.power_on()
    parties = {CARD: pocket.chip.process}
    converse(identify(), parties)
    held = converse(read_balance(), parties)
    assert not isinstance(held, Refused)
    return held


__all__ = ["Shown", "TapResult", "chip_balance", "invitation", "mismatches", "run"]
