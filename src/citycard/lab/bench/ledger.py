# SPDX-License-Identifier: Apache-2.0
"""Transfers posted to the office's ledger, singly and in batches, beside pgbench's TPC-B on one server.

Every transfer debits one hot account (an issuer's float) and credits one of many cards, has an id of its own
and gets a verdict; a few in each batch are refused and must refuse only themselves. Commits are durable in
both databases. Each database is driven by a process of its own, because an office has one database.

The yardstick is pgbench's TPC-B-like script with prepared statements at its better number of clients: three
updates, a look and an insert, without verdicts and without ids of the caller's.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from citycard.core.ledger import Flag, Result, Transfer
from citycard.core.problem import declare
from citycard.lab.bench.result import BenchResult

CARDS: Final = 100_000
BATCH: Final = 8_000  # what TigerBeetle takes in one message, and the size of the aim
REFUSED_EVERY: Final = 1_000  # one transfer in so many asks for more than its card holds
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
        yardsticks = {clients: _pgbench(programs, url, clients, seconds) for clients in PGBENCH_CLIENTS}
        postgres = _measured(url, sizes)
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
            "postgres_single": postgres["single"],
            "postgres_again": postgres["again"],
            "sqlite_batch": sqlite["batch"],
            "sqlite_single": sqlite["single"],
            "sqlite_again": sqlite["again"],
            **{f"pgbench_{clients}_clients": rate for clients, rate in yardsticks.items()},
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
    """Transfers per second: `batch` new ones, `again` the same ones repeated, `single` one at a time."""
    from citycard.office import ledger, setup

    setup.setup(home, url)
    setup.migrate()
    names = [f"card:{number:020d}" for number in range(cards)]
    assert set(ledger.open_accounts([HOT, *names])) == {Result.OK}
    warm = _batch(names, 0, batch)
    _expect(ledger.post(warm), Result.OK)
    rates: dict[str, list[float]] = {"batch": [], "again": []}
    number, end = 1, time.perf_counter() + seconds
    while time.perf_counter() < end or len(rates["batch"]) < 3:
        transfers = _batch(names, number * batch, batch)
        for kind, verdict in (("batch", Result.OK), ("again", Result.EXISTS)):
            start = time.perf_counter()
            results = ledger.post(transfers)
            rates[kind].append(batch / (time.perf_counter() - start))
            _expect(results, verdict)
        number += 1
    single, end = 0, time.perf_counter() + seconds
    start = time.perf_counter()
    while time.perf_counter() < end:
        assert ledger.post([Transfer(f"one:{single}", HOT, names[single % cards], 200, "load")]) == [
            Result.OK
        ]
        single += 1
    took = time.perf_counter() - start
    assert ledger.trial_balance().balanced
    # The mean over all batches, not the best of them: check-points and vacuum are part of the work.
    means = {kind: len(found) / sum(1 / rate for rate in found) for kind, found in rates.items()}
    return {"single": round(single / took, 1)} | {kind: round(rate, 1) for kind, rate in means.items()}


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
    print(json.dumps(work(**json.loads(sys.argv[1]))))
