# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing of the emulated card: `python -m tests.fuzz.card --runs 1000000`.

Feeds `tests.core.card.watched.drive`, which reads a story out of any bytes and checks what must always hold.
Stops at the first fault (exit code 77, the input is kept in the corpus folder as crash-*), after `--runs`
inputs or after `--seconds`, whichever comes first. With `--corpus` what was learnt is kept and used again.
`--workers` splits the work over processes, each with its own seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INPUT_MAX = 320  # bytes of one story: a dozen steps
SEEDS = (  # stories to start from, one for each kind of card: select, prove, load, pay, under a MAC, cut
    b"\x04\x00\x00\x04\x03\x10\x04\x05\x01\x05\x05\x95\x00\x04\x00\x01\x02\x03\x04\x07\x05\x04\x08\x02",
    b"\x04\x01\x00\x04\x04\x40\x04\x0c\x20\x04\x06\x30\x04\x0a\x01\x04\x0e\x01\x04\x02\x00",
    b"\x00\x00\x3f\x00\x0d\x00\x38\xff\xff\xf0\xf0\x01\xff\xff\xff\xff\xff\xff\xff",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer in processes of its own, and tell how long it took."""
    parser = argparse.ArgumentParser(description="Fuzz the emulated card, guided by coverage.")
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs in all (default 1000000)")
    parser.add_argument("--seconds", type=int, default=3600, help="stop after so long (default 3600)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the first worker (default 1)")
    parser.add_argument("--corpus", type=Path, help="folder to keep what was learnt in")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        fuzz(options.runs, options.seconds, options.seed, options.corpus)
    with tempfile.TemporaryDirectory() as scratch:
        corpus = options.corpus or Path(scratch)
        corpus.mkdir(parents=True, exist_ok=True)
        for number in range(7):
            for index, seed in enumerate(SEEDS):
                (corpus / f"seed-{number}-{index}").write_bytes(bytes((number,)) + seed)
        started = time.monotonic()
        shared = [sys.executable, "-m", "tests.fuzz.card", "--worker", "--corpus", str(corpus)]
        shared += ["--runs", str(options.runs // options.workers), "--seconds", str(options.seconds)]
        running = [
            subprocess.Popen([*shared, "--seed", str(options.seed + n)]) for n in range(options.workers)
        ]
        codes = [process.wait() for process in running]
    print(f"{options.runs} inputs at most, {options.workers} workers: {time.monotonic() - started:.0f} s")
    return max(abs(code) for code in codes)


def fuzz(runs: int, seconds: int, seed: int, corpus: Path) -> None:
    """One fuzzing process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["citycard.core.card", "citycard.core.apdu"]):
        from tests.core.card.watched import drive

    told = ["card", f"-runs={runs}", f"-max_total_time={seconds}", f"-max_len={INPUT_MAX}", f"-seed={seed}"]
    told += [f"-artifact_prefix={corpus}/", "-print_final_stats=1", "-len_control=10", str(corpus)]
    atheris.Setup(told, lambda data: drive(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
