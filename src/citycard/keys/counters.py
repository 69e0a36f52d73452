# SPDX-License-Identifier: Apache-2.0
"""The PSAM's memory: the terminal transaction counter and the count of wrong MAC2s, both for ever.

A terminal transaction number goes into MAC1 and TAC and must never be used twice, so it is durable before
it is told. The file counter reserves a block ahead: a restart skips the rest of the block (numbers need be
unique, not without gaps) and most taps need no disk. Programs sharing a file get different blocks.
"""

from __future__ import annotations

import fcntl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from citycard.core.problem import declare
from citycard.keys.durable import replace_file

FIRST: Final = 1
LAST: Final = 0xFFFF_FFFF  # four bytes on the wire
AHEAD: Final = 64  # one disk write per so many taps; so many numbers lost at a restart at most
TITLE: Final = "citycard-counter-1"

COUNTER_DAMAGED = declare(
    "COUNTER_DAMAGED",
    "The terminal counter {path} is damaged. Restore it, or write a number above every number ever used.",
    "终端交易计数器 {path} 已损坏，请恢复该文件，或写入一个大于所有已用序号的数值。",
)


class CounterExhausted(Exception):
    """All four bytes of terminal transaction numbers are used up."""


class CounterStore(Protocol):
    """Where a PSAM keeps what must outlive it. Any method may raise `OSError`."""

    def reserve(self) -> int:
        """The next terminal transaction number, never given again; `CounterExhausted` at the end."""
        ...

    def failures(self) -> int:
        """Wrong MAC2s in a row."""
        ...

    def record_failures(self, count: int) -> None:
        """Remember that many, durably."""
        ...


class MemoryCounter:
    """A counter for simulations and tests: keep the object and it outlives the PSAM."""

    def __init__(self, first: int = FIRST) -> None:
        self.next = first
        self.wrong = 0

    def reserve(self) -> int:
        """See `CounterStore`."""
        if self.next > LAST:
            raise CounterExhausted
        self.next += 1
        return self.next - 1

    def failures(self) -> int:
        """See `CounterStore`."""
        return self.wrong

    def record_failures(self, count: int) -> None:
        """See `CounterStore`."""
        self.wrong = count


class FileCounter:
    """A counter in a small file, written anew for every block of `ahead` numbers. COUNTER_DAMAGED."""

    def __init__(self, path: Path, ahead: int = AHEAD) -> None:
        self._path = path
        self._ahead = ahead
        self._next = FIRST
        self._limit = FIRST  # first number that is not ours

    def reserve(self) -> int:
        """See `CounterStore`."""
        if self._next >= self._limit:
            with self._locked():
                free, wrong = self._read()
                if free > LAST:
                    raise CounterExhausted
                limit = min(free + self._ahead, LAST + 1)
                self._write(limit, wrong)
            self._next, self._limit = free, limit
        self._next += 1
        return self._next - 1

    def failures(self) -> int:
        """See `CounterStore`."""
        return self._read()[1]

    def record_failures(self, count: int) -> None:
        """See `CounterStore`."""
        with self._locked():
            self._write(self._read()[0], count)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(self._path.name + ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> tuple[int, int]:
        """First free number and wrong MAC2s; a missing file is a new counter."""
        try:
            text = self._path.read_text("ascii")
        except FileNotFoundError:
            return FIRST, 0
        except UnicodeDecodeError:
            raise COUNTER_DAMAGED(path=self._path) from None
        body, _, sum_ = text.rstrip("\n").rpartition(" ")
        parts = body.split(" ")
        if len(parts) != 3 or parts[0] != TITLE or sum_ != _sum(body):
            raise COUNTER_DAMAGED(path=self._path)
        return int(parts[1]), int(parts[2])

    def _write(self, free: int, wrong: int) -> None:
        body = f"{TITLE} {free} {wrong}"
        replace_file(self._path, f"{body} {_sum(body)}\n".encode("ascii"))


def _sum(body: str) -> str:
    return f"{zlib.crc32(body.encode('ascii')):08x}"
