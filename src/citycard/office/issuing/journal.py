# SPDX-License-Identifier: Apache-2.0
"""The journal of a personalisation run: one line a step, on disk before the next step is begun.

Lines are JSON with a checksum. A line cut off by a power failure is the last one, and is dropped; any other
that does not fit is damage. The first line says which data file the journal belongs to.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final
from zlib import crc32

from citycard.core.problem import declare

FORMAT: Final = 1
BEGUN, MADE, VERIFIED, STOCKED, REJECTED = "begun", "made", "verified", "stocked", "rejected"
FINAL: Final = frozenset({STOCKED, REJECTED})

PERSO_JOURNAL = declare(
    "PERSO_JOURNAL",
    "The journal {path} is damaged at line {line}, or belongs to other data. Restore it; without it nobody "
    "knows which chips were made.",
    "日志 {path} 第 {line} 行已损坏或属于其他数据；请恢复该文件，否则无法确定哪些芯片已制作。",
)
PERSO_RUNNING = declare(
    "PERSO_RUNNING",
    "Another process is personalising this order ({path}). Wait for it to end.",
    "另一进程正在制作该订单（{path}），请等待其结束。",
)


@dataclass(slots=True)
class State:
    """What the journal tells of one card."""

    step: str
    uid: str
    why: str = ""


@dataclass(slots=True)
class Told:
    """All that the journal tells."""

    cards: dict[str, State] = field(default_factory=dict)
    runs: int = 0
    refused: list[tuple[str, str]] = field(
        default_factory=list
    )  # chips put aside before anything was written

    @property
    def open(self) -> tuple[str, State] | None:
        """The card that was being made when the run ended; there is at most one."""
        found = [(pan, state) for pan, state in self.cards.items() if state.step not in FINAL]
        assert len(found) <= 1
        return found[0] if found else None

    @property
    def used(self) -> dict[str, str]:
        """Chips that were begun, and with which number."""
        return {state.uid: pan for pan, state in self.cards.items()}


class Journal:
    """An open journal; one process at a time. PERSO_JOURNAL, PERSO_RUNNING."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("ab+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise PERSO_RUNNING(path=path) from None
        try:
            self.told = self._read(digest)
        except BaseException:
            self._file.close()
            raise
        self._write({"run": self.told.runs, "data": digest, "format": FORMAT})

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def step(self, pan: str, step: str, uid: str, why: str = "") -> None:
        """Note a step, durably."""
        self._write({"pan": pan, "step": step, "uid": uid, "why": why})
        self.told.cards[pan] = State(step, uid, why)

    def refuse(self, uid: str, why: str) -> None:
        """Note a chip that was put aside untouched."""
        self._write({"chip": uid, "why": why})
        self.told.refused.append((uid, why))

    def _write(self, said: dict[str, Any]) -> None:
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
        self._file.write(b"%08x %s\n" % (crc32(text), text))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, digest: str) -> Told:
        self._file.seek(0)
        raw = self._file.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        self._file.truncate(len(whole))  # what a power failure left of a last line
        told = Told()
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                checksum, _, text = line.partition(b" ")
                said = json.loads(text) if checksum == b"%08x" % crc32(text) else None
            except ValueError:
                said = None
            if not isinstance(said, dict) or ("run" in said and said.get("data") != digest):
                raise PERSO_JOURNAL(path=self.path, line=number)
            self._take(told, said)
        return told

    @staticmethod
    def _take(told: Told, said: dict[str, Any]) -> None:
        if "run" in said:
            told.runs += 1
        elif "chip" in said:
            told.refused.append((said["chip"], said["why"]))
        else:
            told.cards[said["pan"]] = State(said["step"], said["uid"], said["why"])
