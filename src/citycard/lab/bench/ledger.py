# SPDX-License-Identifier: Apache-2.0
"""Transfers posted to the office's ledger, singly and in batches, beside pgbench's TPC-B on one server.

Every transfer debits one hot account (an issuer's float) and credits one of many cards, has an id of its own
and gets a verdict; a few in each batch are refused and must refuse only themselves. Commits are durable in
both databases. On PostgreSQL two processes post at once, as an office's workers do, to the same accounts;
what one alone does is told beside it. SQLite has one writer at a time.

The yardstick is pgbench's TPC-B-like script with prepared statements at its better number of clients: three
updates, a look and an insert, without verdicts and without ids of the caller's. It runs before and after
ours, because other work on the machine comes and goes, and the better of all its figures counts.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from citycard.core.ledger import Flag, Result, Transfer
from citycard.core.problem import declare
from citycard.lab.bench.result import BenchResult

CARDS: Final = 100_000
BATCH: Final = 8_000  # what TigerBeetle takes in one message, and the size of the aim
REFUSED_EVERY: Final = 1_000  # one transfer in so many asks for more than its card holds
POSTERS: Final = 2  # at once, on PostgreSQL; pgbench may take eight
POSTER_IDS: Final = 10_000_000_000  # apart from one another
FASTEST: Final = 150_000  # transfers per second of one poster for which batches are made beforehand
READY: Final = "ready\n"
SECONDS: Final = 5.0  # of each measurement
PGBENCH_SCALE: Final = 20
PGBENCH_CLIENTS: Final = (1, 8)
HOT: Final = "float:bench"

BENCH_POSTGRES = declare(
    "BENCH_POSTGRES",
    "This benchmark needs PostgreSQL with pgbench, and {what} was not found. On Debian: "
    "apt-get install postgresql.",
    "本基准测试需要带 pgbench 的 PostgreSQL，未找到 {what}。Debian 上请运行 apt-get install postgresql。",
)


def run(seconds: float = SECONDS, batch: int = BATCH, cards: int = CARDS) -> BenchResult:
    """Transfers per second to PostgreSQL in batches beside pgbench; the other figures as details."""
    from citycard.lab.postgres import DURABLE, find_programs, private_postgres

    started = time.perf_counter()
    programs = find_programs()
    if programs is None or not (programs / "pgbench").exists():
        raise BENCH_POSTGRES(what="postgres" if programs is None else "pgbench")
    sizes = {"seconds": seconds, "batch": batch, "cards": cards}
    with private_postgres(programs, DURABLE) as url:
        yardsticks = {
            f"pgbench_{clients}_clients": _pgbench(programs, url, clients, seconds)
            for clients in PGBENCH_CLIENTS
        }
        postgres = _measured(url, sizes)
        yardsticks["pgbench_after"] = _pgbench(programs, url, PGBENCH_CLIENTS[-1], seconds)
    sqlite = _measured(None, sizes)
    best = max(yardsticks.values())
    return BenchResult(
        name="ledger",
        what=f"batches of {batch:,} transfers, one hot account, {cards:,} cards, durable commits",
        figure=postgres["batch"],
        unit="transfers/s",
        yardstick=best,
        yardstick_what=f"pgbench TPC-B (scale {PGBENCH_SCALE}, prepared) on the same server, transactions/s",
        ratio=round(postgres["batch"] / best, 1),
        ratio_means="ours / yardstick; the aim is 20",
        seconds=round(time.perf_counter() - started, 1),
        details={
            "posters": POSTERS,
            "postgres_one_poster": postgres["alone"],
            "postgres_single": postgres["single"],
            "postgres_again": postgres["again"],
            "sqlite_batch": sqlite["batch"],
            "sqlite_single": sqlite["single"],
            "sqlite_again": sqlite["again"],
            **yardsticks,
        },
    )


def _pgbench(programs: Path, url: str, clients: int, seconds: float) -> float:
    """Transactions per second of the TPC-B-like script; the tables are made when they are not there."""
    if clients == PGBENCH_CLIENTS[0]:
        _program(programs / "pgbench", "-i", "-q", "-s", str(PGBENCH_SCALE), url)
    told = _program(
        programs / "pgbench", "-M", "prepared", "-n", "-c", str(clients), "-j", "2",
        "-T", str(max(1, round(seconds))), url,
    )  # fmt: skip
    found = re.search(r"tps = ([\d.]+)", told)
    assert found, told
    return round(float(found[1]), 1)


def _program(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _measured(url: str | None, sizes: dict[str, Any]) -> dict[str, float]:
    """Figures of one database, from a process that has it as its office's."""
    with tempfile.TemporaryDirectory(prefix="citycard-bench-") as home:
        order = json.dumps({"home": home, "url": url, **sizes})
        told = _program(sys.executable, "-m", "citycard.lab.bench.ledger", order)
    figures: dict[str, float] = json.loads(told)
    return figures


