# SPDX-License-Identifier: Apache-2.0
"""A clearing run: from the raw batches of a business date to positions, files and what the next run needs.

A run works in a staging folder and closes the date with one rename. Before it everything may be thrown away
and made again from the same frozen input; after it nothing changes any more. Killed anywhere, it is run
again and ends as if it had not been.

A small day is worked in memory as one part. A large one is dealt out to parts by card (`shards`), which are
worked side by side; only sums and exceptions come together again, so memory does not grow with the day.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from citycard.clearing import carry, cluster, intake, judge, money, outputs, verify, worker
from citycard.clearing import sources as s
from citycard.clearing.apportion.matrix import in_force
from citycard.clearing.decode import Columns, hex_codes
from citycard.clearing.engine import DuckEngine, Engine, Source
from citycard.clearing.intake import Spool, fill, wire_of
from citycard.clearing.lake import DONE, TIMING, Lake, RawBatch, digest_of, digests, to_json
from citycard.clearing.laying import lay_down
from citycard.clearing.part import Part, Shared, compile_steps, rows
from citycard.clearing.problems import BUSINESS_DATE_CLOSED, LAKE_FULL
from citycard.clearing.reference import Reference, read_reference
from citycard.clearing.rules import ALL, Checkpoint, Progress, Rules, RunReport, TacChecker
from citycard.clearing.shards import CODES, Shards
from citycard.clearing.spark import SparkEngine
from citycard.clearing.store import Store, pull, push
from citycard.core.calendar import Calendar
from citycard.core.record import RECORD_SIZE, Kind
from citycard.core.refusal import Reason
from citycard.core.tables import Row

DISK_FULL: Final = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "errno: 28",
    "errno: 27",
)
SMALL_BYTES: Final = 32 * 2**20  # raw batches, and carried state, up to this stay in memory
DECODE_RECORDS: Final = 65_536  # decoded at a time: what is made on the way stays in the cache
PART_RECORDS: Final = 1_000_000  # taps of a part, about: a gigabyte of columns
PART_STATE_BYTES: Final = 24 * 2**20  # carried state of a part: about a million cards
CARDS, LOADS, TERMINALS = "cards", "open_loads", "terminals"
WAITING: Final = f"taps/verdict={judge.SUSPENDED}/"


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
    master: str | None = None,
    store: str | None = None,
) -> RunReport:
    """Clear and net a business date; a date that is closed is reported and left as it is.

    `tac_checker` verifies TACs in bulk (`Vault.tac_checker()`), `progress` is told step and part done,
    `checkpoint` is called between and inside steps. `master` is the URL of a Spark cluster that does the
    work in DuckDB's place, `store` that of an Arrow filesystem that gets a copy of the lake (`store`).
    Problems: SPARK_MISSING, SPARK_FAILED, LAKE_STORE_FAILED, LAKE_FULL, BUSINESS_DATE_CLOSED (with `force`),
    LATER_DATE_RUN, EARLIER_RUN_UNFINISHED, RUN_IN_PROGRESS, RAW_DAMAGED, RAW_MISSING, LAKE_DAMAGED,
    INPUT_MISSING, INPUT_INVALID, CONTRACT_AMBIGUOUS, NETWORK_UNREADABLE, MATRIX_STALE, MATRIX_UNREADABLE.
    """
    lake = Lake(Path(home), Store.at(store) if store else None)
    with lake.alone():
        if lake.store is not None:
            pull(lake, lake.store)
        marker = lake.done(settle_on)
        if marker is not None:
            if force:
                raise BUSINESS_DATE_CLOSED(date=settle_on)
            _publish(lake, settle_on)
            return _report_of(lake, settle_on, marker)
        lake.may_run(settle_on)
        job = _Run(lake, settle_on, calendar or Calendar(), rules or Rules(), progress, checkpoint)
        job.master = master
        try:
            return job.work(tac_checker)
        except (OSError, pa.ArrowException, duckdb.Error) as fault:
            why = full(fault)
            if why:
                raise LAKE_FULL(date=settle_on, folder=lake.root, why=why) from None
            raise


def full(fault: Exception) -> str:
    """In a line how a fault says that the disk is full (or a limit of it reached); empty: it is another."""
    text = str(fault).splitlines()[0][:200] if str(fault) else ""
    if isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return text
    return text if any(word in str(fault) for word in DISK_FULL) else ""


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
        self.master: str | None = None

    def work(self, check: TacChecker) -> RunReport:
        """All steps in order; commits at the end."""
        with ThreadPoolExecutor(1, "citycard-ahead") as ahead:
            reference = ahead.submit(read_reference, self.lake.inputs(self.day), self.day)
            with self.step("collect", 0.0):
                self.batches = self.lake.freeze(self.day)
                self.folder = self.lake.fresh_staging(self.day)
                network = None if self.rules.sharing else in_force(self.lake.home, self.day)
                before = [day for day in self.lake.finished() if day < self.day]
                self.before = before[-1] if before else None
                self.cut = Shards(self.parts())  # how records are dealt out
                self.shards = self.cut if self.master is None else Shards()  # and how they are worked on
                if self.shards.count > 1:
                    ahead.submit(compile_steps)
            with self.step("read", 0.05):
                self.read(reference)
                batches = [{"batch_no": i, "batch": batch.digest} for i, batch in enumerate(self.batches)]
                self.shared = Shared(
                    self.day, self.calendar, self.rules, reference.result(), rows(s.BATCHES, batches), network
                )
                if self.shards.count > 1:
                    cards = self.shared.reference.cards
                    self.card_parts = self.shards.table()[hex_codes(cards["pan"])]
            return self.work_on(check)

    def work_on(self, check: TacChecker) -> RunReport:
        """The steps once all records are read."""
        with self.step("deduplicate", 0.2):
            self.deduplicate(check)
        if self.shards.count == 1 or self.master is not None:
            report = self.in_one(check)
        else:
            report = self.in_many(check)
        with self.step("close", 0.97):
            self.close(report)
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

    # Before the parts

    def parts(self) -> int:
        """How many parts to cut the run into; one for what fits in memory."""
        raw = sum(self.lake.size(batch) for batch in self.batches)
        state = sum(path.stat().st_size for path in self.carried(CARDS, checked=self.lake.store is not None))
        self.small = max(raw, state) <= SMALL_BYTES
        if self.small:
            return 1
        wanted = max(raw // RECORD_SIZE / PART_RECORDS, state / PART_STATE_BYTES)
        return min(CODES, max(1, round(wanted)))

    def carried(self, name: str, *, checked: bool = False) -> list[Path]:
        """The files of a lake table as the run before left it."""
        if self.before is None:
            return []
        names = (name,) if name.endswith("/") else (f"{name}.parquet", f"{name}/")
        return (self.lake.checked if checked else self.lake.files)(self.before, *names)

    def read(self, reference: Future[Reference]) -> None:
        """Raw batches to records laid out by part, in memory or in the staging folder.

        The reference tables are read meanwhile; what is wrong with them is told as soon as it is known.
        """
        paths = self.carried(TERMINALS, checked=True)
        last = pa.concat_tables([s.LAST_SEQUENCES.arrow.empty_table(), *map(pq.read_table, paths)])
        last = last.sort_by("terminal_id")
        self.last_sequences = last.select(s.LAST_SEQUENCES.arrow.names)
        newest = (last["terminal_id"].to_numpy(), last["last_sequence"].to_numpy())
        self.spool = Spool(self.cut, None if self.small else self.folder / "spool")
        for number, done in enumerate(fill(self.spool, self.lake, self.batches, self.day, newest)):
            self.progress("read", 0.05 + 0.15 * done / len(self.batches))
            self.checkpoint(f"read {number}")
            if reference.done():
                reference.result()

    def deduplicate(self, check: TacChecker) -> None:
        """Which records repeat others; the history is opened only if one is old enough for that."""
        found = self.spool.suspects()
        if not len(found):
            return
        suspects = self.columns(found).names(check, s.SUSPECTS.arrow)
        with self.engine() as engine:
            engine.give(s.SUSPECTS, suspects)
            engine.give(s.BATCHES, self.shared.batches)
            engine.give(s.LAST_SEQUENCES, self.last_sequences)
            engine.give_parquet(s.POOL, self.carried(WAITING, checked=True))
            engine.make(verify.LATE)
            paths: list[Path] = []
            if engine.fetch(verify.LATE).num_rows:
                oldest = self.day - timedelta(days=self.calendar.late_days)
                days = [oldest + timedelta(days=n) for n in range(self.calendar.late_days + 1)]
                names = [f"taps/verdict={judge.ACCEPTED}/business_date={day.isoformat()}/" for day in days]
                paths = [p for d in self.lake.finished() if oldest <= d for p in self.lake.checked(d, *names)]
            engine.give_parquet(s.HISTORY, paths)
            self.checkpoint("history")
            self.shared.repeats = engine.fetch(verify.DELIVERED, verify.ROW_KEY)

    def columns(self, records: Any) -> Columns:
        """Records as decoded columns."""
        closed = self.spool.closing(records)
        numbers = records["batch_no"].astype("i8"), records["position"].astype("i8")
        return Columns(wire_of(records), *numbers, closed, self.calendar)

    def engine(self, number: int | None = None) -> AbstractContextManager[Engine]:
        """An engine: for a part of many, or for what is done once."""
        if self.master is not None:
            taps = sum(self.lake.size(batch) for batch in self.batches) // RECORD_SIZE
            return SparkEngine(self.master, self.folder / "spill" / "spark", taps)
        if self.small:
            return DuckEngine()
        name = "whole" if number is None else f"{number:03d}"
        return DuckEngine(self.folder / "spill" / name, 1 if number is None else intake.WORKERS)

    # The parts

    def part(self, engine: Engine, number: int, check: TacChecker, seconds: dict[str, float]) -> Part:
        """A part with all it is given, ready for its steps."""
        suffix = "" if self.shards.count == 1 else f" of part {number}"
        part = Part(engine, self.shared, lambda name: self.checkpoint(name + suffix), seconds)
        where = self.shards.where(number)
        state = {
            source: (
                [p for p in self.carried(name, checked=True) if self.shards.holds(str(p), number)],
                where,
            )
            for source, name in ((s.STATE, CARDS), (s.OPEN_LOADS, LOADS), (s.POOL, WAITING))
        }
        with part.step("decode"):
            if self.master is None:
                part.taps = self.taps(number, check)
                engine.give(s.TAPS, part.taps)
            else:
                self.give_all(engine, check)
        part.give(state, self.cards(number))
        return part

    def taps(self, number: int, check: TacChecker) -> pa.Table:
        """The decoded and verified taps of a part, which is then forgotten."""
        pieces = self.spool.part(number, DECODE_RECORDS)
        table = pa.concat_tables([self.columns(records).table(check) for records in pieces])
        self.spool.forget(number)
        return table

    def give_all(self, engine: Engine, check: TacChecker) -> None:
        """All taps, decoded where the engine works; their TACs are verified here, where the keys are."""
        assert isinstance(engine, SparkEngine)
        plan = worker.plan(self.lake, self.batches, self.tac_verdicts(check))
        self.checkpoint("tac verified")
        cluster.give_taps(engine, self.lake.home, self.shared, plan)

    def tac_verdicts(self, check: TacChecker) -> Iterator[tuple[Any, Any, Any]]:
        """Batch numbers, positions and whether the TAC is right, of all records, some at a time."""
        for number in range(self.spool.shards.count):
            for some in self.spool.part(number, DECODE_RECORDS):
                yield some["batch_no"], some["position"], self.columns(some).verified(check)
            self.spool.forget(number)

    def cards(self, number: int) -> pa.Table:
        """The cards of a part."""
        cards = self.shared.reference.cards
        if self.shards.count == 1:
            return cards
        return cards.filter(pa.array(self.card_parts == number))

    def in_one(self, check: TacChecker) -> RunReport:
        """The run as a single part."""
        with self.engine() as engine:
            with self.step("decode", 0.25):
                part = self.part(engine, 0, check, {})
            with self.step("verify", 0.5):
                part.verify()
            with self.step("apportion", 0.65):
                part.apportion()
            with self.step("net", 0.75):
                part.net()
            with self.step("write", 0.85):
                detail = self.rules.verdicts_to_office
                if isinstance(engine, SparkEngine):
                    cluster.write_results(engine, self.folder, self.cut, detail)
                else:
                    outputs.write_part(engine, self.folder, self.shards, 0, detail)
                self.checkpoint("lake written")
                return self.bring_together(engine, [self.sums(engine)])

    def in_many(self, check: TacChecker) -> RunReport:
        """The run as many parts, side by side."""
        seconds = [dict[str, float]() for _ in range(self.shards.count)]
        stop = threading.Event()
        sums: list[dict[str, pa.Table]] = [{} for _ in range(self.shards.count)]

        def work(number: int) -> int:
            if not stop.is_set():
                with self.engine(number) as engine:
                    sums[number] = self.one_of_many(engine, number, check, seconds[number])
            return number

        started = time.perf_counter()
        with ThreadPoolExecutor(intake.WORKERS) as pool:
            try:
                futures = [pool.submit(work, number) for number in range(self.shards.count)]
                for done, future in enumerate(as_completed(futures), 1):
                    future.result()
                    self.progress("parts", 0.25 + 0.6 * done / self.shards.count)
                    self.checkpoint(f"parts done {done}")
            finally:
                stop.set()
        wall = time.perf_counter() - started
        spent: Counter[str] = Counter()
        for one in seconds:
            spent.update(one)
        share = wall / (sum(spent.values()) or 1.0)
        self.seconds |= {name: round(value * share, 4) for name, value in spent.items()}
        with self.step("bring together", 0.9), self.engine() as engine:
            return self.bring_together(engine, sums)

    def one_of_many(
        self, engine: Engine, number: int, check: TacChecker, seconds: dict[str, float]
    ) -> dict[str, pa.Table]:
        """One part from records to files; returns its sums."""
        started = time.perf_counter()
        part = self.part(engine, number, check, seconds)
        seconds["give"] = time.perf_counter() - started - seconds["decode"]
        with part.step("verify"):
            part.verify()
        with part.step("apportion"):
            part.apportion()
        with part.step("net"):
            part.net()
        with part.step("write"):
            detail = self.rules.verdicts_to_office
            scratch = self.folder / outputs.SCRATCH / f"taps-{number:03d}"
            lay_down(engine, part.taps, self.shared.batches, self.day, scratch)
            outputs.write_part(engine, self.folder, self.shards, number, detail)
            outputs.keep_for_office(engine, self.folder, number, detail)
            self.checkpoint(f"lake written of part {number}")
            return self.sums(engine)

    def sums(self, engine: Engine) -> dict[str, pa.Table]:
        """What of a part is brought together with the others'."""
        steps = {"tally": money.TALLY, "owed": money.OWED, "revenue": money.REVENUE,
                 "volumes": money.VOLUMES, "sequences": carry.SEQUENCES}  # fmt: skip
        return {name: engine.fetch(step) for name, step in steps.items()}

    # After the parts

    def bring_together(self, engine: Engine, sums: list[dict[str, pa.Table]]) -> RunReport:
        """Sums of all parts, and the files that are one for the run."""

        def joined(name: str, source: Source) -> None:
            engine.give(source, pa.concat_tables([one[name] for one in sums]).select(source.arrow.names))

        joined("owed", s.OWED_PARTS)
        joined("revenue", s.REVENUE_PARTS)
        joined("volumes", s.VOLUME_PARTS)
        joined("sequences", s.SEQUENCE_PARTS)
        engine.give(s.LAST_SEQUENCES, self.last_sequences)
        engine.make(money.POSITIONS)
        engine.make(money.REVENUE_TOTAL)
        engine.write(carry.NEXT_SEQUENCES, self.folder / f"{TERMINALS}.parquet", ("terminal_id",))
        self.keep_grounds()
        tally = pa.concat_tables([one["tally"] for one in sums]).to_pylist()
        detail = self.rules.verdicts_to_office
        outputs.write_office(engine, self.folder, self.shards.count, detail)
        if detail != ALL:
            outputs.write_totals(tally, self.folder)
        self.checkpoint("office written")
        revenue = engine.fetch(money.REVENUE_TOTAL).to_pylist()
        who = outputs.write_statements(
            self.folder / "statements", revenue, self.shared.reference, self.day, self.rules.sheets
        )
        positions = pc.sum(engine.fetch(money.POSITIONS)["net_fen"]).as_py() or 0
        assert positions == 0, f"positions add up to {positions} fen"
        known = {"settle_on": self.day.isoformat(), "batches": len(self.batches)}
        return _report(tally, positions_sum_fen=positions, participants=len(who), **known)

    def keep_grounds(self) -> None:
        """Rates, places, weights and periods: with them it can be shown later how any tap was divided."""
        for source, table in self.shared.grounds():
            order = [(column, "ascending") for column in table.column_names]
            path = self.folder / f"{source.name}.parquet"
            pq.write_table(table.sort_by(order), path, compression="zstd")

    def close(self, report: RunReport) -> None:
        """Write the marker, put the folder in place, hand out the copies."""
        for scratch in ("spill", "spool", outputs.SCRATCH):
            shutil.rmtree(self.folder / scratch, ignore_errors=True)
        inputs = {path.name: digest_of(path) for path in sorted(self.lake.inputs(self.day).glob("*.csv"))}
        plain = report.to_plain()
        del plain["seconds"], plain["repeated"]
        marker = {"date": self.day.isoformat(), "batches": _digest_of_all(self.batches), "inputs": inputs,
                  "outputs": digests(self.folder), "report": plain,
                  "scheme": self.shared.reference.scheme}  # fmt: skip
        (self.folder / DONE).write_bytes(to_json(marker))
        (self.folder / TIMING).write_bytes(to_json(self.seconds))
        self.checkpoint("before commit")
        self.lake.commit(self.day)
        self.checkpoint("after commit")
        _publish(self.lake, self.day)


