# SPDX-License-Identifier: Apache-2.0
"""The drop box: a folder both sides reach, as by SFTP or a shared disk.

    BOX/{organisation}/inbox        what others put there for it: signature first, then the file, by rename
    BOX/{organisation}/archive      what it has received
    BOX/{organisation}/quarantine   what it could not take, with the reason beside it

A name that begins with a dot is a file on its way, and so is one whose signature has not come yet: tools that
mirror folders bring the two in any order. The carrier moves bytes; everything else is judged by
`inbox.receive`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from citycard.core.interop.files import FILE_BYTES_MAX, NAME
from citycard.core.interop.signing import SUFFIX
from citycard.core.problem import Problem, declare
from citycard.office.partners import desk, inbox, outbox, shelf
from citycard.office.partners.models import Member

INBOX, ARCHIVE, BAD = "inbox", "archive", "quarantine"
FILES_MAX: Final = 10_000  # of one visit

BOX_UNREACHABLE = declare(
    "BOX_UNREACHABLE",
    "The drop box {path} of {org} cannot be used: {why}. Nothing was lost; try again when it is there.",
    "无法使用 {org} 的交换目录 {path}：{why}。文件未丢失，恢复后重试即可。",
)


@dataclass(slots=True)
class Visit:
    """What one visit to a member did: names sent, taken, known, waiting, and set aside with why.

    `unsigned` lie in the box without their signature, and stay there until it has come.
    """

    sent: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def deliver(to: Member) -> list[str]:
    """Put what waits for a member into its inbox; the names. BOX_UNREACHABLE."""
    folder = Path(to.box) / to.org / INBOX
    names = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in outbox.waiting(to)[:FILES_MAX]:
            name = str(outbox.name_of(file))
            raw, signature = outbox.sealed(file)
            shelf.put(folder / (name + SUFFIX), signature)
            shelf.put(folder / name, raw)
            outbox.delivered(file)
            names.append(name)
    except OSError as error:
        raise BOX_UNREACHABLE(path=folder, org=to.org, why=error.strerror) from None
    return names


def collect(box: Path) -> Visit:
    """Take what lies in our own inbox, in the order of the names' sequences. BOX_UNREACHABLE."""
    us = desk.own()
    own = box / us.org
    visit = Visit()
    try:
        for folder in (INBOX, ARCHIVE, BAD):
            (own / folder).mkdir(parents=True, exist_ok=True)
        found = [path for path in (own / INBOX).iterdir() if NAME.fullmatch(path.name) and _plain(path)]
        sealed = [path for path in found if _plain(_seal_of(path))]
        visit.unsigned = sorted({path.name for path in found} - {path.name for path in sealed})
        for path in sorted(sealed, key=_order)[:FILES_MAX]:
            _collect(path, own, visit)
    except OSError as error:
        raise BOX_UNREACHABLE(path=own, org=us.org, why=error.strerror) from None
    return visit


def _plain(path: Path) -> bool:
    """Whether it is a file itself: who may write to the box may not show us another file of this machine."""
    return path.is_file() and not path.is_symlink()


def _seal_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _order(path: Path) -> tuple[str, str]:
    found = NAME.fullmatch(path.name)
    assert found is not None
    return found[2], found[5]


def _collect(path: Path, own: Path, visit: Visit) -> None:
    if path.stat().st_size > FILE_BYTES_MAX:
        visit.refused[path.name] = "too large"
        _move(path, own / BAD, "the file is too large")
        return
    try:
        receipt = inbox.receive(path.name, path.read_bytes(), _seal_of(path).read_bytes())
    except Problem as problem:
        visit.refused[path.name] = problem.code
        _move(path, own / BAD, f"{problem.code}: {problem.text()}\n{problem.text('zh')}")
        return
    getattr(visit, receipt.status).append(path.name)
    visit.taken += [name for name in receipt.taken if name != path.name]
    _move(path, own / ARCHIVE)


def _move(path: Path, to: Path, why: str = "") -> None:
    """Out of the inbox, the signature with it; a reason is left beside what was set aside."""
    sealed = _seal_of(path)
    shutil.move(path, to / path.name)
    if sealed.exists():
        shutil.move(sealed, to / sealed.name)
    if why:
        shelf.put(to / f"{path.name}.why", why.encode())
