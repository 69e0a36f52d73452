# SPDX-License-Identifier: Apache-2.0
"""The three offices as processes, and the box between them, where files can go astray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from citycard.core.interop.files import FileName
from citycard.core.interop.signing import SUFFIX
from citycard.lab.interop.towns import Town

WORKER: Final = "citycard.lab.interop.worker"
STOP_S: Final = 20  # a worker that does not end by itself after its input has ended


class OfficeProcess:
    """An office in a process of its own: call it with a command."""

    def __init__(self, town: Town, folder: Path) -> None:
        self.town = town
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CITYCARD_", "DJANGO_"))}
        words = [town.key, str(folder / town.key), str(folder / "box")]
        self._errors = (folder / f"{town.key}.log").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=kept,
        )  # fmt: skip

    def ask(self, command: str, **arguments: Any) -> None:
        """Begin a command; `answer` waits for its end, so that offices can work at the same time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, arguments], default=str) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """What the command answered; `RuntimeError` with the process's last words when it died."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"the office of {self.town.en} died:\n{self._errors.read()[-3000:]}")
        return json.loads(line)

    def __call__(self, command: str, **arguments: Any) -> Any:
        self.ask(command, **arguments)
        return self.answer()

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()


class Box:
    """The drop box: what lies in an inbox can be lost, doubled or altered on its way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "box"

    def find(self, town: Town, file: str, sender: Town) -> Path:
        """The file of this id from that sender in a town's inbox."""
        for path in sorted((self._folder / town.org / "inbox").glob(f"{file}_{sender.org}_*")):
            if path.suffix != SUFFIX:
                return path
        raise AssertionError(f"no {file} from {sender.en} lies in the inbox of {town.en}")

    def lose(self, path: Path) -> str:
        """The file is gone."""
        path.with_name(path.name + SUFFIX).unlink()
        path.unlink()
        return path.name

    def alter(self, path: Path) -> str:
        """One digit of its last record's amount is another one, to the acquirer's favour."""
        raw = bytearray(path.read_bytes())
        name = FileName.parse(path.name)
        at = raw.rfind(b"\n", 0, len(raw) - 1) + 1 + name.format.offsets["amount_fen"] + 8
        raw[at] = ord("1") if raw[at] == ord("9") else raw[at] + 1
        path.write_bytes(raw)
        return path.name

    def repeat(self, town: Town, name: str) -> str:
        """A file that was received lies in the inbox once more."""
        for suffix in (SUFFIX, ""):
            kept = self._folder / town.org / "archive" / (name + suffix)
            (self._folder / town.org / "inbox" / (name + suffix)).write_bytes(kept.read_bytes())
        return name
