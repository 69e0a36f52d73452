# SPDX-License-Identifier: Apache-2.0
"""What happens to files on their way through the drop box: lost, altered, late, doubled, out of order.

Every misfortune is drawn from one seeded source (`lab.faults`), so a seed names all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from citycard.core.interop.files import digest_of
from citycard.core.interop.signing import SUFFIX
from citycard.lab.faults import Faults
from citycard.lab.interop.towns import Town

INBOX, ARCHIVE = "inbox", "archive"
LOST, UNSIGNED, ALTERED, LATE, REPEATED = (
    "file_lost",
    "unsigned",
    "file_altered",
    "file_late",
    "file_repeated",
)
MISFORTUNES: Final = (LOST, UNSIGNED, ALTERED, LATE, REPEATED)


class RoughMail:
    """The box between the offices; call `strike` when files lie in a town's inbox."""

    def __init__(self, box: Path, faults: Faults) -> None:
        self._box = box
        self._faults = faults
        self.spoilt: dict[Town, set[tuple[str, str]]] = {}  # names and digests no signature stands for
        self._late: dict[Town, list[tuple[str, bytes, bytes]]] = {}

    def strike(self, town: Town) -> None:
        """What has been late comes now; what lies in the inbox may be struck."""
        inbox = self._box / town.org / INBOX
        inbox.mkdir(parents=True, exist_ok=True)
        came = self._late.pop(town, [])
        for path in sorted(p for p in inbox.iterdir() if p.suffix != SUFFIX):
            if _seal_of(path).exists():  # an unsigned file is one still on its way
                self._strike(town, path)
        for name, raw, signature in came:
            _put(inbox, name, raw, signature)

    def _strike(self, town: Town, path: Path) -> None:
        struck = next((one for one in MISFORTUNES if self._faults.strikes(one)), None)
        sealed = _seal_of(path)
        if struck == LATE:
            self._late.setdefault(town, []).append((path.name, path.read_bytes(), sealed.read_bytes()))
        if struck in (LOST, LATE):
            path.unlink()
        if struck in (LOST, LATE, UNSIGNED):
            sealed.unlink()
        if struck == ALTERED:
            raw = bytearray(path.read_bytes())
            raw[self._faults.random.randrange(len(raw))] ^= 1 << self._faults.random.randrange(7)
            path.write_bytes(raw)
            self.spoilt.setdefault(town, set()).add((path.name, digest_of(bytes(raw))))
        if struck == REPEATED:
            self._repeat(town)

    def _repeat(self, town: Town) -> None:
        """Any file this town has received comes once more."""
        archive = self._box / town.org / ARCHIVE
        if not archive.is_dir():
            return
        names = sorted(p.name for p in archive.iterdir() if (archive / (p.name + SUFFIX)).exists())
        if names:
            name = self._faults.random.choice(names)
            kept = archive / name, archive / (name + SUFFIX)
            _put(self._box / town.org / INBOX, name, *(path.read_bytes() for path in kept))


def _seal_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _put(inbox: Path, name: str, raw: bytes, signature: bytes) -> None:
    """A file comes, unless its sender has sent it again meanwhile and that one lies there."""
    if (inbox / name).exists():
        return
    (inbox / (name + SUFFIX)).write_bytes(signature)
    (inbox / name).write_bytes(raw)