# In the process that does the work


def work(home: str, url: str | None, seconds: float, batch: int, cards: int) -> dict[str, float]:
    """Transfers per second in batches: `alone` by one poster, `batch` by all at once, `again` repeated ones.

    `single` is one transfer at a time.
    """
    from citycard.office import ledger, setup

    setup.setup(home, url)
    setup.migrate()
    names = [_card(number) for number in range(cards)]
    assert set(ledger.open_accounts([HOT, *names])) == {Result.OK}
    warm = _batch(names, 0, batch)
    _expect(ledger.post(warm), Result.OK)
    order = {"home": home, "url": url, "seconds": seconds, "batch": batch, "cards": cards}
    figures = {"alone": _posters([1], order)}
    figures["batch"] = _posters(list(range(2, 2 + POSTERS)), order) if url else figures["alone"]
    again: list[float] = []
    while sum(again) < seconds / 2:
        start = time.perf_counter()
        results = ledger.post(warm)
        again.append(time.perf_counter() - start)
        _expect(results, Result.EXISTS)
    figures["again"] = batch * len(again) / sum(again)
    figures["single"] = _single(names, seconds)
    assert ledger.trial_balance().balanced
    return {kind: round(rate, 1) for kind, rate in figures.items()}


def _single(names: list[str], seconds: float) -> float:
    from citycard.office import ledger

    done, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        transfer = Transfer(f"one:{done}", HOT, names[done % len(names)], 200, "load")
        assert ledger.post([transfer]) == [Result.OK]
        done += 1
    return done / (time.perf_counter() - start)


def _posters(numbers: list[int], order: dict[str, Any]) -> float:
    """Transfers per second of these posters at once, each in a process as an office's workers are."""
    command = [sys.executable, "-m", "citycard.lab.bench.ledger"]
    posters = [
        subprocess.Popen(
            [*command, json.dumps({"poster": number, **order})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in numbers
    ]  # fmt: skip
    with ExitStack() as stack:
        for poster in posters:
            stack.enter_context(poster)
            stack.callback(poster.kill)
        for poster in posters:
            assert _read(poster) == READY
        for poster in posters:
            assert poster.stdin
            poster.stdin.write(READY)
            poster.stdin.flush()
        told = [json.loads(_read(poster)) for poster in posters]
    # From the first beginning to the last end: check-points and vacuum are part of the work.
    took: float = max(one["end"] for one in told) - min(one["start"] for one in told)
    return float(sum(one["posted"] for one in told)) / took


def _read(poster: subprocess.Popen[str]) -> str:
    assert poster.stdout
    return poster.stdout.readline()


def post_batches(home: str, url: str | None, seconds: float, batch: int, cards: int, poster: int) -> None:
    """One poster: batches made beforehand, posted one after the other from the word go."""
    from citycard.office import ledger, setup

    setup.setup(home, url)
    names = [_card(number) for number in range(cards)]
    first = poster * POSTER_IDS
    count = max(3, round(seconds * FASTEST / batch))
    batches = [_batch(names, first + number * batch, batch) for number in range(count)]
    assert ledger.account(HOT)
    sys.stdout.write(READY)
    sys.stdout.flush()
    sys.stdin.readline()
    posted = 0
    start = end = time.time()
    while posted < 3 or (posted < count and end < start + seconds):
        _expect(ledger.post(batches[posted]), Result.OK)
        posted += 1
        end = time.time()
    print(json.dumps({"posted": posted * batch, "start": start, "end": end}), flush=True)


def _card(number: int) -> str:
    return f"card:{number:020d}"


def _batch(names: list[str], first: int, size: int) -> list[Transfer]:
    """So many loads of cards spread over all of them, and now and then a debit that cannot be."""
    transfers = []
    for number in range(first, first + size):
        card = names[number * 7919 % len(names)]
        if number % REFUSED_EVERY == 0:
            transfers.append(Transfer(f"bench:{number}", card, HOT, 10**9, "purchase", Flag(0)))
        else:
            transfers.append(Transfer(f"bench:{number}", HOT, card, 200, "load", Flag(0)))
    return transfers


def _expect(results: list[Result], done: Result) -> None:
    """A verdict for each: refused exactly where it must be."""
    for number, result in enumerate(results):
        assert result is (Result.EXCEEDS_CREDITS if number % REFUSED_EVERY == 0 else done), (number, result)


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    if "poster" in order:
        post_batches(**order)
    else:
        print(json.dumps(work(**order)))