def _publish(lake: Lake, day: date) -> None:
    lake.publish(day)
    if lake.store is not None:
        push(lake, lake.store, day)


def _digest_of_all(batches: list[RawBatch]) -> str:
    return hashlib.sha256("".join(batch.digest for batch in batches).encode()).hexdigest()


def _report(tally: list[Row], **known: Any) -> RunReport:
    """What the run did: the tally added up, beside what is `known` already."""
    verdicts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    money_fen: Counter[tuple[str, int]] = Counter()
    for row in tally:
        verdicts[row["verdict"]] += row["taps"]
        reasons[row["reason"]] += row["taps"]
        if row["reason"] not in (Reason.DUPLICATE.code, Reason.MALFORMED.code):
            money_fen[row["verdict"], row["kind"]] += row["amount_fen"]
    return RunReport(
        **known,
        taps=sum(verdicts.values()),
        verdicts=dict(sorted(verdicts.items())),
        reasons=dict(sorted(reasons.items())),
        charged_fen=money_fen[judge.ACCEPTED, int(Kind.PURCHASE)],
        loaded_fen=money_fen[judge.ACCEPTED, int(Kind.LOAD)],
        suspended_fen=money_fen[judge.SUSPENDED, int(Kind.PURCHASE)],
        rejected_fen=money_fen[judge.REJECTED, int(Kind.PURCHASE)],
    )
