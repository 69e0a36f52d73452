# SPDX-License-Identifier: Apache-2.0
"""A clearing run: from the raw batches of a business date to positions, files and what the next run needs.

A run works in a staging folder and closes the date with one rename. Before it everything may be thrown away
and made again from the same frozen input; after it nothing changes any more. Killed anywhere, it is run
again and ends as if it had not been.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from citycard.clearing import carry, chain, judge, money, verify
from citycard.clearing import sources as s
from citycard.clearing.apportion.matrix import installed
from citycard.clearing.contracts import rates
from citycard.clearing.engine import DuckEngine, Source, Step
from citycard.clearing.intake import decoded
from citycard.clearing.lake import DONE, TIMING, Lake, RawBatch, digest_of, digests, to_json
from citycard.clearing.outputs import write_lake, write_office, write_statements
from citycard.clearing.places import TariffSharing, weigh
from citycard.clearing.problems import BUSINESS_DATE_CLOSED
from citycard.clearing.reference import read_reference
from citycard.clearing.rules import Checkpoint, Progress, Rules, RunReport, TacChecker
from citycard.core.calendar import Calendar
from citycard.core.record import Kind
from citycard.core.refusal import Reason
from citycard.core.tables import Row

SMALL_BYTES: Final = 32 * 2**20  # raw batches up to this together stay in memory
ISSUER: Final = "issuer"
CARRIED: Final = (
    (s.STATE, "cards.parquet"),
    (s.OPEN_LOADS, "open_loads.parquet"),
    (s.LAST_SEQUENCES, "terminals.parquet"),
    (s.POOL, f"taps/verdict={judge.SUSPENDED}/"),
)


def run(
    home: Path | str,
    settle_on: date,
    tac_checker: TacChecker,
    calendar: Calendar | None = None,
    progress: Progress | None = None,
    *,
    rules: Rules | None = None,
    checkpoint: Checkpoint | None = None,
    force: bool = False,
) -> RunReport:
    """Clear and net a business date; a date that is closed is reported and left as it is.

    `tac_checker` verifies TACs in bulk (`Vault.tac_checker()`), `progress` is told step and part done,
    `checkpoint` is called between and inside steps. Problems: BUSINESS_DATE_CLOSED (with `force`),
    LATER_DATE_RUN, EARLIER_RUN_UNFINISHED, RUN_IN_PROGRESS, RAW_DAMAGED, RAW_MISSING, LAKE_DAMAGED,
    INPUT_MISSING, INPUT_INVALID, CONTRACT_AMBIGUOUS.
    """
    lake = Lake(Path(home))
    with lake.alone():
        marker = lake.done(settle_on)
        if marker is not None:
            if force:
                raise BUSINESS_DATE_CLOSED(date=settle_on)
            lake.publish(settle_on)
            return _report_of(lake, settle_on, marker)
        lake.may_run(settle_on)
        job = _Run(lake, settle_on, calendar or Calendar(), rules or Rules(), progress, checkpoint)
        return job.work(tac_checker)


def _report_of(lake: Lake, day: date, marker: dict[str, Any]) -> RunReport:
    timing = lake.run_folder(day) / TIMING
    seconds = json.loads(timing.read_bytes()) if timing.exists() else {}
    return RunReport(**marker["report"], seconds=seconds, repeated=True)


class _Run:
    """One run at work: what its steps share."""

    def __init__(
        self,
        lake: Lake,
        day: date,
        calendar: Calendar,
        rules: Rules,
        progress: Progress | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.lake = lake
        self.day = day
        self.calendar = calendar
        self.rules = rules
        self.progress = progress or (lambda step, part: None)
        self.checkpoint = checkpoint or (lambda name: None)
        self.seconds: dict[str, float] = {}

    def work(self, check: TacChecker) -> RunReport:
        """All steps in order, each in its own method; commits at the end."""
        with self.step("collect", 0.0):
            batches = self.lake.freeze(self.day)
            self.folder = self.lake.fresh_staging(self.day)
            self.reference = read_reference(self.lake.inputs(self.day), self.day)
        sizes = sum(
            (self.lake.home / b.path).stat().st_size for b in batches if (self.lake.home / b.path).exists()
        )
        small = sizes <= SMALL_BYTES
        with DuckEngine(None if small else self.folder / "spill") as self.engine:
            with self.step("decode", 0.05):
                self.decode(batches, check, small)
            with self.step("deduplicate", 0.45):
                self.give_context(batches)
                self.deduplicate()
            with self.step("verify", 0.55):
                self.make(*verify.STEPS, *chain.STEPS)
            with self.step("apportion", 0.7):
                self.apportion()
            with self.step("net", 0.8):
                self.make(money.POSITIONS, money.REVENUE, *carry.STEPS)
            with self.step("write", 0.85):
                report = self.write(batches)
        with self.step("close", 0.97):
            self.close(batches, report)
        self.progress("done", 1.0)
        return replace(report, seconds=self.seconds)

    @contextmanager
    def step(self, name: str, part: float) -> Iterator[None]:
        """A step of the run, timed and told."""
        self.progress(name, part)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 4)
        self.checkpoint(name)

    def make(self, *steps: Step) -> None:
        """Run declared steps in order."""
        for step in steps:
            self.engine.make(step)
            self.checkpoint(step.name)

    def decode(self, batches: list[RawBatch], check: TacChecker, small: bool) -> None:
        """Raw records to the table `taps`: in memory, or through Parquet when there are many."""
        chunks = decoded(self.lake.home, batches, self.day, self.calendar, check)
        if small:
            found = [table for _, table in chunks]
            self.engine.give(s.TAPS, pa.concat_tables([s.TAPS.arrow.empty_table(), *found]).combine_chunks())
            return
        paths = []
        for number, (count, table) in enumerate(chunks):
            path = self.folder / "decoded" / f"part-{number:05d}.parquet"
            path.parent.mkdir(exist_ok=True)
            pq.write_table(table, path, compression="zstd")
            paths.append(path)
            self.progress("decode", 0.05 + 0.4 * count / len(batches))
            self.checkpoint(f"decode {number}")
        self.engine.give_parquet(s.TAPS, paths)

    def give_context(self, batches: list[RawBatch]) -> None:
        """What the taps are held against: reference tables, settings, and the state of the run before."""
        window = timedelta(days=self.calendar.late_days)
        settings = {
            "settle_on": self.day,
            "oldest": self.day - window,
            "farthest": self.day + window,
            "limit_fen": self.rules.limit_fen,
            "load_limit_fen": self.rules.load_limit_fen,
            "accept_unexplained": self.rules.accept_unexplained,
            "late_days": self.calendar.late_days,
            "scheme": self.reference.scheme,
        }
        issuers = [
            p["participant"]
            for p in self.reference.participants
            if p["active"] and ISSUER in p["roles"].split()
        ]
        self.give(s.SETTINGS, [settings])
        self.give(s.BATCHES, [{"batch_no": i, "batch": batch.digest} for i, batch in enumerate(batches)])
        self.give(s.ISSUERS, [{"issuer": issuer} for issuer in issuers])
        self.give(s.LIMITS, [{"service": k, "most_fen": v} for k, v in sorted(self.rules.limits_fen.items())])
        self.give(s.REASONS, [{"reason_no": reason.number, "reason": reason.code} for reason in Reason])
        self.engine.give(s.TERMINALS, self.reference.terminals)
        self.engine.give(s.CARDS, self.reference.cards)
        self.engine.give(s.HOTLIST, self.reference.hotlist)
        self.engine.give(s.SAMS, self.reference.sams)
        before = [day for day in self.lake.finished() if day < self.day]
        for source, name in CARRIED:
            self.engine.give_parquet(source, self.lake.checked(before[-1], name) if before else [])

    def give(self, source: Source, rows: list[Row]) -> None:
        """Rows of plain values as a table."""
        self.engine.give(source, pa.Table.from_pylist(rows, schema=source.arrow))

    def deduplicate(self) -> None:
        """Which records were delivered before; the history is opened only if one is old enough for that."""
        self.make(verify.LATE)
        paths: list[Path] = []
        if self.engine.fetch(verify.LATE).num_rows:
            oldest = self.day - timedelta(days=self.calendar.late_days)
            days = [oldest + timedelta(days=n) for n in range(self.calendar.late_days + 1)]
            parts = [f"taps/verdict={judge.ACCEPTED}/business_date={day.isoformat()}/" for day in days]
            paths = [p for d in self.lake.finished() if oldest <= d for p in self.lake.checked(d, *parts)]
        self.engine.give_parquet(s.HISTORY, paths)
        self.make(verify.KNOWN, verify.DELIVERED)

    def apportion(self) -> None:
        """Verdicts with their contracts, and every accepted tap's shares."""
        wanted = self.engine.fetch(judge.COMBINATIONS, judge.RATE_KEY).to_pylist()
        found = rates(self.reference.contracts, [tuple(row[k] for k in judge.RATE_KEY) for row in wanted])
        self.give(s.RATES, found)
        self.make(judge.JUDGED, money.PRICED)
        tariffs = TariffSharing(self.reference.tariffs)
        sharing = self.rules.sharing or installed(self.lake.home, self.day, tariffs)
        grounds = self.engine.fetch(money.GROUNDS, money.PLACE_KEY).to_pylist()
        places, weights = weigh(grounds, self.reference, sharing)
        self.give(s.PLACES, places)
        self.give(s.WEIGHTS, weights)
        self.make(money.PLACED, money.SPLIT, money.SHARES)
        wrong = self.engine.fetch(money.UNBALANCED).slice(0, 1).to_pylist()
        assert not wrong, f"shares of a tap do not add up to zero: {wrong}"

    def write(self, batches: list[RawBatch]) -> RunReport:
        """All files of the run into its folder."""
        tally = self.engine.fetch(judge.TALLY).to_pylist()
        write_lake(self.engine, self.folder, {(row["verdict"], row["business_date"]) for row in tally})
        self.checkpoint("lake written")
        write_office(self.engine, self.folder / "out")
        self.checkpoint("office written")
        revenue = self.engine.fetch(money.REVENUE).to_pylist()
        who = write_statements(
            self.folder / "statements", revenue, self.reference, self.day, self.rules.sheets
        )
        positions = sum(row["net_fen"] for row in self.engine.fetch(money.POSITIONS).to_pylist())
        assert positions == 0, f"positions add up to {positions} fen"
        return _report(self.day, len(batches), tally, len(who))

    def close(self, batches: list[RawBatch], report: RunReport) -> None:
        """Write the marker, put the folder in place, hand out the copies."""
        for scratch in ("spill", "decoded"):
            _remove(self.folder / scratch)
        inputs = {path.name: digest_of(path) for path in sorted(self.lake.inputs(self.day).glob("*.csv"))}
        plain = report.to_plain()
        del plain["seconds"], plain["repeated"]
        taken = hashlib.sha256("".join(batch.digest for batch in batches).encode()).hexdigest()
        marker = {"date": self.day.isoformat(), "batches": taken, "inputs": inputs,
                  "outputs": digests(self.folder), "report": plain}  # fmt: skip
        (self.folder / DONE).write_bytes(to_json(marker))
        (self.folder / TIMING).write_bytes(to_json(self.seconds))
        self.checkpoint("before commit")
        self.lake.commit(self.day)
        self.checkpoint("after commit")
        self.lake.publish(self.day)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _report(day: date, batches: int, tally: list[Row], participants: int) -> RunReport:
    verdicts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    money_fen: Counter[tuple[str, int]] = Counter()
    for row in tally:
        verdicts[row["verdict"]] += row["taps"]
        reasons[row["reason"]] += row["taps"]
        if row["reason"] not in (Reason.DUPLICATE.code, Reason.MALFORMED.code):
            money_fen[row["verdict"], row["kind"]] += row["amount_fen"]
    return RunReport(
        settle_on=day.isoformat(),
        batches=batches,
        taps=sum(verdicts.values()),
        verdicts=dict(sorted(verdicts.items())),
        reasons=dict(sorted(reasons.items())),
        charged_fen=money_fen[judge.ACCEPTED, int(Kind.PURCHASE)],
        loaded_fen=money_fen[judge.ACCEPTED, int(Kind.LOAD)],
        suspended_fen=money_fen[judge.SUSPENDED, int(Kind.PURCHASE)],
        rejected_fen=money_fen[judge.REJECTED, int(Kind.PURCHASE)],
        positions_sum_fen=0,
        participants=participants,
    )
