# SPDX-License-Identifier: Apache-2.0
"""TACs verified in bulk on one core, beside the crypto library record by record and beside OpenSSL's limit.

Every record is of another card, so each costs a diversification and a MAC: nine DES blocks, or three of SM4,
and the key schedules that go with them. What is timed is the verifier as clearing calls it, from columns to
verdicts, with the keys lent by a vault in memory.

Yardstick (a) is the same done by `core.crypto` in a loop. Yardstick (b) is how many records nine (or three)
block operations each would make at the rate of `openssl speed`, which enciphers one long text under one key:
no key schedules, no Python. All times are processor time, as `openssl speed` measures, and the best of
several short runs taken in turns: other work on the machine disturbs the caches all the same.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from citycard.core.crypto import KEY_SIZE, SM4_SUITE, TRIPLE_DES, Suite, diversify
from citycard.core.problem import declare
from citycard.keys import KeyName, MemoryVault
from citycard.keys.tac import KeyPath, TacBatch, TacVerifier
from citycard.lab.bench.result import BenchResult

RECORDS: Final = 262_144
LOOP_RECORDS: Final = 3_000  # for yardstick (a), which is slow
ISSUERS: Final = 30
MESSAGE: Final = 22  # a purchase (facts 1.3)
WIDTH: Final = 32
GENUINE_EVERY: Final = 1_000  # one record in so many has its right TAC
TURNS: Final = 4
ROUNDS: Final = 10  # of ours in each turn
SEED: Final = 20_260_302
OPENSSL_BYTES: Final = 8_192
OPENSSL_TIMEOUT_S: Final = 30

BENCH_OPENSSL = declare(
    "BENCH_OPENSSL",
    "This benchmark measures against `openssl speed`, and {what}. On Debian: apt-get install openssl.",
    "本基准测试以 `openssl speed` 为参照，但{what}。Debian 上请运行 apt-get install openssl。",
)


class Case(NamedTuple):
    """A suite, what OpenSSL calls its cipher, and how many blocks a record costs."""

    suite: Suite
    cipher: str
    options: tuple[str, ...]
    blocks: int


DES_CASE: Final = Case(TRIPLE_DES, "des-cbc", ("-provider", "legacy", "-provider", "default"), 9)
SM4_CASE: Final = Case(SM4_SUITE, "sm4-cbc", (), 3)


def run(records: int = RECORDS) -> BenchResult:
    """Records per second and core of the 3DES kernel; SM4, the loop and other shapes as details."""
    started = time.perf_counter()
    openssl = shutil.which("openssl")
    if openssl is None:
        raise BENCH_OPENSSL(what="there is no openssl command")
    des = measure(openssl, DES_CASE, records)
    sm4 = measure(openssl, SM4_CASE, records)
    return BenchResult(
        name="tac",
        what=f"{records:,} purchases of as many cards of {ISSUERS} issuers, 3DES, from columns to verdicts",
        figure=round(des["ours"]),
        unit="records/s per core",
        yardstick=round(des["openssl"]),
        yardstick_what="(b) nine DES blocks a record at the rate of `openssl speed`, same run",
        ratio=round(des["ours"] / des["openssl"], 1),
        ratio_means="ours / yardstick (b); the aim is 15",
        seconds=round(time.perf_counter() - started, 2),
        details={
            "a_loop": round(des["loop"]),
            "a_ratio": round(des["ours"] / des["loop"], 1),
            "a_means": "the crypto library in a loop; ours / (a), the aim is 100",
            "by_card": round(des["by_card"]),
            "by_card_means": "records/s where each card has four neighbouring records",
            "sm4": round(sm4["ours"]),
            "sm4_openssl": round(sm4["openssl"]),
            "sm4_ratio": round(sm4["ours"] / sm4["openssl"], 1),
            "sm4_a_ratio": round(sm4["ours"] / sm4["loop"], 1),
            "sm4_means": "records/s, (b) of three SM4 blocks a record, ours / (b) with the aim 2, ours / (a)",
            "first_call_s": round(des["first"] + sm4["first"], 2),
        },
    )


def measure(openssl: str, case: Case, records: int) -> dict[str, float]:
    """Records per second: ours, by card, the loop's, OpenSSL's; and the seconds of the first call."""
    roots = np.random.default_rng(SEED).bytes(KEY_SIZE)  # a key of this benchmark alone
    vault = MemoryVault()
    vault.import_key(KeyName.TAC, case.suite, 1, roots)
    verifier = vault.tac_checker()
    batch, grouped = records_of(case.suite, roots, records, 1), records_of(case.suite, roots, records, 4)
    begin = time.perf_counter()
    for prepared in (batch, grouped):
        check(verifier, prepared)
    first = time.perf_counter() - begin
    ours = by_card = loop = limit = 0.0
    for _ in range(TURNS):
        limit = max(limit, openssl_blocks(openssl, case) / case.blocks)
        ours = max(ours, records / busy(lambda: verifier.verify_batch(batch), ROUNDS))
        by_card = max(by_card, records / busy(lambda: verifier.verify_batch(grouped), ROUNDS))
        loop = max(loop, LOOP_RECORDS / busy(by_library(case.suite, roots, batch), 2))
    return {"ours": ours, "by_card": by_card, "loop": loop, "openssl": limit, "first": first}


def records_of(suite: Suite, root: bytes, count: int, each: int) -> TacBatch:
    """Records with random TACs but for every thousandth, `each` of a card in a row."""
    source = np.random.default_rng(SEED + each)
    paths = tuple(KeyPath(1, suite.id, (issuer.to_bytes(8, "big"),)) for issuer in range(ISSUERS))
    card = np.arange(count) // each
    factors = source.integers(0, 2**64, card[-1] + 1, np.uint64)[card]
    messages = source.integers(0, 256, (count, WIDTH), np.uint8)
    tac = source.integers(0, 2**32, count, np.uint32)
    which = card % ISSUERS
    for at in range(0, count, GENUINE_EVERY):
        key = diversify(suite, root, [*paths[which[at]].factors, int(factors[at]).to_bytes(8, "big")])
        tac[at] = int.from_bytes(suite.tac(key, messages[at, :MESSAGE].tobytes()), "big")
    return TacBatch(paths, which, factors.reshape(-1, 1), messages, np.full(count, MESSAGE), tac)


def check(verifier: TacVerifier, batch: TacBatch) -> None:
    """The genuine records and no others are found genuine."""
    found = np.flatnonzero(verifier.verify_batch(batch))
    assert np.array_equal(found, np.arange(0, len(batch), GENUINE_EVERY)), "the kernel is wrong"


def by_library(suite: Suite, root: bytes, batch: TacBatch) -> Callable[[], object]:
    """The first records, one by one."""
    issuers = [diversify(suite, root, path.factors) for path in batch.paths]
    rows = [
        (issuers[batch.which[at]], int(batch.factors[at, 0]).to_bytes(8, "big"),
         batch.messages[at, :MESSAGE].tobytes(), int(batch.tac[at]).to_bytes(4, "big"))
        for at in range(LOOP_RECORDS)
    ]  # fmt: skip

    def loop() -> list[bool]:
        return [suite.tac(suite.diversify(key, factor), message) == tac for key, factor, message, tac in rows]

    return loop


def busy(action: Callable[[], object], rounds: int) -> float:
    """Seconds of this thread's processor time in the quickest of so many rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        action()
        best = min(best, time.thread_time() - start)
    return best


def openssl_blocks(openssl: str, case: Case) -> float:
    """Blocks of the suite per second that `openssl speed` enciphers in one long text."""
    options = ("-seconds", "1", "-bytes", str(OPENSSL_BYTES), *case.options, "-evp", case.cipher)
    try:
        done = subprocess.run(
            [openssl, "speed", "-mr", *options], capture_output=True, text=True, timeout=OPENSSL_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise BENCH_OPENSSL(what=f"it does not run: {fault}") from None
    for line in done.stdout.splitlines():
        fields: list[Any] = line.split(":")
        if fields[0] == "+F" and len(fields) >= 4:
            return float(fields[-1]) / case.suite.block
    why = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    raise BENCH_OPENSSL(what=f"it gives no figure for {case.cipher} ({why})")
